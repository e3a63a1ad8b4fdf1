"""The clip player at the paper's size: bytes per clip, time to encode, time to the first frame, frames per second.

    python -m benchmarks.player [--face BIWI.ply] [--json]

Without `--face` a dome of 23,370 vertices moves in its place; a real face has the same size and another order of
vertices, which matters only for the bytes. The browser draws with the processor here, so a graphics card does better.
"""

import argparse
import json
import statistics
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from db.playback import TOLERANCE, decode_playback, encode_playback, encode_topology
from tests.conftest import CHROMIUM_FLAGS, find_chromium
from tests.player_page import TinyServer, dome, speak, tone

FRAMES = 117  # 4.68 s, the mean of the corpus
NOISES_MM = (0.0, 0.02, 0.05, 0.1)  # of a face of 200 mm; a registered scan is near the middle
OPENINGS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--face", type=Path, help="a PLY file to move instead of the dome")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    face, faces = read_face(options.face) if options.face else dome(114, 205)
    report = {"vertices": len(face), "frames": FRAMES, "bytes": measure_bytes(face), "topology_bytes": 0}
    report["topology_bytes"] = len(encode_topology(faces, None))
    report["browser"] = measure_browser(face, faces)
    print(json.dumps(report, indent=2) if options.json else as_text(report))


def read_face(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a PLY file."""
    from db.corpus import ply

    mesh = ply.read_ply(path)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces)


def measure_bytes(face: np.ndarray) -> list[dict]:
    """Size and time of our encoding, and the sizes of what it was chosen over, by measurement noise."""
    rows = []
    for noise_mm in NOISES_MM:
        vertices = speak(face, FRAMES, noise=noise_mm / 200)
        started = time.perf_counter()
        packed = encode_playback(vertices, 25.0)
        encoded = time.perf_counter()
        decoded, _ = decode_playback(packed)
        seconds = time.perf_counter() - encoded
        height = np.ptp(vertices[0, :, 1])
        rows.append(
            {
                "noise_mm": noise_mm,
                "bytes": len(packed),
                "encode_s": round(encoded - started, 3),
                "decode_s": round(seconds, 3),
                "largest_error_mm": round(float(np.abs(decoded - vertices).max() / height * 200), 4),
                **{f"{name}_bytes": size(vertices) for name, size in ALTERNATIVES.items()},
            }
        )
    return rows


def packed_size(values: np.ndarray) -> int:
    """Bytes of whole numbers, gzipped as the player's files are, in as few bytes each as they need."""
    kind = np.int8 if np.abs(values).max() < 128 else np.int16
    packer = zlib.compressobj(6, zlib.DEFLATED, 31, 9, zlib.Z_RLE)
    return len(packer.compress(values.astype(kind).tobytes())) + len(packer.flush())


def _in_steps(vertices: np.ndarray) -> np.ndarray:
    offsets = (vertices - vertices.mean(axis=0)).reshape(len(vertices), -1)
    return offsets / (2 * TOLERANCE * np.ptp(vertices[0, :, 1]))


def offsets_size(vertices: np.ndarray) -> int:
    """Plain offsets from the mean shape, at the same tolerance (more than a byte each where the mouth is wide)."""
    return packed_size(np.rint(_in_steps(vertices))) + 2 * vertices[0].size


def temporal_size(vertices: np.ndarray) -> int:
    """The same as differences from the frame before."""
    return packed_size(np.diff(np.rint(_in_steps(vertices)), axis=0, prepend=0)) + 2 * vertices[0].size


def low_rank_size(vertices: np.ndarray) -> int:
    """A low-rank basis alone: as many motions as it takes until no coordinate is off by more than the tolerance."""
    offsets = _in_steps(vertices)
    _, vectors = np.linalg.eigh(offsets @ offsets.T)
    vectors = vectors[:, ::-1]
    motions = np.rint(4 * (vectors.T @ offsets)) / 4  # finer: here nothing corrects the rounding
    rest = offsets.copy()
    rank = 0
    while np.abs(rest).max() > 0.5 and rank < len(offsets):
        rest -= np.outer(vectors[:, rank], motions[rank])
        rank += 1
    return packed_size(4 * motions[:rank]) + vectors[:, :rank].size * 4 + 2 * vertices[0].size


ALTERNATIVES: dict[str, Callable[[np.ndarray], int]] = {
    "offsets": offsets_size,
    "temporal": temporal_size,
    "low_rank": low_rank_size,
}


def measure_browser(face: np.ndarray, faces: np.ndarray) -> dict | None:
    """First frame and frames per second in headless Chromium; None where there is no Chromium."""
    chromium = find_chromium()
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    server = TinyServer()
    clip = server.add_clip("a", speak(face, FRAMES, noise=0.05 / 200), faces, sound=tone(FRAMES / 25))
    other = server.add_clip("b", speak(face, FRAMES, noise=0.05 / 200, seed=1), faces)
    server.add_page({"source": clip}, path="/single")
    server.add_page({"source": clip, "compare": other}, path="/compare")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        context = browser.new_context(viewport={"width": 800, "height": 700})
        page = context.new_page()
        # Chromium starts its graphics process at the first use; that is not the player's time.
        page.goto(server.address + "/single")
        page.wait_for_function("window.player?.state === 'ready'")
        first = [first_frame_ms(page, server.address + "/single") for _ in range(OPENINGS)]
        result = {
            "first_frame_ms": {"median": round(statistics.median(first)), "all": [round(value) for value in first]},
            "single": play(page, server.address + "/single"),
            "compare": play(page, server.address + "/compare"),
        }
        browser.close()
    server.close()
    return result


def first_frame_ms(page, address: str) -> float:
    """From the start of the navigation until the first frame is drawn and handed to the compositor."""
    page.goto(address, wait_until="commit")
    return page.evaluate(
        """() => new Promise((resolve) => {
            const look = () => {
                if (window.player?.state !== "ready" || !player.stage.views.length) return requestAnimationFrame(look);
                player.stage.draw();
                player.stage.renderer.getContext().finish();
                requestAnimationFrame(() => resolve(performance.now()));
            };
            look();
        })"""
    )


def play(page, address: str) -> dict:
    """Frames per second that were really drawn, and how far the picture was from the sound."""
    page.goto(address)
    page.wait_for_function("window.player?.state === 'ready'")
    page.evaluate(
        """() => {
            const show = player.stage.showTime.bind(player.stage), draw = player.stage.draw.bind(player.stage);
            window.drawn = [];
            let changed = false;
            player.stage.showTime = (time) => (changed = show(time));
            player.stage.draw = () => {
                draw();
                player.stage.renderer.getContext().finish();
                const frame = player.stage.views[0].face.frame;
                if (changed) drawn.push([player.clock.time, frame, performance.now()]);
            };
            player.play();
        }"""
    )
    page.wait_for_function("player.state === 'ended'", timeout=60_000)
    drawn = page.evaluate("drawn")
    late = [time * 25 - frame for time, frame, _ in drawn[1:]]
    return {
        "frames_per_second": round(1000 * (len(drawn) - 1) / (drawn[-1][2] - drawn[0][2]), 1),
        "late_frames_largest": round(max(late) - 1, 2),  # beyond the frame's own time
        "stalls": page.evaluate("player.stalls"),
    }


def as_text(report: dict) -> str:
    """The report for people."""
    lines = [f"{report['vertices']:,} vertices, {report['frames']} frames; topology {report['topology_bytes']:,} bytes"]
    for row in report["bytes"]:
        lines.append(
            f"noise {row['noise_mm']:.2f} mm: {row['bytes'] / 1e6:.2f} MB in {row['encode_s']:.2f} s "
            f"(decoded in {row['decode_s']:.2f} s, largest error {row['largest_error_mm']:.3f} mm); "
            + ", ".join(f"{name} {row[f'{name}_bytes'] / 1e6:.2f} MB" for name in ALTERNATIVES)
        )
    browser = report["browser"]
    if browser is None:
        return "\n".join([*lines, "no Chromium: nothing measured in a browser"])
    lines.append(f"first frame after {browser['first_frame_ms']['median']} ms {browser['first_frame_ms']['all']}")
    for name in ("single", "compare"):
        lines.append(f"{name}: " + ", ".join(f"{key} {value}" for key, value in browser[name].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Import and preprocessing at the paper's size: seconds per clip and peak memory, beside a plain read of the bytes.

    python -m benchmarks.import_speed [--clips 6] [--seconds 4.67] [--vertices 23370] [--mesh FACE.ply] [--json]

Writes synthetic sequences in each layout into a temporary folder, reads all bytes once (what any program needs at
least), and imports them by the command, each in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from db.corpus.imitate import imitated_speech, moving_face
from db.corpus.ply import read_ply
from db.corpus.write import Beside, Sequence, write_peers, write_raw

ROOT = Path(__file__).resolve().parents[1]
LAYOUTS = ("peers float32", "peers float64", "raw folders", "raw .tgz")


def sheet(n_vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """A bulging sheet with about as many vertices: (V, 3) and triangles (F, 3)."""
    columns = round(n_vertices**0.5)
    rows = n_vertices // columns
    y, x = np.mgrid[1 : -1 : rows * 1j, -0.7 : 0.7 : columns * 1j]
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel(), corner[1:, :-1].ravel(), corner[1:, 1:].ravel()
    points = np.stack([x, y, 0.5 - x**2 - 0.2 * y**2], axis=-1).reshape(-1, 3)
    return points, np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def write(folder: Path, layout: str, n_clips: int, seconds: float, face: np.ndarray, faces: np.ndarray) -> None:
    """The corpus that is measured."""
    dtype = np.float64 if "64" in layout else np.float32
    sequences = (
        Sequence("F1", f"e{i:02d}", moving_face(face, round(25 * seconds), seed=i).astype(dtype),
                 imitated_speech(seconds, 44_100, seed=i), 44_100)
        for i in range(n_clips)
    )  # fmt: skip
    beside = Beside({"F1": face}, faces, {"name": "measured", "normalisation": "per-frame", "synthetic": True})
    if layout.startswith("peers"):
        write_peers(folder, sequences, beside)
    else:
        write_raw(folder, sequences, beside, packed="tgz" if "tgz" in layout else None)


def plain_read_s(folder: Path) -> tuple[float, int]:
    """Seconds and bytes of reading every file once."""
    began, total = time.perf_counter(), 0
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total += len(path.read_bytes())
    return time.perf_counter() - began, total


def timed_import(folder: Path, data: Path) -> dict:
    """The command in a process of its own: seconds per clip after the first, and peak resident memory."""
    command = [sys.executable, "-m", "benchmarks.import_speed", "--import-only", str(folder)]
    environment = {**os.environ, "EAVANET_DATA": str(data)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def import_only(folder: Path) -> dict:
    """Import, and measure this process."""
    from db.corpus.importing import import_corpus
    from db.session import open_database

    moments: list[tuple[float, float]] = []  # wall clock, processor
    engine = open_database()
    began = time.perf_counter()
    import_corpus(engine, folder, progress=lambda done, total, name: moments.append(_clocks()))
    whole_s = time.perf_counter() - began
    began = time.perf_counter()
    assert import_corpus(engine, folder).action == "unchanged"
    return {
        # The first clip pays for loading librosa.
        "seconds_per_clip": (moments[-1][0] - moments[0][0]) / max(len(moments) - 1, 1),
        "cpu_s_per_clip": (moments[-1][1] - moments[0][1]) / max(len(moments) - 1, 1),
        "whole_s": whole_s,
        "unchanged_s": time.perf_counter() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def measure(options: argparse.Namespace) -> list[dict]:
    """One row per layout."""
    if options.mesh:
        mesh = read_ply(options.mesh)
        face, faces = mesh.vertices, mesh.faces
    else:
        face, faces = sheet(options.vertices)
    rows = []
    for layout in LAYOUTS:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            corpus = Path(folder) / "corpus"
            write(corpus, layout, options.clips, options.seconds, face, faces)
            plain_s, size = plain_read_s(corpus)
            measured = timed_import(corpus, Path(folder) / "data")
            rows.append({
                "layout": layout, "clips": options.clips, "vertices": len(face),
                "mb_per_clip": size / options.clips / 1e6, "plain_read_s_per_clip": plain_s / options.clips, **measured,
            })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.67, help="length of a clip; BIWI's average")
    parser.add_argument("--vertices", type=int, default=23_370, help="about how many, where no mesh is given")
    parser.add_argument("--mesh", type=Path, help="a .ply face to move, for example BIWI.ply")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--import-only", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.import_only:
        print(json.dumps(import_only(options.import_only)))
        return
    rows = measure(options)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    n_vertices, cores = rows[0]["vertices"], os.cpu_count()
    print(f"{n_vertices} vertices, {options.seconds:g} s per clip, {options.clips} clips, {cores} cores")
    print(
        f"{'layout':15}{'MB/clip':>9}{'plain read s':>14}{'import s':>10}{'cpu s':>8}{'unchanged s':>13}{'peak MB':>9}"
    )
    for row in rows:
        plain, unchanged = row["plain_read_s_per_clip"], row["unchanged_s"] / row["clips"]
        print(f"{row['layout']:15}{row['mb_per_clip']:9.1f}{plain:14.3f}{row['seconds_per_clip']:10.2f}", end="")
        print(f"{row['cpu_s_per_clip']:8.2f}{unchanged:13.3f}{row['peak_mb']:9.0f}")


if __name__ == "__main__":
    main()

"""What the player's tests and benchmark share: moving faces, sound, videos, a tiny web server, a page with a player."""

import io
import json
import subprocess
import threading
import time
import wave
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from db.playback import encode_playback, encode_topology
from workbench.player import default_texts, static_files


def dome(rows: int = 12, columns: int = 12, height: float = 200.0) -> tuple[np.ndarray, np.ndarray]:
    """Half an egg that looks to +z: vertices (V, 3), faces (F, 3)."""
    v, u = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    x, y = 0.35 * u * np.sqrt(1.1 - v**2), 0.5 * v
    z = 0.4 * np.sqrt(np.clip(1.05 - u**2, 0, 1) * np.clip(1.05 - v**2, 0, 1))
    i = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate(
        [np.stack([i, i + 1, i + columns], 1), np.stack([i + 1, i + columns + 1, i + columns], 1)]
    )
    return height * np.stack([x, y, z], -1).reshape(-1, 3), faces.astype(np.uint32)


def speak(face: np.ndarray, n_frames: int, n_motions: int = 30, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Move a face (V, 3) as speech does: a jaw and smooth bumps, float32 (T, V, 3).

    `noise` is the standard deviation of the measurement noise of each coordinate, as a share of the face's height.
    """
    random = np.random.default_rng(seed)
    height = np.ptp(face[:, 1])
    centres = face[random.choice(len(face), n_motions)]
    widths = random.uniform(0.06, 0.2, n_motions) * height
    fields = np.exp(-((face - centres[:, None]) ** 2).sum(-1) / (2 * widths[:, None] ** 2))  # (K, V)
    directions = random.normal(size=(n_motions, 3)) * random.uniform(0.0005, 0.005, (n_motions, 1)) * height
    window = np.exp(-0.5 * (np.arange(-8, 9) / 2.2) ** 2)
    curves = np.stack([np.convolve(random.normal(size=n_frames + 16), window, "valid") for _ in directions], 1)
    moved = face + np.einsum("tk,kv,kd->tvd", curves, fields, directions, optimize=True)
    t = np.arange(n_frames)
    opening = np.clip(np.sin(0.9 * t) + np.sin(0.37 * t), 0, None) * 0.02 * height
    low = face[:, 1].min()
    jaw = 1 / (1 + np.exp((face[:, 1] - (low + 0.27 * height)) / (0.02 * height)))
    moved[:, :, 1] -= opening[:, None] * jaw
    if noise:
        moved += random.normal(scale=noise * height, size=moved.shape)
    return moved.astype(np.float32)


def tone(duration_s: float, rate: int = 16_000) -> bytes:
    """A quiet tone as a WAV file."""
    t = np.arange(round(duration_s * rate)) / rate
    samples = (3000 * np.sin(2 * np.pi * 220 * t)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def video(path: Path, n_frames: int, fps: int = 25, with_sound: bool = True) -> bytes:
    """A tiny MP4 of a moving test picture, made by the ffmpeg that imageio-ffmpeg brings."""
    import imageio_ffmpeg

    sound = ["-f", "lavfi", "-i", "sine=frequency=220"] if with_sound else []
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y",
            "-f", "lavfi", "-i", f"testsrc=size=160x160:rate={fps}", *sound,
            "-t", str(n_frames / fps), "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
        ],
        check=True,
    )
    return path.read_bytes()


class TinyServer:
    """Serves bytes by path from memory, with delays and errors on demand, and counts what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.status: dict[str, int] = {}
        self.delay_s: dict[str, float] = {}
        self.asked: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                outer.asked[path] += 1
                time.sleep(outer.delay_s.get(path, 0))
                kind, body = outer.files.get(path, ("text/plain", b"not found"))
                status = outer.status.get(path, 200 if path in outer.files else 404)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        (name, path), = static_files().items()
        self.module = f"/assets/{name}"
        self.add(self.module, "text/javascript", path.read_bytes())

    def add(self, path: str, kind: str, body: bytes) -> str:
        self.files[path] = (kind, body)
        return path

    def add_clip(self, name: str, vertices: np.ndarray, faces: np.ndarray, *, fps: float = 25.0,
                 colours: np.ndarray | None = None, sound: bytes | None = None) -> dict:
        """Serve a clip; returns its source as the player gets it."""
        octets = "application/octet-stream"
        return {
            "id": name,
            "playback_url": self.add(f"/media/{name}-playback", octets, encode_playback(vertices, fps)),
            "topology_url": self.add("/media/topology", octets, encode_topology(faces, colours)),
            "topology_id": "one",
            "audio_url": self.add(f"/media/{name}-audio", "audio/wav", sound) if sound else None,
            "video_url": None,
            "frames_per_second": fps,
        }

    def add_page(self, data: dict, *, style: str = "", path: str = "/") -> str:
        """A bare page with one player; `window.player` and `window.events` are there for tests."""
        data = {"texts": default_texts(), "events": ["ended", "paused", "error"], **data}
        page = f"""<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
        <style>:root {{ color-scheme: light dark }} body {{ margin: 16px }} {style}</style>
        <link rel="icon" href="data:,"><div id="place" style="max-width: 720px; margin: auto"></div>
        <script type="module">
            import * as library from "{self.module}";
            window.events = [];
            window.library = library;
            window.data = {json.dumps(data)};
            window.player = library.mount(document.querySelector("#place"), window.data, (e) => window.events.push(e));
        </script>"""
        self.add(path, "text/html", page.encode())
        return self.address + path

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

@contextmanager
def opened_page(browser) -> Iterator:
    """A small page in a browser context of its own; fails on an uncaught error in it."""
    context = browser.new_context(viewport={"width": 480, "height": 560})
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"uncaught errors in the page: {errors}"


def open_player(page, server: TinyServer, **data) -> None:
    """A player with this data on a bare page, and wait until it shows something."""
    page.goto(server.add_page(data))
    wait_for_state(page, "ready", "playing", "ended", "error")


def wait_for_state(page, *states: str) -> None:
    """Until the player is in one of these states."""
    page.wait_for_function("states => states.includes(window.player?.state)", arg=list(states))


def events(page, kind: str) -> list[dict]:
    """What the player has reported, of one kind."""
    return [event for event in page.evaluate("events") if event["type"] == kind]


def stage_picture(page) -> np.ndarray:
    """The stage as seen, (height, width, 3), without the button that lies over it."""
    page.evaluate("document.querySelector('.over.start').style.visibility = 'hidden'")
    png = page.locator(".stage").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)

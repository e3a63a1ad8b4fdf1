"""How fast faces are drawn off screen and filmed: frames per second, at the demo's size and at BIWI's.

    python -m benchmarks.rendering [--size 512] [--frames 60] [--workers 2] [--json]

For each mesh: pictures alone and whole films (drawing, encoding, sound) in one process; then films in `--workers`
processes, which are started before the clock is. Skin and heat map. Half an egg that moves as speech does stands for
the face: what counts here is the number of vertices.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from db.corpus.wav import write_audio
from evaluation.render import Look, check_graphics, pictures, write_film
from evaluation.render_command import Shot, shoot
from tests.player_page import dome, speak

MESHES = {"demo": (31, 32), "BIWI": (152, 154)}  # rows and columns: 992 (the demo's faces: some 1,000) and 23,408
FPS = 25.0


def measure(size: int, n_frames: int, workers: int) -> list[dict]:
    """A row per mesh and look, in frames per second."""
    check_graphics()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        write_audio(sound, 0.1 * np.sin(np.arange(round(16_000 * n_frames / FPS)) / 12).astype(np.float32), 16_000)
        for name, shape in MESHES.items():
            template, triangles = dome(*shape)
            motion = speak(template, n_frames)
            np.save(Path(folder) / f"{name}.npy", motion.reshape(n_frames, -1))
            for heat in ("none", "neutral"):
                limit = 0.03 * float(np.ptp(template[:, 1])) if heat == "neutral" else None
                shot = Shot(
                    Path(folder) / "film.mp4", ((Path(folder) / f"{name}.npy", 0),), n_frames, template, triangles,
                    None, FPS, sound, heat, limit or 1.0, size,
                )  # fmt: skip
                rows.append({
                    "mesh": name, "vertices": len(template), "heat": heat != "none",
                    **_alone(Look(triangles, template, limit=limit, size=size), motion, shot),
                    "films_together": _together(shot, workers),
                })  # fmt: skip
    return rows


def _alone(look: Look, motion: np.ndarray, shot: Shot) -> dict[str, float]:
    against = None if look.limit is None else [look.template] * len(motion)
    began = time.perf_counter()
    for _ in pictures(look, motion, against):
        pass
    drawn = time.perf_counter()
    write_film(shot.out, pictures(look, motion, against), shot.fps, shot.sound)
    return {"pictures": _rate(len(motion), drawn - began), "films": _rate(len(motion), time.perf_counter() - drawn)}


def _together(shot: Shot, workers: int) -> float:
    shots = [replace(shot, out=shot.out.with_name(f"film-{n}.mp4")) for n in range(2 * workers)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(shoot, shots[:workers]))  # imports, and the check of the graphics
        began = time.perf_counter()
        list(pool.map(shoot, shots))
        return _rate(len(shots) * shot.n_frames, time.perf_counter() - began)


def _rate(n_frames: int, seconds: float) -> float:
    return round(n_frames / seconds, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rendering", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    rows = measure(given.size, given.frames, given.workers)
    if given.json:
        print(json.dumps({"size": given.size, "cores": os.cpu_count(), "load_before": round(load, 1), "rows": rows}))
        return
    print(f"{given.size} px, {given.frames} frames, {os.cpu_count()} cores, load before {load:.1f}; frames per second")
    print(f"{'mesh':<8}{'vertices':>9}{'look':>10}{'pictures':>10}{'film':>8}{f'{given.workers} processes':>14}")
    for row in rows:
        look = "heat map" if row["heat"] else "skin"
        print(f"{row['mesh']:<8}{row['vertices']:>9,}{look:>10}{row['pictures']:>10}{row['films']:>8}"
              f"{row['films_together']:>14}")  # fmt: skip


if __name__ == "__main__":
    main()

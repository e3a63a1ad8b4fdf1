"""Vertex error, lip vertex error and FDD of 19 clips x 117 frames x 23,370 vertices: ours, and the plain way.

    python -m benchmarks.scoring [--clips N] [--frames N] [--vertices N] [--rounds N]

The plain way follows the official evaluation script's procedure, rewritten here: all clips in memory at once, and for
each vertex of a region a list of its squared distances. Beside both stands what reading the files alone costs. Each
runs in a process of its own, with one thread of linear algebra, in turn; the best of the rounds counts. Ratios are of
processor time, which a busy machine disturbs less; peak memory is the process's, memory-mapped pages included.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from db.corpus.npy import read_vertices
from evaluation.metrics import pool, score_clip

LIPS, UPPER_FACE = 4_996, 7_784  # sizes of BIWI's regions
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def write_clips(folder: Path, n_clips: int, n_frames: int, n_vertices: int, seed: int = 0) -> None:
    """A template, two regions of BIWI's share of the face, and clips as truth and prediction, float32."""
    rng = np.random.default_rng(seed)
    template = rng.normal(0, 0.3, (n_vertices, 3)).astype(np.float32)
    np.save(folder / "template.npy", template)
    for name, size in (("lips", LIPS), ("upper_face", UPPER_FACE)):
        count = max(1, round(size * n_vertices / 23_370))
        np.save(folder / f"{name}.npy", np.sort(rng.choice(n_vertices, count, replace=False)))
    for kind, amplitude in (("truth", 0.01), ("prediction", 0.007)):
        (folder / kind).mkdir()
        for number in range(n_clips):
            motion = rng.standard_normal((n_frames, n_vertices, 3), dtype=np.float32)
            motion *= amplitude
            motion += template
            np.save(folder / kind / f"F1_e{number + 1:02d}.npy", motion.reshape(n_frames, -1))


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Prediction and truth of each clip."""
    return [(folder / "prediction" / path.name, path) for path in sorted((folder / "truth").glob("*.npy"))]


def ours(folder: Path) -> dict[str, float]:
    """Clip by clip, in blocks of frames."""
    template, lips, upper_face = (np.load(folder / f"{name}.npy") for name in ("template", "lips", "upper_face"))
    scores = pool(
        score_clip(read_vertices(predicted), read_vertices(true), template, lips, upper_face)
        for predicted, true in pairs(folder)
    )
    return {"vertex_error": scores.vertex_error, "lip_vertex_error": scores.lip_vertex_error, "fdd": scores.fdd}


def plain(folder: Path) -> dict[str, float]:
    """All clips at once, and a list per vertex."""
    template, lips, upper_face = (np.load(folder / f"{name}.npy") for name in ("template", "lips", "upper_face"))
    all_true, all_predicted, deviations = [], [], []
    for predicted_file, true_file in pairs(folder):
        true, predicted = (np.load(file).reshape(-1, len(template), 3) for file in (true_file, predicted_file))
        predicted = predicted[: len(true)]
        spread = []
        for motion in (true - template, predicted - template):
            squared = np.array([np.square(motion[:, vertex]) for vertex in upper_face])
            spread.append(np.std(np.sum(squared, axis=2), axis=1).mean())
        deviations.append(spread[0] - spread[1])
        all_true.extend(true)
        all_predicted.extend(predicted)
    true, predicted = np.array(all_true), np.array(all_predicted)
    at_lips = np.array([np.square(true[:, vertex] - predicted[:, vertex]) for vertex in lips])
    return {
        "vertex_error": float(np.mean(np.sum(np.square(true - predicted), axis=2), dtype=np.float64)),
        "lip_vertex_error": float(np.mean(np.max(np.sum(at_lips, axis=2), axis=0))),
        "fdd": float(np.mean(deviations)),
    }


def reading(folder: Path) -> dict[str, float]:
    """The files once through the processor, nothing else."""
    total = sum(float(np.load(file, mmap_mode="r").sum()) for pair in pairs(folder) for file in pair)
    return {"sum": total}


WAYS = {"ours": ours, "plain": plain, "reading": reading}


def measured(way: str, folder: Path) -> dict:
    """Seconds, peak memory and results of one way, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scoring", "--only", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    return json.loads(done.stdout)


def _only(way: str, folder: Path) -> None:
    begin, worked = time.perf_counter(), time.process_time()
    found = WAYS[way](folder)
    seconds, worked = time.perf_counter() - begin, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": seconds, "processor_s": worked, "megabytes": peak / 1e6, "found": found}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=19)
    parser.add_argument("--frames", type=int, default=117)
    parser.add_argument("--vertices", type=int, default=23_370)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        return _only(given.only, given.folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder, given.clips, given.frames, given.vertices)
        rounds = [{way: measured(way, folder) for way in WAYS} for _ in range(given.rounds)]
    best = {way: min((round_[way] for round_ in rounds), key=lambda run: run["processor_s"]) for way in WAYS}
    for key, value in best["plain"]["found"].items():
        np.testing.assert_allclose(best["ours"]["found"][key], value, rtol=1e-5, err_msg=key)
    print(f"{given.clips} clips x {given.frames} frames x {given.vertices:,} vertices, numpy {np.__version__}, "
          f"{platform.machine()}, one thread, best of {given.rounds}; the results agree to 1e-5")
    for way, run in best.items():
        print(f"{way:8} {run['processor_s']:6.2f} s of processor time in {run['seconds']:6.2f} s   "
              f"{run['megabytes']:6.0f} MB")  # fmt: skip
    ours_s = best["ours"]["processor_s"]
    print(f"ours is {best['plain']['processor_s'] / ours_s:.1f} times as fast as the plain way, and takes "
          f"{ours_s / best['reading']['processor_s']:.1f} times what reading takes")


if __name__ == "__main__":
    main()

"""What the demo corpus costs and what its speech sounds like: seconds, bytes, memory; pitch, level, tempo by emotion.

    python benchmarks/demo_corpus.py [--sentences N] [--vertices small|full] [--json]

The corpus is made in a temporary folder and thrown away.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from db.demo.build import DEFAULT_SENTENCES, EMOTIONS, make_demo_corpus, plan_takes

SHORTEST_PERIOD, LONGEST_PERIOD = 1 / 420, 1 / 60  # s


def pitch_hz(audio: np.ndarray, rate: int) -> float:
    """Median fundamental of audio (S,) by autocorrelation over 40 ms windows that have voice."""
    window, found = int(0.04 * rate), []
    loud = 0.4 * np.sqrt((audio**2).mean())
    for start in range(0, len(audio) - window, window):
        part = audio[start : start + window]
        if np.sqrt((part**2).mean()) < loud:
            continue
        correlation = np.fft.irfft(np.abs(np.fft.rfft(part - part.mean(), 4 * window)) ** 2)
        shortest, longest = int(SHORTEST_PERIOD * rate), int(LONGEST_PERIOD * rate)
        best = shortest + int(np.argmax(correlation[shortest:longest]))
        if correlation[best] > 0.4 * correlation[0]:
            found.append(rate / best)
    return float(np.median(found)) if found else float("nan")


def speech_by_emotion(folder: Path, sentences: int) -> dict[str, dict[str, float]]:
    """Means over all clips of an emotion."""
    measured: dict[str, list[tuple[float, float, float]]] = {emotion: [] for emotion in EMOTIONS}
    for take in plan_takes(sentences, seed=0):
        path = folder / "wav" / f"{take.clip}.wav"
        if not path.exists():
            continue
        with wave.open(str(path)) as file:
            rate = file.getframerate()
            audio = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float) / 32768
        level = 20 * np.log10(np.sqrt((audio**2).mean()))
        woman = take.subject.startswith("F")
        measured[take.emotion].append((pitch_hz(audio, rate) / (200 if woman else 110), level, len(audio) / rate))
    names = ("pitch_of_usual", "rms_dbfs", "duration_s")
    return {
        emotion: dict(zip(names, np.round(np.nanmean(values, axis=0), 3).tolist(), strict=True))
        for emotion, values in measured.items()
        if values
    }


def measure(sentences: int, vertices: str) -> dict[str, object]:
    """Make the corpus once and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        began, worked = time.perf_counter(), time.process_time()
        summary = make_demo_corpus(out, sentences, vertices)
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
        return {
            "clips": summary["clips"], "vertices": summary["vertices"], "frames": summary["frames"],
            "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "megabytes": round(summary["bytes"] / 1e6, 1),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "speech_engine": summary["speech"], "speech": speech_by_emotion(out, sentences),
        }  # fmt: skip


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=DEFAULT_SENTENCES)
    parser.add_argument("--vertices", choices=("small", "full"), default="small")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = measure(given.sentences, given.vertices)
    if given.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:>16}: {value}")


if __name__ == "__main__":
    main()

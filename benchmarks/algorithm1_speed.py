"""Algorithm 1 on 1,000,000 ratings, from CSV file to CSV files, beside what reading the file alone costs.

    python -m benchmarks.algorithm1_speed [--ratings N]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from labeling.emotions import EMOTIONS


def write_ratings(path: Path, n: int, seed: int = 0) -> None:
    """`n` ratings, three on each clip (the last has the rest), by 50 raters who are right seven times in ten."""
    rng = np.random.default_rng(seed)
    clip = np.minimum(np.arange(n) // 3, n // 3 - 1)  # the last one has up to five
    truth = rng.integers(0, 4, clip.max() + 1)[clip]
    said = np.where(rng.random(n) < 0.7, truth, rng.integers(0, 4, n))
    rater = (clip * 7 + (np.arange(n) - 3 * clip) * 13) % 50  # different ones on each clip
    subject = [f"F{number % 14 + 1}" for number in range(clip.max() + 1)]
    pd.DataFrame({
        "subject": np.array(subject)[clip], "clip": np.char.add("c", clip.astype(str)),
        "rater": np.char.add("rater", rater.astype(str)), "emotion": np.array(EMOTIONS)[said],
        "intensity": rng.integers(1, 6, n),
    }).to_csv(path, index=False)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    n = parser.parse_args().ratings
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratings.csv"
        write_ratings(file, n)
        begin = time.perf_counter()
        pd.read_csv(file)
        reading_s = time.perf_counter() - begin
        command = [sys.executable, "-m", "labeling.algorithm1", "--ratings", str(file), "--labels",
                   f"{folder}/labels.csv", "--subjects", f"{folder}/subjects.csv", "--json"]
        begin = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        whole_s = time.perf_counter() - begin
        print(f"{n:,} ratings, {file.stat().st_size / 1e6:.0f} MB: command {whole_s:.2f} s, of which plain "
              f"pandas.read_csv alone takes {reading_s:.2f} s ({whole_s / reading_s:.1f} times)")
        print(done.stdout.strip())


if __name__ == "__main__":
    main()

"""Table IV's real time factor, for the paper's model and for a small one, at batch 1 and 16.

    python benchmarks/speed.py [--device cpu] [--runs 100] [--out benchmarks/results/speed.json]

Run on whatever machine is at hand; the result says which it was.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eavanet.audio import load_encoder
from eavanet.distributed import chosen_device
from eavanet.model import EavaNet, EavaNetConfig
from eavanet.run import environment
from eavanet.speed import PAPER_SUBJECTS, PAPER_VERTICES, measure

CASES = (
    ("paper's size, batch 1", "random-base", PAPER_VERTICES, 1),
    ("paper's size, batch 16", "random-base", PAPER_VERTICES, 16),
    ("demo's size, batch 1", "random-small", 2_000, 1),
)


def main() -> int:
    """Measure every case and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = chosen_device(given.device)
    results = {"environment": environment(device)}
    for name, encoder, n_vertices, batch_size in CASES:
        config = EavaNetConfig(n_vertices=n_vertices, subjects=PAPER_SUBJECTS)
        model = EavaNet(config, load_encoder(encoder)).to(device).eval()
        runs = max(1, given.runs // batch_size)
        numbers = measure(model, device, runs=runs, warm_up=min(10, runs), batch_size=batch_size)
        results[name] = numbers
        print(
            f"{name}: RTF {numbers['rtf']['mean']:.5f} +- {numbers['rtf']['sd']:.5f}, "
            f"{numbers['ratio_to_audio_encoder']:.3f} of the audio encoder's time, "
            f"{numbers['frames_per_second']:.0f} frames per second"
        )
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

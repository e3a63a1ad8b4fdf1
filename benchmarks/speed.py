"""Table IV's real time factor: all systems at the paper's size, with both decoders, and EavaNet at batch 16 and small.

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
from eavanet.run import environment
from eavanet.speed import PAPER_VERTICES, Contender, measure, untrained_model
from eavanet.systems import SYSTEMS

# What is measured, with which encoder, at how many vertices, how many clips at once, and of which systems.
CASES = (
    ("paper's size, batch 1", "random-base", PAPER_VERTICES, 1, tuple(SYSTEMS)),
    ("paper's size, batch 16", "random-base", PAPER_VERTICES, 16, ("eavanet",)),
    ("demo's size, batch 1", "random-small", 2_000, 1, ("eavanet",)),
)


def main() -> int:
    """Measure every case and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--faithful-runs", type=int, default=2, help="of the slow decoders")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = chosen_device(given.device)
    results = {"environment": environment(device)}
    for name, encoder, n_vertices, batch_size, systems in CASES:
        heard = load_encoder(encoder)
        contenders = [
            Contender(system, SYSTEMS[system].title, model, "untrained", decoder)
            for system in systems
            for model in [untrained_model(system, heard, n_vertices).to(device).eval()]
            for decoder in (("cached", "faithful") if model.autoregressive else ("",))
        ]
        runs = max(1, given.runs // batch_size)
        results[name] = numbers = measure(
            contenders, device, runs=runs, warm_up=min(10, runs), batch_size=batch_size,
            faithful_runs=min(given.runs, given.faithful_runs),
        )  # fmt: skip
        print(f"{name}: EavaNet takes {numbers['ratio_to_audio_encoder']:.3f} of the audio encoder's time")
        for row in numbers["systems"]:
            quicker = row["times_as_fast_as_faithful"]
            print(
                f"  {row['title']} {row['decoder']}: RTF {row['rtf']['mean']:.5f} +- {row['rtf']['sd']:.5f}, "
                f"{row['frames_per_second']:.0f} frames per second, {row['ratio_to_eavanet']:.2f} x EavaNet"
                + (f", {quicker:.2f} times as fast as the faithful decoder" if quicker else "")
            )
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

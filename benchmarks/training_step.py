"""How long a training step takes at the paper's size, what it waits for, and what the feature cache saves.

    python benchmarks/training_step.py [--vertices 23370] [--encoder random-base] [--steps 20] [--device cpu] [--json]

Random motion lies in files of the size that clips have and is read as in training; the encoder is untrained, which
takes as long. "without cache" computes the frozen features in each step, as a training that keeps none would.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eavanet.audio import load_encoder
from eavanet.data import Loader
from eavanet.distributed import chosen_device
from eavanet.intercross import EavaNetSystem
from eavanet.model import EavaNet, EavaNetConfig
from eavanet.run import environment
from eavanet.sampling import IntercrossSampler, plan_batches
from eavanet.train import TrainConfig, TrainState, peak_memory_mb, train_step


class FileStore:
    """Clips of random motion in files, and their features, kept or computed each time."""

    def __init__(self, folder: Path, model: EavaNet, n_frames: int, keep: bool):
        self.folder, self.model, self.n_frames, self.keep = folder, model, n_frames, keep
        self.samples = np.random.default_rng(0).normal(0, 0.1, n_frames * 640).astype(np.float32)
        self.template = np.zeros((model.config.n_vertices, 3), np.float32)
        self._kept = self._compute()

    def displacements(self, clip: SimpleNamespace) -> torch.Tensor:
        vertices = np.load(self.folder / f"{clip.name}.npy", mmap_mode="r")
        return torch.from_numpy(np.subtract(vertices, self.template)).flatten(1)

    def features(self, clip: SimpleNamespace) -> torch.Tensor:
        return self._kept if self.keep else self._compute()

    def _compute(self) -> torch.Tensor:
        return self.model.audio_encoder.features(self.samples, self.n_frames, 25.0).cpu()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vertices", type=int, default=23_370)
    parser.add_argument("--encoder", default="random-base")
    parser.add_argument("--frames", type=int, default=117, help="4.67 s, the corpus's mean")
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = chosen_device(given.device)
    with tempfile.TemporaryDirectory() as folder:
        numbers = {name: _measure(given, device, Path(folder), keep) for name, keep in
                   (("with_cache", True), ("without_cache", False))}  # fmt: skip
    ratio = numbers["with_cache"]["step_s"] / numbers["without_cache"]["step_s"]
    report = numbers | {"ratio": ratio, "vertices": given.vertices, "environment": environment(device)}
    print(json.dumps(report, indent=1) if given.json else _told(report))
    return 0


def _measure(given: argparse.Namespace, device: torch.device, folder: Path, keep: bool) -> dict[str, float]:
    torch.manual_seed(0)
    subjects = ("A", "B")
    config = EavaNetConfig(n_vertices=given.vertices, subjects=subjects)
    model = EavaNet(config, load_encoder(given.encoder)).to(device).train()
    clips = [
        SimpleNamespace(name=f"c{i}", subject=subjects[i % 2], sentence=str(i), emotion="happy", n_frames=given.frames)
        for i in range(given.clips)
    ]
    for i, clip in enumerate(clips):
        if not (folder / f"{clip.name}.npy").exists():
            motion = np.random.default_rng(i).normal(0, 0.01, (given.frames, given.vertices, 3)).astype(np.float32)
            np.save(folder / f"{clip.name}.npy", motion)
    loader = Loader(FileStore(folder, model, given.frames, keep), clips, clips, subjects, config.emotions, device)
    training = TrainConfig(precision=given.precision)
    state, sampler = TrainState.new(EavaNetSystem(), model, training), IntercrossSampler(clips, clips)
    pairs = [pair for epoch in range(1000) for pair in sampler.epoch(0, epoch)]
    warm_up = 2
    batches = loader.batches(plan_batches(pairs, given.batch_size)[: given.steps + warm_up])
    times = []
    for number in range(given.steps + warm_up):
        if number == warm_up:
            loader.waited_s = 0.0
        start = time.perf_counter()
        train_step(model, state, next(batches), training, EavaNetSystem())
        times.append(time.perf_counter() - start)
    batches.close()
    taken = np.array(times[warm_up:])
    return {
        "step_s": float(np.median(taken)), "mean_s": float(taken.mean()), "sd_s": float(taken.std()),
        "waiting_for_data": float(loader.waited_s / taken.sum()), "peak_memory_mb": peak_memory_mb(device),
    }  # fmt: skip


def _told(report: dict) -> str:
    where = report["environment"]
    lines = [f"{report['vertices']} vertices, {where['device']}, {where['threads']} threads"]
    for name in ("with_cache", "without_cache"):
        row = report[name]
        lines.append(
            f"{name.replace('_', ' ')}: {row['step_s']:.3f} s a step (mean {row['mean_s']:.3f} +- {row['sd_s']:.3f}), "
            f"{row['waiting_for_data']:.1%} waiting for data, {row['peak_memory_mb']:.0f} MB at most"
        )
    return "\n".join([*lines, f"with the cache a step takes {report['ratio']:.2f} of the time"])


if __name__ == "__main__":
    raise SystemExit(main())

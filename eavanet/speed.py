"""`python -m eavanet.speed`: the real time factor, as Table IV has it.

RTF = time to predict the vertices of 4 s of audio / 4 s, from samples in memory to vertices in memory, the mean of 100
runs after warm-up, one clip at a time, the device synchronised. Beside it the audio encoder alone, in the same run.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from eavanet.audio import PAPER_ENCODER, SAMPLE_RATE, load_encoder
from eavanet.checkpoint import load_checkpoint
from eavanet.distributed import chosen_device
from eavanet.generate import frames_of
from eavanet.model import EavaNet, EavaNetConfig
from eavanet.progress import Progress
from eavanet.run import environment, find_checkpoint

PAPER_VERTICES = 23_370
PAPER_SUBJECTS = ("F1", "F3", "F4", "F5", "F7")
# Published in Table IV, on an RTX 3090.
PUBLISHED_RTF = {"FaceFormer": 0.1356, "CodeTalker": 1.5684, "EavaNet": 0.0097}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        if given.threads:
            torch.set_num_threads(given.threads)
        device = chosen_device(given.device)
        model, name = _model(given, device)
        numbers = measure(model, device, given.seconds, given.runs, given.warm_up, given.batch_size)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    numbers |= {"model": name, "vertices": model.config.n_vertices, "environment": environment(device)}
    print(json.dumps(numbers, indent=1) if given.json else _told(numbers))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    untrained = "a model of the paper's size, untrained, which takes as long"
    parser.add_argument("--checkpoint", help=f"a run or folder (default: {untrained})")
    like = f"random-base has the size of {PAPER_ENCODER}"
    parser.add_argument("--encoder", default="random-base", help=f"without --checkpoint; {like}")
    parser.add_argument("--vertices", type=int, default=PAPER_VERTICES, help="without --checkpoint")
    parser.add_argument("--seconds", type=float, default=4.0, help="of audio")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=1, help="clips at once; Table IV has 1")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--threads", type=int, help="processor threads for torch")
    parser.add_argument("--json", action="store_true")
    return parser


@torch.inference_mode()
def measure(
    model: EavaNet, device: torch.device, seconds: float = 4.0, runs: int = 100, warm_up: int = 10, batch_size: int = 1
) -> dict:
    """Real time factors of the whole model and of its audio encoder alone. Raises ValueError for less than one run.

    The two take turns, so that a busy machine slows both alike.
    """
    if runs < 1 or warm_up < 0 or batch_size < 1:
        raise ValueError(f"{runs} runs, {warm_up} to warm up, {batch_size} clips at once: expected 1 or more")
    rate = model.config.frames_per_second
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    n_frames = frames_of(len(samples), rate)
    lengths = torch.full((batch_size,), n_frames)
    speaker = torch.zeros(batch_size, dtype=torch.long, device=device)
    style = torch.zeros(batch_size, model.config.width, device=device)
    rest = torch.zeros(3 * model.config.n_vertices, device=device)

    def features() -> torch.Tensor:
        clips = [model.audio_encoder.features(samples, n_frames, rate) for _ in range(batch_size)]
        return torch.stack(clips)

    def whole() -> None:
        model.decode(features(), lengths, speaker, style).add_(rest)

    def encoder() -> None:
        model.audio_encoder(features(), 2 * lengths)

    times: dict[str, list[float]] = {"model": [], "encoder": []}
    with Progress(warm_up + runs, "run") as progress:
        for run in range(warm_up + runs):
            for name, work in (("model", whole), ("encoder", encoder)):
                taken = _timed(work, device)
                if run >= warm_up:
                    times[name].append(taken)
            progress.advance("warming up" if run < warm_up else "measuring")
    rtf = {name: _spread(np.array(taken) / seconds / batch_size) for name, taken in times.items()}
    return {
        "audio_s": seconds,
        "frames": n_frames,
        "runs": runs,
        "batch_size": batch_size,
        "rtf": rtf["model"],
        "rtf_of_audio_encoder": rtf["encoder"],
        "ratio_to_audio_encoder": rtf["model"]["median"] / rtf["encoder"]["median"],
        "frames_per_second": n_frames / seconds / rtf["model"]["mean"],
        "published_rtf": PUBLISHED_RTF,
    }


def _timed(work: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _spread(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, [5, 50, 95])
    return {
        "mean": float(values.mean()), "sd": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "p5": float(low), "median": float(median), "p95": float(high),
    }  # fmt: skip


def _model(given: argparse.Namespace, device: torch.device) -> tuple[EavaNet, str]:
    if given.checkpoint is not None:
        folder = find_checkpoint(given.checkpoint)
        return load_checkpoint(folder, device).model, str(folder)
    config = EavaNetConfig(n_vertices=given.vertices, subjects=PAPER_SUBJECTS)
    model = EavaNet(config, load_encoder(given.encoder))
    return model.to(device).eval(), f"untrained, encoder {given.encoder}"


def _told(numbers: dict) -> str:
    rtf, alone = numbers["rtf"], numbers["rtf_of_audio_encoder"]
    return (
        f"{numbers['model']}, {numbers['vertices']} vertices, {numbers['environment']['device']}, "
        f"{numbers['environment']['threads']} threads\n"
        f"RTF {rtf['mean']:.5f} +- {rtf['sd']:.5f} (median {rtf['median']:.5f}, {numbers['runs']} runs of "
        f"{numbers['audio_s']:g} s, batch {numbers['batch_size']}), {numbers['frames_per_second']:.0f} frames/s\n"
        f"audio encoder alone {alone['mean']:.5f} +- {alone['sd']:.5f}; the model takes "
        f"{numbers['ratio_to_audio_encoder']:.3f} times as long\n"
        f"published in Table IV (RTX 3090): {', '.join(f'{k} {v}' for k, v in PUBLISHED_RTF.items())}"
    )


if __name__ == "__main__":
    raise SystemExit(main())

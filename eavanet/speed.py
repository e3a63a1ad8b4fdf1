"""`python -m eavanet.speed`: the real time factor of each system, as Table IV has it.

RTF = time to predict the vertices of 4 s of audio / 4 s, from samples in memory to vertices in memory, the mean of 100
runs after warm-up, one clip at a time, the device synchronised. Beside it the audio encoder alone, in the same run, and
for FaceFormer and CodeTalker both decoders: the one that computes every frame anew, as the official code does, and the
one that does not. All take turns, so that a busy machine slows them alike.

The figures are kept as <data root>/speed/<name>.json, from where the report takes Table IV.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from db import store
from db.models import now
from eavanet.audio import PAPER_ENCODER, SAMPLE_RATE, AudioEncoder, load_encoder
from eavanet.checkpoint import load_checkpoint
from eavanet.distributed import chosen_device
from eavanet.generate import frames_of
from eavanet.progress import Progress
from eavanet.run import environment, find_checkpoint
from eavanet.systems import SYSTEMS, find_system, system_of
from eavanet.train import peak_memory_mb

PAPER_VERTICES = 23_370
PAPER_SUBJECTS = ("F1", "F3", "F4", "F5", "F7")
PAPER_RATE = 25.0
# Published in Table IV, on an RTX 3090.
PUBLISHED_RTF = {"FaceFormer": 0.1356, "CodeTalker": 1.5684, "EavaNet": 0.0097}
FAITHFUL_RUNS = 3


@dataclass(frozen=True)
class Contender:
    """A model with one of its decoders. decoder: "" where there is but one, else "cached" or "faithful"."""

    system: str
    title: str
    model: nn.Module
    made_from: str
    decoder: str = ""

    @property
    def label(self) -> str:
        """As tables show it: "CodeTalker, cached"."""
        return f"{self.title}, {self.decoder}" if self.decoder else self.title


def main(arguments: list[str] | None = None) -> int:
    """Measure, keep and print; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        name = store.checked_name(given.name or _default_name(given), "speed")
        if given.threads:
            torch.set_num_threads(given.threads)
        device = chosen_device(given.device)
        contenders = _contenders(given, device)
        numbers = measure(
            contenders, device, given.seconds, given.runs, given.warm_up, given.batch_size, given.faithful_runs
        )
        numbers = {"name": name, "measured_at": now().isoformat()} | numbers | {"environment": environment(device)}
        with store.atomic_write(store.data_root() / "speed" / f"{name}.json") as partial:
            partial.write_text(json.dumps(numbers, indent=1))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(numbers, indent=1) if given.json else _told(numbers))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    untrained = "models of the paper's size, untrained, which take as long"
    parser.add_argument("--checkpoint", nargs="+", metavar="RUN", help=f"runs or folders (default: {untrained})")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="without --checkpoint; with commas")
    like = f"random-base has the size of {PAPER_ENCODER}"
    parser.add_argument("--encoder", default="random-base", help=f"without --checkpoint; {like}")
    parser.add_argument("--vertices", type=int, default=PAPER_VERTICES, help="without --checkpoint")
    parser.add_argument("--seconds", type=float, default=4.0, help="of audio")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument(
        "--faithful-runs",
        type=int,
        default=FAITHFUL_RUNS,
        help="of the decoders that compute every "
        f"frame anew, which take up to a minute each; 0 for none (default: {FAITHFUL_RUNS})",
    )
    parser.add_argument("--batch-size", type=int, default=1, help="clips at once, for EavaNet; Table IV has 1")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--threads", type=int, help="processor threads for torch")
    parser.add_argument("--name", help="under which the figures are kept (default: the runs' names, or paper-size)")
    parser.add_argument("--json", action="store_true")
    return parser  # fmt: skip


def _default_name(given: argparse.Namespace) -> str:
    if given.checkpoint:
        return "-".join(find_checkpoint(one).parent.name for one in given.checkpoint)[:64]
    return "paper-size" if given.vertices == PAPER_VERTICES else f"{given.vertices}-vertices"


@torch.inference_mode()
def measure(
    contenders: Sequence[Contender],
    device: torch.device,
    seconds: float = 4.0,
    runs: int = 100,
    warm_up: int = 10,
    batch_size: int = 1,
    faithful_runs: int = FAITHFUL_RUNS,
) -> dict[str, Any]:
    """Real time factors of all contenders, and of the first one's audio encoder alone.

    Only EavaNet takes more than one clip at once; the others then do them one after another. Raises ValueError for
    less than one run.
    """
    if runs < 1 or warm_up < 0 or batch_size < 1 or faithful_runs < 0:
        raise ValueError(f"{runs} runs, {warm_up} to warm up, {batch_size} clips at once: expected 1 or more")
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    works = {one.label: _prediction(one, samples, device, batch_size) for one in contenders}
    times: dict[str, list[float]] = {label: [] for label in works} | {"encoder": []}
    wanted = {one.label: faithful_runs if one.decoder == "faithful" else runs for one in contenders} | {"encoder": runs}
    works["encoder"] = _hearing(contenders[0].model, samples, device, batch_size)
    with Progress(warm_up + runs, "run") as progress:
        for run in range(warm_up + runs):
            for label, work in works.items():
                # One run warms up what takes a minute.
                skipped = min(warm_up, 1) if wanted[label] == faithful_runs != runs else warm_up
                if run >= skipped + wanted[label] or not wanted[label]:
                    continue
                taken = _timed(work, device)
                if run >= skipped:
                    times[label].append(taken)
            progress.advance("warming up" if run < warm_up else "measuring")
    rtf = {label: _spread(np.array(taken) / seconds / batch_size) for label, taken in times.items() if taken}
    first = contenders[0].label
    rows = [_row(one, rtf, wanted, seconds) for one in contenders if one.label in rtf]
    return {
        "audio_s": seconds,
        "frames": frames_of(len(samples), contenders[0].model.config.frames_per_second),
        "batch_size": batch_size,
        "systems": rows,
        "rtf_of_audio_encoder": rtf["encoder"],
        "ratio_to_audio_encoder": rtf[first]["median"] / rtf["encoder"]["median"],
        "peak_memory_mb": peak_memory_mb(device),
        "published_rtf": PUBLISHED_RTF,
    }


def _row(one: Contender, rtf: dict[str, dict], wanted: dict[str, int], seconds: float) -> dict[str, Any]:
    mine, config = rtf[one.label], one.model.config
    eavanet = rtf.get("EavaNet")
    faithful = rtf.get(f"{one.title}, faithful")
    return {
        "system": one.system,
        "title": one.title,
        "decoder": one.decoder,
        "made_from": one.made_from,
        "vertices": config.n_vertices,
        "parameters": sum(parameter.numel() for parameter in one.model.parameters()),
        "runs": wanted[one.label],
        "rtf": mine,
        "frames_per_second": config.frames_per_second / mine["mean"],
        "ratio_to_eavanet": mine["median"] / eavanet["median"] if eavanet else None,
        "times_as_fast_as_faithful": faithful["median"] / mine["median"] if faithful else None,
    }


def _prediction(one: Contender, samples: np.ndarray, device: torch.device, batch_size: int) -> Callable[[], None]:
    """What is timed: from samples to vertices (B, T, 3V)."""
    model, config = one.model, one.model.config
    rate = config.frames_per_second
    n_frames = frames_of(len(samples), rate)
    at_once = 1 if model.autoregressive else batch_size
    lengths = torch.full((at_once,), n_frames)
    speaker = torch.zeros(at_once, dtype=torch.long, device=device)
    width = 0 if model.autoregressive else config.width  # 0: the speaker's own style
    style = torch.zeros(at_once, width, device=device)
    rest = torch.zeros(3 * config.n_vertices, device=device)

    def predict() -> None:
        for _ in range(batch_size // at_once):
            features = torch.stack([model.audio_encoder.features(samples, n_frames, rate) for _ in range(at_once)])
            given = (model.hear(features.to(device), lengths), lengths, speaker, style)
            faithful = one.decoder == "faithful"
            motion = model.speak_faithfully(*given) if faithful else model.to_vertices(model.speak(*given))
            motion.add_(rest)

    return predict


def _hearing(model: nn.Module, samples: np.ndarray, device: torch.device, batch_size: int) -> Callable[[], None]:
    rate = model.config.frames_per_second
    n_frames = frames_of(len(samples), rate)

    def hear() -> None:
        features = torch.stack([model.audio_encoder.features(samples, n_frames, rate) for _ in range(batch_size)])
        model.audio_encoder(features.to(device), torch.full((batch_size,), features.shape[1]))

    return hear


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


def _contenders(given: argparse.Namespace, device: torch.device) -> list[Contender]:
    found = []
    for model, made_from in _models(given):
        system, model = system_of(model), model.to(device).eval()
        decoders = ("cached", "faithful") if model.autoregressive else ("",)
        found += [Contender(system.name, system.title, model, made_from, decoder) for decoder in decoders]
    labels = [one.label for one in found]
    if len(set(labels)) < len(labels):
        raise ValueError("two runs of one system: measure them one after the other, with a --name for each")
    return found


def _models(given: argparse.Namespace) -> list[tuple[nn.Module, str]]:
    if given.checkpoint:
        folders = [find_checkpoint(one) for one in given.checkpoint]
        return [(load_checkpoint(folder).model, f"{folder.parent.name}/{folder.name}") for folder in folders]
    encoder = load_encoder(given.encoder)
    names = given.systems.split(",")
    return [(untrained_model(name, encoder, given.vertices), f"untrained, {given.encoder}") for name in names]


def untrained_model(name: str, encoder: AudioEncoder, n_vertices: int = PAPER_VERTICES) -> nn.Module:
    """A system with fresh weights, at the size in which the paper compares it. Raises ValueError for an unknown one."""
    system = find_system(name)
    config = {"n_vertices": n_vertices, "subjects": PAPER_SUBJECTS, "frames_per_second": PAPER_RATE}
    torch.manual_seed(0)
    return system.make_model(system.make_config(config), encoder)


def _told(numbers: dict) -> str:
    lines = [
        f"{numbers['audio_s']:g} s of audio, batch {numbers['batch_size']}, {numbers['environment']['device']}, "
        f"{numbers['environment']['threads']} threads"
    ]
    for row in numbers["systems"]:
        rtf, label = row["rtf"], ", ".join(filter(None, (row["title"], row["decoder"])))
        published = PUBLISHED_RTF.get(row["title"])
        compared = [
            f"{row['ratio_to_eavanet']:.2f} x EavaNet" if row["ratio_to_eavanet"] and row["title"] != "EavaNet" else "",
            f"{row['times_as_fast_as_faithful']:.1f} times as fast as the faithful one"
            if row["decoder"] == "cached" and row["times_as_fast_as_faithful"] else "",
            f"published {published} (Table IV, RTX 3090)" if published else "",
        ]  # fmt: skip
        lines.append(
            f"{label}: RTF {rtf['mean']:.5f} +- {rtf['sd']:.5f} (median {rtf['median']:.5f}, {row['runs']} runs), "
            f"{row['parameters'] / 1e6:.1f} M parameters, {row['vertices']} vertices; "
            + "; ".join(filter(None, compared))
        )
    alone = numbers["rtf_of_audio_encoder"]
    lines.append(
        f"audio encoder alone {alone['mean']:.5f} +- {alone['sd']:.5f}; the first system takes "
        f"{numbers['ratio_to_audio_encoder']:.3f} times as long; peak memory {numbers['peak_memory_mb']:.0f} MB"
    )
    lines.append(f"kept as speed/{numbers['name']}.json in the data root")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

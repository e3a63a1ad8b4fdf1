"""`python -m eavanet.train`: put together what `fit` needs, from the database and the command line."""

import argparse
import contextlib
import dataclasses
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from db import store
from db.clips import regions
from db.session import DatabaseUnusable, open_database, reading
from eavanet.audio import RANDOM_ENCODERS, AudioEncoder, load_encoder
from eavanet.checkpoint import UnusableCheckpoint, config_from_dict, load_checkpoint
from eavanet.data import ClipStore, LabelledSplit, Loader, load_face, load_split
from eavanet.distributed import Processes, joined
from eavanet.feature_cache import FeatureCache
from eavanet.model import EavaNet
from eavanet.progress import Progress
from eavanet.run import Run, environment, runs_folder
from eavanet.sampling import IntercrossSampler
from eavanet.settings import add_flags, read_settings, train_config
from eavanet.train import LossNotFinite, Task, TrainConfig, TrainState, fit


def main(arguments: list[str] | None = None) -> int:
    """Train or resume a run; returns the exit status."""
    given = _parser().parse_args(arguments)
    # A job that is cancelled, and torchrun's other processes, get SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        with joined(given.device) as processes:
            (resume if given.resume else begin)(given, processes)
        return 0
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, go on with --resume", file=sys.stderr)
        return 130
    except torch.OutOfMemoryError as error:
        print(f"error: the GPU's memory is full ({error}); try a smaller --batch-size", file=sys.stderr)
    except (ValueError, OSError, LossNotFinite, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.train",
        description="Train EavaNet on the labelled clips of a split. Several GPUs: torchrun --nproc-per-node N -m "
        "eavanet.train ... A run keeps its best and its last checkpoint and can be resumed after anything.",
        epilog=f"Settings\n\n    {TrainConfig.__doc__}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", help="default: the only one")
    parser.add_argument("--release", help="label release (default: the newest)")
    parser.add_argument("--split", help="default: the newest")
    parser.add_argument("--name", help="of the run (default: the preset's name and a number)")
    parser.add_argument("--resume", action="store_true", help="go on with the run --name; only --epochs may differ")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--threads", type=int, help="processor threads for torch (default: torch's own choice)")
    add_flags(parser)
    return parser


def begin(given: argparse.Namespace, processes: Processes) -> None:
    """Start a new run. Raises ValueError if one of that name has a checkpoint."""
    model_fields, config = read_settings(given)
    run = Run(given.name or _free_name(given.preset or "paper"))
    if run.exists:
        raise ValueError(f"run {run.name} exists; go on with it by --resume, or take another --name")
    split = _open_split(given.corpus, given.release, given.split)
    torch.manual_seed(config.seed)
    encoder = load_encoder(config.encoder, regularise=config.regularise_encoder)
    model_config = config_from_dict(
        model_fields
        | {
            "n_vertices": split.corpus.n_vertices,
            "subjects": split.subjects,
            "frames_per_second": split.corpus.frames_per_second,
        }
    )
    model = EavaNet(model_config, encoder).to(processes.device)
    with _held(run, processes):
        if processes.rank == 0:
            run.rewind("")
        task = make_task(run, config, split, model, processes)
        fit(TrainState.new(model, config), task)


def resume(given: argparse.Namespace, processes: Processes) -> None:
    """Go on with a run from its last checkpoint. Raises UnusableCheckpoint if data or settings are not the same."""
    if given.name is None:
        raise ValueError("--resume needs --name, the run to go on with")
    run = Run(given.name)
    checkpoint = load_checkpoint(run.checkpoint("last"), processes.device)
    config = _resumed_config(given, checkpoint.training)
    names = {key: checkpoint.manifest[key]["name"] for key in ("corpus", "release", "split")}
    split = _open_split(**names)
    _refuse_other_data(checkpoint.manifest, split)
    state = TrainState.new(checkpoint.model, config)
    state.resume_from(checkpoint.folder)
    with _held(run, processes):
        if processes.rank == 0:
            run.rewind((checkpoint.folder / "metrics.jsonl").read_text())
        fit(state, make_task(run, config, split, checkpoint.model, processes))


def make_task(run: Run, config: TrainConfig, split: LabelledSplit, model: EavaNet, processes: Processes) -> Task:
    """Everything that `fit` works with; computes missing audio features.

    Says what the sampler had to relax, and which clips are left out. Raises ValueError if there is nothing to train.
    """
    pool = split.parts["train"]
    say = print if processes.rank == 0 else lambda *_: None
    sampler = IntercrossSampler(pool, pool)
    if not sampler.usable:
        raise ValueError(f"split {split.split.name}: no training clip has another one of its emotion; nothing to learn")
    validation = [clip for clip in split.parts["validation"] if clip.subject in split.subjects]
    strangers = {clip.emotion for clip in pool} - set(model.config.emotions)
    if strangers:
        raise ValueError(f"labels {', '.join(sorted(strangers))}: the model knows {', '.join(model.config.emotions)}")
    for warning in [*sampler.warnings, *_missing(split, model, len(validation))]:
        say(f"warning: {warning}")
    clips = ClipStore(_cache(model.audio_encoder, split))
    with Progress(len(pool) + len(validation), "clip") as progress:
        for clip in [*pool, *validation]:
            clips.features(clip)
            progress.advance(f"audio features of {clip.name}")
    common = (split.subjects, model.config.emotions, processes.device, config.loaders, config.batches_ahead)
    lips = regions(split.corpus).get("lve")
    manifest = _manifest(run, config, split, model, processes)
    say(_summary(manifest, split, config))
    return Task(
        run, config, Loader(clips, pool, pool, *common), Loader(clips, validation, pool, *common), load_face(split),
        None if lips is None else torch.from_numpy(lips.astype("int64")), manifest, processes,
    )  # fmt: skip


def feature_folder() -> Path:
    """Where audio features are kept."""
    return store.data_root() / "features"


def _cache(encoder: AudioEncoder, split: LabelledSplit) -> FeatureCache:
    return FeatureCache(feature_folder(), encoder, split.corpus.frames_per_second)


def _open_split(corpus: str | None, release: str | None, split: str | None) -> LabelledSplit:
    engine = open_database()
    with reading(engine) as session:
        found = load_split(session, corpus, release, split)
    engine.dispose()
    if not found.parts["train"]:
        raise ValueError(f"split {found.split.name}: has no labelled training clip in release {found.release.name}")
    return found


def _free_name(preset: str) -> str:
    number = 1
    while (runs_folder() / f"{preset}-{number}").exists():
        number += 1
    return f"{preset}-{number}"


def _held(run: Run, processes: Processes) -> contextlib.AbstractContextManager:
    return run.locked() if processes.rank == 0 else contextlib.nullcontext()


def _resumed_config(given: argparse.Namespace, saved: dict[str, Any]) -> TrainConfig:
    """The run's own settings; only the number of epochs may be another."""
    config = train_config(saved)
    for field in dataclasses.fields(TrainConfig):
        wanted = getattr(given, field.name)
        if field.name != "epochs" and wanted is not None and wanted != getattr(config, field.name):
            raise ValueError(
                f"--{field.name.replace('_', '-')} {wanted}: the run was begun with "
                f"{getattr(config, field.name)}; start a new run for other settings"
            )
    if given.preset or given.config or given.set:
        raise ValueError("--resume takes the run's own settings; leave out --preset, --config and --set")
    return config if given.epochs is None else dataclasses.replace(config, epochs=given.epochs)


def _refuse_other_data(manifest: dict[str, Any], split: LabelledSplit) -> None:
    for key in ("corpus", "release", "split"):
        row = getattr(split, key)
        if row.sha256 != manifest[key]["sha256"]:
            raise UnusableCheckpoint(
                f"{key} {row.name} has changed since the run was begun; going on would mix two data sets. "
                "Start a new run"
            )


def _missing(split: LabelledSplit, model: EavaNet, n_validation: int) -> list[str]:
    lines = []
    have = {clip.emotion for clip in split.parts["train"]}
    for emotion in model.config.emotions:
        if emotion not in have:
            lines.append(f"no training clip is labelled {emotion}: the model will not be able to show it")
    if split.left_out:
        names = _some(split.left_out)
        lines.append(f"{len(split.left_out)} clips of the split have no label or are not usable: {names}")
    other = len(split.parts["validation"]) - n_validation
    if other:
        lines.append(f"{other} validation clips left out: their speakers are not in the training split")
    if not n_validation:
        lines.append("there is no validation clip: the best checkpoint is the one with the lowest training loss")
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _manifest(
    run: Run, config: TrainConfig, split: LabelledSplit, model: EavaNet, processes: Processes
) -> dict[str, Any]:
    counts = {part: dict(Counter(clip.emotion for clip in clips)) for part, clips in split.parts.items()}
    return {
        "run": run.name,
        "seed": config.seed,
        "corpus": {"name": split.corpus.name, "sha256": split.corpus.sha256, "synthetic": split.corpus.synthetic},
        "release": {
            "name": split.release.name, "sha256": split.release.sha256, "simulated": split.release.simulated,
        },
        "split": {"name": split.split.name, "sha256": split.split.sha256, "seed": split.split.seed},
        "clips": counts,
        "left_out": split.left_out,
        "encoder": {
            "name": config.encoder,
            "random": config.encoder in RANDOM_ENCODERS,
            "frozen_sha256": model.audio_encoder.frozen_sha256(),
        },
        "processes": processes.world,
        "environment": environment(processes.device),
    }  # fmt: skip


def _summary(manifest: dict[str, Any], split: LabelledSplit, config: TrainConfig) -> str:
    marks = [
        "synthetic corpus" if split.corpus.synthetic else "",
        "simulated labels" if split.release.simulated else "",
        "random audio encoder" if manifest["encoder"]["random"] else "",
    ]
    marked = ", ".join(filter(None, marks))
    return (
        f"run {manifest['run']}: corpus {split.corpus.name}, labels {split.release.name}, split {split.split.name}, "
        f"{len(split.parts['train'])} training clips of {', '.join(split.subjects)}, {config.epochs} epochs on "
        f"{manifest['environment']['device']}{f' ({marked})' if marked else ''}"
    )

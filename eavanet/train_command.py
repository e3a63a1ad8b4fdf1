"""`python -m eavanet.train`: put together what `fit` needs, from the database and the command line."""

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from db import store
from db.clips import regions
from db.session import DatabaseUnusable, open_database, reading
from eavanet.audio import RANDOM_ENCODERS, AudioEncoder, load_encoder
from eavanet.checkpoint import UnusableCheckpoint, load_checkpoint
from eavanet.data import ClipStore, Loader, load_face
from eavanet.distributed import Processes, joined
from eavanet.feature_cache import FeatureCache
from eavanet.model import EMOTIONS
from eavanet.progress import Progress
from eavanet.records import Recorder, recording
from eavanet.rehearsal import rehearse, told
from eavanet.run import Run, environment, runs_folder
from eavanet.samples import SampleWriter
from eavanet.settings import add_flags, all_settings, chosen_preset, chosen_system, read_settings, train_config
from eavanet.split import LabelledSplit, load_split, training_warnings
from eavanet.system import System, TrainingSettings
from eavanet.systems import SYSTEMS, system_of
from eavanet.train import LossNotFinite, Task, TrainState, fit


def main(arguments: list[str] | None = None) -> int:
    """Train or resume a run; returns the exit status."""
    given = parser().parse_args(arguments)
    given.command = sys.argv[1:] if arguments is None else list(arguments)
    # A job that is cancelled, and torchrun's other processes, get SIGTERM. Who has an own answer to it keeps that: on
    # a cluster, submitit, which waits for the signal to requeue.
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
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


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m eavanet.train`."""
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.train",
        description="Train EavaNet, or a system that it is compared with, on the labelled clips of a split. Several "
        "GPUs: torchrun --nproc-per-node N -m eavanet.train ... A run keeps its best and its "
        "last checkpoint and can be resumed after anything.",
        epilog="\n".join(["Settings\n", _words(TrainingSettings), *(_words(s.settings) for s in SYSTEMS.values())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", help="default: the only one")
    parser.add_argument("--release", help="label release (default: the newest)")
    parser.add_argument("--split", help="default: the newest")
    parser.add_argument("--name", help="of the run (default: the preset's name and a number)")
    parser.add_argument("--resume", action="store_true", help="go on with the run --name; only --epochs may differ")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--threads", type=int, help="processor threads for torch (default: torch's own choice)")
    parser.add_argument("--dry-run", action="store_true", help="take a few steps, say how long all would take, keep "
                        "nothing but the audio features")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="what --dry-run measured, as JSON")
    add_flags(parser)
    return parser


def _words(settings: type[TrainingSettings]) -> str:
    return f"    {(settings.__doc__ or '').strip()}\n"


def begin(given: argparse.Namespace, processes: Processes) -> None:
    """Start a new run. Raises ValueError if one of that name has a checkpoint."""
    system = chosen_system(given)
    model_fields, config = read_settings(given)
    run = Run(given.name or free_name(chosen_preset(given)))
    if run.exists:
        raise ValueError(f"run {run.name} exists; go on with it by --resume, or take another --name")
    split = _open_split(given.corpus, given.release, given.split)
    torch.manual_seed(config.seed)
    encoder = load_encoder(config.encoder, regularise=config.regularise_encoder)
    data = {
        "n_vertices": split.corpus.n_vertices,
        "subjects": split.subjects,
        "frames_per_second": split.corpus.frames_per_second,
    }
    model = system.make_model(system.make_config(model_fields | data), encoder).to(processes.device)
    if given.dry_run:
        with contextlib.redirect_stdout(sys.stderr):
            task = make_task(run, config, split, model, processes)
            numbers = rehearse(TrainState.new(system, model, config), task)
        print(json.dumps(numbers) if given.json else told(numbers))
        return
    with _held(run, processes):
        if processes.rank == 0:
            run.rewind("")
        with _recorded(run, split, model, config, processes, given.command) as recorder:
            task = make_task(run, config, split, model, processes, recorder)
            fit(TrainState.new(system, model, config), task)


def resume(given: argparse.Namespace, processes: Processes) -> None:
    """Go on with a run from its last checkpoint. Raises UnusableCheckpoint if data or settings are not the same."""
    if given.name is None:
        raise ValueError("--resume needs --name, the run to go on with")
    run = Run(given.name)
    checkpoint = load_checkpoint(run.checkpoint("last"), processes.device)
    config = _resumed_config(given, checkpoint.training, checkpoint.system)
    names = {key: checkpoint.manifest[key]["name"] for key in ("corpus", "release", "split")}
    split = _open_split(**names)
    _refuse_other_data(checkpoint.manifest, split)
    state = TrainState.resumed(checkpoint.system, checkpoint.model, config, checkpoint.folder)
    with _held(run, processes):
        if processes.rank == 0:
            run.rewind((checkpoint.folder / "metrics.jsonl").read_text())
        recorded = _recorded(run, split, checkpoint.model, config, processes, given.command, state.epoch)
        with recorded as recorder:
            fit(state, make_task(run, config, split, checkpoint.model, processes, recorder))


def make_task(
    run: Run,
    config: TrainingSettings,
    split: LabelledSplit,
    model: nn.Module,
    processes: Processes,
    recorder: Recorder | None = None,
) -> Task:
    """Everything that `fit` works with; computes missing audio features.

    Says what the sampler had to relax, and which clips are left out. Raises ValueError if there is nothing to train.
    """
    system, pool = system_of(model), split.parts["train"]
    say = print if processes.rank == 0 else lambda *_: None
    if not system.sampler(pool, pool).usable:
        raise ValueError(f"split {split.split.name}: no training clip has another one of its emotion; nothing to learn")
    validation, emotions = split.validation, model.config.emotions if system.emotional else ()
    strangers = {clip.emotion for clip in pool} - set(emotions)
    if system.emotional and strangers:
        raise ValueError(f"labels {', '.join(sorted(strangers))}: the model knows {', '.join(emotions)}")
    for warning in training_warnings(split, emotions):
        say(f"warning: {warning}")
    clips = ClipStore(_cache(model.audio_encoder, split))
    with Progress(len(pool) + len(validation), "clip") as progress:
        for clip in [*pool, *validation]:
            clips.features(clip)
            progress.advance(f"audio features of {clip.name}")
    common = (split.subjects, emotions or EMOTIONS, processes.device, config.loaders, config.batches_ahead)
    lips = regions(split.corpus).get("lve")
    manifest = _manifest(run, config, split, model, processes)
    say(_summary(manifest, split, config))
    if recorder is not None:
        recorder.describe(manifest)
    samples = SampleWriter(run.folder) if processes.rank == 0 else None
    return Task(
        system, run, config, Loader(clips, pool, pool, *common), Loader(clips, validation, pool, *common),
        load_face(split), None if lips is None else torch.from_numpy(lips.astype("int64")), manifest, processes,
        recorder, samples,
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


def free_name(preset: str) -> str:
    """A name for a run that nobody has."""
    number = 1
    while (runs_folder() / f"{preset}-{number}").exists():
        number += 1
    return f"{preset}-{number}"


def _held(run: Run, processes: Processes) -> contextlib.AbstractContextManager:
    return run.locked() if processes.rank == 0 else contextlib.nullcontext()


def _recorded(
    run: Run,
    split: LabelledSplit,
    model: nn.Module,
    config: TrainingSettings,
    processes: Processes,
    command: list[str],
    epoch: int = 0,
) -> contextlib.AbstractContextManager[Recorder | None]:
    """The run's row in the database, kept up to date by the first process."""
    if processes.rank > 0:
        return contextlib.nullcontext()
    rows = {"corpus": split.corpus, "release": split.release, "split": split.split}
    settings = {"training": dataclasses.asdict(config), "model": dataclasses.asdict(model.config)}
    return recording(
        run.folder, system_of(model).name, rows, settings, epochs=config.epochs, epoch=epoch, command=command
    )


def _resumed_config(given: argparse.Namespace, saved: dict[str, Any], system: System) -> TrainingSettings:
    """The run's own settings; only the number of epochs may be another."""
    config = train_config(saved, system)
    for name in all_settings():
        wanted, own = getattr(given, name), getattr(config, name, None)
        if name != "epochs" and wanted is not None and wanted != own:
            raise ValueError(
                f"--{name.replace('_', '-')} {wanted}: the run was begun with {own}; start a new run for other settings"
            )
    if given.preset or given.config or given.set:
        raise ValueError("--resume takes the run's own settings; leave out --preset, --config and --set")
    if given.system not in (None, system.name):
        raise ValueError(f"--system {given.system}: the run is one of {system.title}")
    return config if given.epochs is None else dataclasses.replace(config, epochs=given.epochs)


def _refuse_other_data(manifest: dict[str, Any], split: LabelledSplit) -> None:
    for key in ("corpus", "release", "split"):
        row = getattr(split, key)
        if row.sha256 != manifest[key]["sha256"]:
            raise UnusableCheckpoint(
                f"{key} {row.name} has changed since the run was begun; going on would mix two data sets. "
                "Start a new run"
            )


def _manifest(
    run: Run, config: TrainingSettings, split: LabelledSplit, model: nn.Module, processes: Processes
) -> dict[str, Any]:
    return {
        "run": run.name,
        "system": system_of(model).name,
        "seed": config.seed,
        "corpus": {"name": split.corpus.name, "sha256": split.corpus.sha256, "synthetic": split.corpus.synthetic},
        "release": {
            "name": split.release.name, "sha256": split.release.sha256, "simulated": split.release.simulated,
        },
        "split": {"name": split.split.name, "sha256": split.split.sha256, "seed": split.split.seed},
        "clips": split.counts(),
        "left_out": split.left_out,
        "encoder": {
            "name": config.encoder,
            "random": config.encoder in RANDOM_ENCODERS,
            "frozen_sha256": model.audio_encoder.frozen_sha256(),
        },
        "processes": processes.world,
        "environment": environment(processes.device),
    }  # fmt: skip


def _summary(manifest: dict[str, Any], split: LabelledSplit, config: TrainingSettings) -> str:
    marks = [
        "synthetic corpus" if split.corpus.synthetic else "",
        "simulated labels" if split.release.simulated else "",
        "random audio encoder" if manifest["encoder"]["random"] else "",
    ]
    marked = ", ".join(filter(None, marks))
    return (
        f"run {manifest['run']}: {SYSTEMS[manifest['system']].title}, corpus {split.corpus.name}, "
        f"labels {split.release.name}, split {split.split.name}, "
        f"{len(split.parts['train'])} training clips of {', '.join(split.subjects)}, {config.epochs} epochs on "
        f"{manifest['environment']['device']}{f' ({marked})' if marked else ''}"
    )

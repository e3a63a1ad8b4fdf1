"""Training (the paper's III-B): `python -m eavanet.train`. Reads top-down: fit, train_epoch, train_step, validate.

A run is a function of its settings, its data and its seed: order of clips, style clips and dropout are drawn anew for
every epoch from seed and epoch. So a run that is resumed after its last checkpoint, also after `kill -9`, ends where
it would have ended (bit for bit on a CPU; on a GPU as far as its kernels are deterministic).
"""

import contextlib
import dataclasses
import itertools
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eavanet.checkpoint import CheckpointNotWritten, load_state, save_checkpoint
from eavanet.data import Batch, Face, Loader
from eavanet.distributed import Processes
from eavanet.intercross import TrainConfig as TrainConfig  # readers of EavaNet's training look for it here
from eavanet.progress import Progress
from eavanet.records import Recorder
from eavanet.run import Run
from eavanet.samples import SampleWriter, telling_clip
from eavanet.sampling import PlannedBatch, plan_batches
from eavanet.system import Sampler, System, TrainingSettings


class LossNotFinite(RuntimeError):
    """Training cannot go on; the message says where it broke, and the last good checkpoint stays."""


@dataclass
class TrainState:
    """All that must survive a crash, besides what seed and epoch determine."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0  # epochs that are finished
    best_epoch: int = 0
    best_loss: float = math.inf

    @classmethod
    def new(cls, system: System, model: nn.Module, config: TrainingSettings) -> "TrainState":
        """The state before the first epoch."""
        return cls(model, system.optimizer(model, config, 0))

    @classmethod
    def resumed(cls, system: System, model: nn.Module, config: TrainingSettings, folder: Any) -> "TrainState":
        """The state of the checkpoint in `folder`, whose weights the model already has."""
        saved = load_state(folder)
        optimizer = system.optimizer(model, config, saved["epoch"])
        optimizer.load_state_dict(saved.pop("optimizer"))
        return cls(model, optimizer, **saved)

    def to_save(self) -> dict[str, Any]:
        """For `save_checkpoint`; the model's weights are saved beside it."""
        counters = {name: getattr(self, name) for name in ("epoch", "best_epoch", "best_loss")}
        return counters | {"optimizer": self.optimizer.state_dict()}


@dataclass
class Task:
    """What a run works with besides its state: data, where to write, what to say of itself."""

    system: System
    run: Run
    config: TrainingSettings
    train: Loader
    validation: Loader
    face: Face
    lips: Tensor | None  # vertex indices for the lip vertex error, where the corpus has them
    manifest: dict[str, Any]
    processes: Processes
    recorder: Recorder | None = None  # the run's row in the database; the first process has it
    samples: SampleWriter | None = None  # of a validation clip, to look at; the first process has it

    def sampler(self, loader: Loader) -> Sampler:
        """What draws the clips of `loader`, and their style clips."""
        return self.system.sampler(loader.targets, loader.pool)


def fit(state: TrainState, task: Task) -> None:
    """Train until `config.epochs`. The best checkpoint by validation loss and the last one are kept.

    Raises LossNotFinite, and CheckpointNotWritten if the last epoch's checkpoint could not be written; one in between
    that cannot is reported, and training goes on.
    """
    config, device = task.config, task.train.device
    sampler, step = task.sampler(task.train), prepared(state.model, task)
    epochs = range(state.epoch, config.epochs)
    per_epoch = len(planned_batches(sampler, task, 0))
    # One stream over all epochs, so that the next epoch's first batches are loaded during validation.
    planned = itertools.chain.from_iterable(planned_batches(sampler, task, epoch) for epoch in epochs)
    bar = Progress(config.epochs * per_epoch, "step", state.epoch * per_epoch)
    ended = time.perf_counter()
    with bar as progress, contextlib.closing(task.train.batches(planned)) as batches:
        for epoch in epochs:
            if task.system.begin_epoch(state, task, epoch):
                step = prepared(state.model, task)
            seed_epoch(config.seed, epoch, task.processes.rank)
            set_learning_rate(state.optimizer, config, epoch)
            start, task.train.waited_s = time.perf_counter(), 0.0
            taken = itertools.islice(batches, per_epoch)
            losses = train_epoch(step, state, taken, task, progress)
            seconds = time.perf_counter() - start
            task.system.end_epoch(state, task)
            state.epoch = epoch + 1
            entry = {
                "epoch": state.epoch,
                "step": state.epoch * per_epoch,
                "learning_rate": state.optimizer.param_groups[0]["lr"],
                **_named("train", losses),
                **validate(state.model, task, epoch),
                "seconds": seconds,
                "epoch_seconds": time.perf_counter() - ended,  # with validation, and with what was kept before
                "waiting_for_data": task.train.waited_s / seconds,
                "memory_mb": peak_memory_mb(device),
            }
            ended = time.perf_counter()
            _finish_epoch(state, task, entry, progress)


def train_epoch(
    step: nn.Module, state: TrainState, batches: Iterator[Batch], task: Task, progress: Progress
) -> dict[str, float]:
    """One pass over the training clips; returns the mean of each loss."""
    state.model.train()
    names: tuple[str, ...] = ()
    sums, count = np.zeros(1), 0
    for batch in batches:
        losses = train_step(step, state, batch, task.config, task.system)
        names, sums, count = tuple(losses), sums + np.array(list(losses.values())), count + 1
        progress.advance(f"epoch {state.epoch + 1}/{task.config.epochs}, loss {sums[0] / count:.5g}")
    means = task.processes.mean(sums / max(1, count))
    return {name: float(mean) for name, mean in zip(names, means, strict=True)}


def train_step(
    step: nn.Module, state: TrainState, batch: Batch, config: TrainingSettings, system: System
) -> dict[str, float]:
    """One update; returns the losses by name, "total" first. `step` is the model, possibly compiled and distributed.

    Raises LossNotFinite before a loss that is no number spoils the model.
    """
    state.optimizer.zero_grad(set_to_none=True)
    losses = system.losses(step, batch, config, batch.weights, state.epoch).losses
    numbers = torch.stack([term.detach().float() for term in losses]).tolist()
    values = dict(zip(losses._fields, numbers, strict=True))
    if not math.isfinite(values["total"]):
        terms = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raise LossNotFinite(
            f"the loss became {values['total']} in epoch {state.epoch + 1} at {', '.join(c.name for c in batch.clips)} "
            f"({terms}); the checkpoint after epoch {state.epoch} is kept. Look at that clip with python -m db.corpus "
            "check, or lower the learning rate"
        )
    losses.total.backward()
    state.optimizer.step()
    return values


@torch.no_grad()
def validate(model: nn.Module, task: Task, epoch: int) -> dict[str, float]:
    """Losses on the validation clips, each with the same style clip every time, and the lip vertex error.

    The lip vertex error is `evaluation.metrics`', pooled over frames; beside it that of the motionless template.
    """
    model.eval()
    plan = plan_batches(task.sampler(task.validation).fixed(task.config.seed), 1)
    sums: Counter[str] = Counter()
    errors, still = [], []
    for batch in task.validation.batches(plan):
        outcome = task.system.losses(model, batch, task.config, epoch=epoch)
        for name, term in (outcome.losses._asdict() | dict(outcome.measured)).items():
            sums[name] += term.item()
        if task.lips is not None:
            errors.append(lip_errors(outcome.displacements, batch.target, task.lips))
            still.append(lip_errors(torch.zeros_like(batch.target), batch.target, task.lips))
    numbers = _named("validation", {name: total / len(plan) for name, total in sums.items()})
    if errors:
        numbers["validation/lip_vertex_error"] = float(torch.cat(errors, dim=1).mean())
        numbers["validation/lip_vertex_error_of_template"] = float(torch.cat(still, dim=1).mean())
    return numbers


@torch.no_grad()
def keep_sample(state: TrainState, task: Task) -> None:
    """Keep what the model makes of one validation clip by now, always the same, with the same style clip."""
    validation = task.validation
    pairs = task.sampler(validation).fixed(task.config.seed)
    if task.samples is None or not pairs or not task.samples.due():
        return
    state.model.eval()
    rate = state.model.config.frames_per_second
    pair = pairs[telling_clip([validation.targets[pair.target] for pair in pairs], rate)]
    (batch,) = validation.batches([PlannedBatch([pair], [1.0])])
    predicted = task.system.losses(state.model, batch, task.config, epoch=max(0, state.epoch - 1)).displacements
    vertices = predicted[0].float().cpu().unflatten(-1, (-1, 3)) + task.face.templates[batch.speaker[0].item()]
    about = {"clip": batch.clips[0].name, "emotion": batch.clips[0].emotion}
    if pair.style is not None:
        about["style"] = validation.pool[pair.style].name
    task.samples.write(state.epoch, vertices.numpy(), rate, about)


def lip_errors(predicted: Tensor, target: Tensor, lips: Tensor) -> Tensor:
    """(B, T): largest squared distance over the lip vertices, of (B, T, 3V)."""
    difference = (predicted.float() - target).unflatten(-1, (-1, 3))[:, :, lips.to(target.device)]
    return difference.square().sum(dim=-1).amax(dim=-1)


def seed_epoch(seed: int, epoch: int, rank: int) -> None:
    """Dropout and masks of an epoch follow from the run's seed. transformers draws its masks with numpy."""
    words = np.random.SeedSequence([seed, epoch, rank]).generate_state(2)
    torch.manual_seed(int(words[0]))
    np.random.seed(int(words[1]))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingSettings, epoch: int) -> None:
    """As the settings have it for this epoch, which counts from 0."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate_in(epoch)


def peak_memory_mb(device: torch.device) -> float:
    """Most memory used so far: the GPU's, or this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux, bytes on macOS
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def prepared(model: nn.Module, task: Task) -> nn.Module:
    """The model as the training step calls it."""
    return task.processes.wrap(task.system.stepped(model, task.config))


def planned_batches(sampler: Sampler, task: Task, epoch: int) -> list[PlannedBatch]:
    """This process's batches of an epoch."""
    pairs = sampler.epoch(task.config.seed, epoch)
    return plan_batches(pairs, task.config.batch_size, task.processes.rank, task.processes.world)


def _named(prefix: str, numbers: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in numbers.items()}


def _finish_epoch(state: TrainState, task: Task, entry: dict[str, Any], progress: Progress) -> None:
    """Record the epoch's numbers and keep its checkpoint (the first process only)."""
    judged = entry.get("validation/total", entry["train/total"])
    better, before = judged < state.best_loss, (state.best_loss, state.best_epoch)
    if better:
        state.best_loss, state.best_epoch = judged, state.epoch
    if task.processes.rank > 0:
        return
    progress.say(_line(entry, task.config.epochs, better))
    try:
        task.run.record(entry)
        metrics = (task.run.folder / "metrics.jsonl").read_text()
        folder = task.run.epoch_folder(state.epoch)
        training = dataclasses.asdict(task.config)
        manifest = task.manifest | {"epoch": state.epoch, "measured": entry}
        save_checkpoint(folder, state.model, task.face, training, manifest, state=state.to_save(), metrics=metrics)
        task.run.keep(folder, task.run.epoch_folder(state.best_epoch))
        if task.recorder is not None:
            task.recorder.epoch(state.epoch)
    except OSError as error:
        state.best_loss, state.best_epoch = before  # what could not be kept is not the best that there is
        if state.epoch == task.config.epochs:
            raise CheckpointNotWritten(str(error)) from error
        progress.say(f"warning: {error}; training goes on")
        return
    if better:
        try:
            keep_sample(state, task)
        except (OSError, ValueError) as error:
            progress.say(f"warning: no sample of epoch {state.epoch} ({error}); training goes on")


def _line(entry: dict[str, Any], epochs: int, better: bool) -> str:
    parts = [f"epoch {entry['epoch']}/{epochs}", f"train {entry['train/total']:.5g}"]
    if "validation/total" in entry:
        parts.append(f"validation {entry['validation/total']:.5g}{' (best)' if better else ''}")
    if "validation/lip_vertex_error" in entry:
        still = entry["validation/lip_vertex_error_of_template"]
        parts.append(f"lips {entry['validation/lip_vertex_error'] / still:.3f} of the template's error")
    return ", ".join([*parts, f"{entry['seconds']:.1f} s"])


if __name__ == "__main__":
    from eavanet.train_command import main

    raise SystemExit(main())

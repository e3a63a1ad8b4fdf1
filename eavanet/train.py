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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eavanet.audio import PAPER_ENCODER
from eavanet.checkpoint import CheckpointNotWritten, load_state, save_checkpoint
from eavanet.data import Batch, Face, Loader
from eavanet.distributed import Processes
from eavanet.losses import VERTEX_LOSSES, Losses, total_loss
from eavanet.model import EavaNet
from eavanet.progress import Progress
from eavanet.records import Recorder
from eavanet.run import Run
from eavanet.samples import SampleWriter, telling_clip
from eavanet.sampling import IntercrossSampler, PlannedBatch, plan_batches

CHOICES = {"vertex_loss": VERTEX_LOSSES, "precision": ("float32", "bf16")}  # of settings that are words


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are the paper's.

    encoder: name or folder of the audio encoder. regularise_encoder: its own dropout, LayerDrop and SpecAugment in
        training, as the peers have them; the paper does not say.
    vertex_loss: "norm" is Eq. (6) as printed, "mse" what the prose says. emotion_weight: lambda_CE of Eq. (7).
    epochs: passes over the training clips. batch_size: clips per step, of each process. learning_rate: of Adam, at
        the start. halve_every: epochs after which the learning rate is halved.
    seed: of weights, order and style clips; the same seed gives the same run.
    precision: "bf16" computes in bfloat16 and keeps weights and loss in float32. compile: torch.compile.
    loaders, batches_ahead: threads that load clips, and how many batches they keep ready.
    """

    encoder: str = PAPER_ENCODER
    regularise_encoder: bool = True
    epochs: int = 200
    batch_size: int = 1
    learning_rate: float = 1e-4
    halve_every: int = 40
    vertex_loss: str = "norm"
    emotion_weight: float = 0.001
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
    loaders: int = 2
    batches_ahead: int = 4

    def __post_init__(self):
        for name in ("epochs", "batch_size", "halve_every", "loaders", "batches_ahead"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate = {self.learning_rate}: must be above 0")
        if not self.emotion_weight >= 0:
            raise ValueError(f"emotion_weight = {self.emotion_weight}: must be 0 or more")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: must be 0 or more")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected one of {', '.join(known)}")


class LossNotFinite(RuntimeError):
    """Training cannot go on; the message says where it broke, and the last good checkpoint stays."""


@dataclass
class TrainState:
    """All that must survive a crash, besides what seed and epoch determine."""

    model: EavaNet
    optimizer: torch.optim.Adam
    epoch: int = 0  # epochs that are finished
    best_epoch: int = 0
    best_loss: float = math.inf

    @classmethod
    def new(cls, model: EavaNet, config: TrainConfig) -> "TrainState":
        """The state before the first epoch."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return cls(model, torch.optim.Adam(trained, lr=config.learning_rate))

    def resume_from(self, folder: Any) -> None:
        """Take over the counters and the optimizer of a checkpoint whose weights the model already has."""
        saved = load_state(folder)
        self.optimizer.load_state_dict(saved.pop("optimizer"))
        for name, value in saved.items():
            setattr(self, name, value)

    def to_save(self) -> dict[str, Any]:
        """For `save_checkpoint`; the model's weights are saved beside it."""
        counters = {name: getattr(self, name) for name in ("epoch", "best_epoch", "best_loss")}
        return counters | {"optimizer": self.optimizer.state_dict()}


@dataclass
class Task:
    """What a run works with besides its state: data, where to write, what to say of itself."""

    run: Run
    config: TrainConfig
    train: Loader
    validation: Loader
    face: Face
    lips: Tensor | None  # vertex indices for the lip vertex error, where the corpus has them
    manifest: dict[str, Any]
    processes: Processes
    recorder: Recorder | None = None  # the run's row in the database; the first process has it
    samples: SampleWriter | None = None  # of a validation clip, to look at; the first process has it


def fit(state: TrainState, task: Task) -> None:
    """Train until `config.epochs`. The best checkpoint by validation loss and the last one are kept.

    Raises LossNotFinite, and CheckpointNotWritten if the last epoch's checkpoint could not be written; one in between
    that cannot is reported, and training goes on.
    """
    config, device = task.config, task.train.device
    sampler = IntercrossSampler(task.train.targets, task.train.pool)
    if state.epoch == 0 and state.model.config.style.standardise:
        measure_motion_unit(state.model, task.train)
    step = prepared(state.model, task)
    epochs = range(state.epoch, config.epochs)
    per_epoch = len(planned_batches(sampler, task, 0))
    # One stream over all epochs, so that the next epoch's first batches are loaded during validation.
    planned = itertools.chain.from_iterable(planned_batches(sampler, task, epoch) for epoch in epochs)
    bar = Progress(config.epochs * per_epoch, "step", state.epoch * per_epoch)
    ended = time.perf_counter()
    with bar as progress, contextlib.closing(task.train.batches(planned)) as batches:
        for epoch in epochs:
            seed_epoch(config.seed, epoch, task.processes.rank)
            set_learning_rate(state.optimizer, config, epoch)
            start, task.train.waited_s = time.perf_counter(), 0.0
            taken = itertools.islice(batches, per_epoch)
            losses = train_epoch(step, state, taken, task, progress)
            seconds = time.perf_counter() - start
            fill_lookup_table(state.model, task.train)
            state.epoch = epoch + 1
            entry = {
                "epoch": state.epoch,
                "step": state.epoch * per_epoch,
                "learning_rate": state.optimizer.param_groups[0]["lr"],
                **_named("train", losses),
                **validate(state.model, task),
                "seconds": seconds,
                "epoch_seconds": time.perf_counter() - ended,  # with validation, and with what was kept before
                "waiting_for_data": task.train.waited_s / seconds,
                "memory_mb": peak_memory_mb(device),
            }
            ended = time.perf_counter()
            _finish_epoch(state, task, entry, progress)


def train_epoch(
    step: nn.Module, state: TrainState, batches: Iterator[Batch], task: Task, progress: Progress
) -> Losses:
    """One pass over the training clips; returns the mean losses."""
    state.model.train()
    sums, count = np.zeros(3), 0
    for batch in batches:
        losses = train_step(step, state, batch, task.config)
        sums, count = sums + np.array(losses), count + 1
        progress.advance(f"epoch {state.epoch + 1}/{task.config.epochs}, loss {sums[0] / count:.5g}")
    return Losses(*task.processes.mean(sums / max(1, count)))


def train_step(step: nn.Module, state: TrainState, batch: Batch, config: TrainConfig) -> tuple[float, ...]:
    """One update. `step` is the model, possibly compiled and distributed. Raises LossNotFinite before it spoils it."""
    state.optimizer.zero_grad(set_to_none=True)
    losses = batch_losses(step, batch, config, batch.weights)
    values = tuple(torch.stack([term.detach() for term in losses]).tolist())
    if not math.isfinite(values[0]):
        raise LossNotFinite(
            f"the loss became {values[0]} in epoch {state.epoch + 1} at {', '.join(c.name for c in batch.clips)} "
            f"(vertices {values[1]:.4g}, emotion {values[2]:.4g}); the checkpoint after epoch {state.epoch} is kept. "
            "Look at that clip with python -m db.corpus check, or lower the learning rate"
        )
    losses.total.backward()
    state.optimizer.step()
    return values


def batch_losses(model: nn.Module, batch: Batch, config: TrainConfig, weights: Tensor | None = None) -> Losses:
    """Eq. (7) on a batch, in the precision of the config."""
    with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        predicted = model(batch.features, batch.n_frames, batch.speaker, batch.style, batch.style_frames)
    return total_loss(
        predicted.displacements, batch.target, batch.n_frames, predicted.logits, batch.emotion,
        emotion_weight=config.emotion_weight, vertex_kind=config.vertex_loss, clip_weights=weights,
    )  # fmt: skip


@torch.no_grad()
def validate(model: EavaNet, task: Task) -> dict[str, float]:
    """Losses on the validation clips, each with the same style clip every time, and the lip vertex error.

    The lip vertex error is `evaluation.metrics`', pooled over frames; beside it that of the motionless template.
    """
    model.eval()
    sampler = IntercrossSampler(task.validation.targets, task.validation.pool)
    plan = plan_batches(sampler.fixed(task.config.seed), 1)
    sums, right, errors, still = np.zeros(3), 0, [], []
    for batch in task.validation.batches(plan):
        with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=task.config.precision == "bf16"):
            predicted = model(batch.features, batch.n_frames, batch.speaker, batch.style, batch.style_frames)
        losses = total_loss(
            predicted.displacements, batch.target, batch.n_frames, predicted.logits, batch.emotion,
            emotion_weight=task.config.emotion_weight, vertex_kind=task.config.vertex_loss,
        )  # fmt: skip
        sums += np.array([term.item() for term in losses])
        right += int(predicted.logits.argmax() == batch.emotion)
        if task.lips is not None:
            errors.append(lip_errors(predicted.displacements, batch.target, task.lips))
            still.append(lip_errors(torch.zeros_like(batch.target), batch.target, task.lips))
    if not plan:
        return {}
    numbers = _named("validation", Losses(*(sums / len(plan)))) | {"validation/emotion_accuracy": right / len(plan)}
    if errors:
        numbers["validation/lip_vertex_error"] = float(torch.cat(errors, dim=1).mean())
        numbers["validation/lip_vertex_error_of_template"] = float(torch.cat(still, dim=1).mean())
    return numbers


@torch.no_grad()
def keep_sample(state: TrainState, task: Task) -> None:
    """Keep what the model makes of one validation clip by now, always the same, with the same style clip."""
    model, validation = state.model, task.validation
    sampler = IntercrossSampler(validation.targets, validation.pool)
    if task.samples is None or not sampler.usable or not task.samples.due():
        return
    model.eval()
    pairs = sampler.fixed(task.config.seed)
    rate = model.config.frames_per_second
    pair = pairs[telling_clip([validation.targets[pair.target] for pair in pairs], rate)]
    (batch,) = validation.batches([PlannedBatch([pair], [1.0])])
    predicted = model(batch.features, batch.n_frames, batch.speaker, batch.style, batch.style_frames).displacements
    vertices = predicted[0].float().cpu().unflatten(-1, (-1, 3)) + task.face.templates[batch.speaker[0].item()]
    clip = batch.clips[0]
    about = {"clip": clip.name, "emotion": clip.emotion, "style": validation.pool[pair.style].name}
    task.samples.write(state.epoch, vertices.numpy(), rate, about)


def lip_errors(predicted: Tensor, target: Tensor, lips: Tensor) -> Tensor:
    """(B, T): largest squared distance over the lip vertices, of (B, T, 3V)."""
    difference = (predicted.float() - target).unflatten(-1, (-1, 3))[:, :, lips.to(target.device)]
    return difference.square().sum(dim=-1).amax(dim=-1)


@torch.no_grad()
def measure_motion_unit(model: EavaNet, loader: Loader) -> None:
    """Set the style encoder's unit: the root mean square of the training clips' displacements."""
    squares, count = 0.0, 0
    for _, motion in loader.motions(loader.pool):
        squares, count = squares + float(motion.double().square().sum()), count + motion.numel()
    if squares > 0:
        model.style_encoder.extractor.motion_unit.fill_(math.sqrt(squares / count))


@torch.no_grad()
def fill_lookup_table(model: EavaNet, loader: Loader) -> None:
    """Set the model's lookup table: per emotion, the centroid of the training clips' style embeddings (III-B)."""
    model.eval()
    by_emotion: dict[str, list[Tensor]] = {emotion: [] for emotion in model.config.emotions}
    for clip, motion in loader.motions(loader.pool):
        embedding = model.style_encoder(motion[None], torch.tensor([clip.n_frames])).embedding[0]
        by_emotion[clip.emotion].append(embedding)
    for row, embeddings in zip(model.emotion_embeddings, by_emotion.values(), strict=True):
        row.copy_(torch.stack(embeddings).mean(dim=0) if embeddings else torch.full_like(row, float("nan")))


def seed_epoch(seed: int, epoch: int, rank: int) -> None:
    """Dropout and masks of an epoch follow from the run's seed. transformers draws its masks with numpy."""
    words = np.random.SeedSequence([seed, epoch, rank]).generate_state(2)
    torch.manual_seed(int(words[0]))
    np.random.seed(int(words[1]))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, epoch: int) -> None:
    """Halved every `halve_every` epochs; `epoch` counts from 0."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * 0.5 ** (epoch // config.halve_every)


def peak_memory_mb(device: torch.device) -> float:
    """Most memory used so far: the GPU's, or this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux, bytes on macOS
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def prepared(model: EavaNet, task: Task) -> nn.Module:
    """The model as the training step calls it."""
    step = torch.compile(model, dynamic=True) if task.config.compile else model
    return task.processes.wrap(step)


def planned_batches(sampler: IntercrossSampler, task: Task, epoch: int) -> list[PlannedBatch]:
    """This process's batches of an epoch."""
    pairs = sampler.epoch(task.config.seed, epoch)
    return plan_batches(pairs, task.config.batch_size, task.processes.rank, task.processes.world)


def _named(prefix: str, losses: Losses) -> dict[str, float]:
    return {f"{prefix}/{name}": float(value) for name, value in losses._asdict().items()}


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
        save_checkpoint(
            folder, state.model, task.face, training, manifest, state=state.to_save(), metrics=metrics
        )
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

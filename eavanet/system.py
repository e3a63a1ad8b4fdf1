"""What EavaNet, FaceFormer and CodeTalker have in common when they are trained, saved and run, and where they differ.

Each of the three is a `System`: `train`, `checkpoint`, `predict`, `animate` and `speed` ask it, and know no system by
name. A system has no state; its model does.

What a model has to offer, besides being a module:

    config.n_vertices, config.subjects, config.frames_per_second        (the frozen dataclass beside the model)
    audio_encoder                       an `audio.AudioEncoder`, which turns sound into frozen features
    hear(features, n_frames)            (B, T, ...): all that depends on the speech alone, frame by frame
    speak(hidden, n_frames, speaker, style)     (B, T, units): the motion from that
    to_vertices                         nn.Linear, from units to displacements (3V)
    autoregressive                      whether a frame follows from those before it; if so, a long recording is heard
                                        in windows and spoken in one piece, else both go window by window

The peers have two decoders: `speak` is the quick one; `speak_faithfully`, with the same arguments, gives displacements
(B, T, 3V) with the official code's computation.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from eavanet.audio import PAPER_ENCODER, AudioEncoder
from eavanet.data import Batch
from eavanet.sampling import ClipSampler, Labelled, Pair

if TYPE_CHECKING:
    from eavanet.train import Task, TrainState


@dataclass(frozen=True)
class TrainingSettings:
    """What can be set for the training of every system.

    encoder: name or folder of the audio encoder. regularise_encoder: its own dropout, LayerDrop and SpecAugment in
        training, as the peers have them; the paper does not say.
    epochs: passes over the training clips. batch_size: clips per step, of each process. learning_rate: of Adam, at
        the start. halve_every: epochs after which the learning rate is halved; 0 for never.
    seed: of weights, order and style clips; the same seed gives the same run.
    precision: "bf16" computes in bfloat16 and keeps weights and loss in float32.
    loaders, batches_ahead: threads that load clips, and how many batches they keep ready.
    """

    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {"precision": ("float32", "bf16")}  # of settings that are words
    MINIMA: ClassVar[dict[str, int]] = {  # of those that are whole numbers
        "epochs": 1, "batch_size": 1, "loaders": 1, "batches_ahead": 1, "seed": 0, "halve_every": 0,
    }  # fmt: skip

    encoder: str = PAPER_ENCODER
    regularise_encoder: bool = True
    epochs: int = 200
    batch_size: int = 1
    learning_rate: float = 1e-4
    halve_every: int = 40
    seed: int = 0
    precision: str = "float32"
    loaders: int = 2
    batches_ahead: int = 4

    def __post_init__(self):
        for name, least in self.MINIMA.items():
            if getattr(self, name) < least:
                words = f"at least {least}" if least else "0 or more"
                raise ValueError(f"{name} = {getattr(self, name)}: must be {words}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate = {self.learning_rate}: must be above 0")
        for name, known in self.CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} = {getattr(self, name)!r}: expected one of {', '.join(known)}")

    def learning_rate_in(self, epoch: int) -> float:
        """Halved every `halve_every` epochs, or never; `epoch` counts from 0."""
        return halved(self.learning_rate, self.halve_every, epoch)

    @property
    def stages(self) -> list[int]:
        """How many epochs each stage of the training has; the model speaks from the last one on."""
        return [self.epochs]


def halved(rate: float, every: int, epoch: int) -> float:
    """A learning rate that is halved every so many epochs, 0 for never; `epoch` counts from 0."""
    return rate * 0.5 ** (epoch // every if every else 0)


class Outcome(NamedTuple):
    """What a system makes of a batch.

    losses: a NamedTuple of scalars, "total" first, by whose names metrics are called train/... and validation/...
    displacements: (B, T, 3V). measured: further scalars, which validation reports by name.
    """

    losses: Any
    displacements: Tensor
    measured: Mapping[str, Tensor] = MappingProxyType({})


class Sampler(Protocol):
    """Which clips an epoch has, in which order."""

    usable: list[int]

    def epoch(self, seed: int, epoch: int) -> list[Pair]: ...
    def fixed(self, seed: int) -> list[Pair]: ...


class System:
    """One of the systems; a subclass says how it is built, what a training step is, and what else a training does."""

    name: ClassVar[str]  # on the command line and in the database
    title: ClassVar[str]  # for people
    settings: ClassVar[type[TrainingSettings]]
    config: ClassVar[type]  # the frozen dataclass of the model
    emotional: ClassVar[bool] = False  # whether it can be asked for an emotion
    intercross: ClassVar[bool] = False  # whether it needs a style clip beside each clip

    def make_config(self, values: Mapping[str, Any]) -> Any:
        """The model's config, from JSON, or from settings with n_vertices, subjects and frames_per_second.

        Raises TypeError for an unknown field, ValueError for a bad value.
        """
        return self.config(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})

    def make_model(self, config: Any, encoder: AudioEncoder) -> nn.Module:
        """The model with fresh weights."""
        raise NotImplementedError

    def sampler(self, targets: Sequence[Labelled], pool: Sequence[Labelled]) -> Sampler:
        """Draws the clips of an epoch from `targets`, and style clips, where it needs them, from `pool`."""
        return ClipSampler(targets)

    def losses(
        self, step: nn.Module, batch: Batch, settings: Any, weights: Tensor | None = None, epoch: int = 0
    ) -> Outcome:
        """What `step` makes of a batch, in the precision of the settings.

        step: the model, possibly compiled or distributed, so that only calling it counts for gradients.
        weights: (B,), each clip's part of the losses; default 1/B each. epoch: from 0, the one that is trained.
        """
        raise NotImplementedError

    def optimizer(self, model: nn.Module, settings: Any, epoch: int) -> torch.optim.Optimizer:
        """A new optimizer for a model of which `epoch` epochs are finished."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=settings.learning_rate)

    def stepped(self, model: nn.Module, settings: Any) -> nn.Module:
        """The model as the training step is to call it."""
        return model

    def begin_epoch(self, state: "TrainState", task: "Task", epoch: int) -> bool:
        """Before an epoch, which counts from 0. Returns whether other parameters are trained from here on."""
        return False

    def end_epoch(self, state: "TrainState", task: "Task") -> None:
        """After an epoch's last step, before validation."""

    # Published checkpoints of others; see `peers.published`.

    def recognises(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a published file with these tensors is this system's."""
        return False

    def published_name(self, published: str) -> str:
        """Our name of a tensor of a published file."""
        return published

    def published_config(
        self, tensors: Mapping[str, Tensor], subjects: tuple[str, ...], frames_per_second: float | None = None
    ) -> Any:
        """The config of the model whose tensors these are, by their published names.

        subjects: in the order of training. frames_per_second: by default what the file implies. Raises ValueError
        where the file is another stage's, or has another number of subjects.
        """
        raise NotImplementedError


def autocast(batch: Batch, settings: TrainingSettings) -> AbstractContextManager:
    """The precision in which a batch is computed."""
    return torch.autocast(batch.target.device.type, torch.bfloat16, enabled=settings.precision == "bf16")

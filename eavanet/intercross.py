"""EavaNet's training (the paper's III-B): intercross pairs, Eq. (7), and the lookup table of emotions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from eavanet.audio import AudioEncoder
from eavanet.data import Batch, Loader
from eavanet.losses import VERTEX_LOSSES, total_loss
from eavanet.model import EavaNet, EavaNetConfig
from eavanet.sampling import IntercrossSampler, Labelled
from eavanet.style import StyleConfig
from eavanet.system import Outcome, System, TrainingSettings, autocast

if TYPE_CHECKING:
    from eavanet.train import Task, TrainState


@dataclass(frozen=True)
class TrainConfig(TrainingSettings):
    """How to train EavaNet; the defaults are the paper's.

    vertex_loss: "norm" is Eq. (6) as printed, "mse" what the prose says. emotion_weight: lambda_CE of Eq. (7).
    compile: torch.compile.
    """

    CHOICES = TrainingSettings.CHOICES | {"vertex_loss": VERTEX_LOSSES}

    vertex_loss: str = "norm"
    emotion_weight: float = 0.001
    compile: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not self.emotion_weight >= 0:
            raise ValueError(f"emotion_weight = {self.emotion_weight}: must be 0 or more")


class EavaNetSystem(System):
    """The paper's own system."""

    name, title = "eavanet", "EavaNet"
    settings, config = TrainConfig, EavaNetConfig
    emotional = intercross = True

    def make_config(self, values: Mapping[str, Any]) -> EavaNetConfig:
        """An EavaNetConfig with its StyleConfig."""
        return super().make_config({**values, "style": StyleConfig(**values.get("style", {}))})

    def make_model(self, config: EavaNetConfig, encoder: AudioEncoder) -> EavaNet:
        """An EavaNet."""
        return EavaNet(config, encoder)

    def sampler(self, targets: Sequence[Labelled], pool: Sequence[Labelled]) -> IntercrossSampler:
        """Each clip with one of the same emotion, another subject and another sentence."""
        return IntercrossSampler(targets, pool)

    def losses(
        self, step: nn.Module, batch: Batch, settings: TrainConfig, weights: Tensor | None = None, epoch: int = 0
    ) -> Outcome:
        """Eq. (7), and how many emotions of the style clips the classifier reads rightly."""
        with autocast(batch, settings):
            predicted = step(batch.features, batch.n_frames, batch.speaker, batch.style, batch.style_frames)
        losses = total_loss(
            predicted.displacements, batch.target, batch.n_frames, predicted.logits, batch.emotion,
            emotion_weight=settings.emotion_weight, vertex_kind=settings.vertex_loss, clip_weights=weights,
        )  # fmt: skip
        right = (predicted.logits.argmax(dim=-1) == batch.emotion).float().mean()
        return Outcome(losses, predicted.displacements, {"emotion_accuracy": right})

    def stepped(self, model: EavaNet, settings: TrainConfig) -> nn.Module:
        """The model, compiled where that is asked for."""
        return torch.compile(model, dynamic=True) if settings.compile else model

    def begin_epoch(self, state: "TrainState", task: "Task", epoch: int) -> bool:
        """Before the first epoch, measure the unit of motion."""
        if epoch == 0 and state.model.config.style.standardise:
            measure_motion_unit(state.model, task.train)
        return False

    def end_epoch(self, state: "TrainState", task: "Task") -> None:
        """Keep the lookup table that belongs to the weights."""
        fill_lookup_table(state.model, task.train)


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

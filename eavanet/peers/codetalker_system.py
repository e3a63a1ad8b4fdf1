"""CodeTalker's training, both stages in one run, and its published files.

As the official code trains: stage 1 with AdamW on the mean absolute error of the coordinates and the codebook's own
term, then stage 2 with Adam and teacher forcing on the mean squared errors of coordinates and of code vectors, stage 1
standing still. Both at 1e-4, one clip at a time. Stage 2 starts from the best checkpoint of stage 1.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from eavanet.audio import AudioEncoder
from eavanet.data import Batch
from eavanet.peers.codetalker import CodeTalker, CodeTalkerConfig, Rebuilt
from eavanet.peers.codetalker_codes import AutoencoderConfig, perplexity
from eavanet.peers.codetalker_losses import code_losses, over_clips, speech_losses
from eavanet.peers.codetalker_published import stage_1_name, stage_2_config, stage_2_name
from eavanet.peers.published import fill, read_published
from eavanet.peers.speech import peer_speech
from eavanet.system import Outcome, System, TrainingSettings, autocast, halved

if TYPE_CHECKING:
    from eavanet.train import Task, TrainState


@dataclass(frozen=True)
class CodeTalkerTraining(TrainingSettings):
    """How to train CodeTalker; the defaults are the official code's for BIWI.

    epochs: of both stages together. code_epochs: how many of them, the first, are stage 1's.
    codes_from: a published stage 1 file, or a checkpoint of CodeTalker, to take stage 1 from instead of training it;
        then code_epochs is 0.
    learning_rate, halve_every: of stage 2, counted from its first epoch. code_learning_rate, code_halve_every: of
        stage 1 (for VOCASET it was halved every 20 epochs).
    codebook_weight: of the codebook's term in stage 1. code_weight: of the code vectors' error in stage 2.
    own_past: not the official code's. It teaches stage 2 with the true frames as the past (0). A model that never met
        its own frames drifts away from the truth, the sooner the fewer the training clips. Above 0, the model first
        makes the past anew from itself, as many times as chance says for each clip, but no more than this.
    """

    MINIMA = TrainingSettings.MINIMA | {"code_epochs": 0, "code_halve_every": 0, "own_past": 0}

    epochs: int = 300
    halve_every: int = 0
    code_epochs: int = 200
    codes_from: str = ""
    code_learning_rate: float = 1e-4
    code_halve_every: int = 0
    codebook_weight: float = 1.0
    code_weight: float = 1.0
    own_past: int = 0

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.code_epochs < self.epochs:
            raise ValueError(
                f"code_epochs = {self.code_epochs} of epochs = {self.epochs}: both stages together must have more "
                "epochs than stage 1"
            )
        if bool(self.codes_from) != (self.code_epochs == 0):
            raise ValueError(
                f"code_epochs = {self.code_epochs}, codes_from = {self.codes_from!r}: stage 1 is either trained "
                "(code_epochs above 0) or taken from a file (codes_from)"
            )
        if not (self.code_learning_rate > 0 and math.isfinite(self.code_learning_rate)):
            raise ValueError(f"code_learning_rate = {self.code_learning_rate}: must be above 0")
        for name in ("codebook_weight", "code_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: must be 0 or more")

    @property
    def stages(self) -> list[int]:
        """Stage 1's epochs, where it is trained, and stage 2's."""
        return [number for number in (self.code_epochs, self.epochs - self.code_epochs) if number]

    def stage(self, epoch: int) -> int:
        """Which stage is trained in an epoch, from 0."""
        return 1 if epoch < self.code_epochs else 2

    def learning_rate_in(self, epoch: int) -> float:
        """Each stage begins with its own."""
        if self.stage(epoch) == 1:
            return halved(self.code_learning_rate, self.code_halve_every, epoch)
        return halved(self.learning_rate, self.halve_every, epoch - self.code_epochs)


class CodeTalkerSystem(System):
    """CodeTalker, as its paper and official code have it."""

    name, title = "codetalker", "CodeTalker"
    settings, config = CodeTalkerTraining, CodeTalkerConfig

    def make_config(self, values: Mapping[str, Any]) -> CodeTalkerConfig:
        """A CodeTalkerConfig; without a period, that of a second, as in the published models."""
        rest = {key: value for key, value in values.items() if key not in ("codes", "n_vertices")}
        size = {"n_vertices": values["n_vertices"]} if "n_vertices" in values else {}
        codes = AutoencoderConfig(**{**values.get("codes", {}), **size})
        second = max(1, round(values["frames_per_second"]))
        return super().make_config({"period": second, **rest, "codes": codes})

    def make_model(self, config: CodeTalkerConfig, encoder: AudioEncoder) -> CodeTalker:
        """A CodeTalker that hears with `encoder`."""
        return CodeTalker(config, peer_speech(encoder, config.frames_per_second))

    def losses(
        self,
        step: nn.Module,
        batch: Batch,
        settings: CodeTalkerTraining,
        weights: Tensor | None = None,
        epoch: int = 0,
    ) -> Outcome:
        """The losses of the stage that learns. Without gradients, stage 2's motion is what it makes on its own.

        Its losses are taught in validation, too, as the official code has it; so they cannot show how errors add up
        from frame to frame, unless `own_past` is set. The motion can, by its lip vertex error.
        """
        with autocast(batch, settings):
            made = step(batch.features, batch.n_frames, batch.speaker, batch.target, _passes(batch, settings, epoch))
        truth = [clip[None, :length] for clip, length in zip(batch.target, batch.n_frames.tolist(), strict=True)]
        motions, measured = [one.motion[0].float() for one in made], {}
        if isinstance(made[0], Rebuilt):
            losses = [code_losses(*pair, settings.codebook_weight) for pair in zip(made, truth, strict=True)]
            indices = torch.cat([one.codes.indices.flatten() for one in made])
            measured = {"perplexity": torch.tensor(perplexity(indices, _plain(step).config.codes.n_codes))}
        else:
            losses = [speech_losses(*pair, settings.code_weight) for pair in zip(made, truth, strict=True)]
            if not torch.is_grad_enabled():
                motions = _spoken(_plain(step), batch)
        if weights is None:
            weights = torch.full((len(truth),), 1 / len(truth))
        return Outcome(over_clips(losses, weights), pad_sequence(motions, batch_first=True), measured)

    def optimizer(self, model: CodeTalker, settings: CodeTalkerTraining, epoch: int) -> torch.optim.Optimizer:
        """The one with which epoch number `epoch` (from 1) was trained; for 0, the first one's."""
        return _optimizer_of(model, settings, settings.stage(max(0, epoch - 1)))

    def begin_epoch(self, state: "TrainState", task: "Task", epoch: int) -> bool:
        """Let the stage learn whose turn it is; at the change from stage 1, take its best weights.

        Raises ValueError if `codes_from` holds no stage 1 of this size.
        """
        settings, stage = task.config, task.config.stage(epoch)
        state.model.learn(stage)
        if stage == 1 or epoch != settings.code_epochs:
            return False
        if settings.codes_from:
            take_codes(state.model, Path(settings.codes_from))
            return False
        if task.processes.world > 1:
            torch.distributed.barrier()  # until the first process has written the checkpoint
        take_codes(state.model, task.run.checkpoint("best"))
        state.optimizer = _optimizer_of(state.model, settings, stage)
        state.best_loss = math.inf  # stage 2's losses are others
        return True

    def recognises(self, tensors: Mapping[str, Tensor]) -> bool:
        """CodeTalker alone has a codebook."""
        return any(key.endswith("quantize.embedding.weight") for key in tensors)

    def published_name(self, published: str) -> str:
        """Our name of a tensor of the official model."""
        return stage_2_name(published)

    def published_config(
        self, tensors: Mapping[str, Tensor], subjects: tuple[str, ...], frames_per_second: float | None = None
    ) -> CodeTalkerConfig:
        """What the tensors' shapes tell, the published numbers of heads, and the period of the positions."""
        if "quantize.embedding.weight" in tensors:
            raise ValueError(
                "the file is CodeTalker's stage 1 alone, which knows no speech; take stage 2's file, or train stage 2 "
                "on it with --codes-from"
            )
        try:
            renamed = {stage_2_name(key): value for key, value in tensors.items()}
            return stage_2_config(renamed, subjects, frames_per_second=frames_per_second)
        except KeyError as error:
            raise ValueError(f"no tensor {error}; is the file truncated, or of another system?") from error


def take_codes(model: CodeTalker, path: Path) -> None:
    """Load stage 1 from a checkpoint folder of CodeTalker or from a published stage 1 file.

    Raises ValueError, saying what is missing or of another shape.
    """
    if path.is_dir():
        weights, prefix = path / "model.safetensors", "autoencoder."
        if not weights.exists():
            raise ValueError(f"{path}: is no checkpoint, it has no model.safetensors")
        tensors = {k.removeprefix(prefix): v for k, v in load_file(weights).items() if k.startswith(prefix)}
        fill(model.autoencoder, tensors, weights)
    else:
        fill(model.autoencoder, read_published(path), path, stage_1_name)


def _passes(batch: Batch, settings: CodeTalkerTraining, epoch: int) -> list[int]:
    """How often each clip's past is made anew: by chance in training, always as often as it may be in validation."""
    most = settings.own_past if settings.stage(epoch) == 2 else 0
    count = len(batch.n_frames)
    return torch.randint(most + 1, (count,)).tolist() if most and torch.is_grad_enabled() else count * [most]


def _optimizer_of(model: CodeTalker, settings: CodeTalkerTraining, stage: int) -> torch.optim.Optimizer:
    model.learn(stage)
    if stage == 1:
        return torch.optim.AdamW(model.autoencoder.parameters(), lr=settings.code_learning_rate)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.Adam(trained, lr=settings.learning_rate)


def _plain(step: nn.Module) -> CodeTalker:
    return getattr(step, "module", step)


def _spoken(model: CodeTalker, batch: Batch) -> list[Tensor]:
    """(T, 3V) of each clip, frame by frame from the model's own output."""
    heard = model.hear(batch.features, batch.n_frames)
    motions = []
    for one, speaker, length in zip(heard, batch.speaker, batch.n_frames, strict=True):
        own = (one[None, :length], length[None], speaker[None], one.new_empty(1, 0))
        motions.append(model.to_vertices(model.speak(*own))[0])
    return motions

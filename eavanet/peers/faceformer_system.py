"""FaceFormer's training and its published files.

As the official code trains: frame by frame from its own output, mean squared error of the coordinates, Adam at 1e-4
for 100 epochs, one clip at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eavanet.audio import AudioEncoder
from eavanet.data import Batch
from eavanet.losses import vertex_loss
from eavanet.peers.faceformer import FaceFormer, FaceFormerConfig
from eavanet.peers.speech import peer_speech
from eavanet.system import Outcome, System, TrainingSettings, autocast

HEADS = 4  # leave no trace in a file; the published models have so many
# Published name -> ours; what comes after them stays.
_NAMES = {
    "audio_feature_map": "audio_map", "vertice_map": "from_vertices", "vertice_map_r": "to_vertices",
    "PPE.pe": "positions", "transformer_decoder": "transformer", "obj_vector": "styles",
}  # fmt: skip


@dataclass(frozen=True)
class FaceFormerTraining(TrainingSettings):
    """How to train FaceFormer; the defaults are the official code's.

    teacher_forcing: predict each frame from the true frames before it, all at once, instead of from its own; quicker,
        but a model that was trained so has never met its own errors.
    """

    epochs: int = 100
    halve_every: int = 0
    teacher_forcing: bool = False


class FaceFormerLosses(NamedTuple):
    """Mean squared error of the coordinates, a scalar."""

    total: Tensor


class FaceFormerSystem(System):
    """FaceFormer, as its paper and official code have it."""

    name, title = "faceformer", "FaceFormer"
    settings, config = FaceFormerTraining, FaceFormerConfig

    def make_config(self, values: Mapping[str, Any]) -> FaceFormerConfig:
        """A FaceFormerConfig; without a period, that of a second, as in the published models."""
        second = max(1, round(values["frames_per_second"]))
        return super().make_config({"period": second, **values})

    def make_model(self, config: FaceFormerConfig, encoder: AudioEncoder) -> FaceFormer:
        """A FaceFormer that hears with `encoder`."""
        return FaceFormer(config, peer_speech(encoder, config.frames_per_second))

    def losses(
        self, step: nn.Module, batch: Batch, settings: FaceFormerTraining, weights: Tensor | None = None, epoch: int = 0
    ) -> Outcome:
        """The mean squared error, frame by frame or taught; without gradients always frame by frame."""
        taught = settings.teacher_forcing and torch.is_grad_enabled()
        with autocast(batch, settings):
            motion = step(batch.features, batch.n_frames, batch.speaker, batch.target if taught else None)
        per_clip = vertex_loss(motion, batch.target, batch.n_frames, "mse")  # (B,)
        total = per_clip.mean() if weights is None else (per_clip * weights.to(per_clip)).sum()
        return Outcome(FaceFormerLosses(total), motion)

    def recognises(self, tensors: Mapping[str, Tensor]) -> bool:
        """FaceFormer alone has a linear map from a one-hot subject to its style."""
        return "obj_vector.weight" in tensors

    def published_name(self, published: str) -> str:
        """Our name of a tensor of the official model."""
        for theirs, ours in _NAMES.items():
            if published == theirs or published.startswith(f"{theirs}."):
                return ours + published.removeprefix(theirs)
        return published

    def published_config(
        self, tensors: Mapping[str, Tensor], subjects: tuple[str, ...], frames_per_second: float | None = None
    ) -> FaceFormerConfig:
        """What the tensors' shapes tell, and the period of the positions, which is a second in the published files."""
        try:
            outward, styles, table = (tensors[key] for key in ("vertice_map_r.weight", "obj_vector.weight", "PPE.pe"))
        except KeyError as error:
            raise ValueError(f"no tensor {error}; is the file truncated, or of another system?") from error
        if len(subjects) != styles.shape[1]:
            raise ValueError(
                f"{len(subjects)} condition subjects were given, the model was trained with {styles.shape[1]}; give "
                "them all, in the order of its training"
            )
        period = repeats_after(table[0])
        rate = float(frames_per_second or period)
        return FaceFormerConfig(outward.shape[0] // 3, subjects, rate, period, width=outward.shape[1], heads=HEADS)


def repeats_after(table: Tensor) -> int:
    """After how many rows of (n, D) the first comes again."""
    again = (table[1:] == table[0]).all(dim=1).nonzero()
    return int(again[0]) + 1 if len(again) else len(table)

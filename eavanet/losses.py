"""The training criterion, Eq. (6) and (7). Pure functions; averages are over clips, each clip counts the same."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from eavanet.padding import sequence_mask

VERTEX_LOSSES = ("norm", "mse")


class Losses(NamedTuple):
    """The terms of Eq. (7), scalars."""

    total: Tensor
    vertex: Tensor
    emotion: Tensor


def vertex_loss(predicted: Tensor, target: Tensor, n_frames: Tensor, kind: str = "norm") -> Tensor:
    """Eq. (6): (B,) loss of each clip, from displacements (B, T, 3V) whose template is already subtracted.

    "norm" is the equation as printed, the mean over frames of the norm of each frame's difference. "mse" is the
    mean square error that the paper's prose speaks of. n_frames: (B,) on the CPU; frames behind the end count nothing.
    """
    difference = predicted.float() - target.float()
    if kind == "norm":
        per_frame = torch.linalg.vector_norm(difference, dim=-1)  # (B, T)
    elif kind == "mse":
        per_frame = difference.square().mean(dim=-1)  # (B, T)
    else:
        raise ValueError(f"vertex loss {kind!r}: expected one of {', '.join(VERTEX_LOSSES)}")
    mask = sequence_mask(n_frames, per_frame.shape[1], per_frame)
    if mask is not None:
        per_frame = torch.where(mask.squeeze(-1).bool(), per_frame, 0.0)
    return per_frame.sum(dim=1) / n_frames.to(per_frame.device)  # Eq. (6)


def total_loss(
    predicted: Tensor,
    target: Tensor,
    n_frames: Tensor,
    logits: Tensor,
    emotion: Tensor,
    *,
    emotion_weight: float = 0.001,
    vertex_kind: str = "norm",
    clip_weights: Tensor | None = None,
) -> Losses:
    """Eq. (7): L_vert + lambda_CE L_CE, averaged over the clips.

    logits (B, emotions) and emotion (B,) belong to the style clips, which share the emotion of their targets.
    clip_weights: (B,), default 1/B each; several GPUs use it where a batch does not divide evenly.
    """
    vertex = vertex_loss(predicted, target, n_frames, vertex_kind)
    cross_entropy = F.cross_entropy(logits.float(), emotion, reduction="none")
    weights = torch.full_like(vertex, 1 / len(vertex)) if clip_weights is None else clip_weights.to(vertex)
    vertex, cross_entropy = (vertex * weights).sum(), (cross_entropy * weights).sum()
    return Losses(vertex + emotion_weight * cross_entropy, vertex, cross_entropy)  # Eq. (7)

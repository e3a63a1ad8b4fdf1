"""CodeTalker's training criteria, as the official code has them. Pure functions of one clip."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from eavanet.peers.codetalker import Rebuilt, Taught


class CodeLosses(NamedTuple):
    """Of stage 1, scalars: mean absolute error of the coordinates, and the codebook's own term (see `Codebook`)."""

    total: Tensor
    reconstruction: Tensor
    codebook: Tensor


class SpeechLosses(NamedTuple):
    """Of stage 2, scalars: mean squared errors of the coordinates, and of the code vectors before quantisation."""

    total: Tensor
    motion: Tensor
    codes: Tensor


def code_losses(rebuilt: Rebuilt, motion: Tensor, codebook_weight: float = 1.0) -> CodeLosses:
    """Stage 1 on one clip (1, T, 3V)."""
    reconstruction = F.l1_loss(rebuilt.motion.float(), motion)
    return CodeLosses(reconstruction + codebook_weight * rebuilt.codes.loss, reconstruction, rebuilt.codes.loss)


def speech_losses(taught: Taught, motion: Tensor, code_weight: float = 1.0) -> SpeechLosses:
    """Stage 2 on one clip (1, T, 3V)."""
    motion_loss = F.mse_loss(taught.motion.float(), motion)
    codes = F.mse_loss(taught.predicted.float(), taught.wanted.float())
    return SpeechLosses(motion_loss + code_weight * codes, motion_loss, codes)


def over_clips(losses: list[CodeLosses] | list[SpeechLosses], weights: Tensor) -> CodeLosses | SpeechLosses:
    """Each term summed over the clips of a batch by the clips' weights (B,)."""
    return type(losses[0])(*(torch.stack(terms) @ weights.to(terms[0]) for terms in zip(*losses, strict=True)))

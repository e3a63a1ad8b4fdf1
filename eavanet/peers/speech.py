"""How FaceFormer and CodeTalker hear: wav2vec2, its states brought to the frame rate of the motion.

The convolutional part is frozen and gives about 50 states per second. At 25 frames per second each frame has two of
them; at any other rate (VOCASET has 30) the states are interpolated to one per frame.

The official code takes a clip's states as they come: at 25 fps their number is cut to an even one, and as the first
state needs 400 samples, 4 s give 198 states and 99 frames (`original_features`). Where T frames are wanted, as by a
corpus whose clips have as many frames as their sound lasts, `features` lets the sound end in silence until there are
enough (as EavaNet does): no frame is missing, and all but the last see what they would have seen.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from eavanet.audio import AudioEncoder, fit_length, samples_for

STATES_PER_SECOND = 50.0


def states_per_frame(frames_per_second: float) -> int:
    """How many states a frame sees: two at 25 frames per second, where nothing is interpolated; else one."""
    return 2 if 2 * frames_per_second == STATES_PER_SECOND else 1


def peer_speech(encoder: AudioEncoder, frames_per_second: float) -> "PeerSpeech":
    """The same wav2vec2, heard as the peers hear it; a model of theirs owns it from then on."""
    return PeerSpeech(
        encoder.wav2vec2, name=encoder.name, normalise=encoder.normalise, regularise=encoder.regularise,
        states_per_frame=states_per_frame(frames_per_second),
    )  # fmt: skip


class PeerSpeech(AudioEncoder):
    """`features` is the frozen part, once per clip; `forward` the trained part, with SpecAugment in training only."""

    def __init__(self, wav2vec2, *, states_per_frame: int, **settings):
        super().__init__(wav2vec2, **settings)
        self.states_per_frame = states_per_frame

    @torch.no_grad()
    def features(self, samples: np.ndarray, n_frames: int, frames_per_second: float) -> Tensor:
        """The frozen features (states_per_frame x T, C) of one clip's samples (S,) at 16 kHz, for T = `n_frames`."""
        if self.states_per_frame == 2:
            return super().features(samples, n_frames, frames_per_second)  # (2T, C), nothing interpolated
        states = self._extracted(self._normalised(samples))  # (1, C, n)
        return _interpolated(states, n_frames)

    @torch.no_grad()
    def original_features(self, samples: np.ndarray, frames_per_second: float) -> Tensor:
        """What the official prediction makes of samples (S,), taken as they are: (states_per_frame x T, C).

        T follows from the sound, and is a little less than it lasts.
        """
        states = self._extracted(np.asarray(samples, dtype=np.float32))  # (1, C, n)
        n_states = states.shape[-1]
        if self.states_per_frame == 1:
            return _interpolated(states, math.floor(n_states / STATES_PER_SECOND * frames_per_second))
        return states[0].T[: n_states // 2 * 2].float().contiguous()

    def frozen_sha256(self) -> str:
        """As `AudioEncoder`'s, whose kept features are the same where nothing is interpolated."""
        known = super().frozen_sha256()
        return known if self.states_per_frame == 2 else f"{self.states_per_frame}-{known}"

    def _extracted(self, samples: np.ndarray) -> Tensor:
        parameter = next(self.wav2vec2.feature_extractor.parameters())
        long_enough = fit_length(samples, max(len(samples), samples_for(1)))
        return self.wav2vec2.feature_extractor(torch.from_numpy(long_enough)[None].to(parameter))


def _interpolated(states: Tensor, n_frames: int) -> Tensor:
    """(T, C) from states (1, C, n)."""
    resized = F.interpolate(states, size=max(1, n_frames), mode="linear", align_corners=True)
    return resized[0].T.float().contiguous()

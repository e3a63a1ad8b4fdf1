"""Frozen audio features on disk: computed once per clip and encoder, then read.

    <folder>/<hash of the frozen part>/<hash of audio, frames and frame rate>.npy       (2T, C) float32

2T is the encoder's `states_per_frame` x T.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from db import store
from eavanet.audio import AudioEncoder


class FeatureCache:
    """Features of clips under `folder`; safe to share between processes, since files appear complete or not at all."""

    def __init__(self, folder: Path, encoder: AudioEncoder, frames_per_second: float):
        self.encoder = encoder
        self.frames_per_second = frames_per_second
        self.folder = folder / encoder.frozen_sha256()[:32]

    def features(self, samples: np.ndarray, n_frames: int) -> Tensor:
        """(2T, C) float32 of one clip; computed and stored if this is the first time."""
        path = self.folder / f"{_audio_sha256(samples, n_frames, self.frames_per_second)}.npy"
        stored = _read(path, self.encoder.states_per_frame * n_frames)
        if stored is not None:
            return stored
        return self._store(path, lambda: self.encoder.features(samples, n_frames, self.frames_per_second))

    def _store(self, path: Path, compute: Callable[[], Tensor]) -> Tensor:
        features = compute().cpu()
        try:
            with store.atomic_write(path) as partial, partial.open("wb") as file:
                np.save(file, features.numpy())
        except OSError as error:
            raise OSError(
                f"{self.folder}: audio features cannot be stored ({error.strerror or error}); free some space or "
                "point EAVANET_DATA to another disk"
            ) from error
        return features


def _read(path: Path, n_states: int) -> Tensor | None:
    """The stored features, or None if there are none or the file is not what it should be."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    good = stored.dtype == np.float32 and stored.ndim == 2 and len(stored) == n_states
    return torch.from_numpy(stored) if good else None


def _audio_sha256(samples: np.ndarray, n_frames: int, frames_per_second: float) -> str:
    digest = hashlib.sha256(f"{n_frames} frames, {frames_per_second} per second".encode())
    digest.update(np.ascontiguousarray(samples, dtype=np.float32).data)
    return digest.hexdigest()

"""Stand-ins for recordings: any face moved smoothly, and sound that begins and ends like speech.

The recorded corpus is licence-gated; with these, importers, player and models can be tried at its real topology.
"""

import numpy as np


def moving_face(face: np.ndarray, n_frames: int, frames_per_second: float = 25.0, seed: int = 0) -> np.ndarray:
    """`face` (V, 3), y up and looking to +z, with an opening jaw and rising brows: (T, V, 3) float32.

    Lower face and brows move along smooth fields, so neighbours stay neighbours; the back of the head rests.
    """
    low, high = face.min(axis=0), face.max(axis=0)
    x, y, z = ((face - (low + high) / 2) / ((high - low) / 2)).T  # each within -1..1
    front = np.clip(z + 0.5, 0, 1) ** 2
    jaw = np.exp(-(((y + 0.7) / 0.45) ** 2)) * front
    brows = np.exp(-(((y - 0.45) / 0.2) ** 2) - (x / 0.7) ** 2) * front
    height = high[1] - low[1]
    fields = np.stack(
        [
            jaw[:, None] * [0.0, -0.06 * height, -0.02 * height],
            brows[:, None] * [0.0, 0.03 * height, 0.0],
        ]
    )
    weights = np.stack([_openings(n_frames, frames_per_second, seed), _raises(n_frames, seed)])
    return (face + np.einsum("kt,kvc->tvc", weights, fields)).astype(np.float32)


def imitated_speech(duration_s: float, rate: int = 16_000, silence_s: float = 0.3, seed: int = 0) -> np.ndarray:
    """(S,) float32 at `rate` Hz: a voice-like buzz in syllables, with `silence_s` of silence at both ends."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(duration_s * rate)) / rate
    pitch = rng.uniform(100, 220)
    voice = sum(np.sin(2 * np.pi * pitch * harmonic * time) / harmonic for harmonic in range(1, 12))
    syllables = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * (time - silence_s))
    spoken = (time >= silence_s) & (time < duration_s - silence_s)
    return (0.2 * voice * syllables * spoken).astype(np.float32)


def _openings(n_frames: int, frames_per_second: float, seed: int) -> np.ndarray:
    """How far the jaw is open in each frame, 0..1, about four syllables per second."""
    time = np.arange(n_frames) / frames_per_second
    return (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * time + seed))


def _raises(n_frames: int, seed: int) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(np.linspace(0, 2 * np.pi, n_frames) + seed)

"""A corpus of a few vertices, for tests that write real files and read them back."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from db.corpus.imitate import imitated_speech
from db.corpus.write import Beside, Sequence, write_peers, write_raw

ROWS, COLUMNS = 6, 7
N_VERTICES = ROWS * COLUMNS
FPS = 25
REAL_FACE = Path(__file__).resolve().parents[2] / "shared" / "biwi" / "BIWI.ply"


def face() -> np.ndarray:
    """A bulging sheet, (V, 3), y up, looking to +z."""
    y, x = np.mgrid[1 : -1 : ROWS * 1j, -0.7 : 0.7 : COLUMNS * 1j]
    return np.stack([x, y, 0.5 - x**2 - 0.2 * y**2], axis=-1).reshape(-1, 3)


def triangles() -> np.ndarray:
    corner = np.arange(N_VERTICES).reshape(ROWS, COLUMNS)
    a, b, c, d = (corner[i : ROWS - 1 + i, j : COLUMNS - 1 + j].ravel() for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def moving(n_frames: int, seed: int = 0) -> np.ndarray:
    """The face with a wave running over it, (T, V, 3) float32."""
    phase = np.linspace(0, 6, n_frames)[:, None] + face()[:, 1] + seed
    frames = np.repeat(face()[None], n_frames, axis=0)
    frames[..., 2] += 0.1 * np.sin(phase)
    return frames.astype(np.float32)


def sequence(subject: str, sentence: str, n_frames: int = 30, rate: int = 16_000, **changes) -> Sequence:
    """One clip whose sound is as long as its motion."""
    values = {
        "vertices": moving(n_frames),
        "speech": imitated_speech(n_frames / FPS, rate, silence_s=0.2),
        "rate": rate,
    }
    return Sequence(subject, sentence, **{**values, **changes})


def beside(subjects: Iterable[str] = ("F1", "M2"), **changes) -> Beside:
    """Templates, triangles, settings and regions that go with `sequence`."""
    values = {
        "templates": {subject: face() for subject in subjects},
        "faces": triangles(),
        "settings": {"name": "small", "frames_per_second": FPS, "synthetic": True, "normalisation": "none"},
        "regions": {"lve": [1, 2, 3], "fdd": [30, 31]},
    }
    return Beside(**{**values, **changes})


def four_clips() -> list[Sequence]:
    return [sequence(subject, sentence) for subject in ("F1", "M2") for sentence in ("e01", "01")]


def write_small(folder: Path, layout: str = "peers", sequences: Iterable[Sequence] | None = None, **changes) -> Path:
    """The corpus in `folder`, which it returns; every clip has original ratings that make it no outlier."""
    write = {"peers": write_peers, "raw": write_raw}[layout]
    sequences = four_clips() if sequences is None else list(sequences)
    rated = {"original_ratings": {(clip.subject, clip.sentence): {"sad": 1.0} for clip in sequences}}
    write(folder, sequences, beside(**{**rated, **changes}))
    return folder

"""A corpus as a layout's reader finds it on the disk: what there is, before any clip is looked at closely."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from db.corpus.naming import clip_name
from db.corpus.problems import Problem


@dataclass(frozen=True)
class ClipSource:
    """One clip's files. `read` gives (T, V, 3) in the peers' coordinates, or raises BadFile."""

    subject: str
    sentence: str
    vertices_path: Path | None  # a .npy file, a folder of frames, or an archive of frames
    audio_path: Path | None
    read: Callable[[], np.ndarray] | None

    @property
    def name(self) -> str:
        return clip_name(self.subject, self.sentence)


@dataclass
class CorpusSource:
    """What one folder holds. Templates (V, 3) and sequences share the coordinates that `normalisation` names."""

    folder: Path
    layout: str  # "peers" or "raw"
    name: str
    synthetic: bool
    licence: str
    description: str
    frames_per_second: float
    normalisation: str
    mm_per_unit: float | None
    faces: np.ndarray  # (F, 3) uint32
    n_vertices: int
    colours: np.ndarray | None  # (V, 3) uint8
    templates: dict[str, np.ndarray]
    regions: dict[str, np.ndarray] = field(default_factory=dict)
    original_ratings: dict[str, dict[str, float]] = field(default_factory=dict)
    clips: list[ClipSource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)  # everything that was read besides the clips' own files

    @property
    def subjects(self) -> list[str]:
        return sorted({clip.subject for clip in self.clips})

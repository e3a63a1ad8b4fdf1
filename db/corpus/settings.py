"""`corpus.toml`, which says what a corpus folder holds, and the options that a person gives with it."""

import math
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from db import store
from db.corpus.errors import UnusableCorpus

DEFAULT_FRAMES_PER_SECOND = 25.0  # BIWI's
NORMALISATIONS = ("per-frame", "template", "per-axis", "none")
LOUDNESS = ("peak", "rms")


@dataclass(frozen=True)
class CorpusToml:
    """The keys of corpus.toml; a missing file counts as one without keys."""

    name: str | None = None
    frames_per_second: float | None = None
    synthetic: bool = False
    licence: str = ""
    normalisation: str | None = None
    mm_per_unit: float | None = None
    description: str = ""
    made_by: str = ""  # which program wrote the folder


@dataclass(frozen=True)
class ImportOptions:
    """How to read a corpus; None leaves it to corpus.toml, and then to the default of the layout.

    The paper is silent on `top_db` (librosa's own default is taken) and on what -3 dB refers to (the highest
    peak, in dB relative to full scale).
    """

    name: str | None = None
    layout: str | None = None  # "peers" or "raw", where a folder holds both
    frames_per_second: float | None = None
    normalisation: str | None = None
    tolerance_frames: float = 5.0
    sentences_are: str | None = None  # "emotional" or "neutral"
    numbering: str | None = None  # "facexhubert"
    loudness: str = "peak"
    level_db: float = -3.0
    top_db: float = 60.0

    def __post_init__(self):
        _one_of("layout", self.layout, (None, "peers", "raw"))
        _one_of("normalisation", self.normalisation, (None, *NORMALISATIONS))
        _one_of("sentences_are", self.sentences_are, (None, "emotional", "neutral"))
        _one_of("numbering", self.numbering, (None, "facexhubert"))
        _one_of("loudness", self.loudness, LOUDNESS)
        if self.name is not None:
            store.checked_name(self.name, "corpus")
        if self.frames_per_second is not None:
            _within("frames_per_second", self.frames_per_second, 1, 1000)
        _within("tolerance_frames", self.tolerance_frames, 0, 1000)
        _within("level_db", self.level_db, -60, 0)
        _within("top_db", self.top_db, 1, 200)
        if self.numbering and self.sentences_are:
            raise ValueError("numbering and sentences_are both say how sentences are named; give one of them")


def read_toml(folder: Path) -> CorpusToml:
    """The settings in `folder`/corpus.toml, or the defaults where there is no such file.

    Raises UnusableCorpus for a file that cannot be parsed, an unknown key or a value of another kind.
    """
    path = folder / "corpus.toml"
    if not path.exists():
        return CorpusToml()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnusableCorpus(f"corpus.toml: {error}; correct the file") from error
    known = [field.name for field in fields(CorpusToml)]
    for key, value in values.items():
        if key not in known:
            raise UnusableCorpus(f"corpus.toml: unknown key {key!r}; known are {', '.join(known)}")
        _check_value(key, value)
    return CorpusToml(**values)


def _check_value(key: str, value: object) -> None:
    try:
        if key == "synthetic" and not isinstance(value, bool):
            raise ValueError(f"synthetic = {value!r}: expected true or false")
        if key in ("name", "licence", "description", "normalisation", "made_by") and not isinstance(value, str):
            raise ValueError(f"{key} = {value!r}: expected text in quotes")
        if key == "name":
            store.checked_name(value, "corpus")
        if key == "normalisation":
            _one_of(key, value, NORMALISATIONS)
        if key == "frames_per_second":
            _within(key, value, 1, 1000)
        if key == "mm_per_unit":
            _within(key, value, 1e-9, 1e9)
    except ValueError as error:
        raise UnusableCorpus(f"corpus.toml: {error}") from error


def _one_of(what: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed if choice is not None)
        raise ValueError(f"{what} = {value!r}: expected one of {choices}")


def _within(what: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{what} = {value!r}: expected a number")
    if not low <= value <= high:
        raise ValueError(f"{what} = {value!r}: expected {low} to {high}")

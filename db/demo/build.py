"""Make the demo corpus: plan who says what and how, make every clip, write the folder in one step.

    from db.demo.build import make_demo_corpus
    make_demo_corpus(Path("demo"), sentences=20)

The same arguments give the same bytes. The folder is in the peers' layout, or in the layout in which BIWI is
distributed; it has that corpus's gaps, so that importing it meets what importing the real one meets.
"""

from __future__ import annotations

import csv
import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import store
from ..corpus.write import Beside, Sequence, write_peers, write_raw
from . import action_units, appearance, identity, scores, speech
from .face import MM_PER_UNIT, build_face
from .motion import FRAMES_PER_SECOND, Lips, Style, facial_actions

DEFAULT_SENTENCES = 20  # 270 clips, 5 per subject and emotion; see benchmarks/demo_corpus.py for size and time
MOST_SENTENCES = 50
EMOTIONS = ("happy", "angry", "sadness", "neutral")
LAYOUTS = ("peers", "raw")
MADE_BY = "db.demo"
LICENCE = "Synthetic; made by this project's own code, free to use for any purpose."

# What real copies of BIWI lack: sequences, and four sound files.
MISSING_SEQUENCES = frozenset({"F1_e20", "F3_e02", "F3_e03", "M2_e20"} | {f"M1_e{n:02d}" for n in range(1, 21)})
MISSING_WAVS = frozenset({"F6_e05", "M3_e07", "M4_e01", "M6_e09"})
OUTLIER_EVERY = 60  # one clip in so many was rated by nobody

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Take:
    """One planned clip: who says which sentence, with which emotion, how strongly (0..1)."""

    subject: str
    sentence: str
    emotion: str
    strength: float

    @property
    def clip(self) -> str:
        return f"{self.subject}_{self.sentence}"

    @property
    def intensity(self) -> float:
        """How strongly the clip shows what it shows, on the raters' scale from 1 to 5."""
        return round(1 + 4 * self.strength, 2)


@dataclass(frozen=True)
class DemoClip:
    """A finished clip: vertices (T, V, 3) float32 in corpus units, audio (S,) int16, and the take behind it."""

    take: Take
    vertices: NDArray[np.float32]
    audio: NDArray[np.int16]
    rate_hz: int
    phonemes: tuple[speech.Phoneme, ...]


def _rng(seed: int, *names: str) -> np.random.Generator:
    """Random numbers that belong to a name, so that a clip does not depend on which others are made."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def sentence_names(sentences: int) -> list[str]:
    """`e01`.. for the emotional takes and `01`.. for the neutral ones, one in five; as BIWI names them.

    Raises ValueError outside 1 to `MOST_SENTENCES`.
    """
    if not 1 <= sentences <= MOST_SENTENCES:
        raise ValueError(f"{sentences} sentences: the demo corpus can have 1 to {MOST_SENTENCES} per subject")
    neutral = sentences // 5
    return [f"e{n:02d}" for n in range(1, sentences - neutral + 1)] + [f"{n:02d}" for n in range(1, neutral + 1)]


def plan_takes(sentences: int, seed: int, subjects: Iterable[str] | None = None) -> list[Take]:
    """Every take of a corpus, missing sequences left out; the four emotions are balanced within each subject.

    Raises ValueError for a subject that the demo does not have.
    """
    wanted = list(subjects) if subjects is not None else list(identity.SUBJECTS)
    unknown = [name for name in wanted if name not in identity.SUBJECTS]
    if unknown:
        raise ValueError(f"subject {', '.join(unknown)}: the demo has {', '.join(identity.SUBJECTS)}")
    names = sentence_names(sentences)
    takes = [take for subject in wanted for take in _takes_of(subject, names, seed)]
    return [take for take in takes if take.clip not in MISSING_SEQUENCES]


def _takes_of(subject: str, names: list[str], seed: int) -> list[Take]:
    rng = _rng(seed, subject, "plan")
    emotional = [name for name in names if name.startswith("e")]
    spare = max(0, round(len(names) / 4) - (len(names) - len(emotional)))  # neutral among the emotional takes
    rest = len(emotional) - spare
    feelings = ["neutral"] * spare + [EMOTIONS[i % 3] for i in range(rest)]
    dealt = dict(zip(emotional, rng.permutation(feelings), strict=True))
    takes = []
    for name in names:
        emotion = str(dealt.get(name, "neutral"))
        mean = identity.SUBJECTS[subject].expressiveness
        strength = float(np.clip(rng.normal(mean, 0.10), 0.08, 1.0))
        faint = float(np.clip(abs(rng.normal(0, 0.06)), 0, 0.2))
        takes.append(Take(subject, name, emotion, faint if emotion == "neutral" else strength))
    return takes


def demo_clips(
    takes: Iterable[Take], vertices: str = "small", seed: int = 0, speech_engine: str | None = None
) -> Iterator[DemoClip]:
    """Make the clips of `takes` one by one, so that memory holds one at a time."""
    for take in takes:
        yield make_clip(take, vertices, seed, speech_engine)


@cache
def _template(vertices: str, subject: str) -> NDArray[np.float64]:
    return identity.template_of(build_face(vertices), subject)


def make_clip(take: Take, vertices: str, seed: int, speech_engine: str | None = None) -> DemoClip:
    """One clip: speak, move, and lay the motion over the subject's template."""
    face, fields = build_face(vertices), action_units.displacement_fields(vertices)
    rng = _rng(seed, take.clip)
    prosody = speech.prosody_of(take.emotion, take.strength, rng)
    spoken = speech.speak(speech.sentence_for(take.sentence), speech.VOICES[take.subject], prosody, speech_engine)
    utterance = speech.padded(spoken, 0.20, 0.04, rng)
    style = Style.drawn(_rng(seed, take.subject, "style"))
    actions = facial_actions(utterance, take.emotion, take.strength, style, Lips.of(face, fields), rng)
    # einsum instead of a matrix product: no threads, so the same bytes on every run
    moved = np.einsum("ta,avk->tvk", actions, fields) + _template(vertices, take.subject)
    moved = (moved / MM_PER_UNIT).astype(np.float32)
    return DemoClip(take, moved, utterance.audio, utterance.rate_hz, utterance.phonemes)


def make_demo_corpus(
    out: Path,
    sentences: int = DEFAULT_SENTENCES,
    vertices: str = "small",
    seed: int = 0,
    subjects: Iterable[str] | None = None,
    layout: str = "peers",
    progress: Progress | None = None,
) -> dict[str, object]:
    """Make the demo corpus in the folder `out`, which appears complete or not at all; returns a summary.

    `vertices` is "small" or "full", `layout` "peers" or "raw" (as BIWI is distributed: mm, upside down, a file per
    frame); `progress(done, total, clip)` is called after every clip. An earlier demo corpus in `out` is replaced;
    ValueError if anything else is there, or for impossible choices.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    out, takes = Path(out), plan_takes(sentences, seed, subjects)
    face = build_face(vertices)  # rejects an unknown size before anything is written
    _refuse_foreign_folder(out)
    unit_mm = MM_PER_UNIT if layout == "peers" else 1.0
    outliers = _outliers(takes, seed)
    tally = {"frames": 0, "seconds": 0.0}
    with store.atomic_folder(out) as folder:
        clips = _counted(demo_clips(takes, vertices, seed), len(takes), tally, progress)
        sequences = (_sequence(clip, unit_mm) for clip in clips)
        write = write_peers if layout == "peers" else write_raw
        write(folder, sequences, _beside(takes, outliers, vertices, seed, layout, unit_mm))
        _write_truth(folder, takes)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "folder": str(out), "clips": len(takes), "subjects": len({take.subject for take in takes}),
        "vertices": len(face.vertices), **tally, "bytes": size, "speech": speech.engine(), "outliers": outliers,
        "missing_wavs": sorted(MISSING_WAVS & {take.clip for take in takes}),
    }  # fmt: skip


def _refuse_foreign_folder(out: Path) -> None:
    """ValueError if `out` holds something that we did not make."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        made_by = tomllib.loads((out / "corpus.toml").read_text("utf-8")).get("made_by")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        made_by = None
    if made_by != MADE_BY:
        raise ValueError(f"{out}: there is something here that is not a demo corpus; choose another folder or empty it")


def _counted(
    clips: Iterator[DemoClip], total: int, tally: dict[str, float], progress: Progress | None
) -> Iterator[DemoClip]:
    for done, clip in enumerate(clips, start=1):
        yield clip
        tally["frames"] += len(clip.vertices)
        tally["seconds"] = round(tally["seconds"] + len(clip.audio) / clip.rate_hz, 3)
        if progress:
            progress(done, total, clip.take.clip)


def _sequence(clip: DemoClip, unit_mm: float) -> Sequence:
    """The clip as the writers of `db.corpus` take it; without sound where a real copy lacks it."""
    sound = None if clip.take.clip in MISSING_WAVS else clip.audio.astype(np.float32) / 32768
    scaled = clip.vertices * np.float32(MM_PER_UNIT / unit_mm)
    return Sequence(clip.take.subject, clip.take.sentence, scaled, sound, clip.rate_hz)


def _beside(takes: list[Take], outliers: list[str], vertices: str, seed: int, layout: str, unit_mm: float) -> Beside:
    """Templates, topology, regions, original ratings and corpus.toml."""
    face = build_face(vertices)
    subjects = dict.fromkeys(take.subject for take in takes)
    about = f"Synthetic talking heads: {len(takes)} clips, {vertices} face, speech by {speech.engine()}, seed {seed}."
    settings = {
        "name": "demo", "frames_per_second": FRAMES_PER_SECOND, "synthetic": True, "licence": LICENCE,
        "normalisation": "none" if layout == "peers" else None, "mm_per_unit": unit_mm if layout == "peers" else None,
        "description": about, "made_by": MADE_BY,
    }  # fmt: skip
    return Beside(
        templates={name: (_template(vertices, name) / unit_mm).astype(np.float32) for name in subjects},
        faces=face.faces,
        settings=settings,
        colours=appearance.colours_of(face),
        regions=appearance.regions_of(face),
        original_ratings={(t.subject, t.sentence): _scores(t, t.clip in outliers, seed) for t in takes},
    )


def _outliers(takes: list[Take], seed: int) -> list[str]:
    """The clips that nobody rated; their scores are all zero."""
    order = _rng(seed, "outliers").permutation(len(takes))
    return sorted(takes[i].clip for i in order[: len(takes) // OUTLIER_EVERY])


def _scores(take: Take, outlier: bool, seed: int) -> dict[str, float]:
    judged = scores.adjective_scores(take.emotion, take.strength, _rng(seed, take.clip, "scores"))
    return dict.fromkeys(scores.ADJECTIVES, 0.0) if outlier else dict(zip(scores.ADJECTIVES, judged, strict=True))


def _write_truth(folder: Path, takes: list[Take]) -> None:
    """truth.csv: what each clip was made to show; for checks, never for raters."""
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["clip", "subject", "sentence", "emotion", "intensity", "text"])
        for take in takes:
            text = speech.sentence_for(take.sentence).text
            rows.writerow([take.clip, take.subject, take.sentence, take.emotion, take.intensity, text])

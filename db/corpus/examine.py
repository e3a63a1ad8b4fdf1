"""One clip looked at closely: is its motion whole, is there speech, do the two belong together?"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from db import preprocess
from db.corpus.detect import detect_layout
from db.corpus.errors import BadFile
from db.corpus.peers import read_peers
from db.corpus.problems import Problem
from db.corpus.raw import read_raw
from db.corpus.settings import ImportOptions
from db.corpus.source import ClipSource, CorpusSource
from db.corpus.wav import read_audio

_FRAMES_AT_ONCE = 16  # bounds the memory of the check for NaN


@dataclass
class Examined:
    """What is known of one clip. `broken` says why it cannot be used; "" if it can."""

    clip: ClipSource
    vertices: np.ndarray | None = None  # (T, V, 3), all frames
    speech: preprocess.Speech | None = None
    broken: str = ""
    source_duration_s: float = 0.0
    problems: list[Problem] = field(default_factory=list)

    @property
    def source_frames(self) -> int:
        return 0 if self.vertices is None else len(self.vertices)

    @property
    def kept(self) -> slice:
        """The frames that go with the kept speech; all frames where there is none."""
        if self.speech is None:
            return slice(0, self.source_frames)
        return slice(self.speech.first_frame, self.speech.first_frame + self.speech.n_frames)

    def breaks(self, kind: str, message: str) -> None:
        """Note that the clip cannot be used; the first reason is the one that is shown with it."""
        self.broken = self.broken or message
        self.problems.append(Problem(kind, message, self.clip.name))


def open_corpus(folder: Path, options: ImportOptions) -> CorpusSource:
    """What `folder` holds, in whichever layout; raises UnusableCorpus where it cannot be used at all."""
    read = {"peers": read_peers, "raw": read_raw}[detect_layout(folder, options.layout)]
    return read(folder.resolve(), options)


def examine(clip: ClipSource, source: CorpusSource, options: ImportOptions) -> Examined:
    """Read one clip whole and prepare its speech; whatever is wrong with it ends up in `problems`."""
    examined = Examined(clip)
    _examine_vertices(examined)
    _examine_audio(examined, source.frames_per_second, options)
    return examined


def _examine_vertices(examined: Examined) -> None:
    clip = examined.clip
    if clip.read is None:
        examined.breaks("missing_vertices", f"{clip.name}: there is sound but no motion; was its file copied?")
        return
    try:
        vertices = clip.read()
    except BadFile as error:
        examined.breaks(error.kind, str(error))
        return
    bad = first_bad_frame(vertices)
    if bad is None:
        examined.vertices = vertices
    else:
        examined.breaks(
            "not_finite",
            f"{clip.name}: frame {bad} has coordinates that are NaN or infinite; the export "
            "went wrong there. Make the file again",
        )


def first_bad_frame(vertices: np.ndarray) -> int | None:
    """The first frame of (T, V, 3) with a NaN or infinite coordinate, or None."""
    for start in range(0, len(vertices), _FRAMES_AT_ONCE):
        good = np.isfinite(vertices[start : start + _FRAMES_AT_ONCE]).all(axis=(1, 2))
        if not good.all():
            return start + int(np.argmin(good))
    return None


def _examine_audio(examined: Examined, frames_per_second: float, options: ImportOptions) -> None:
    clip = examined.clip
    if clip.audio_path is None:
        examined.breaks("missing_audio", f"{clip.name}: there is motion but no sound; was its file copied?")
        return
    try:
        samples, rate = read_audio(clip.audio_path)
    except BadFile as error:
        examined.breaks(error.kind, str(error))
        return
    examined.source_duration_s = len(samples) / rate
    if examined.vertices is None or not _lengths_agree(examined, frames_per_second, options.tolerance_frames):
        return
    try:
        examined.speech = preprocess.prepare_speech(
            preprocess.to_16_khz(samples, rate),
            examined.source_frames,
            frames_per_second,
            loudness=options.loudness,
            level_db=options.level_db,
            top_db=options.top_db,
        )
    except preprocess.UnusableAudio as error:
        examined.breaks(error.kind, f"{clip.name}: {error}")


def _lengths_agree(examined: Examined, frames_per_second: float, tolerance: float) -> bool:
    name, frames = examined.clip.name, examined.source_frames
    heard = examined.source_duration_s * frames_per_second
    if abs(heard - frames) > tolerance:
        examined.breaks(
            "length_mismatch",
            f"{name}: {frames} frames of motion but sound for {heard:.1f} frames at {frames_per_second:g} per second, "
            f"more than {tolerance:g} apart; is the frame rate right, and is it the same take? (--fps, --tolerance)",
        )
        return False
    # Less than half a frame is no difference: T = round(frames per second x duration).
    if abs(heard - frames) > 0.5:
        examined.problems.append(
            Problem(
                "length_trimmed",
                f"{name}: {frames} frames of motion, sound for {heard:.1f}; cut to what both have",
                name,
            )
        )
    return True

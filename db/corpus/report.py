"""What a check or an import has to say, for people and as JSON."""

from collections import Counter
from dataclasses import asdict, dataclass, field

from db.corpus.examine import Examined
from db.corpus.original_ratings import is_outlier
from db.corpus.problems import Problem
from db.corpus.source import CorpusSource

_SHOWN_PER_KIND = 20


@dataclass
class Report:
    """Counts over one corpus, and its problems and notes in the order in which they were found."""

    name: str
    folder: str
    layout: str
    synthetic: bool
    normalisation: str
    frames_per_second: float
    n_vertices: int
    n_faces: int
    n_subjects: int
    n_clips: int
    action: str = "checked"  # "checked", "imported", "updated", "unchanged" or "moved"
    clips: Counter = field(default_factory=Counter)  # status -> how many
    frames: int = 0  # kept, of usable clips
    duration_s: float = 0.0
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, source: CorpusSource) -> "Report":
        """A report on `source` before any clip was looked at."""
        return cls(
            source.name,
            str(source.folder),
            source.layout,
            source.synthetic,
            source.normalisation,
            source.frames_per_second,
            source.n_vertices,
            len(source.faces),
            len(source.subjects),
            len(source.clips),
            problems=list(source.problems),
        )

    def count(self, examined: Examined, scores: dict[str, float]) -> None:
        """Take one clip into the counts."""
        status, _ = status_of(examined, scores)
        self.clips[status] += 1
        self.problems += examined.problems
        if status == "usable":
            self.frames += examined.speech.n_frames
            self.duration_s += examined.speech.n_frames / self.frames_per_second

    @property
    def serious(self) -> list[Problem]:
        return [problem for problem in self.problems if not problem.is_note]

    @property
    def notes(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.is_note]

    def as_dict(self) -> dict:
        """The report in plain values, for `--json`."""
        values = asdict(self)
        values["clips"] = {status: self.clips[status] for status in ("usable", "outlier", "broken")}
        values["duration_s"] = round(self.duration_s, 3)
        values["problems"] = [asdict(problem) for problem in self.serious]
        values["notes"] = [asdict(problem) for problem in self.notes]
        return values

    def as_text(self) -> str:
        """The report as a person reads it on the terminal."""
        fake = ", synthetic" if self.synthetic else ""
        lines = [
            f"corpus '{self.name}': {self.action} ({self.layout} layout{fake}), {self.folder}",
            f"  {self.n_subjects} subjects, {self.n_clips} clips: {self.clips['usable']} usable, "
            f"{self.clips['outlier']} outliers, {self.clips['broken']} broken",
            f"  {self.frames} frames, {self.duration_s / 60:.1f} min of speech at {self.frames_per_second:g} frames "
            f"per second",
            f"  {self.n_vertices} vertices, {self.n_faces} triangles, normalisation: {self.normalisation}",
            *_listing("problems", self.serious),
            *_listing("notes", self.notes),
        ]
        return "\n".join(lines)


def status_of(examined: Examined, scores: dict[str, float]) -> tuple[str, str]:
    """A clip's status ("usable", "outlier" or "broken") and the reason for it.

    A clip that is both keeps the reason that can be put right first; its ratings are stored in any case.
    """
    if examined.broken:
        return "broken", examined.broken
    if is_outlier(scores):
        return "outlier", f"all {len(scores)} original ratings are zero"
    return "usable", ""


def _listing(title: str, problems: list[Problem]) -> list[str]:
    if not problems:
        return [f"  no {title}"]
    lines = [f"  {len(problems)} {title}:"]
    for kind, number in Counter(problem.kind for problem in problems).items():
        same = [problem.message for problem in problems if problem.kind == kind]
        lines += [f"    [{kind}] {message}" for message in same[:_SHOWN_PER_KIND]]
        if number > _SHOWN_PER_KIND:
            lines.append(f"    [{kind}] and {number - _SHOWN_PER_KIND} more; --json lists all")
    return lines

"""A split with its labels, from the database: which clips a training gets, and what it will miss. Needs no torch."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from db.models import Clip, Corpus, LabelRelease, ReleaseLabel, Split, SplitMember, Subject
from eavanet.sampling import IntercrossSampler

PARTS = ("train", "validation", "biwi-a", "biwi-b")


@dataclass(frozen=True)
class LabelledClip:
    """A clip of a split with its label; `row` gives access to its files."""

    name: str
    subject: str
    sentence: str
    emotion: str
    n_frames: int
    row: Clip = field(repr=False, compare=False)


@dataclass(frozen=True)
class LabelledSplit:
    """The clips of a split by part ("train", "validation", "biwi-a", "biwi-b"), and what they came from.

    left_out: names of clips of the split that have no label in the release or are not usable.
    """

    corpus: Corpus
    release: LabelRelease
    split: Split
    parts: dict[str, list[LabelledClip]]
    left_out: list[str]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The speakers of the training clips, sorted: what the model's one-hot counts."""
        return tuple(sorted({clip.subject for clip in self.parts["train"]}))

    @property
    def validation(self) -> list[LabelledClip]:
        """The validation clips that can be used: those whose speakers the model knows."""
        return [clip for clip in self.parts["validation"] if clip.subject in self.subjects]

    def counts(self) -> dict[str, dict[str, int]]:
        """Clips per part and emotion."""
        return {part: dict(Counter(clip.emotion for clip in clips)) for part, clips in self.parts.items()}


def load_split(
    session: Session, corpus: str | None = None, release: str | None = None, split: str | None = None
) -> LabelledSplit:
    """Clips and labels from the database. What is None is the only corpus, its newest release and newest split.

    Raises ValueError if there is none, or none of that name, saying which there are.
    """
    corpus_row = _pick(session, select(Corpus).order_by(Corpus.id), corpus, "corpus", only=True)
    releases = select(LabelRelease).where(LabelRelease.corpus_id == corpus_row.id).order_by(LabelRelease.id)
    release_row = _pick(session, releases, release, f"label release of corpus {corpus_row.name}")
    splits = select(Split).where(Split.corpus_id == corpus_row.id).order_by(Split.id)
    split_row = _pick(session, splits, split, f"split of corpus {corpus_row.name}")
    members = session.execute(
        select(SplitMember.part, Clip, ReleaseLabel.label)
        .join(Clip, Clip.id == SplitMember.clip_id)
        .outerjoin(
            ReleaseLabel, (ReleaseLabel.clip_id == Clip.id) & (ReleaseLabel.release_id == release_row.id)
        )
        .where(SplitMember.split_id == split_row.id)
        .options(joinedload(Clip.corpus), joinedload(Clip.subject).joinedload(Subject.corpus))
        .order_by(Clip.name)
    ).all()
    parts: dict[str, list[LabelledClip]] = {part: [] for part in PARTS}
    left_out = []
    for part, clip, label in members:
        if label is None or clip.status != "usable":
            left_out.append(clip.name)
        else:
            parts[part].append(
                LabelledClip(clip.name, clip.subject.name, clip.sentence, label, clip.n_frames, clip)
            )
    return LabelledSplit(corpus_row, release_row, split_row, parts, left_out)


def _pick(session: Session, query, name: str | None, what: str, only: bool = False):
    rows = session.scalars(query).all()
    names = ", ".join(row.name for row in rows) or "none"
    chosen = [row for row in rows if name is None or row.name == name]
    if not chosen:
        raise ValueError(f"no {what} called {name}; there are: {names}" if name else f"there is no {what} yet")
    if only and len(chosen) > 1:
        raise ValueError(f"several {what} names to choose from: {names}; say which one")
    return chosen[-1]


def training_warnings(split: LabelledSplit, emotions: tuple[str, ...]) -> list[str]:
    """What a training on the split has to do without, one line each, for the person who trains.

    emotions: those that the model is to show; none for a system that knows no emotions, and needs no style clips.
    """
    pool, validation = split.parts["train"], split.validation
    lines = IntercrossSampler(pool, pool).warnings if emotions else []
    have = {clip.emotion for clip in pool}
    for emotion in emotions:
        if emotion not in have:
            lines.append(f"no training clip is labelled {emotion}: the model will not be able to show it")
    if split.left_out:
        names = _some(split.left_out)
        lines.append(f"{len(split.left_out)} clips of the split have no label or are not usable: {names}")
    other = len(split.parts["validation"]) - len(validation)
    if other:
        lines.append(f"{other} validation clips left out: their speakers are not in the training split")
    if not validation:
        lines.append("there is no validation clip: the best checkpoint is the one with the lowest training loss")
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

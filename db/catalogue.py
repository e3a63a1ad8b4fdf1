"""What there is: corpora with their counts, lists of clips, filtered and in pages, raters and rounds.

A list reads only the columns that it shows and only the page that is looked at, so that 100,000 clips are as quick
to look through as 500.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.orm import Session, joinedload

from db.models import (
    Assignment,
    Clip,
    Corpus,
    ImportProblem,
    LabelingRound,
    LabelRelease,
    OriginalRating,
    Rater,
    ReleaseLabel,
    Split,
    SplitMember,
    Subject,
)

TAKES = ("emotional", "neutral")  # sentences e01.. and 01..
STATUSES = ("usable", "outlier", "broken")
NO_LABEL = "none"  # stands for clips without a label in a release
_ESCAPE = "\\"


@dataclass(frozen=True)
class ClipFilter:
    """Which clips of a corpus are wanted; an empty choice means all of them.

    `labels` are emotions of the label release `release_id`, or NO_LABEL. `words` are looked for in the clip's name
    and in the reason for its status.
    """

    corpus_id: int
    subjects: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    release_id: int | None = None
    labels: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True)
class CorpusCounts:
    """How much a corpus has. `duration_s` is the speech of its usable clips."""

    clips: Mapping[str, int] = field(default_factory=dict)  # status -> clips
    subjects: int = 0
    duration_s: float = 0.0
    problems: int = 0

    @property
    def total(self) -> int:
        """All clips, whatever their status."""
        return sum(self.clips.values())


def corpora(session: Session) -> list[Corpus]:
    """All corpora, by name."""
    return list(session.scalars(select(Corpus).order_by(Corpus.name)))


def corpus_counts(session: Session, corpus: Corpus) -> CorpusCounts:
    """Clips by status, subjects, minutes and problems of one corpus."""
    by_status = select(Clip.status, func.count(), func.sum(Clip.n_frames)).where(Clip.corpus_id == corpus.id)
    rows = session.execute(by_status.group_by(Clip.status)).all()
    subjects = session.scalar(select(func.count()).select_from(Subject).where(Subject.corpus_id == corpus.id))
    problems = session.scalar(
        select(func.count()).select_from(ImportProblem).where(ImportProblem.corpus_id == corpus.id)
    )
    frames = sum(n_frames for status, _, n_frames in rows if status == "usable")
    return CorpusCounts(
        {status: next((n for s, n, _ in rows if s == status), 0) for status in STATUSES},
        subjects or 0, float(frames) / corpus.frames_per_second, problems or 0,
    )  # fmt: skip


def subject_names(session: Session, corpus_id: int) -> list[str]:
    """The subjects of a corpus, by name."""
    return list(session.scalars(select(Subject.name).where(Subject.corpus_id == corpus_id).order_by(Subject.name)))


def releases_of(session: Session, corpus_id: int) -> list[LabelRelease]:
    """The label releases of a corpus, newest first."""
    wanted = select(LabelRelease).where(LabelRelease.corpus_id == corpus_id)
    return list(session.scalars(wanted.order_by(LabelRelease.id.desc())))


def release_and_split_counts(session: Session) -> tuple[int, int]:
    """How many label releases and splits there are, over all corpora."""
    count = func.count()
    return session.scalar(select(count).select_from(LabelRelease)), session.scalar(select(count).select_from(Split))


def splits_of(session: Session, corpus_id: int) -> list[Split]:
    """The splits of a corpus, newest first."""
    return list(session.scalars(select(Split).where(Split.corpus_id == corpus_id).order_by(Split.id.desc())))


def split_members(session: Session, split: Split) -> pd.DataFrame:
    """A split with what it was made from: clip, part, subject, label ("" for a split that came as a file)."""
    in_release = and_(ReleaseLabel.clip_id == Clip.id, ReleaseLabel.release_id == split.release_id)
    rows = session.execute(
        select(Clip.name, SplitMember.part, Subject.name, func.coalesce(ReleaseLabel.label, ""))
        .join(SplitMember, SplitMember.clip_id == Clip.id)
        .join(Clip.subject)
        .outerjoin(ReleaseLabel, in_release)
        .where(SplitMember.split_id == split.id)
        .order_by(SplitMember.part, Clip.name)
    ).all()
    return pd.DataFrame(rows, columns=["clip", "part", "subject", "label"])


def problems_of(session: Session, corpus_id: int) -> pd.DataFrame:
    """What the import of a corpus found: one row per problem, with `clip` (or None), `kind` and `message`."""
    wanted = select(ImportProblem.clip, ImportProblem.kind, ImportProblem.message)
    rows = session.execute(wanted.where(ImportProblem.corpus_id == corpus_id).order_by(ImportProblem.id)).all()
    return pd.DataFrame(rows, columns=["clip", "kind", "message"])


# Lists of clips -----------------------------------------------------------------------------------------------------

COLUMNS = {
    "clip": Clip.name,
    "subject": Subject.name,
    "sentence": Clip.sentence,
    "take": case((Clip.sentence.like("e%"), "emotional"), else_="neutral"),
    "status": Clip.status,
    "reason": Clip.status_reason,
    "duration_s": Clip.n_frames / Corpus.frames_per_second,
    "frames": Clip.n_frames,
    "first_frame": Clip.first_frame,
    "source_frames": Clip.source_frames,
    "gain_db": Clip.gain_db,
    "label": ReleaseLabel.label,
}  # column of a list -> what it shows


def list_clips(
    session: Session,
    wanted: ClipFilter,
    *,
    order: str = "clip",
    descending: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> pd.DataFrame:
    """The clips that `wanted` asks for: `clip_id` and COLUMNS, one row per clip; `label` only with a release.

    Raises ValueError for an `order` that is no column.
    """
    shown = _shown(wanted)
    statement = _matching(select(Clip.id, *shown.values()), wanted)
    rows = session.execute(statement.order_by(*_order(wanted, order, descending)).offset(offset).limit(limit)).all()
    return pd.DataFrame(rows, columns=["clip_id", *shown])


def place_of(
    session: Session, wanted: ClipFilter, clip_id: int, *, order: str = "clip", descending: bool = False
) -> int | None:
    """How many clips come before `clip_id` in `list_clips`; None if it is not among them."""
    number = func.row_number().over(order_by=_order(wanted, order, descending)).label("number")
    numbered = _matching(select(Clip.id.label("clip_id"), number), wanted).subquery()
    found = session.scalar(select(numbered.c.number).where(numbered.c.clip_id == clip_id))
    return None if found is None else found - 1


def _shown(wanted: ClipFilter) -> dict[str, Any]:
    return {name: column for name, column in COLUMNS.items() if name != "label" or wanted.release_id is not None}


def _order(wanted: ClipFilter, order: str, descending: bool) -> tuple[Any, Any]:
    if order not in COLUMNS:
        raise ValueError(f"order {order!r}: expected one of {', '.join(COLUMNS)}")
    column = _shown(wanted).get(order, Clip.name)
    return column.desc() if descending else column.asc(), Clip.name


def count_clips(session: Session, wanted: ClipFilter) -> int:
    """How many clips `list_clips` would give without a limit."""
    return session.scalar(_matching(select(func.count(Clip.id)), wanted)) or 0


def _matching(statement: Select[Any], wanted: ClipFilter) -> Select[Any]:
    statement = (
        statement.select_from(Clip).join(Clip.subject).join(Clip.corpus).where(Clip.corpus_id == wanted.corpus_id)
    )
    if wanted.release_id is not None:
        in_release = and_(ReleaseLabel.clip_id == Clip.id, ReleaseLabel.release_id == wanted.release_id)
        statement = statement.outerjoin(ReleaseLabel, in_release)
        if wanted.labels:
            chosen = ReleaseLabel.label.in_([label for label in wanted.labels if label != NO_LABEL])
            statement = statement.where(
                or_(chosen, ReleaseLabel.label.is_(None)) if NO_LABEL in wanted.labels else chosen
            )
    for column, values in (("subject", wanted.subjects), ("take", wanted.takes), ("status", wanted.statuses)):
        if values:
            statement = statement.where(COLUMNS[column].in_(values))
    for word in wanted.words.split():
        pattern = f"%{word.replace(_ESCAPE, _ESCAPE * 2).replace('%', _ESCAPE + '%').replace('_', _ESCAPE + '_')}%"
        statement = statement.where(
            or_(Clip.name.ilike(pattern, escape=_ESCAPE), Clip.status_reason.ilike(pattern, escape=_ESCAPE))
        )
    return statement


# One clip -----------------------------------------------------------------------------------------------------------


def find_clip(session: Session, clip_id: int) -> Clip | None:
    """One clip with its corpus, subject and original ratings; None if there is no such clip."""
    return session.scalar(
        select(Clip)
        .where(Clip.id == clip_id)
        .options(joinedload(Clip.corpus), joinedload(Clip.subject), joinedload(Clip.original_ratings))
    )


def clip_problems(session: Session, clip: Clip) -> list[str]:
    """What the import found wrong with one clip, in words."""
    wanted = select(ImportProblem.message).where(ImportProblem.corpus_id == clip.corpus_id)
    return list(session.scalars(wanted.where(ImportProblem.clip == clip.name).order_by(ImportProblem.id)))


def clip_labels(session: Session, clip: Clip) -> pd.DataFrame:
    """What each label release says of one clip, newest first: `release`, `label`, `tie`, `votes`, `intensity`."""
    shown = (LabelRelease.name, ReleaseLabel.label, ReleaseLabel.tie, ReleaseLabel.n_votes, ReleaseLabel.mean_intensity)
    rows = session.execute(
        select(*shown)
        .join(ReleaseLabel, ReleaseLabel.release_id == LabelRelease.id)
        .where(ReleaseLabel.clip_id == clip.id)
        .order_by(LabelRelease.id.desc())
    ).all()
    return pd.DataFrame(rows, columns=["release", "label", "tie", "votes", "intensity"])


def export_clips(session: Session, wanted: ClipFilter) -> pd.DataFrame:
    """`list_clips` with everything else that is stored of a clip: files, hashes, original ratings by adjective."""
    clips = list_clips(session, wanted)
    names = ("vertices_path", "vertices_sha256", "audio_path", "source_audio_path", "source_audio_sha256")
    stored = session.execute(
        select(Clip.name, Clip.source_duration_s, *(getattr(Clip, name) for name in names)).where(
            Clip.corpus_id == wanted.corpus_id
        )
    ).all()
    files = pd.DataFrame(stored, columns=["clip", "source_duration_s", *names])
    scores = pd.DataFrame(
        session.execute(
            select(Clip.name, OriginalRating.adjective, OriginalRating.score)
            .join(OriginalRating, OriginalRating.clip_id == Clip.id)
            .where(Clip.corpus_id == wanted.corpus_id)
        ).all(),
        columns=["clip", "adjective", "score"],
    )
    wide = scores.pivot(index="clip", columns="adjective", values="score").add_prefix("original_").reset_index()
    return clips.drop(columns="clip_id").merge(files, on="clip", how="left").merge(wide, on="clip", how="left")


def waveform(samples: np.ndarray, columns: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    """The outline of (S,) audio in at most `columns` steps: lowest and highest sample of each, (columns,) both."""
    if len(samples) == 0:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    starts = np.unique(np.linspace(0, len(samples), min(columns, len(samples)), endpoint=False).astype(np.intp))
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


# Raters and rounds --------------------------------------------------------------------------------------------------


def rounds(session: Session, corpus_id: int | None = None) -> list[LabelingRound]:
    """Labelling rounds with their corpora, newest first; those of one corpus, if it is given."""
    wanted = select(LabelingRound).options(joinedload(LabelingRound.corpus)).order_by(LabelingRound.id.desc())
    return list(session.scalars(wanted.where(LabelingRound.corpus_id == corpus_id) if corpus_id else wanted))


def raters(session: Session) -> pd.DataFrame:
    """All raters by name, with what they were given in all rounds.

    Columns: rater_id, rater, language, kind ("person", "simulated" or "imported"), link ("works", "withdrawn" or
    "none"), instructions_read_at, given, done, open (in open rounds), last_at. Practice does not count.
    """
    counted = Assignment.kind != "practice"
    kept = counted & Assignment.freed_at.is_(None)
    waiting = kept & Assignment.done_at.is_(None) & LabelingRound.closed_at.is_(None)
    kind = case((Rater.simulated, "simulated"), (Rater.imported, "imported"), else_="person")
    link = case((Rater.revoked_at.is_not(None), "withdrawn"), (Rater.token_sha256.is_(None), "none"), else_="works")
    columns = {
        "rater_id": Rater.id, "rater": Rater.name, "language": Rater.language, "kind": kind, "link": link,
        "instructions_read_at": Rater.instructions_read_at,
        "given": func.count(Assignment.id).filter(kept),
        "done": func.count(Assignment.id).filter(kept & Assignment.done_at.is_not(None)),
        "open": func.count(Assignment.id).filter(waiting),
        "last_at": func.max(Assignment.done_at),
    }  # fmt: skip
    rows = session.execute(
        select(*columns.values())
        .outerjoin(Assignment, Assignment.rater_id == Rater.id)
        .outerjoin(LabelingRound, Assignment.round_id == LabelingRound.id)
        .group_by(Rater.id)
        .order_by(Rater.name)
    ).all()
    return pd.DataFrame(rows, columns=list(columns))


def assignments(session: Session, round_id: int) -> pd.DataFrame:
    """Everything that was handed out in a round: clip, rater, kind, slot, position, done_at, freed_at."""
    shown = (Clip.name, Rater.name, Assignment.kind, Assignment.slot, Assignment.position, Assignment.done_at,
             Assignment.freed_at)  # fmt: skip
    rows = session.execute(
        select(*shown)
        .join(Clip, Assignment.clip_id == Clip.id)
        .outerjoin(Rater, Assignment.rater_id == Rater.id)
        .where(Assignment.round_id == round_id)
        .order_by(Rater.name, Assignment.position, Assignment.id)
    ).all()
    return pd.DataFrame(rows, columns=["clip", "rater", "kind", "slot", "position", "done_at", "freed_at"])

"""A round's answers as tables: what Algorithm 1, agreement and the pages read.

Columns of an answer: assignment_id, round, subject, clip_id, clip, rater_id, rater, simulated, imported, kind, slot,
revision, emotion, intensity, problem, reason, plays, coverage, watched_s, created_at.
"""

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Assignment, Clip, LabelingRound, Rater, Rating, Subject
from labeling.assignment import BROKEN_BY, VOTES
from labeling.emotions import EMOTIONS
from labeling.ties import is_tied


def answers(session: Session, round_id: int, revisions: str = "newest") -> pd.DataFrame:
    """All answers of a round, practice and repeats too (see `kind`); `revisions` is "newest" or "all"."""
    query = (
        select(
            Rating.assignment_id, LabelingRound.name.label("round"), Subject.name.label("subject"),
            Clip.id.label("clip_id"), Clip.name.label("clip"), Rater.id.label("rater_id"), Rater.name.label("rater"),
            Rater.simulated, Rater.imported, Assignment.kind, Assignment.slot, Rating.revision, Rating.emotion,
            Rating.intensity, Rating.problem, Rating.reason, Rating.plays, Rating.coverage, Rating.watched_s,
            Rating.created_at,
        )
        .join(Assignment, Rating.assignment_id == Assignment.id)
        .join(LabelingRound, Assignment.round_id == LabelingRound.id)
        .join(Clip, Assignment.clip_id == Clip.id).join(Subject, Clip.subject_id == Subject.id)
        .join(Rater, Assignment.rater_id == Rater.id)
        .where(Assignment.round_id == round_id)
        .order_by(Clip.name, Assignment.slot, Rating.assignment_id, Rating.revision)
    )  # fmt: skip
    table = pd.DataFrame(session.execute(query).all(), columns=[column["name"] for column in query.column_descriptions])
    table["intensity"] = table["intensity"].astype("Int64")
    if revisions == "newest":
        return table.drop_duplicates("assignment_id", keep="last").reset_index(drop=True)
    return table


def votes(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers that count in Algorithm 1: votes with an emotion, on clips that are not excluded as broken."""
    counted = answers[answers["kind"].isin(VOTES) & answers["emotion"].notna()]
    counted = counted[~counted["clip"].isin(broken_clips(answers))]
    return counted.assign(intensity=counted["intensity"].astype(int)).reset_index(drop=True)


def broken_clips(answers: pd.DataFrame) -> dict[str, str]:
    """The clips that at least two raters call broken, with their reasons joined."""
    said = answers[answers["kind"].isin(VOTES) & (answers["problem"] == "broken_clip")]
    return {
        clip: "; ".join(sorted(set(group["reason"])))
        for clip, group in said.groupby("clip") if len(group) >= BROKEN_BY
    }  # fmt: skip


def tied_clips(session: Session, round_id: int) -> list[int]:
    """Clips of which every slot is answered and the largest number of votes is shared; their ids."""
    waiting = select(Assignment.clip_id).where(
        Assignment.round_id == round_id, Assignment.kind.in_(VOTES), Assignment.freed_at.is_(None),
        Assignment.done_at.is_(None))  # fmt: skip
    open_clips = set(session.scalars(waiting))
    counted = votes(answers(session, round_id))
    counts = counted.groupby(["clip_id", "emotion"]).size().unstack(fill_value=0)
    return [int(clip) for clip, row in counts.iterrows()
            if clip not in open_clips and is_tied({emotion: int(row.get(emotion, 0)) for emotion in EMOTIONS})]


def clip_progress(session: Session, round_id: int) -> pd.DataFrame:
    """Per clip: clip_id, clip, subject, slots, answered, waiting (without a rater), complete."""
    query = (
        select(Clip.id.label("clip_id"), Clip.name.label("clip"), Subject.name.label("subject"),
               func.count().label("slots"), func.count(Assignment.done_at).label("answered"),
               (func.count() - func.count(Assignment.rater_id)).label("waiting"))
        .join(Assignment, Assignment.clip_id == Clip.id).join(Subject, Clip.subject_id == Subject.id)
        .where(Assignment.round_id == round_id, Assignment.kind.in_(VOTES), Assignment.freed_at.is_(None))
        .group_by(Clip.id, Clip.name, Subject.name).order_by(Clip.name)
    )  # fmt: skip
    table = pd.DataFrame(session.execute(query).all(),
                         columns=["clip_id", "clip", "subject", "slots", "answered", "waiting"])
    return table.assign(complete=table["answered"] == table["slots"])


def rater_progress(session: Session, round_id: int) -> pd.DataFrame:
    """Per rater of a round: rater_id, rater, simulated, revoked, votes, votes_done, repeats, repeats_done, last_at."""
    def count(kinds: tuple[str, ...], done: bool):
        counted = Assignment.done_at if done else Assignment.id
        return func.count(counted).filter(Assignment.kind.in_(kinds), Assignment.freed_at.is_(None))

    query = (
        select(Rater.id, Rater.name, Rater.simulated, Rater.revoked_at.is_not(None), count(VOTES, False),
               count(VOTES, True), count(("repeat",), False), count(("repeat",), True), func.max(Assignment.done_at))
        .join(Assignment, Assignment.rater_id == Rater.id).where(Assignment.round_id == round_id)
        .group_by(Rater.id, Rater.name, Rater.simulated, Rater.revoked_at).order_by(Rater.name)
    )  # fmt: skip
    return pd.DataFrame(session.execute(query).all(), columns=[
        "rater_id", "rater", "simulated", "revoked", "votes", "votes_done", "repeats", "repeats_done", "last_at"])


def mark(session: Session, round_id: int) -> tuple[int, int]:
    """Tells one state of a round's answers from another, as they are only appended: (how many, the newest's id)."""
    query = select(func.count(Rating.id), func.coalesce(func.max(Rating.id), 0))
    return tuple(session.execute(query.join(Assignment).where(Assignment.round_id == round_id)).one())


def pace(answers: pd.DataFrame, longest_s: float = 300.0) -> pd.DataFrame:
    """How quickly raters answer: rater, seconds (median from one first answer to the next), n_gaps.

    Longer than `longest_s` is a break, not an answer. Imported answers have no times of their own and are left out.
    """
    first = answers[(answers["revision"] == 1) & ~answers["imported"]].sort_values(["rater", "created_at"])
    if first.empty:
        return pd.DataFrame({"rater": [], "seconds": [], "n_gaps": []})
    gaps = first.groupby("rater")["created_at"].diff().dt.total_seconds()
    counted = first.assign(seconds=gaps)[gaps.between(0, longest_s)]
    summary = counted.groupby("rater")["seconds"].agg(["median", "size"]).reset_index()
    return summary.set_axis(["rater", "seconds", "n_gaps"], axis=1)

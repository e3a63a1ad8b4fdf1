"""What follows from a rating: a further rater for "cannot tell", none for a broken clip, one for a tie if asked."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import events
from db.models import Assignment, LabelingRound, Rating, now
from labeling.assignment import BROKEN_BY, VOTES, free_repeats, open_assignment
from labeling.emotions import EMOTIONS
from labeling.ties import is_tied


@dataclass(frozen=True)
class ClipVotes:
    """Where one clip of a round stands."""

    emotions: dict[str, int]  # votes for each emotion
    open: list[Assignment]  # slots that wait for an answer, the planned ones first
    broken: int  # raters who called it broken
    cannot_tell: int

    @property
    def n_votes(self) -> int:
        return sum(self.emotions.values())

    @property
    def tied(self) -> bool:
        return is_tied(self.emotions)


def clip_votes(session: Session, round_id: int, clip_id: int) -> ClipVotes:
    """The votes of one clip as they stand now: newest revisions, without practice and repeats."""
    rows = session.execute(
        select(Assignment, Rating.emotion, Rating.problem)
        .outerjoin(Rating, Rating.assignment_id == Assignment.id)
        .where(Assignment.round_id == round_id, Assignment.clip_id == clip_id, Assignment.kind.in_(VOTES),
               Assignment.freed_at.is_(None))
        .order_by(Rating.revision)
    ).all()  # fmt: skip
    newest = {assignment.id: (assignment, emotion, problem) for assignment, emotion, problem in rows}
    answers = list(newest.values())
    return ClipVotes(
        emotions={emotion: sum(found == emotion for _, found, _ in answers) for emotion in EMOTIONS},
        open=sorted((assignment for assignment, _, _ in answers if assignment.done_at is None),
                    key=lambda assignment: assignment.slot),
        broken=sum(problem == "broken_clip" for *_, problem in answers),
        cannot_tell=sum(problem == "cannot_tell" for *_, problem in answers),
    )


def after_rating(session: Session, rated: Assignment) -> None:
    """Keep a clip's open slots in step with its answers, after one was stored or corrected.

    A clip needs the round's votes; a "cannot tell" or a first "broken" leaves one missing, which a further rater
    gives. Once two raters call it broken, nobody else is asked. A correction takes a request back that is not needed.
    The caller holds the clip's row on PostgreSQL, so that two answers at once do not ask two further raters.
    """
    if rated.kind not in VOTES:
        return
    labelling_round = session.get_one(LabelingRound, rated.round_id)
    votes = clip_votes(session, rated.round_id, rated.clip_id)
    if votes.broken >= BROKEN_BY:
        _ask_nobody(session, rated.round_id, rated.clip_id)
        return
    needed = max(0, labelling_round.votes_per_clip - votes.n_votes)
    for _ in range(needed - len(votes.open)):
        open_assignment(session, labelling_round, rated.clip_id, "adjudication")
    kept = max(needed, 1) if votes.tied else needed  # a tie keeps the further vote that somebody asked for
    for assignment in votes.open[kept:]:
        assignment.freed_at = now()
        free_repeats(session, assignment)


def _ask_nobody(session: Session, round_id: int, clip_id: int) -> None:
    """Take back everything that is open on a clip: further votes and hidden repeats, but not practice."""
    session.execute(
        update(Assignment)
        .where(Assignment.round_id == round_id, Assignment.clip_id == clip_id, Assignment.kind != "practice",
               Assignment.done_at.is_(None), Assignment.freed_at.is_(None))
        .values(freed_at=now())
    )  # fmt: skip


def adjudicate(session: Session, round_id: int, clip_id: int, actor: str, rater_id: int | None = None) -> Assignment:
    """Ask a further rater about a tied clip: `rater_id`, or whoever of the round has the least open work.

    Raises ValueError if the clip is not tied, still waits for answers, or `rater_id` voted on it already.
    """
    votes = clip_votes(session, round_id, clip_id)
    if votes.open:
        raise ValueError("this clip still waits for an answer; the tie may resolve itself")
    if not votes.tied:
        raise ValueError("this clip is not tied; a further vote is asked for ties only")
    if rater_id is not None and session.scalar(select(Assignment.id).where(
            Assignment.round_id == round_id, Assignment.clip_id == clip_id, Assignment.rater_id == rater_id,
            Assignment.kind.in_(VOTES), Assignment.freed_at.is_(None))):
        raise ValueError("this rater voted on the clip already; choose somebody else")
    labelling_round = session.get_one(LabelingRound, round_id)
    if labelling_round.closed_at is not None:
        raise ValueError(f"the round {labelling_round.name!r} is closed")
    asked = open_assignment(session, labelling_round, clip_id, "adjudication", rater_id=rater_id)
    events.record(session, actor, "clip.adjudication_asked",
                  {"round": round_id, "clip": clip_id, "rater": asked.rater_id})  # fmt: skip
    return asked


def adjudicate_all(session: Session, round_id: int, actor: str) -> int:
    """Ask a further rater about every tied clip of a round; returns for how many one was found."""
    from labeling.votes import tied_clips  # not above: it brings pandas, without which raters save their answers

    return sum(adjudicate(session, round_id, clip_id, actor).rater_id is not None
               for clip_id in tied_clips(session, round_id))

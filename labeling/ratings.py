"""What raters answer, stored so that nothing is lost and nothing is there twice."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import events
from db.models import Assignment, Clip, LabelingRound, Rater, Rating, now
from labeling import followups
from labeling.emotions import EMOTIONS, INTENSITIES, PROBLEMS


class NotYours(ValueError):
    """The assignment does not exist or is another rater's."""


class Freed(ValueError):
    """The assignment was taken back before it was answered."""


class Revoked(ValueError):
    """The rater's link was withdrawn."""


class RoundClosed(ValueError):
    """The round takes no more ratings."""


@dataclass(frozen=True)
class Answer:
    """An emotion with its intensity, or a problem with its reason; and how the clip was watched.

    Raises ValueError for anything between the two, or outside the scale.
    """

    emotion: str | None = None
    intensity: int | None = None
    problem: str | None = None
    reason: str = ""
    plays: int = 0
    coverage: float = 0.0  # share of the clip's frames that were played, 0..1
    watched_s: float = 0.0

    def __post_init__(self) -> None:
        if self.problem is not None:
            if self.problem not in PROBLEMS:
                raise ValueError(f"problem {self.problem!r}: expected one of {', '.join(PROBLEMS)}")
            if self.emotion is not None or self.intensity is not None:
                raise ValueError("an answer has an emotion or a problem, not both")
            if not self.reason.strip():
                raise ValueError("say in a few words why the clip cannot be rated")
        elif self.emotion not in EMOTIONS:
            raise ValueError(f"emotion {self.emotion!r}: expected one of {', '.join(EMOTIONS)}")
        elif type(self.intensity) is not int or self.intensity not in INTENSITIES:  # neither True nor 3.0
            raise ValueError(f"intensity {self.intensity!r}: expected a whole number from 1 to 5")
        if self.plays < 0 or not 0 <= self.coverage <= 1 or not 0 <= self.watched_s < math.inf:
            raise ValueError(f"plays {self.plays}, coverage {self.coverage}, {self.watched_s} s: impossible")


class Saved(NamedTuple):
    """A stored rating; `duplicate` if it had been stored before, by an earlier sending of the same answer."""

    rating: Rating
    duplicate: bool


def save_rating(session: Session, assignment_id: int, rater_id: int, answer: Answer, client_key: str) -> Saved:
    """Append `answer` as the assignment's newest revision, in the transaction of `session` (a `writing` one).

    The same `client_key` again changes nothing and returns what was stored the first time.
    Raises NotYours, Freed, Revoked or RoundClosed; then nothing is stored.
    """
    found = session.execute(
        select(Assignment, Rater.revoked_at, LabelingRound.closed_at)
        .join(Assignment.rater).join(Assignment.round).join(Assignment.clip)
        .where(Assignment.id == assignment_id, Assignment.rater_id == rater_id)
        # On PostgreSQL, the same answer from a second tab waits here, and so does another rater's on the same clip:
        # what follows from the one must be seen by the other.
        .with_for_update(of=[Assignment, Clip], key_share=True)
    ).one_or_none()  # fmt: skip
    if found is None:
        raise NotYours(f"assignment {assignment_id} is not one of rater {rater_id}")
    assignment, revoked_at, closed_at = found
    known = session.scalar(select(Rating).where(Rating.client_key == client_key))
    if known is not None and known.assignment_id != assignment_id:
        raise ValueError(f"the client key {client_key!r} belongs to another answer; each answer needs its own")
    if known is not None:
        return Saved(known, duplicate=True)
    if revoked_at is not None:
        raise Revoked(f"rater {rater_id} was withdrawn on {revoked_at:%Y-%m-%d}")
    if assignment.freed_at is not None:
        raise Freed(f"assignment {assignment_id} was taken back; go on with the next clip")
    if closed_at is not None:
        raise RoundClosed(f"the round was closed on {closed_at:%Y-%m-%d}")
    earlier = session.scalar(select(func.max(Rating.revision)).where(Rating.assignment_id == assignment_id)) or 0
    rating = Rating(
        assignment_id=assignment_id, revision=earlier + 1, client_key=client_key, emotion=answer.emotion,
        intensity=answer.intensity, problem=answer.problem, reason=answer.reason.strip(), plays=answer.plays,
        coverage=answer.coverage, watched_s=answer.watched_s,
    )
    session.add(rating)
    if assignment.done_at is None:
        assignment.done_at = now()
    session.flush()
    followups.after_rating(session, assignment)
    events.record(session, f"rater:{rater_id}", "rating.saved", {
        "assignment": assignment_id, "revision": rating.revision, "emotion": rating.emotion,
        "intensity": rating.intensity, "problem": rating.problem,
    })  # fmt: skip
    return Saved(rating, duplicate=False)

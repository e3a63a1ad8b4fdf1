"""From the browser's answer to a stored rating, and to what the rater is told about it.

Whatever happens, the rater learns in plain words whether the answer is stored; an answer that is not stored stays
on the screen. Sending the same answer again is harmless and gives the same outcome.
"""

import logging
import secrets
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from db.models import Rating
from db.session import writing
from labeling import ratings
from workbench.rater.seal import unseal
from workbench.texts import Texts

log = logging.getLogger(__name__)

# What can be wrong, as the rater picks it -> what researchers read, in one language however it was asked.
REASONS = {
    "cannot_tell": {
        "mixed": "several emotions at once",
        "another": "an emotion, but none of the four",
        "unclear": "too little to see or hear",
    },
    "broken_clip": {
        "no_sound": "no sound",
        "damaged_face": "the face is damaged or does not move",
        "out_of_step": "lips and voice do not fit together",
        "does_not_play": "does not load or play",
        "something_else": "something else",
    },
}
LONGEST_WORDS = 300


@dataclass(frozen=True)
class Outcome:
    """What became of one answer, as the answer panel is told."""

    key: str  # the sealed name of the answer
    saved: bool  # it is stored
    settled: bool  # it need not be sent again: stored, or not wanted any more
    message: str = ""
    id: str = ""  # tells two outcomes of one answer apart

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or secrets.token_hex(4))


def as_answer(payload: dict) -> ratings.Answer:
    """The rating that the browser's message stands for; ValueError if it says something impossible."""
    watched = payload.get("watched") or {}
    seen = dict(
        plays=int(watched.get("plays") or 0),
        coverage=min(1.0, max(0.0, float(watched.get("coverage") or 0.0))),
        watched_s=max(0.0, float(watched.get("watched_s") or 0.0)),
    )
    reason = payload.get("reason")
    if reason is None:
        return ratings.Answer(emotion=payload.get("emotion"), intensity=payload.get("intensity"), **seen)
    problem = next((kind for kind, reasons in REASONS.items() if reason in reasons), None)
    if problem is None:
        raise ValueError(f"reason {str(reason)[:40]!r} is not one that the page offers")
    words = " ".join(str(payload.get("words") or "").split())[:LONGEST_WORDS]
    said = REASONS[problem][reason]
    return ratings.Answer(problem=problem, reason=f"{said}: {words}" if words else said, **seen)


def as_filled_in(rating: Rating) -> dict:
    """A stored rating as the answer panel shows it; the reverse of `as_answer`."""
    if rating.problem is None:
        return {"emotion": rating.emotion, "intensity": rating.intensity}
    said, _, words = rating.reason.partition(": ")
    for reason, english in REASONS[rating.problem].items():
        if english == said:
            return {"reason": reason, "words": words}
    return {"reason": list(REASONS[rating.problem])[-1], "words": rating.reason}


def save(engine: Engine, rater_id: int, payload: dict, t: Texts) -> Outcome:
    """Store what the browser sent; the outcome says "saved" only after the commit."""
    key = str(payload.get("key"))
    try:
        assignment_id, revision = unseal(key)
        answer = as_answer(payload)
        if answer.problem != "broken_clip" and answer.plays < 1 and revision == 1:
            return Outcome(key, saved=False, settled=False, message=t("panel.watch_first"))
        with writing(engine) as session:
            stored = ratings.save_rating(session, assignment_id, rater_id, answer, f"page:{assignment_id}:{revision}")
    except ratings.Freed:
        return Outcome(key, saved=False, settled=True, message=t("problem.freed"))
    except ratings.RoundClosed:
        return Outcome(key, saved=False, settled=True, message=t("problem.closed"))
    except ratings.Revoked:
        return Outcome(key, saved=False, settled=True, message=t("problem.revoked"))
    except OperationalError:
        log.exception("a rating was not stored")
        return Outcome(key, saved=False, settled=False, message=_not_saved(t, "problem.database_busy"))
    except Exception:
        # Whatever it is, the rater must not be told "saved", and must not lose the choice.
        log.exception("a rating was not stored")
        return Outcome(key, saved=False, settled=False, message=_not_saved(t, "problem.server"))
    if stored.duplicate and _says(stored.rating) != _says(answer):
        kept = _in_words(stored.rating, t)
        return Outcome(key, saved=True, settled=True, message=t("problem.already_saved", answer=kept))
    return Outcome(key, saved=True, settled=True)


def _not_saved(t: Texts, why: str) -> str:
    return t("problem.not_saved", reason=t(why))


def _says(answer: ratings.Answer | Rating) -> tuple:
    return answer.emotion, answer.intensity, answer.problem, answer.reason


def _in_words(rating: Rating, t: Texts) -> str:
    if rating.problem:
        return t(f"problem.{rating.problem}")
    return f"{t(f'emotion.{rating.emotion}')}, {rating.intensity}"

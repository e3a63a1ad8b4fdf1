"""From the browser's messages to what is stored, and to what the participant is told about it.

Whatever happens, the participant learns in plain words whether the answer is stored; one that is not stays on the
screen and is sent again. The same message twice is harmless: what was played arrives as sums, of which only what is
new is noted, and an answer is stored once.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.session import writing
from evaluation.study import serving
from evaluation.study.answering import Viewing, Watched, answer, watched
from evaluation.study.refusals import StudyRefused
from workbench.rater.seal import seal, unseal
from workbench.texts import Texts

log = logging.getLogger(__name__)

COUNTS = ("plays", "ended", "watched_ms", "stalls", "hidden_ms")
Played = dict[str, dict[str, int]]  # side -> counts, summed up since the tab was opened
STOPPED = ("closed", "paused", "left", "bad_link", "finished", "too_early")


@dataclass(frozen=True)
class Outcome:
    """What became of one answer, as the trial panel is told."""

    key: str  # the browser's name for the trial
    saved: bool  # it is stored
    settled: bool  # it need not be sent again: stored, or not wanted any more
    message: str = ""
    watch_again: bool = False  # the server has not heard that the films were watched
    id: str = ""  # tells two outcomes of one answer apart

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or secrets.token_hex(4))


@dataclass
class Tab:
    """One browser tab's memory between two runs of the page; what must not be lost is in the database."""

    name: str = field(default_factory=lambda: secrets.token_hex(16))
    reported: dict[int, Played] = field(default_factory=dict)  # trial -> what is noted of this tab's playing
    rested: set[int] = field(default_factory=set)  # trials before which a break was offered and ended
    outcome: Outcome | None = None


def trial_key(participant_id: int, number: int) -> str:
    """The browser's name for a trial: it says nothing, is the same in every tab, and cannot be made up."""
    return seal(participant_id, number)


def note_watched(engine: Engine, participant_id: int, tab: Tab, message: Mapping) -> None:
    """Note what was played; a message that is late, or makes no sense, changes nothing."""
    try:
        number = _number(participant_id, message)
        with writing(engine) as session:
            played = _note(session, participant_id, number, tab, message)
        tab.reported[number] = played
    except (StudyRefused, ValueError, TypeError) as error:
        log.info("what was played is not noted: %s", error)
    except Exception:
        log.exception("what was played is not noted")  # it comes again with the answer


def save(engine: Engine, participant_id: int, tab: Tab, message: Mapping, t: Texts) -> None:
    """Store what the browser sent; the tab's outcome says "saved" only after the commit."""
    key = str(message.get("key"))
    try:
        number = _number(participant_id, message)
        with writing(engine) as session:
            played = _note(session, participant_id, number, tab, message)
            viewing = Viewing(str(message.get("viewport")), str(message.get("browser")))
            answers = message.get("answers")
            if not isinstance(answers, dict):
                raise StudyRefused("bad_answer")
            stored = answer(session, participant_id, number, tab.name, answers, viewing)
    except StudyRefused as refused:
        tab.outcome = _refused(key, refused, t)
    except (ValueError, TypeError):
        log.exception("an answer was not stored")
        tab.outcome = Outcome(key, saved=False, settled=True, message=t("refused.bad_answer"))
    except Exception:
        # Whatever it is, the participant must not be told "saved", and must not lose the choice.
        log.exception("an answer was not stored")
        tab.outcome = Outcome(key, saved=False, settled=False, message=t("refused.trouble"))
    else:
        # The same answer sent twice from one tab is no news; the other tab's answer is.
        elsewhere = stored.duplicate and not (tab.outcome and tab.outcome.key == key and tab.outcome.saved)
        tab.outcome = Outcome(key, saved=True, settled=True, message=t("refused.already") if elsewhere else "")
        tab.reported = {number: played}


def _number(participant_id: int, message: Mapping) -> int:
    owner, number = unseal(message.get("key"))
    if owner != participant_id:
        raise StudyRefused("not_open", "another participant's")
    return number


def _note(session: Session, participant_id: int, number: int, tab: Tab, message: Mapping) -> Played:
    """Append what is new in the browser's sums; returns all that is noted of this tab's playing by now."""
    before = tab.reported.get(number, {})
    # A tab that comes back after a restart of the server is a new one here, and has not opened the trial yet.
    view = serving.open_trial(session, participant_id, tab.name)
    # Sums that were meant for another connection's tab would count twice; the browser sends them again, corrected.
    if view is None or view.number != number or message.get("tab") != tab.name:
        return before
    noted: Played = {}
    for side in ("left", "right") if view.right else ("left",):
        sums = {name: _whole((message.get("played") or {}).get(side, {}).get(name)) for name in COUNTS}
        known = before.get(side, dict.fromkeys(COUNTS, 0))
        new = {name: max(0, sums[name] - known[name]) for name in COUNTS}
        if any(new.values()):
            watched(session, participant_id, number, tab.name, side, Watched(**new))
        noted[side] = {name: max(sums[name], known[name]) for name in COUNTS}
    return noted


def _whole(value: object) -> int:
    return value if type(value) is int and 0 <= value < 24 * 3600 * 1000 else 0


def _refused(key: str, refused: StudyRefused, t: Texts) -> Outcome:
    if refused.reason == "not_watched":
        return Outcome(key, saved=False, settled=False, message=t("refused.not_watched"), watch_again=True)
    if refused.reason in STOPPED:
        return Outcome(key, saved=False, settled=True, message=t("refused.stopped"))
    known = refused.reason if refused.reason == "not_open" else "bad_answer"
    return Outcome(key, saved=False, settled=True, message=t(f"refused.{known}"))

"""What was played to its end: reported by browser tabs, added up, and checked against the server's own clock."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import now
from db.study_models import StudyParticipant, StudyTrial, StudyView, StudyWatching
from evaluation.study.refusals import StudyRefused

MUST_HAVE_PASSED = 0.9  # of the films' length; players and clocks are not exact
_MOST_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Watched:
    """What happened to one film in one tab since the last message. Raises ValueError for the impossible."""

    plays: int = 0  # begun
    ended: int = 0  # times that its end was reached without skipping
    watched_ms: int = 0
    stalls: int = 0
    hidden_ms: int = 0  # while the page was not visible

    def __post_init__(self) -> None:
        values = (self.plays, self.ended, self.watched_ms, self.stalls, self.hidden_ms)
        if not all(type(value) is int and 0 <= value <= _MOST_MS for value in values):
            raise ValueError(f"plays, ends, watched, stalls, hidden {values}: expected whole numbers from 0")


@dataclass(frozen=True)
class Sums:
    """All that was reported about one side of a trial, in all tabs."""

    plays: int
    ended: int
    watched_ms: int
    stalls: int
    hidden_ms: int


def note(session: Session, trial: StudyTrial, tab: str, side: str, what: Watched) -> None:
    """Append what a tab played of an open trial. Raises StudyRefused if it is not open in this tab."""
    if side not in ("left", "right") or (side == "right" and trial.right_id is None):
        raise ValueError(f"side {side!r}: this trial has none such")
    view = opened_view(session, trial, tab)
    session.add(StudyWatching(
        view_id=view.id, side=side, plays=what.plays, ended=what.ended, watched_ms=what.watched_ms,
        stalls=what.stalls, hidden_ms=what.hidden_ms,
    ))  # fmt: skip
    session.flush()


def all_watched(session: Session, trial: StudyTrial, participant: StudyParticipant) -> bool:
    """Whether every film of the trial was played to its end, and the server's clock allows that it was.

    Films are played one after the other, so their lengths add up. A simulated participant need not wait.
    """
    films = {"left": trial.left} | ({"right": trial.right} if trial.right else {})
    sums = sums_of(session, trial)
    if any(sums[side].ended < 1 or sums[side].watched_ms < MUST_HAVE_PASSED * stimulus.duration_ms
           for side, stimulus in films.items()):  # fmt: skip
        return False
    if participant.simulated:
        return True
    opened = session.scalar(select(func.min(StudyView.opened_at)).where(StudyView.trial_id == trial.id))
    needed_ms = MUST_HAVE_PASSED * sum(stimulus.duration_ms for stimulus in films.values())
    return opened is not None and (now() - opened).total_seconds() * 1000 >= needed_ms


def sums_of(session: Session, trial: StudyTrial) -> dict[str, Sums]:
    """What all tabs reported about a trial, by side."""
    rows = session.execute(
        select(StudyWatching.side, func.sum(StudyWatching.plays), func.sum(StudyWatching.ended),
               func.sum(StudyWatching.watched_ms), func.sum(StudyWatching.stalls), func.sum(StudyWatching.hidden_ms))
        .join(StudyWatching.view).where(StudyView.trial_id == trial.id).group_by(StudyWatching.side)
    )  # fmt: skip
    return {"left": Sums(0, 0, 0, 0, 0), "right": Sums(0, 0, 0, 0, 0)} | {
        side: Sums(*(int(value) for value in values)) for side, *values in rows
    }


def trial_of(session: Session, participant: StudyParticipant, number: int) -> StudyTrial:
    """The participant's trial of this number. Raises StudyRefused if there is none."""
    trial = session.scalar(
        select(StudyTrial).where(StudyTrial.participant_id == participant.id, StudyTrial.number == number)
    )
    if trial is None:
        raise StudyRefused("not_open")
    return trial


def opened_view(session: Session, trial: StudyTrial, tab: str) -> StudyView:
    """The trial as it is open in a tab. Raises StudyRefused if it is not."""
    view = session.scalar(select(StudyView).where(StudyView.trial_id == trial.id, StudyView.tab == tab))
    if view is None or view.opened_at is None:
        raise StudyRefused("not_open")
    return view

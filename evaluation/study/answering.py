"""Answers of participants: checked on the server, appended, and never there twice."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import events
from db.models import now
from db.study_models import StudyResponse, StudyTrial, StudyView
from evaluation.study.design import Design
from evaluation.study.joining import keep_place
from evaluation.study.refusals import StudyRefused
from evaluation.study.serving import active, finish
from evaluation.study.watching import Watched, all_watched, note, opened_view, sums_of, trial_of

Answers = Mapping[str, str | int]


@dataclass(frozen=True)
class Viewing:
    """What the answer was given on; texts from a browser, cut to what fits."""

    viewport: str = ""
    browser: str = ""


@dataclass(frozen=True)
class Saved:
    """An answer is stored; `duplicate` if it had been before, and then what was stored first stays."""

    duplicate: bool
    finished: bool


def watched(session: Session, participant_id: int, number: int, tab: str, side: str, what: Watched) -> bool:
    """Note what a tab played; returns whether the trial may be answered now.

    What arrives for a trial that was answered meanwhile is dropped. Raises StudyRefused for one that is not open.
    """
    participant = active(session, participant_id)
    trial = trial_of(session, participant, number)
    if trial.answered_at is not None:
        return False
    note(session, trial, tab, side, what)
    keep_place(session, participant)
    return all_watched(session, trial, participant)


def answer(
    session: Session, participant_id: int, number: int, tab: str, answers: Answers, viewing: Viewing | None = None
) -> Saved:
    """Store the answers to all questions of the trial that is open.

    The same trial again, from this tab or another, changes nothing and is a duplicate. Raises StudyRefused: not_open,
    not_watched, incomplete, bad_answer, and for who left or a study that is paused or closed.
    """
    if _is_stored(session, participant_id, number):
        # Also for who left meanwhile, or when the study was closed: they must learn that it was stored.
        return Saved(True, _first_open(session, participant_id) is None)
    participant = active(session, participant_id)
    trial = trial_of(session, participant, number)
    if trial.answered_at is not None:  # by another tab, while this one waited
        return Saved(True, participant.finished_at is not None)
    if number != _first_open(session, participant_id):
        raise StudyRefused("not_open")
    design = Design.from_dict(participant.study.design)
    check_answers(design, answers)
    view = opened_view(session, trial, tab)
    if not all_watched(session, trial, participant):
        raise StudyRefused("not_watched")
    _store(session, design, trial, view, answers, viewing or Viewing())
    trial.answered_at = now()
    session.flush()
    keep_place(session, participant)
    finished = _first_open(session, participant_id) is None
    events.record(session, f"participant:{participant.pseudonym}", "study.answered",
                  {"study": participant.study_id, "trial": trial.id, "answers": dict(answers)})  # fmt: skip
    if finished:
        finish(session, participant)
    return Saved(False, finished)


def check_answers(design: Design, answers: Answers) -> None:
    """Raises StudyRefused unless every question, and nothing else, has one of its possible answers."""
    keys = {question.key for question in design.questions}
    if missing := keys - set(answers):
        raise StudyRefused("incomplete", ", ".join(sorted(missing)))
    if unknown := set(answers) - keys:
        raise StudyRefused("bad_answer", f"no question {sorted(unknown)[0][:40]!r}")
    for key, value in answers.items():
        if design.scale is not None:
            good = type(value) is int and design.scale.low <= value <= design.scale.high
        else:
            good = value in ("left", "right") or (value == "none" and design.no_preference)
        if not good:
            raise StudyRefused("bad_answer", f"{key}: {str(value)[:40]!r}")


def _is_stored(session: Session, participant_id: int, number: int) -> bool:
    return session.scalar(select(StudyTrial.id).where(
        StudyTrial.participant_id == participant_id, StudyTrial.number == number,
        StudyTrial.answered_at.is_not(None))) is not None  # fmt: skip


def _first_open(session: Session, participant_id: int) -> int | None:
    return session.scalar(select(func.min(StudyTrial.number)).where(
        StudyTrial.participant_id == participant_id, StudyTrial.answered_at.is_(None)))  # fmt: skip


def _store(
    session: Session, design: Design, trial: StudyTrial, view: StudyView, answers: Answers, viewing: Viewing
) -> None:
    sums = sums_of(session, trial)
    left, right = sums["left"], sums["right"]
    assert view.opened_at is not None
    answer_ms = max(0, round((now() - view.opened_at).total_seconds() * 1000))
    for key, value in answers.items():
        session.add(StudyResponse(
            trial_id=trial.id, question=key, preferred=value if design.kind == "ab" else None,
            score=value if design.kind == "mos" else None, plays_left=left.plays, plays_right=right.plays,
            watched_ms=left.watched_ms + right.watched_ms,
            replays=max(0, left.plays - 1) + max(0, right.plays - 1), stalls=left.stalls + right.stalls,
            hidden_ms=left.hidden_ms + right.hidden_ms, answer_ms=answer_ms,
            viewport=_printable(viewing.viewport, 16), browser=_printable(viewing.browser, 200),
        ))  # fmt: skip


def _printable(text: str, most: int) -> str:
    return "".join(character for character in text if character.isprintable())[:most]

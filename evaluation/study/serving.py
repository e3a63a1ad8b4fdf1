"""A participant's way through a study: step by step, trial by trial, every answer stored once and for good.

The server alone knows the order, the systems and which trial is open. A page gets random names of films and sends back
what was watched and answered; nothing that it says about time is believed but durations, which the server's own clock
must bear out. All functions that change something take a session that writes; what they did is on the disk when
`db.session.writing` has ended without an error.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from db import events, store
from db.models import now
from db.study_models import StudyParticipant, StudyTrial, StudyView
from evaluation.study.design import Design, text_in
from evaluation.study.joining import complete_place, give_place_back, keep_place, take_place
from evaluation.study.refusals import MissingStimulus, StudyRefused
from evaluation.study.watching import all_watched

_TAB = 64  # characters of a tab's name


@dataclass(frozen=True)
class Place:
    """Where a participant is. step: consent, sound, instructions, trials, paused, study_paused, finished, left, closed.

    done, total: trials, practice and catch trials among them.
    """

    step: str
    language: str
    languages: tuple[str, ...]
    done: int
    total: int
    test: bool
    title: str
    consent: str
    instructions: str


@dataclass(frozen=True)
class QuestionView:
    """A question with its possible answers: (value, text); an A/B answer's text is up to the page."""

    key: str
    text: str
    choices: tuple[tuple[str | int, str], ...]


@dataclass(frozen=True)
class TrialView:
    """What a page may know of a trial: names of films that say nothing, questions, and how far it is."""

    number: int
    done: int
    total: int
    role: str  # "practice" or "counts": catch trials look like any other
    left: str
    right: str | None
    questions: tuple[QuestionView, ...]
    ahead: tuple[str, ...]  # films of the next trial, to be fetched while this one is answered
    break_now: bool
    seconds: float  # of each film
    may_answer: bool


@dataclass(frozen=True)
class Completion:
    """That everything is stored, and what proves it to a crowd platform."""

    code: str
    url: str | None


# Steps ----------------------------------------------------------------------------------------------------------


def place(session: Session, participant_id: int) -> Place:
    """Where the participant is, and what the study says, in the participant's language."""
    participant = participant_of(session, participant_id)
    design, language = participant.study.design, participant.language
    done, total = _progress(session, participant_id)
    return Place(
        _step(participant), language, tuple(design["languages"]), done,
        total or Design.from_dict(design).n_trials, participant.test, text_in(design["title"], language),
        text_in(design["consent"], language), text_in(design["instructions"], language),
    )  # fmt: skip


def _step(participant: StudyParticipant) -> str:
    if participant.finished_at is not None:
        return "finished"
    if participant.left_at is not None:
        return "left"
    if participant.study.status == "closed":
        return "closed"
    if participant.study.status == "paused" and not participant.test:
        return "study_paused"
    if participant.paused_at is not None:
        return "paused"
    steps = (("consent", participant.consented_at), ("sound", participant.sound_checked_at),
             ("instructions", participant.instructions_read_at))  # fmt: skip
    return next((step for step, done_at in steps if done_at is None), "trials")


def set_language(session: Session, participant_id: int, language: str) -> None:
    """Go on in another of the study's languages; one that it does not have changes nothing."""
    participant = participant_of(session, participant_id)
    if language in participant.study.design["languages"]:
        participant.language = language


def consent(session: Session, participant_id: int) -> None:
    """The participant agrees to take part. Repeating it changes nothing, as with all steps."""
    participant = active(session, participant_id)
    if participant.consented_at is None:
        participant.consented_at = now()
        _record(session, participant, "study.consented")


def sound_checked(session: Session, participant_id: int) -> None:
    """The participant has heard the test sound. Raises StudyRefused before the consent."""
    participant = active(session, participant_id)
    if participant.consented_at is None:
        raise StudyRefused("too_early", "the consent")
    participant.sound_checked_at = participant.sound_checked_at or now()


def instructions_read(session: Session, participant_id: int) -> None:
    """The participant begins: a place is taken and the trials are written down. Raises StudyRefused, as "full"."""
    participant = active(session, participant_id)
    if participant.sound_checked_at is None:
        raise StudyRefused("too_early", "the sound check")
    take_place(session, participant)
    if participant.instructions_read_at is None:
        participant.instructions_read_at = now()
        _record(session, participant, "study.begun", {"slot": participant.slot_number})


def pause(session: Session, participant_id: int) -> None:
    """Take a break; the place is kept for as long as the design says."""
    participant = active(session, participant_id)
    if participant.paused_at is None:
        participant.paused_at = now()
        keep_place(session, participant)
        _record(session, participant, "study.paused_by_participant")


def resume(session: Session, participant_id: int) -> None:
    """Go on after a break, however long it was. Raises StudyRefused if the study is closed or paused."""
    participant = active(session, participant_id)
    if participant.paused_at is not None:
        participant.paused_at = None
        keep_place(session, participant)
        _record(session, participant, "study.resumed_by_participant")


def leave(session: Session, participant_id: int) -> None:
    """Withdraw from the study; the place goes back, what was answered stays. Nothing changes after the end."""
    participant = participant_of(session, participant_id)
    if participant.finished_at is None and participant.left_at is None:
        participant.left_at = now()
        give_place_back(session, participant)
        _record(session, participant, "study.left")


# Trials ---------------------------------------------------------------------------------------------------------


def open_trial(session: Session, participant_id: int, tab: str) -> TrialView | None:
    """The trial that is open now, for one browser tab; None when everything is answered.

    The same tab gets the same names of films again; another tab gets others, never used before.
    Raises StudyRefused before the instructions, and for who left or paused.
    """
    participant = active(session, participant_id)
    if participant.finished_at is not None:
        return None
    if participant.instructions_read_at is None:
        raise StudyRefused("too_early", "the instructions")
    if participant.paused_at is not None:
        raise StudyRefused("too_early", "go on after the break")
    waiting = _open_trials(session, participant_id)
    if not waiting:
        return None
    keep_place(session, participant)
    view = _view(session, waiting[0], tab)
    if view.opened_at is None:
        view.opened_at = now()
    ahead = [_view(session, trial, tab) for trial in waiting[1:]]
    session.flush()
    return _shown(session, participant, view, ahead)


def _open_trials(session: Session, participant_id: int, first: int = 2) -> list[StudyTrial]:
    """The trial that is open, and the one after it."""
    query = (
        select(StudyTrial).where(StudyTrial.participant_id == participant_id, StudyTrial.answered_at.is_(None))
        .order_by(StudyTrial.number).limit(first)
        .options(joinedload(StudyTrial.left), joinedload(StudyTrial.right))
    )  # fmt: skip
    return list(session.scalars(query))


def _view(session: Session, trial: StudyTrial, tab: str) -> StudyView:
    if not 8 <= len(tab) <= _TAB or not tab.isascii() or not tab.isprintable():
        raise ValueError(f"the name of a tab has 8 to {_TAB} printable characters")
    view = session.scalar(select(StudyView).where(StudyView.trial_id == trial.id, StudyView.tab == tab))
    if view is None:
        view = StudyView(trial_id=trial.id, tab=tab, left_token=secrets.token_hex(16),
                         right_token=secrets.token_hex(16) if trial.right_id else None)  # fmt: skip
        session.add(view)
    return view


def _shown(session: Session, participant: StudyParticipant, view: StudyView, ahead: list[StudyView]) -> TrialView:
    trial = session.get_one(StudyTrial, view.trial_id)
    design = Design.from_dict(participant.study.design)
    done, total = _progress(session, participant.id)
    counted = done - design.practice
    return TrialView(
        number=trial.number, done=done, total=total, role="practice" if trial.role == "practice" else "counts",
        left=view.left_token, right=view.right_token, questions=questions(design, participant.language),
        ahead=tuple(token for one in ahead for token in (one.left_token, one.right_token) if token),
        break_now=design.break_after > 0 and counted > 0 and counted % design.break_after == 0,
        seconds=trial.left.duration_ms / 1000, may_answer=all_watched(session, trial, participant),
    )  # fmt: skip


def questions(design: Design, language: str) -> tuple[QuestionView, ...]:
    """The questions with their possible answers; the ends of a scale have names."""
    if design.scale is None:
        values: list[tuple[str | int, str]] = [("left", ""), ("right", "")]
        values += [("none", "")] if design.no_preference else []
    else:
        ends = {design.scale.low: design.scale.low_text, design.scale.high: design.scale.high_text}
        values = [(score, text_in(ends[score], language) if score in ends else "")
                  for score in range(design.scale.low, design.scale.high + 1)]  # fmt: skip
    return tuple(QuestionView(one.key, text_in(one.text, language), tuple(values)) for one in design.questions)


def film(session: Session, token: str, participant_id: int | None = None) -> Path | None:
    """The file behind a film's random name; None if it is not, or no longer, good, or another participant's.

    A name is good while its trial is open or comes next. Raises MissingStimulus if the file was deleted.
    """
    view = session.scalar(
        select(StudyView).where((StudyView.left_token == token) | (StudyView.right_token == token))
        .options(joinedload(StudyView.trial).joinedload(StudyTrial.participant).joinedload(StudyParticipant.study))
    )  # fmt: skip
    if view is None or view.trial.answered_at is not None:
        return None
    participant = view.trial.participant
    if participant_id not in (None, participant.id) or participant.left_at or participant.token_sha256 is None:
        return None
    if participant.study.status == "closed" or (participant.study.status == "paused" and not participant.test):
        return None
    stimulus = view.trial.left if token == view.left_token else view.trial.right
    assert stimulus is not None
    path = store.stored_path(stimulus.path)
    if not path.is_file():
        raise MissingStimulus(f"study {participant.study.name!r}: the film {stimulus.id} is gone ({path}); "
                              "launch the study again to draw it anew, with the same design")  # fmt: skip
    return path


def completion(session: Session, participant_id: int) -> Completion | None:
    """The completion code, once every answer is stored; None before. Test walks get one that proves nothing."""
    participant = participant_of(session, participant_id)
    if participant.finished_at is None or participant.completion_code is None:
        return None
    url = None
    if participant.source == "prolific":
        url = f"https://app.prolific.com/submissions/complete?cc={participant.completion_code}"
    return Completion(participant.completion_code, url)


def finish(session: Session, participant: StudyParticipant) -> None:
    """Close a participant's part, all of whose trials are answered, and make the completion code."""
    participant.finished_at = now()
    given = participant.study.design["completion_code"]
    participant.completion_code = "TEST" if participant.test else given or secrets.token_hex(5).upper()
    complete_place(session, participant)
    _record(session, participant, "study.finished")


def _progress(session: Session, participant_id: int) -> tuple[int, int]:
    done, total = session.execute(
        select(func.count(StudyTrial.answered_at), func.count()).where(StudyTrial.participant_id == participant_id)
    ).one()
    return done, total


def participant_of(session: Session, participant_id: int) -> StudyParticipant:
    """The participant with the study. Raises NoResultFound if there is none."""
    return session.get_one(StudyParticipant, participant_id, options=[joinedload(StudyParticipant.study)])


def active(session: Session, participant_id: int) -> StudyParticipant:
    """The participant, who may go on. Raises StudyRefused for who left, and a study that is paused or closed."""
    # On PostgreSQL, whatever else the same participant does at this moment waits here.
    participant = session.scalar(
        select(StudyParticipant).where(StudyParticipant.id == participant_id)
        .options(joinedload(StudyParticipant.study, innerjoin=True)).with_for_update(of=StudyParticipant)
    )  # fmt: skip
    if participant is None:
        raise StudyRefused("bad_link")
    if participant.left_at is not None:
        raise StudyRefused("left")
    if participant.study.status == "closed":
        raise StudyRefused("closed")
    if participant.study.status == "paused" and not participant.test:
        raise StudyRefused("paused")
    return participant


def _record(session: Session, participant: StudyParticipant, kind: str, payload: dict | None = None) -> None:
    events.record(session, f"participant:{participant.pseudonym}", kind,
                  {"study": participant.study_id, **(payload or {})})  # fmt: skip

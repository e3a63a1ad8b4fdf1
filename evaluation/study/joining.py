"""Who takes part: links, crowd platforms, test walks; places in the order design, their leases and their return.

A participant is known by a pseudonym. Tokens of links are shown once and kept as hashes; the ids of a crowd platform
are kept as keyed hashes, so that the same person comes back to the same place and nobody can be looked up.
"""

import datetime
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from db import access, events
from db.models import now
from db.study_models import Stimulus, Study, StudyItem, StudyParticipant, StudySlot, StudySystem, StudyTrial
from evaluation.study.design import Design
from evaluation.study.order import PlannedTrial, plan_trials, row_of
from evaluation.study.pseudonyms import keyed_hash, new_pseudonym
from evaluation.study.refusals import StudyRefused

MOST_INVITED = 500
_LONGEST_ID = 128  # of a platform's; Prolific's have 24 characters


@dataclass(frozen=True)
class Invitation:
    """A personal link; the token cannot be shown again."""

    participant_id: int
    pseudonym: str
    token: str


# Links ----------------------------------------------------------------------------------------------------------


def participant_by_token(session: Session, token: str) -> StudyParticipant | None:
    """Whose link or cookie this is, with the study; None for a wrong, replaced or withdrawn one."""
    return session.scalar(
        select(StudyParticipant).where(StudyParticipant.token_sha256 == access.hash_token(token))
        .options(joinedload(StudyParticipant.study))
    )  # fmt: skip


def study_by_open_token(session: Session, token: str) -> Study | None:
    """Which study's link for everybody this is; None for a wrong or withdrawn one."""
    return session.scalar(select(Study).where(Study.open_token_sha256 == access.hash_token(token)))


def invite(session: Session, study_id: int, count: int, actor: str, language: str = "") -> list[Invitation]:
    """Personal links for `count` people. Raises ValueError for a number out of reason, StudyRefused unless launched."""
    if not 1 <= count <= MOST_INVITED:
        raise ValueError(f"{count} links: expected 1 to {MOST_INVITED} at a time")
    study = _launched(session, study_id)
    made = []
    for _ in range(count):
        participant, token = _add(session, study, "personal", language)
        made.append(Invitation(participant.id, participant.pseudonym, token))
    events.record(session, actor, "study.invited", {"study": study_id, "people": [one.pseudonym for one in made]})
    return made


def new_link(session: Session, participant_id: int, actor: str) -> str:
    """A new token for a participant's link; the old one stops. Raises ValueError for one that no person uses."""
    participant = session.get_one(StudyParticipant, participant_id)
    if participant.simulated:
        raise ValueError(f"{participant.pseudonym} is simulated and uses no link")
    token = access.new_token()
    participant.token_sha256 = access.hash_token(token)
    events.record(session, actor, "study.link_replaced", {"participant": participant.pseudonym})
    return token


def withdraw(session: Session, participant_id: int, actor: str) -> None:
    """Stop a participant's link and give the place back; what was answered stays. Repeating it changes nothing."""
    participant = session.get_one(StudyParticipant, participant_id)
    if participant.token_sha256 is None and participant.left_at is not None:
        return
    participant.token_sha256 = None
    participant.left_at = participant.left_at or now()
    give_place_back(session, participant)
    events.record(session, actor, "study.withdrawn", {"participant": participant.pseudonym})


def open_link(session: Session, study_id: int, actor: str) -> str:
    """The token of a new link for everybody; an earlier one stops, who joined by it goes on."""
    study = _launched(session, study_id)
    token = access.new_token()
    study.open_token_sha256 = access.hash_token(token)
    events.record(session, actor, "study.open_link_made", {"study": study_id})
    return token


def close_open_link(session: Session, study_id: int, actor: str) -> None:
    """Stop the link for everybody; who joined by it goes on."""
    session.get_one(Study, study_id).open_token_sha256 = None
    events.record(session, actor, "study.open_link_closed", {"study": study_id})


# Joining --------------------------------------------------------------------------------------------------------


def join_open(session: Session, study_id: int, language: str = "") -> tuple[StudyParticipant, str]:
    """A new participant by the link for everybody, and the token by which they come back. Raises StudyRefused."""
    study = _running(session, study_id)
    refuse_if_full(session, study)
    participant, token = _add(session, study, "open", language)
    events.record(session, f"participant:{participant.pseudonym}", "study.joined", {"study": study_id, "by": "open"})
    return participant, token


def join_prolific(
    session: Session, study_id: int, pid: str, session_id: str, language: str = ""
) -> tuple[StudyParticipant, str]:
    """The participant whom the platform calls `pid`, new or come back, and a new token; an earlier one stops.

    Raises StudyRefused for ids that are none, a full or closed study, and who left.
    """
    if not all(0 < len(part) <= _LONGEST_ID and part.isascii() and part.isalnum() for part in (pid, session_id)):
        raise StudyRefused("bad_link")
    study = _running(session, study_id)
    crowd = keyed_hash("prolific", str(study.id), pid)
    known = session.scalar(
        select(StudyParticipant).where(StudyParticipant.study_id == study.id, StudyParticipant.crowd_sha256 == crowd)
        .with_for_update()
    )  # fmt: skip
    if known is not None and known.left_at is not None:
        raise StudyRefused("left")
    if known is not None:
        token = access.new_token()
        known.token_sha256 = access.hash_token(token)
        known.session_sha256 = keyed_hash("prolific session", session_id)
        return known, token
    refuse_if_full(session, study)
    participant, token = _add(session, study, "prolific", language)
    participant.crowd_sha256, participant.session_sha256 = crowd, keyed_hash("prolific session", session_id)
    events.record(
        session, f"participant:{participant.pseudonym}", "study.joined", {"study": study_id, "by": "prolific"}
    )
    return participant, token


def join_test(session: Session, study_id: int, actor: str, language: str = "") -> tuple[StudyParticipant, str]:
    """Somebody who walks through the study and whose answers never count; takes no place. Raises StudyRefused."""
    study = _launched(session, study_id)
    if study.status == "closed":
        raise StudyRefused("closed")
    participant, token = _add(session, study, "test", language)
    events.record(session, actor, "study.test_walk", {"study": study_id, "participant": participant.pseudonym})
    return participant, token


def join_simulated(session: Session, study_id: int, actor: str) -> StudyParticipant:
    """A participant whom a program plays; takes a place, and is marked. Raises StudyRefused."""
    study = _running(session, study_id)
    refuse_if_full(session, study)
    participant, _ = _add(session, study, "simulated", "")
    participant.token_sha256 = None
    events.record(session, actor, "study.simulated", {"study": study_id, "participant": participant.pseudonym})
    return participant


def _add(session: Session, study: Study, source: str, language: str) -> tuple[StudyParticipant, str]:
    languages = study.design["languages"]
    token = access.new_token()
    participant = StudyParticipant(
        study_id=study.id, pseudonym=new_pseudonym({"test": "test", "simulated": "sim"}.get(source, "p")),
        source=source, token_sha256=access.hash_token(token),
        language=language if language in languages else languages[0],
    )  # fmt: skip
    participant.study = study
    session.add(participant)
    session.flush()
    return participant, token


def _launched(session: Session, study_id: int) -> Study:
    study = session.get(Study, study_id)
    if study is None or study.launched_at is None:
        raise StudyRefused("not_launched")
    return study


def _running(session: Session, study_id: int) -> Study:
    study = _launched(session, study_id)
    if study.status != "running":
        raise StudyRefused(study.status)
    return study


# Places ---------------------------------------------------------------------------------------------------------


def take_place(session: Session, participant: StudyParticipant) -> None:
    """Give a participant a place and its trials, once; later calls prolong the lease.

    The place is a free one of the row with the fewest completed. Raises StudyRefused("full").
    """
    if participant.slot_number is not None:
        keep_place(session, participant)
        return
    study = participant.study
    if participant.test:
        # Test walks see the orders in turn, and take no place.
        number = session.scalar(select(func.count()).select_from(StudyParticipant).where(
            StudyParticipant.study_id == study.id, StudyParticipant.source == "test",
            StudyParticipant.slot_number.is_not(None))) or 0  # fmt: skip
    else:
        slot = _best_free(session, study)
        if slot is None:
            raise StudyRefused("full")
        slot.participant_id, slot.lease_ends_at = participant.id, _lease(study)
        number = slot.number
    participant.slot_number = number
    _make_trials(session, participant)
    session.flush()


def keep_place(session: Session, participant: StudyParticipant) -> None:
    """Prolong the lease, or find a place again for somebody who comes back after it ended and it was given away.

    Nobody's work is lost by being late: if no place is free, one is added with the same order.
    """
    if participant.test or participant.slot_number is None or participant.finished_at is not None:
        return
    study = participant.study
    mine = session.scalar(select(StudySlot).where(StudySlot.participant_id == participant.id))
    if mine is None:
        mine = session.scalar(
            select(StudySlot)
            .where(StudySlot.study_id == study.id, StudySlot.number == participant.slot_number, _free())
            .with_for_update()
        ) or _late_place(session, study, participant.slot_number)  # fmt: skip
        mine.participant_id = participant.id
    mine.lease_ends_at = _lease(study)


def give_place_back(session: Session, participant: StudyParticipant) -> None:
    """Let somebody else have the place of one who left before the end."""
    if participant.finished_at is None:
        for slot in session.scalars(select(StudySlot).where(StudySlot.participant_id == participant.id)):
            slot.participant_id = slot.lease_ends_at = None


def complete_place(session: Session, participant: StudyParticipant) -> None:
    """Note that the place is done."""
    for slot in session.scalars(select(StudySlot).where(StudySlot.participant_id == participant.id)):
        slot.completed_at, slot.lease_ends_at = now(), None


def free_places(session: Session, study_id: int) -> int:
    """How many places nobody holds, or holds no longer."""
    query = select(func.count()).select_from(StudySlot).where(StudySlot.study_id == study_id, _free())
    return session.scalar(query) or 0


def refuse_if_full(session: Session, study: Study) -> None:
    """Raises StudyRefused("full") if a newcomer would find no place."""
    if free_places(session, study.id) == 0:
        raise StudyRefused("full")


def _free():
    return StudySlot.completed_at.is_(None) & or_(
        StudySlot.participant_id.is_(None), StudySlot.lease_ends_at < now())


def _best_free(session: Session, study: Study) -> StudySlot | None:
    # On PostgreSQL two who come at the same moment wait for each other here; SQLite has one writer anyway.
    session.execute(select(Study.id).where(Study.id == study.id).with_for_update())
    slots = list(session.scalars(select(StudySlot).where(StudySlot.study_id == study.id).order_by(StudySlot.number)))
    completed: dict[int, int] = {}
    for slot in slots:
        completed[slot.row] = completed.get(slot.row, 0) + (slot.completed_at is not None)
    moment = now()
    free = [slot for slot in slots if slot.completed_at is None
            and (slot.participant_id is None or (slot.lease_ends_at is not None and slot.lease_ends_at < moment))]
    # First who was never there before who went away: a returning participant may find the old place still free.
    return min(free, key=lambda slot: (completed[slot.row], slot.participant_id is not None, slot.number), default=None)


def _late_place(session: Session, study: Study, number: int) -> StudySlot:
    last = session.scalar(select(func.max(StudySlot.number)).where(StudySlot.study_id == study.id))
    row = row_of(Design.from_dict(study.design), number)
    late = StudySlot(study_id=study.id, number=(last or 0) + 1, row=row)
    session.add(late)
    session.flush()
    return late


def _lease(study: Study) -> datetime.datetime:
    return now() + datetime.timedelta(minutes=study.design["lease_minutes"])


def _make_trials(session: Session, participant: StudyParticipant) -> None:
    """Write down the trials of the participant's place, so that nothing can change under way."""
    study = participant.study
    assert participant.slot_number is not None
    plan = plan_trials(Design.from_dict(study.design), participant.slot_number)
    films = {
        (role, position, system, shifted): stimulus
        for stimulus, role, position, system, shifted in session.execute(
            select(Stimulus.id, StudyItem.role, StudyItem.position, StudySystem.name, Stimulus.shifted)
            .join(Stimulus.item).join(Stimulus.system).where(Stimulus.study_id == study.id))
    }  # fmt: skip

    first = next(trial.item for trial in plan if trial.role == "main")
    others = sorted({position for role, position, *_ in films if role == "main"} - {first}) or [first]

    def film(trial: PlannedTrial, system: str | None, side: str) -> int | None:
        if system is None:
            return None
        if trial.role == "practice" and ("practice", trial.item, system, False) not in films:
            # There was no clip to spare; one that comes later does, but not the one that comes next.
            return films["main", others[trial.item % len(others)], system, False]
        return films["practice" if trial.role == "practice" else "main", trial.item, system, trial.late == side]

    session.add_all(
        StudyTrial(participant_id=participant.id, number=number, block=trial.block, role=trial.role,
                   left_id=film(trial, trial.left, "left"), right_id=film(trial, trial.right, "right"))
        for number, trial in enumerate(plan)
    )  # fmt: skip

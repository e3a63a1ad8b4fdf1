"""What researchers see and do while a study runs: counts without results, pausing, unblinding, and the export."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased, joinedload

from db import events
from db.models import Clip, now
from db.study_models import (
    Stimulus,
    Study,
    StudyItem,
    StudyParticipant,
    StudyResponse,
    StudySystem,
    StudyTrial,
)
from evaluation.study.design import Design
from evaluation.study.joining import free_places
from evaluation.study.refusals import StillBlind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PersonRow:
    """How far one participant is; nothing about what was answered but catch trials."""

    participant_id: int
    pseudonym: str
    source: str
    step: str  # invited, begun, paused, finished, left
    done: int
    total: int
    catch_seen: int
    catch_failed: int
    stalls: int
    minutes: float | None  # from the first step to the last answer, breaks included
    last_seen: Any  # datetime | None


@dataclass(frozen=True)
class Watch:
    """A running study in numbers. Test walks are in `people` and `test`, and in no other number."""

    planned: int
    places_free: int
    joined: int
    in_progress: int
    completed: int
    left: int
    simulated: int
    test: int
    answers: int  # to trials that count
    expected_answers: int
    people: tuple[PersonRow, ...]


def pause_study(session: Session, study_id: int, actor: str) -> None:
    """Let nobody go on until `resume_study`; what was answered stays."""
    _change(session, study_id, "running", "paused", actor)


def resume_study(session: Session, study_id: int, actor: str) -> None:
    """Let everybody go on."""
    _change(session, study_id, "paused", "running", actor)


def close_study(session: Session, study_id: int, actor: str) -> None:
    """End the study for good: links stop, answers are no longer taken."""
    study = session.get_one(Study, study_id)
    _change(session, study_id, study.status, "closed", actor)
    study.closed_at = study.closed_at or now()


def _change(session: Session, study_id: int, before: str, after: str, actor: str) -> None:
    study = session.scalar(select(Study).where(Study.id == study_id).with_for_update())
    if study is None or study.launched_at is None:
        raise ValueError("the study has not been launched")
    if study.status == after:
        return
    if study.status != before:
        raise ValueError(f"the study is {study.status}; expected {before}")
    study.status = after
    events.record(session, actor, f"study.{after}", {"study": study_id})


def watch(session: Session, study_id: int) -> Watch:
    """The study in numbers, without results."""
    study = session.get_one(Study, study_id)
    design = Design.from_dict(study.design)
    people = tuple(_people(session, study, design))
    real = [one for one in people if one.source != "test"]
    steps = Counter(one.step for one in real)
    answers = session.scalar(
        select(func.count()).select_from(StudyResponse).join(StudyResponse.trial).join(StudyTrial.participant)
        .where(StudyParticipant.study_id == study_id, StudyTrial.role == "main", StudyParticipant.source != "test")
    )  # fmt: skip
    return Watch(
        design.participants, free_places(session, study_id), len(real), steps["begun"] + steps["paused"],
        steps["finished"], steps["left"], sum(one.source == "simulated" for one in people),
        len(people) - len(real), answers or 0,
        design.participants * design.n_main * len(design.questions), people,
    )  # fmt: skip


def _people(session: Session, study: Study, design: Design) -> list[PersonRow]:
    progress = {
        who: (done, total, last) for who, done, total, last in session.execute(
            select(StudyTrial.participant_id, func.count(StudyTrial.answered_at), func.count(),
                   func.max(StudyTrial.answered_at))
            .join(StudyTrial.participant).where(StudyParticipant.study_id == study.id)
            .group_by(StudyTrial.participant_id))
    }  # fmt: skip
    catches = catch_results(session, study, design)
    stalls = dict(session.execute(
        # Every question of a trial carries the trial's stalls; one of them is enough.
        select(StudyTrial.participant_id, func.sum(StudyResponse.stalls)).join(StudyResponse.trial)
        .join(StudyTrial.participant)
        .where(StudyParticipant.study_id == study.id, StudyResponse.question == design.questions[0].key)
        .group_by(StudyTrial.participant_id)
    ).all())  # fmt: skip
    rows = []
    for one in session.scalars(select(StudyParticipant).where(StudyParticipant.study_id == study.id)
                               .order_by(StudyParticipant.id)):  # fmt: skip
        done, total, last = progress.get(one.id, (0, design.n_trials, None))
        seen = catches.get(one.id, [])
        begun = one.consented_at
        rows.append(PersonRow(
            one.id, one.pseudonym, one.source, _step(one), done, total, len(seen), seen.count(False),
            stalls.get(one.id, 0), (last - begun).total_seconds() / 60 if last and begun else None, last or begun,
        ))  # fmt: skip
    return rows


def _step(one: StudyParticipant) -> str:
    if one.finished_at is not None:
        return "finished"
    if one.left_at is not None:
        return "left"
    if one.paused_at is not None:
        return "paused"
    return "begun" if one.consented_at is not None else "invited"


def catch_results(session: Session, study: Study, design: Design) -> dict[int, list[bool]]:
    """Participant -> whether each catch trial was passed, in the order in which they came."""
    right = aliased(Stimulus)
    rows = session.execute(
        select(StudyTrial.participant_id, Stimulus.shifted, right.shifted, StudyResponse.preferred, StudyResponse.score)
        .join(StudyTrial, StudyResponse.trial_id == StudyTrial.id).join(StudyTrial.participant)
        .join(Stimulus, StudyTrial.left_id == Stimulus.id).outerjoin(right, StudyTrial.right_id == right.id)
        .where(StudyParticipant.study_id == study.id, StudyTrial.role == "catch",
               StudyResponse.question == design.catch_question)
        .order_by(StudyTrial.number)
    )  # fmt: skip
    results: dict[int, list[bool]] = {}
    for who, left_late, _, preferred, score in rows:
        results.setdefault(who, []).append(passed(design, left_late, preferred, score))
    return results


def passed(design: Design, left_late: bool, preferred: str | None, score: int | None) -> bool:
    """Whether a catch trial was answered as by somebody who watches and listens."""
    if design.kind == "mos":
        return score is not None and score <= design.catch.at_most
    return preferred == ("right" if left_late else "left")


# Results --------------------------------------------------------------------------------------------------------


def unblind(session: Session, study_id: int, actor: str, reason: str) -> None:
    """Show results from now on; once, for everybody, and on record. Raises ValueError without a reason or a launch."""
    study = session.scalar(select(Study).where(Study.id == study_id).with_for_update())
    if study is None or study.launched_at is None:
        raise ValueError("the study has not been launched; there is nothing to unblind")
    if not reason.strip():
        raise ValueError("say in a few words why results are looked at now; it goes on record")
    if study.unblinded_at is not None:
        return
    seen = watch(session, study_id)
    study.unblinded_at = now()
    events.record(session, actor, "study.unblinded", {
        "study": study_id, "reason": reason.strip()[:500], "completed": seen.completed, "planned": seen.planned,
        "answers": seen.answers, "status": study.status,
    })  # fmt: skip


def responses(session: Session, study_id: int, actor: str) -> "pd.DataFrame":
    """Every answer but those of practice, as the table that evaluation.study.responses describes; on record.

    Raises StillBlind before the study was unblinded, ValueError if there is no answer yet.
    """
    import pandas as pd

    from evaluation.study.responses import check_responses

    study = session.get_one(Study, study_id)
    if study.unblinded_at is None:
        raise StillBlind(f"{study.name} is blind: results are seen by nobody until it is unblinded")
    rows = _rows(session, study)
    if not rows:
        raise ValueError(f"{study.name}: nobody has answered yet")
    events.record(session, actor, "study.exported", {"study": study_id, "rows": len(rows)})
    design = Design.from_dict(study.design)
    scale = (float(design.scale.low), float(design.scale.high)) if design.scale else (1.0, 5.0)
    return check_responses(pd.DataFrame(rows), scale, study.name)


def side_balance(session: Session, study_id: int) -> list[tuple[str, str, int, int]]:
    """(pseudonym, comparison, times its first system was on the left, on the right); of an unblinded A/B study."""
    study = session.get_one(Study, study_id)
    if study.unblinded_at is None:
        raise StillBlind(f"{study.name} is blind: sides are seen by nobody until it is unblinded")
    design = Design.from_dict(study.design)
    counts: Counter = Counter()
    for row in _trials(session, study):
        if row.role == "main" and row.right is not None:
            first, second = _comparison(design, row.left, row.right)
            counts[row.pseudonym, f"{first} vs {second}", row.left == first] += 1
    keys = dict.fromkeys((who, comparison) for who, comparison, _ in counts)
    return [(who, comparison, counts[who, comparison, True], counts[who, comparison, False])
            for who, comparison in keys]  # fmt: skip


def _comparison(design: Design, left: str, right: str) -> tuple[str, str]:
    return (left, right) if (left, right) in design.comparisons else (right, left)


def _trials(session: Session, study: Study):
    """Each trial with whose it is, its clip and its systems."""
    right, right_system = aliased(Stimulus), aliased(StudySystem)
    return session.execute(
        select(StudyTrial.id, StudyTrial.number, StudyTrial.block, StudyTrial.role, StudyParticipant.pseudonym,
               StudyParticipant.source, Clip.name.label("clip"), StudySystem.name.label("left"),
               Stimulus.shifted.label("left_late"), right_system.name.label("right"))
        .join(StudyTrial.participant).join(Stimulus, StudyTrial.left_id == Stimulus.id)
        .join(StudyItem, Stimulus.item_id == StudyItem.id).join(Clip, StudyItem.clip_id == Clip.id)
        .join(StudySystem, Stimulus.system_id == StudySystem.id)
        .outerjoin(right, StudyTrial.right_id == right.id)
        .outerjoin(right_system, right.system_id == right_system.id)
        .where(StudyParticipant.study_id == study.id, StudyTrial.role != "practice")
        .order_by(StudyParticipant.id, StudyTrial.number)
    )  # fmt: skip


def _rows(session: Session, study: Study) -> list[dict[str, Any]]:
    design = Design.from_dict(study.design)
    answers: dict[int, list[StudyResponse]] = {}
    for one in session.scalars(
        select(StudyResponse).join(StudyResponse.trial).join(StudyTrial.participant)
        .where(StudyParticipant.study_id == study.id).order_by(StudyResponse.id)
        .options(joinedload(StudyResponse.trial))
    ):  # fmt: skip
        answers.setdefault(one.trial_id, []).append(one)
    name = study.name if study.version == 1 else f"{study.name} v{study.version}"
    return [
        _row(name, design, trial, one) for trial in _trials(session, study) for one in answers.get(trial.id, [])
        # A catch trial says something by one of its questions only.
        if trial.role == "main" or one.question == design.catch_question
    ]  # fmt: skip


def _row(name: str, design: Design, trial: Any, one: StudyResponse) -> dict[str, Any]:
    catch = trial.role == "catch"
    row = {
        "study": name, "kind": design.kind, "participant": trial.pseudonym, "item": trial.clip,
        "question": one.question, "trial": trial.number, "block": str(trial.block), "catch": catch,
        "catch_passed": passed(design, trial.left_late, one.preferred, one.score) if catch else "",
        "plays_left": one.plays_left, "plays_right": one.plays_right, "watched_ms": one.watched_ms,
        "replays": one.replays, "stalls": one.stalls, "hidden_ms": one.hidden_ms, "answer_ms": one.answer_ms,
        "viewport": one.viewport, "browser": one.browser,
        "answered_at": one.answered_at.isoformat(timespec="milliseconds"), "test": trial.source == "test",
        "simulated": trial.source == "simulated", "schema_version": design.schema_version,
    }  # fmt: skip
    if design.kind == "mos":
        return row | {"condition": trial.left, "score": one.score}
    chosen = {"left": trial.left, "right": trial.right, "none": "none"}[one.preferred or "none"]
    row |= {"system_left": trial.left, "system_right": trial.right, "preferred": one.preferred,
            "preferred_system": "" if catch else chosen}  # fmt: skip
    return row if catch else row | {"comparison": " vs ".join(_comparison(design, trial.left, trial.right))}

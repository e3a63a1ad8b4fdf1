"""Participants whom a program plays, through the same calls as people; marked as simulated wherever their answers are.

They stand in for people in demonstrations, tests and measurements. What they prefer is drawn from a strength per system
with a personal and a clip's deviation, so that answers of one person, and about one clip, are alike as people's are.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, aliased

from db.models import Clip
from db.progress import Progress
from db.session import reading, writing
from db.study_models import Stimulus, StudyItem, StudySystem, StudyTrial
from evaluation.study import serving
from evaluation.study.answering import Viewing, Watched, answer, watched
from evaluation.study.design import Design
from evaluation.study.joining import join_simulated

TAB = "simulated"
AT_ONCE = 10  # trials in one transaction, so that people wait for none of it


@dataclass(frozen=True)
class Manner:
    """How simulated participants answer. strengths: of each system, on a scale where 1 is a clear difference."""

    strengths: Mapping[str, float] = field(default_factory=dict)
    participant_sd: float = 0.4
    item_sd: float = 0.6
    attention: float = 0.97  # probability of passing a catch trial that one hears

    def tendency(self, system: str, who: str, clip: str, question: str, seed: int) -> float:
        """How much this one likes this system on this clip."""
        person = random.Random(f"{seed}/{who}/{system}/{question}").gauss(0, self.participant_sd)
        item = random.Random(f"{seed}/{clip}/{system}/{question}").gauss(0, self.item_sd)
        return self.strengths.get(system, 0.0) + person + item


def simulate(
    engine: Engine, study_id: int, n: int, *, manner: Manner | None = None, seed: int = 0, share: float = 1.0,
    actor: str = "command", progress: Progress | None = None,
) -> list[int]:  # fmt: skip
    """Let `n` simulated participants join and answer everything, or a `share` of the trials; returns their ids.

    Raises StudyRefused when the study is full, paused or closed.
    """
    ids = []
    for number in range(n):
        with writing(engine) as session:
            participant_id = join_simulated(session, study_id, actor).id
            serving.consent(session, participant_id)
            serving.sound_checked(session, participant_id)
            serving.instructions_read(session, participant_id)
        answer_all(engine, participant_id, manner or Manner(), seed, share)
        ids.append(participant_id)
        if progress is not None:
            progress(number + 1, n, f"participant {number + 1}")
    return ids


def answer_all(engine: Engine, participant_id: int, manner: Manner, seed: int = 0, share: float = 1.0) -> None:
    """Answer the trials that are open for a simulated participant, or a share of them."""
    with reading(engine) as session:
        participant = serving.participant_of(session, participant_id)
        design, who = Design.from_dict(participant.study.design), participant.pseudonym
        trials = _open(session, participant_id)
    trials = trials[: round(share * len(trials))]
    for first in range(0, len(trials), AT_ONCE):
        with writing(engine) as session:
            for trial in trials[first : first + AT_ONCE]:
                view = serving.open_trial(session, participant_id, TAB)
                assert view is not None and view.number == trial.number
                for side in ("left", "right") if view.right else ("left",):
                    watched(session, participant_id, view.number, TAB, side, Watched(1, 1, trial.duration_ms))
                said = {
                    one.key: _said(design, manner, trial, one.key, f"{seed}/{who}", seed) for one in design.questions
                }
                answer(session, participant_id, view.number, TAB, said, Viewing("1280x720", "simulated"))


def _open(session: Session, participant_id: int) -> list:
    """What a program may know of the trials that are open: more than a person."""
    right, right_system = aliased(Stimulus), aliased(StudySystem)
    query = (
        select(StudyTrial.number, StudyTrial.role, Clip.name.label("clip"), StudySystem.name.label("left"),
               Stimulus.shifted.label("left_late"), right_system.name.label("right"), Stimulus.duration_ms)
        .join(Stimulus, StudyTrial.left_id == Stimulus.id).join(StudySystem, Stimulus.system_id == StudySystem.id)
        .join(StudyItem, Stimulus.item_id == StudyItem.id).join(Clip, StudyItem.clip_id == Clip.id)
        .outerjoin(right, StudyTrial.right_id == right.id)
        .outerjoin(right_system, right.system_id == right_system.id)
        .where(StudyTrial.participant_id == participant_id, StudyTrial.answered_at.is_(None))
        .order_by(StudyTrial.number)
    )  # fmt: skip
    return list(session.execute(query))


def _said(design: Design, manner: Manner, trial, question: str, who: str, seed: int) -> str | int:
    chance = random.Random(f"{who}/{trial.number}/{question}")
    if trial.role == "catch" and chance.random() < manner.attention:
        return design.catch.at_most if design.kind == "mos" else "right" if trial.left_late else "left"
    left = manner.tendency(trial.left, who, trial.clip, question, seed)
    if design.scale is None:
        right = manner.tendency(trial.right, who, trial.clip, question, seed)
        return "left" if left + chance.gauss(0, 1) > right else "right"
    score = round((design.scale.low + design.scale.high) / 2 + left + chance.gauss(0, 0.7))
    return min(design.scale.high, max(design.scale.low, score))

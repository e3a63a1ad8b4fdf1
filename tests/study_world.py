"""A launched study for tests: a corpus of a few clips, films that are files of bytes, people who walk through it."""

import datetime
from pathlib import Path

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from db.models import Clip, Corpus, Subject, now
from db.session import reading, writing
from db.study_models import Study, StudyView
from evaluation.study import drafts, serving
from evaluation.study.answering import Saved, Watched, answer, watched
from evaluation.study.choosing import Choice
from evaluation.study.design import Catch, Clips, Design, System
from evaluation.study.freezing import folder, freeze
from evaluation.study.presets import CONSENT, EXPRESSION, EXPRESSIVENESS, LIP_SYNC, SCALE, TITLES

TAB = "tab-of-a-browser"
LOOK = {"en": "Look and listen.", "ko": "보고 들으십시오."}


def ab_design(n_clips: int = 4, participants: int = 4, **changes) -> Design:
    """Two comparisons, two questions; no practice and no catch trials unless asked for."""
    settings = {
        "kind": "ab", "title": TITLES["ab"], "questions": (LIP_SYNC, EXPRESSION), "instructions": LOOK,
        "systems": (System("EavaNet"), System("GT"), System("FaceFormer")), "consent": CONSENT, "practice": 0,
        "comparisons": (("EavaNet", "GT"), ("EavaNet", "FaceFormer")), "participants": participants,
        "clips": Clips(tuple(f"F1_e{number:02}" for number in range(1, n_clips + 1))),
    }  # fmt: skip
    return Design(**settings | changes)


def mos_design(n_clips: int = 4, participants: int = 4, **changes) -> Design:
    """Two conditions, one question, 1 to 5."""
    settings = {"kind": "mos", "title": TITLES["mos"], "questions": (EXPRESSIVENESS,), "comparisons": (),
                "systems": (System("Neutral"), System("Emotion")), "scale": SCALE}  # fmt: skip
    return ab_design(n_clips, participants, **settings | changes)


def a_corpus(session: Session, n_clips: int) -> Corpus:
    """A corpus with clips F1_e01, F1_e02, ... of half a second."""
    corpus = Corpus(name="tiny", source="/nowhere", layout="peers", synthetic=True, frames_per_second=25.0,
                    n_vertices=3, n_faces=1, normalisation="none", sha256="0" * 64)  # fmt: skip
    subject = Subject(corpus=corpus, name="F1", template_row=0)
    for number in range(1, n_clips + 1):
        Clip(corpus=corpus, subject=subject, name=f"F1_e{number:02}", sentence=f"e{number:02}", status="usable",
             n_frames=12)  # fmt: skip
    session.add(corpus)
    session.flush()
    return corpus


def launched(engine: Engine, design: Design, name: str = "pilot") -> Study:
    """A running study whose films are small files; clips that the design does not name are for practice."""
    with writing(engine) as session:
        corpus = session.query(Corpus).first() or a_corpus(session, design.clips.number + design.practice)
        study = drafts.create(session, name, design, corpus.id, "command")
        clips = {clip.name: clip for clip in corpus.clips}
        main = tuple(clips[name] for name in design.clips.names)
        practice = tuple(clip for clip in clips.values() if clip not in main)[: design.practice]
        films: dict[tuple[str, str, bool], Path] = {}
        folder(study).mkdir(parents=True)
        for clip in (*main, *practice):
            for system in design.systems:
                for late in (False, True) if design.catch.count and system.name == design.catch_system else (False,):
                    films[clip.name, system.name, late] = path = folder(study) / f"{len(films)}.mp4"
                    path.write_bytes(len(films).to_bytes(4, "big"))
        choice = Choice(main, practice, {system.name: None for system in design.systems}, {})
        return freeze(session, study.id, design, choice, films, "command")


def with_catches(design_of, n: int = 2, **changes) -> Design:
    """The design with practice and catch trials."""
    return design_of(practice=2, catch=Catch("shifted", n), **changes)


def begin(session: Session, participant_id: int) -> None:
    """Take all the steps before the first trial."""
    serving.consent(session, participant_id)
    serving.sound_checked(session, participant_id)
    serving.instructions_read(session, participant_id)


def pass_time(session: Session, seconds: float = 60) -> None:
    """Let every trial that is open have been open for longer."""
    session.execute(update(StudyView).values(opened_at=now() - datetime.timedelta(seconds=seconds)))
    session.expire_all()


def watch_all(session: Session, participant_id: int, tab: str = TAB) -> serving.TrialView:
    """Open the trial, play its films to their ends, and let time pass."""
    view = serving.open_trial(session, participant_id, tab)
    assert view is not None
    pass_time(session)
    for side in ("left", "right") if view.right else ("left",):
        watched(session, participant_id, view.number, tab, side, Watched(1, 1, 480))
    return view


def answer_one(engine: Engine, participant_id: int, tab: str = TAB) -> Saved:
    """Watch and answer the trial that is open, always the left one or a 3."""
    with writing(engine) as session:
        view = watch_all(session, participant_id, tab)
        said = {one.key: "left" if view.right else 3 for one in view.questions}
        return answer(session, participant_id, view.number, tab, said)


def answer_all(engine: Engine, participant_id: int) -> int:
    """Answer everything; returns how many trials that were."""
    n = 0
    while True:
        with reading(engine) as session:
            if serving.place(session, participant_id).step == "finished":
                return n
        answer_one(engine, participant_id)
        n += 1

"""Studies before their launch: made, edited, checked; and new versions of those that were launched."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from db import events, store
from db.models import Corpus
from db.study_models import Study
from evaluation.study.choosing import choose
from evaluation.study.design import BadDesign, Design


def create(session: Session, name: str, design: Design, corpus_id: int, actor: str) -> Study:
    """A draft. Raises ValueError for a name that is taken or cannot be one."""
    store.checked_name(name, "study")
    if by_name(session, name) is not None:
        raise ValueError(f"there is a study named {name!r} already; choose another name, or make a new version of it")
    return _add(session, name, 1, design, corpus_id, actor)


def edit(session: Session, study_id: int, design: Design, actor: str) -> Study:
    """Replace a draft's design. Raises ValueError for a study that was launched: that needs a new version."""
    study = session.scalar(select(Study).where(Study.id == study_id).with_for_update())
    if study is None:
        raise ValueError(f"there is no study {study_id}")
    if study.launched_at is not None:
        raise ValueError(f"{study.name} was launched on {study.launched_at:%Y-%m-%d} and is frozen; make a new version")
    study.kind, study.design = design.kind, design.as_dict()
    events.record(session, actor, "study.edited", {"study": study_id, "design_sha256": design.sha256()})
    return study


def new_version(session: Session, study_id: int, actor: str, design: Design | None = None) -> Study:
    """A draft with the next number, by default with the same design. Raises ValueError while there is a draft."""
    study = session.get_one(Study, study_id)
    newest = by_name(session, study.name)
    assert newest is not None
    if newest.launched_at is None:
        raise ValueError(f"version {newest.version} of {study.name} is a draft; edit that one")
    chosen = design or Design.from_dict(study.design)
    return _add(session, study.name, newest.version + 1, chosen, study.corpus_id, actor)


def list_studies(session: Session) -> list[Study]:
    """All studies, newest first, with their corpus."""
    return list(session.scalars(select(Study).options(joinedload(Study.corpus)).order_by(Study.id.desc())))


def by_name(session: Session, name: str, version: int | None = None) -> Study | None:
    """The newest version of a study, or that one."""
    query = select(Study).where(Study.name == name).order_by(Study.version.desc()).limit(1)
    return session.scalar(query if version is None else query.where(Study.version == version))


def check(session: Session, study: Study) -> list[str]:
    """What stands in the way of a launch, in words; empty if nothing does."""
    try:
        choose(session, Design.from_dict(study.design), session.get_one(Corpus, study.corpus_id))
    except BadDesign as error:
        return str(error).splitlines()
    return []


def _add(session: Session, name: str, version: int, design: Design, corpus_id: int, actor: str) -> Study:
    if session.scalar(select(func.count()).select_from(Corpus).where(Corpus.id == corpus_id)) == 0:
        raise ValueError(f"there is no corpus {corpus_id}")
    study = Study(name=name, version=version, kind=design.kind, corpus_id=corpus_id, design=design.as_dict())
    session.add(study)
    session.flush()
    events.record(session, actor, "study.drafted", {
        "study": study.id, "name": name, "version": version, "design_sha256": design.sha256(),
    })  # fmt: skip
    return study

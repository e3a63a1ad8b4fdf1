"""Which clips and which files a design means: the rule carried out on what the corpus and the prediction sets have."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from db import store
from db.models import Clip, Corpus, ReleaseLabel, Split, SplitMember, Subject
from db.predictions import predictions_of
from db.result_models import Prediction, PredictionSet
from db.splits import LabelledClip, draw_stratified
from evaluation.study.design import BadDesign, Design


@dataclass(frozen=True)
class Source:
    """The motion of one clip by one system: a file of vertices and where in it the clip begins."""

    path: Path
    first_frame: int
    sha256: str


@dataclass(frozen=True)
class Choice:
    """What a design comes to: clips that count or are for practice, sets, and each clip's motion by each system."""

    clips: tuple[Clip, ...]
    practice: tuple[Clip, ...]
    sets: Mapping[str, PredictionSet | None]
    sources: Mapping[tuple[str, str], Source]  # (clip, system)


def choose(session: Session, design: Design, corpus: Corpus) -> Choice:
    """Carry the design's rules out. Raises BadDesign with everything that is missing.

    A clip takes part if it is usable, has motion, sound and a template, and all systems have predicted it.
    """
    sets = {system.name: _set(session, system.predictions, corpus) for system in design.systems}
    usable = {clip.name: clip for clip in _usable(session, corpus)}
    motions = {name: _motions(session, one, usable) for name, one in sets.items()}
    possible = {}
    for name, clip in usable.items():
        found = _of_one_subject(design, name, {system: motions[system].get(name, {}) for system in sets})
        if found is not None:
            possible[name] = (clip, found)
    chosen = design.clips.names or _drawn(session, design, corpus, set(possible))
    missing = [name for name in chosen if name not in possible]
    if missing:
        raise BadDesign("\n".join(_why_not(design, name, usable, motions) for name in missing[:20]))
    rest = sorted(set(possible) - set(chosen))
    random.Random(f"practice/{design.seed}").shuffle(rest)
    practice = rest[: design.practice]
    sources = {(name, system): source for name in (*chosen, *practice) for system, source in possible[name][1].items()}
    return Choice(tuple(possible[name][0] for name in chosen), tuple(possible[name][0] for name in practice),
                  sets, sources)  # fmt: skip


def _set(session: Session, name: str | None, corpus: Corpus) -> PredictionSet | None:
    if name is None:
        return None
    found = session.scalar(select(PredictionSet).where(PredictionSet.name == name))
    if found is None or found.corpus_id != corpus.id:
        raise BadDesign(f"prediction set {name!r}: corpus {corpus.name} has none of this name; "
                        "see `python -m db.predictions list`")  # fmt: skip
    return found


def _usable(session: Session, corpus: Corpus) -> list[Clip]:
    query = (
        select(Clip).join(Clip.subject)
        .where(Clip.corpus_id == corpus.id, Clip.status == "usable", Clip.vertices_path.is_not(None),
               Clip.audio_path.is_not(None), Clip.n_frames > 0, Subject.template_row.is_not(None))
        .options(joinedload(Clip.subject).joinedload(Subject.corpus), joinedload(Clip.corpus))
    )  # fmt: skip
    return list(session.scalars(query))


Motions = dict[str, dict[str | None, Source]]  # clip -> condition subject (None: not conditioned) -> motion


def _motions(session: Session, one: PredictionSet | None, usable: Mapping[str, Clip]) -> Motions:
    if one is None:
        return {name: {None: Source(store.stored_path(clip.vertices_path or ""), clip.first_frame,
                                    clip.vertices_sha256 or "")}
                for name, clip in usable.items()}  # fmt: skip
    motions: Motions = {}
    for row in predictions_of(session, one.id):
        if row.clip.name in usable and _long_enough(row):
            subject = row.condition_subject.name if row.condition_subject else None
            source = Source(store.stored_path(row.path), row.first_frame, row.sha256)
            motions.setdefault(row.clip.name, {})[subject] = source
    return motions


def _long_enough(row: Prediction) -> bool:
    return row.n_frames >= row.first_frame + row.clip.n_frames


def _of_one_subject(design: Design, clip: str, motions: Mapping[str, dict[str | None, Source]]):
    """System -> motion, all under the same condition subject where they have one; None if that is not to be had."""
    if not all(motions.values()):
        return None
    conditioned = [set(of_system) for of_system in motions.values() if None not in of_system]
    shared = set.intersection(*conditioned) if conditioned else {None}
    if design.condition_subject is not None and conditioned:
        shared &= {design.condition_subject}
    if not shared:
        return None
    # The paper drew its 30 samples from five condition subjects; here each clip has one, drawn by the design's seed.
    subject = random.Random(f"condition/{design.seed}/{clip}").choice(sorted(shared, key=str))
    return {system: of_system.get(None) or of_system[subject] for system, of_system in motions.items()}


def _drawn(session: Session, design: Design, corpus: Corpus, possible: set[str]) -> tuple[str, ...]:
    rule = design.clips
    split = session.scalar(select(Split).where(Split.corpus_id == corpus.id, Split.name == rule.split))
    if split is None:
        raise BadDesign(f"clips: corpus {corpus.name} has no split {rule.split!r}")
    rows = session.execute(
        select(Clip.name, Subject.name, ReleaseLabel.label)
        .join(SplitMember, SplitMember.clip_id == Clip.id).join(Subject, Subject.id == Clip.subject_id)
        .outerjoin(ReleaseLabel, (ReleaseLabel.clip_id == Clip.id) & (ReleaseLabel.release_id == split.release_id))
        .where(SplitMember.split_id == split.id, SplitMember.part == rule.part)
    )  # fmt: skip
    clips = [LabelledClip(name, subject, label or "") for name, subject, label in rows if name in possible]
    if len(clips) < rule.count:
        raise BadDesign(f"clips: {rule.count} are to be drawn from {rule.part} of split {rule.split!r}, but all "
                        f"systems have predicted {len(clips)} of it under one condition subject; predict the others, "
                        "or ask for fewer")  # fmt: skip
    drawn = draw_stratified(clips, rule.count, f"study/{design.seed}")
    # In an order that says nothing: names are sorted by subject and sentence.
    return tuple(sorted((clip.name for clip in drawn), key=lambda name: _lot(design.seed, name)))


def _lot(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def _why_not(design: Design, name: str, usable: Mapping[str, Clip], motions: Mapping[str, Motions]) -> str:
    if name not in usable:
        return f"clip {name}: the corpus has none that is usable, with motion, sound and a template"
    lacking = [system for system, of_system in motions.items() if name not in of_system]
    if lacking:
        return f"clip {name}: not predicted (or too short) by {', '.join(lacking)}"
    subject = f"subject {design.condition_subject}" if design.condition_subject else "one subject"
    return f"clip {name}: the systems have no prediction of it under {subject}"

"""What a report is about: one corpus, one split of it, and for each system the predictions that stand for it.

A system is the newest prediction set of its name in which each clip has its own emotion, and which covers every clip of
the part; other sets can be named instead. Two systems without files say what the numbers mean: the template, and the
training clips' mean expression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Clip, Corpus, LabelRelease, Split
from db.predictions import list_sets
from db.progress import Progress
from db.result_models import PredictionSet
from db.store import stored_path
from evaluation.description import Description, NoDescription, read_description
from evaluation.report_studies import StudyFound
from evaluation.score_sets import scores_of
from evaluation.scores import newest_release, release_of, score_mean_expression, score_template, split_clips

PARTS = {"biwi-a": "BIWI-A", "biwi-b": "BIWI-B"}
TEMPLATE, MEAN = "Template (no motion)", "Mean expression"
OURS = "EavaNet"


@dataclass(frozen=True)
class Scored:
    """A system on one part. table: scores; sources: hashes; predictions: None: a reference."""

    system: str
    table: pd.DataFrame
    sources: dict[str, str]
    predictions: PredictionSet | None = None


@dataclass(frozen=True)
class Part:
    """A part of the split. why: what is missing, and what to do, if no system has predictions of it."""

    key: str
    title: str
    clips: list[Clip]
    systems: list[Scored]
    why: str = ""
    notes: tuple[str, ...] = ()

    @property
    def predicted(self) -> list[Scored]:
        """The systems that have predictions."""
        return [one for one in self.systems if one.predictions is not None]


@dataclass(frozen=True)
class ReportData:
    """All that tables and figures are made of."""

    corpus: Corpus
    release: LabelRelease | None
    split: Split | None
    parts: dict[str, Part]
    description: Description | None
    no_description: str
    marks: tuple[str, ...]  # such as that the corpus is synthetic
    studies: dict[str, StudyFound] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


def find_corpus(session: Session, name: str | None) -> Corpus:
    """The corpus called `name`, or the only one. Raises ValueError."""
    corpora = session.scalars(select(Corpus).order_by(Corpus.name)).all()
    chosen = [corpus for corpus in corpora if name in (None, corpus.name)]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(corpus.name for corpus in corpora)
    if not known:
        raise ValueError("there is no corpus yet; import one, or make the demo corpus: python -m db.corpus demo")
    raise ValueError(f"corpus {name}: there are {known}" if name else f"choose a corpus with --corpus: {known}")


def gather(
    session: Session,
    corpus: Corpus,
    *,
    sets: Sequence[str] = (),
    split: str | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> ReportData:
    """Score what is not scored yet, and bring everything together.

    sets: names of prediction sets that stand for their systems (default: the newest). split: by default that of the
    newest run, else the newest. Raises ValueError for names that there are not, and as `scores.score_set`.
    """
    known = list_sets(session, corpus.id)
    unknown = set(sets) - {one.name for one in known}
    if unknown:
        there = ", ".join(one.name for one in known) or "none"
        raise ValueError(f"predictions {', '.join(sorted(unknown))}: corpus {corpus.name} has {there}")
    split_row = _split(session, corpus, known, split)
    parts = {}
    for key, title in PARTS.items():
        parts[key] = _part(session, key, title, known, set(sets), split_row, workers, progress)
    ours = [one for part in parts.values() for one in part.predicted if one.system == OURS]
    release = next((found for one in ours if (found := release_of(session, one.predictions))), None)
    release = release or newest_release(session, corpus.id)
    description, why = _description(ours)
    scored = [one.predictions for part in parts.values() for one in part.predicted]
    marks = [
        "synthetic corpus" if corpus.synthetic else "",
        "labels by simulated raters" if release is not None and release.simulated else "",
        "random audio encoder"
        if any((one.source.get("encoder") or {}).get("random") for one in scored if one is not None) else "",
    ]  # fmt: skip
    sources = {"corpus": corpus.sha256}
    sources |= {"labels": release.sha256} if release else {}
    sources |= {"split": split_row.sha256} if split_row else {}
    return ReportData(
        corpus, release, split_row, parts, description, why, tuple(filter(None, marks)), sources=sources
    )  # fmt: skip


def with_studies(data: ReportData, studies: dict[str, StudyFound]) -> ReportData:
    """The data with what studies found, and their marks."""
    marks = [mark for found in studies.values() for mark in found.marks]
    return replace(data, studies=studies, marks=tuple(dict.fromkeys([*data.marks, *marks])))


def _split(session: Session, corpus: Corpus, known: Sequence[PredictionSet], name: str | None) -> Split | None:
    splits = session.scalars(select(Split).where(Split.corpus_id == corpus.id).order_by(Split.id)).all()
    if name is not None:
        chosen = next((one for one in splits if one.name == name), None)
        if chosen is None:
            raise ValueError(f"split {name}: corpus {corpus.name} has {', '.join(s.name for s in splits) or 'none'}")
        return chosen
    by_id = {one.id: one for one in splits}
    used = [by_id[one.run.split_id] for one in known if one.run is not None and one.run.split_id in by_id]
    return used[-1] if used else splits[-1] if splits else None


def _part(
    session: Session,
    key: str,
    title: str,
    known: Sequence[PredictionSet],
    named: set[str],
    split: Split | None,
    workers: int,
    progress: Progress | None,
) -> Part:
    if split is None:
        return Part(key, title, [], [], "there is no split yet; make a label release and split it (Labels page)")
    clips = split_clips(session, split.id, key)
    if not clips:
        return Part(key, title, [], [], f"split {split.name} has no clip in {title}; make one with other counts")
    names, systems, notes = {clip.name for clip in clips}, {}, []
    for one in known:
        if one.emotion is not None or one.intensity not in (None, 1.0) or one.part not in (None, key):
            continue
        if (
            named
            and one.name not in named
            and any(other.name in named and other.system == one.system for other in known)
        ):
            continue
        if one.part is None and not names <= {prediction.clip.name for prediction in one.predictions}:
            continue  # made elsewhere, and not for this part
        table = scores_of(session, one, workers=workers, progress=progress)
        table = own_conditions(table[table["clip"].isin(names)], key)
        left_out = sorted(names - set(table["clip"]))
        if left_out:
            notes.append(f"{one.system} ({one.name}) has no prediction of {', '.join(left_out[:5])} and is left out")
            continue
        systems[one.system] = Scored(one.system, table, {"predictions": one.sha256}, one)  # the newest is the last
    why = "" if systems else f"no system has predictions of {title}: python -m eavanet.predict --part {key}"
    references = _references(session, clips, split) if systems else []
    ordered = sorted(systems.values(), key=lambda one: (one.system == OURS, one.system))
    return Part(key, title, clips, [*references, *ordered], why, tuple(notes))


def own_conditions(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows that count on a part: on BIWI-A, whose subjects were trained on, each clip under its own subject.

    A table in which a clip lacks that row, such as of a system that is not conditioned, is left as it is.
    """
    if part != "biwi-a":
        return table
    own = table[table["condition"] == table["subject"]]
    if set(own["clip"]) != set(table["clip"]):
        return table
    own.attrs = table.attrs
    return own


def _references(session: Session, clips: list[Clip], split: Split) -> list[Scored]:
    training = split_clips(session, split.id, "train")
    found = [Scored(TEMPLATE, score_template(session, clips), {"split": split.sha256})]
    if training:
        table = score_mean_expression(session, clips, training)
        found.append(Scored(MEAN, table, {"split": split.sha256}))
    return found


def _description(ours: Sequence[Scored]) -> tuple[Description | None, str]:
    runs = [one.predictions.run for one in ours if one.predictions is not None and one.predictions.run is not None]
    if not runs:
        return (
            None,
            "no EavaNet predictions of a run that is here: python -m eavanet.train, then python -m eavanet.predict",
        )
    run = runs[0]
    try:
        return read_description(Path(stored_path(run.folder)) / "description"), ""
    except NoDescription:
        return None, f"the style encoder was not described yet: python -m eavanet.describe --checkpoint {run.name}"

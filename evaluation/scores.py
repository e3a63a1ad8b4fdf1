"""Scores of predictions that the database knows: all metrics, a row per clip and condition subject.

A clip at a time, from memory maps: memory stays flat whatever the size of the set and of its files.
Two systems without files say what a metric's numbers mean: a face that does not move at all, and one that always has
the mean expression of the training clips.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from db.clips import load_template, load_topology, load_vertices, regions
from db.models import Clip, Corpus, LabelRelease, ReleaseLabel, SplitMember, Subject
from db.predictions import load_prediction, predictions_of
from db.progress import Progress
from db.result_models import PredictionSet
from db.store import stored_path
from evaluation.clip_scores import Measures, score_motion
from evaluation.motion import diversity
from evaluation.mouth import find_mouth

LIPS, UPPER_FACE, EYES_AND_FOREHEAD = "lve", "fdd", "eve"  # names of a corpus's region files


def score_set(
    session: Session,
    predictions: PredictionSet,
    *,
    release: LabelRelease | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """All metrics of a prediction set, a row per clip and condition subject (see `score_table`).

    release: whose labels go into the column `emotion`; by default those that the system was trained on, else the
    corpus's newest. `attrs["notes"]` says which metrics cannot be had, and why. A prediction longer than the truth is
    cut. Raises ValueError (or MissingFile) that names the file for one that is gone, shorter, of another topology or
    not finite, and for a set without predictions.
    """
    rows = predictions_of(session, predictions.id)
    if not rows:
        raise ValueError(f"predictions {predictions.name}: the set is empty; predict again")
    labels = labels_of(session, release or release_of(session, predictions), predictions.corpus_id)
    measures = measures_of(predictions.corpus, rows[0].clip.subject)

    def score(row) -> dict:
        condition = row.condition_subject.name if row.condition_subject else ""
        return _row(row.clip, condition, load_prediction(row), labels, measures, str(stored_path(row.path)))

    return _table(rows, score, measures, workers, progress)


def score_template(
    session: Session, clips: Sequence[Clip], *, release: LabelRelease | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """The scores of a face that does not move: each clip's subject's template. Raises ValueError without clips."""
    return _score_still(session, clips, None, release, progress)


def score_mean_expression(
    session: Session,
    clips: Sequence[Clip],
    training: Sequence[Clip],
    *,
    release: LabelRelease | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The scores of a face that always has the training clips' mean displacement; what no system should fall behind.

    It is the best of all predictions that do not look at the speech, in mean squared distance on the training clips.
    Raises ValueError without clips.
    """
    return _score_still(session, clips, mean_displacement(training), release, progress)


def diversity_of_set(session: Session, predictions: PredictionSet) -> pd.DataFrame:
    """How far a clip's predictions under different condition subjects lie apart: clip, subject, conditions, diversity.

    Clips that were predicted under one condition only are left out; the table may be empty. Raises as `score_set`.
    """
    found = []
    for clip, rows in groupby(predictions_of(session, predictions.id), key=lambda row: row.clip):
        motions = [load_prediction(row) for row in rows]
        if len(motions) < 2:
            continue
        apart = diversity(motions)
        if not np.isfinite(apart):
            raise ValueError(f"{clip.name}: a prediction of {predictions.name} has values that are no numbers")
        found.append((clip.name, clip.subject.name, len(motions), apart))
    return pd.DataFrame(found, columns=["clip", "subject", "conditions", "diversity"])


def split_clips(session: Session, split_id: int, part: str) -> list[Clip]:
    """The usable clips of a split's part, by name, ready to be loaded after the session is closed."""
    query = (
        select(Clip)
        .join(SplitMember, SplitMember.clip_id == Clip.id)
        .where(SplitMember.split_id == split_id, SplitMember.part == part, Clip.status == "usable")
        .options(joinedload(Clip.corpus), joinedload(Clip.subject).joinedload(Subject.corpus))
        .order_by(Clip.name)
    )
    return list(session.scalars(query))


def mean_displacement(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """The mean displacement from the template over all frames of the clips, (V, 3).

    Raises ValueError without clips, or for one that is not finite.
    """
    if not clips:
        raise ValueError("no clip to take the mean expression from; is the training part empty?")
    total, n_frames = np.zeros((clips[0].corpus.n_vertices, 3)), 0
    for clip in clips:
        vertices = load_vertices(clip)
        for start in range(0, len(vertices), 16):
            total += vertices[start : start + 16].sum(axis=0, dtype=np.float64)
        total -= len(vertices) * load_template(clip.subject)
        n_frames += len(vertices)
        if not np.isfinite(total).all():
            raise ValueError(f"{clip.vertices_path}: has values that are no numbers (NaN or infinite); import it again")
    return total / n_frames


def measures_of(corpus: Corpus, subject: Subject) -> Measures:
    """What the corpus's files allow to be measured; `subject` is one whose template shows where the mouth is.

    Raises ValueError for a region that points outside the mesh.
    """
    known, notes = regions(corpus), []
    lips, upper = known.get(LIPS), known.get(UPPER_FACE)
    if lips is None:
        notes.append(f"corpus {corpus.name} has no lip region (regions/{LIPS}.txt): no lip and mouth metrics")
    if upper is None:
        notes.append(f"corpus {corpus.name} has no upper-face region (regions/{UPPER_FACE}.txt): no FDD")
    if EYES_AND_FOREHEAD not in known and upper is not None:
        notes.append(f"corpus {corpus.name} has no region of eyes and forehead (regions/{EYES_AND_FOREHEAD}.txt): the "
                     "emotional vertex error is taken over the whole upper face")
    mouth = None
    if lips is not None:
        try:
            mouth = find_mouth(load_template(subject), lips, load_topology(corpus)[0])
        except ValueError as error:
            notes.append(str(error))
    return Measures(
        corpus.frames_per_second, corpus.mm_per_unit, lips, upper, known.get(EYES_AND_FOREHEAD, upper), mouth, notes
    )


def _row(
    clip: Clip, condition: str, predicted: NDArray, labels: dict[int, str | None], measures: Measures, file: str
) -> dict:
    reference = load_vertices(clip)
    try:
        found = score_motion(predicted, reference, load_template(clip.subject), measures)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    if not np.isfinite(found["vertex_error"]):
        guilty = file if np.isfinite(reference).all() else str(stored_path(clip.vertices_path))
        raise ValueError(
            f"{guilty}: has values that are no numbers (NaN or infinite); write it again, or leave the clip out"
        )
    return {"clip": clip.name, "subject": clip.subject.name, "emotion": labels.get(clip.id), "condition": condition,
            "n_frames": len(reference), **found}  # fmt: skip


def _score_still(
    session: Session,
    clips: Sequence[Clip],
    displacement: NDArray | None,
    release: LabelRelease | None,
    progress: Progress | None,
) -> pd.DataFrame:
    if not clips:
        raise ValueError("no clip to score; is the part of the split empty?")
    corpus = clips[0].corpus
    labels = labels_of(session, release, corpus.id)
    measures = measures_of(corpus, clips[0].subject)

    def score(clip: Clip) -> dict:
        face = load_template(clip.subject) + (0 if displacement is None else displacement)
        still = np.broadcast_to(face, (clip.n_frames, *face.shape))
        return _row(clip, "", still, labels, measures, f"{clip.name} at rest")

    return _table(clips, score, measures, 1, progress)


def _table(
    items: Sequence, score: Callable[..., dict], measures: Measures, workers: int, progress: Progress | None
) -> pd.DataFrame:
    """Score each item, `workers` at a time: numpy works outside Python's lock, so threads do, and share the files."""
    rows = []
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="scores") as threads:
        scored: Iterable[dict] = map(score, items) if workers <= 1 else threads.map(score, items)
        for row in scored:
            rows.append(row)
            if progress:
                progress(len(rows), len(items), row["clip"])
    table = pd.DataFrame(rows)
    table.attrs["notes"] = measures.notes
    return table


def release_of(session: Session, predictions: PredictionSet) -> LabelRelease | None:
    """The label release that the set's system was trained on; None if it was not trained here."""
    run = predictions.run
    return session.get(LabelRelease, run.release_id) if run is not None and run.release_id is not None else None


def newest_release(session: Session, corpus_id: int) -> LabelRelease | None:
    """The corpus's newest label release, if it has one."""
    query = select(LabelRelease).where(LabelRelease.corpus_id == corpus_id).order_by(LabelRelease.id.desc())
    return session.scalars(query.limit(1)).first()


def labels_of(session: Session, release: LabelRelease | None, corpus_id: int) -> dict[int, str | None]:
    """Emotion by the clip's id; of the corpus's newest release if none is given, empty if there is none."""
    release = release or newest_release(session, corpus_id)
    if release is None:
        return {}
    rows = session.execute(
        select(ReleaseLabel.clip_id, ReleaseLabel.label).where(ReleaseLabel.release_id == release.id)
    )
    return {clip_id: label for clip_id, label in rows}


if __name__ == "__main__":
    # The command keeps tables, which needs these functions; importing it up there would go in a circle.
    from evaluation.score_sets import main

    raise SystemExit(main())

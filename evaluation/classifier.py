"""Does a predicted face show the emotion that it should? A classifier that has seen recorded motion only decides.

It is trained on the training part's ground truth and never on a prediction, so that no system can please it. What it
knows of a clip is where each vertex is on average, from the subject's template, and how much it moves: features that
any topology gives. Its accuracy on recorded clips stands beside every result, cross-validated for the training part,
and on the very clips that the systems predicted: no system is to be blamed for what recordings do not show either.

References
    Danecek et al., "EMOTE", SIGGRAPH Asia 2023 (judging speech-driven faces by an emotion recogniser).
    Jolliffe, "A note on the use of principal components in regression", 1982 (many vertices, few clips).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import BaseCrossValidator, LeaveOneGroupOut, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sqlalchemy.orm import Session

from db.clips import load_template, load_vertices
from db.models import Clip, LabelRelease
from db.predictions import load_prediction, predictions_of
from db.progress import Progress
from db.result_models import PredictionSet
from evaluation.emotions import in_order
from evaluation.intervals import Interval, share_interval
from evaluation.metrics import BLOCK_BYTES
from evaluation.scores import labels_of, release_of

COMPONENTS = 24
FOLDS = 5


@dataclass(frozen=True)
class Features:
    """What the classifier is told of N clips: values (N, 6V), with each clip's name, subject and emotion."""

    values: NDArray[np.float32]
    clips: tuple[str, ...]
    subjects: tuple[str, ...]
    emotions: tuple[str, ...]


@dataclass(frozen=True)
class Judge:
    """A trained classifier with what is known of its own errors.

    seen: accuracy on recorded clips of the training subjects; unseen: on recorded clips of subjects that it was not
    trained on (None if there is but one). Both cross-validated. chance: of always naming the commonest emotion.
    """

    model: Pipeline
    emotions: tuple[str, ...]
    seen: Interval
    unseen: Interval | None
    chance: float


def train_judge(features: Features, seed: int = 0) -> Judge:
    """Train on recorded clips. Raises ValueError for fewer than two emotions, or fewer than two clips of one."""
    labels = np.array(features.emotions)
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2 or counts.min() < 2:
        found = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True)) or "none"
        raise ValueError(f"recorded clips to learn emotions from: {found}; expected two or more of each of two or more")
    model = _untrained(features.values.shape, int(counts.min()), seed)
    folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=seed)
    seen = share_interval(_cross_validated(model, features, folds), features.clips, what="clips")
    unseen = None
    if len(set(features.subjects)) > 1:
        right = _cross_validated(model, features, LeaveOneGroupOut(), features.subjects)
        unseen = share_interval(right, features.subjects, what="subjects")
    chance = float(counts.max() / len(labels))
    return Judge(model.fit(features.values, labels), tuple(in_order(names)), seen, unseen, chance)


def labelled_features(
    session: Session, clips: Sequence[Clip], release: LabelRelease | None = None, progress: Progress | None = None
) -> Features:
    """Recorded motion of the labelled ones among `clips` (see `scores.split_clips`). Raises ValueError if none is."""
    labels = labels_of(session, release, clips[0].corpus_id) if clips else {}
    labelled = [clip for clip in clips if labels.get(clip.id) is not None]
    if not labelled:
        raise ValueError("no labelled clip to learn emotions from; make a label release first")
    values = []
    for clip in labelled:
        values.append(clip_features(load_vertices(clip), load_template(clip.subject)))
        if progress:
            progress(len(values), len(labelled), clip.name)
    return Features(
        np.stack(values),
        tuple(clip.name for clip in labelled),
        tuple(clip.subject.name for clip in labelled),
        tuple(labels[clip.id] for clip in labelled),
    )


def clip_features(vertices: ArrayLike, template: ArrayLike) -> NDArray[np.float32]:
    """Mean and standard deviation over time of each coordinate's displacement from the template: (T, V, 3) -> (6V,).

    Raises ValueError if the shapes do not fit or a coordinate is not finite.
    """
    vertices, template = np.asanyarray(vertices), np.asarray(template, dtype=np.float64)
    if vertices.ndim != 3 or not len(vertices) or vertices.shape[1:] != template.shape:
        raise ValueError(f"vertices {vertices.shape} with a template {template.shape}: expected (T, V, 3) and (V, 3)")
    mean, square = np.zeros((2, template.size))
    for displacement in _displacements(vertices, template):
        mean += displacement.sum(axis=0)
        square += np.einsum("td,td->d", displacement, displacement)
    mean /= len(vertices)
    spread = np.sqrt(np.maximum(square / len(vertices) - mean**2, 0))
    if not np.isfinite(spread).all():
        raise ValueError("vertices have values that are no numbers (NaN or infinite); write the file again")
    return np.concatenate([mean, spread]).astype(np.float32)


def judge_set(
    session: Session, predictions: PredictionSet, judge: Judge, release: LabelRelease | None = None
) -> pd.DataFrame:
    """What the judge sees in each prediction: clip, subject, condition, asked, recognised, and a column per emotion
    with its probability.

    asked: the emotion that the set was made for, else the clip's label; clips without one are left out.
    Raises ValueError that names the file for one that cannot be judged, or if no clip has an emotion.
    """
    rows = predictions_of(session, predictions.id)
    labels = labels_of(session, release or release_of(session, predictions), predictions.corpus_id)
    asked = {row.id: predictions.emotion or labels.get(row.clip_id) for row in rows}
    rows = [row for row in rows if asked[row.id] is not None]
    if not rows:
        raise ValueError(f"predictions {predictions.name}: no clip with an emotion; make a label release first")
    values = []
    for row in rows:
        try:
            values.append(clip_features(load_prediction(row), load_template(row.clip.subject)))
        except ValueError as error:
            raise ValueError(f"{row.path}: {error}") from error
    conditions = [row.condition_subject.name if row.condition_subject else "" for row in rows]
    return _judged([row.clip for row in rows], conditions, [asked[row.id] for row in rows], np.stack(values), judge)


def judge_recorded(
    session: Session, clips: Sequence[Clip], judge: Judge, release: LabelRelease | None = None
) -> pd.DataFrame:
    """The same table for the recorded motion of clips, whose labels are what is asked; what a system can be held to."""
    features = labelled_features(session, clips, release)
    kept = [clip for clip in clips if clip.name in set(features.clips)]
    return _judged(kept, [""] * len(kept), features.emotions, features.values, judge)


def recognised(judge: Judge, values: ArrayLike) -> pd.DataFrame:
    """What the judge sees in features (N, 6V): the column `recognised`, and each emotion's probability."""
    probability = judge.model.predict_proba(np.asarray(values, dtype=np.float32))
    classes = list(judge.model.classes_)
    found = {"recognised": [classes[best] for best in probability.argmax(axis=1)]}
    return pd.DataFrame(found | {name: probability[:, classes.index(name)] for name in judge.emotions})


def emotion_accuracy(table: pd.DataFrame, over: str = "clip") -> Interval:
    """The share of predictions in which the asked emotion is recognised, with its interval. Raises ValueError if empty.

    over: what is resampled, "clip" or "subject".
    """
    if table.empty:
        raise ValueError("no prediction was judged")
    return share_interval(table["asked"] == table["recognised"], table[over].tolist(), what=f"{over}s")


def _judged(
    clips: Sequence[Clip], conditions: Sequence[str], asked: Sequence[str], values: NDArray, judge: Judge
) -> pd.DataFrame:
    table = pd.DataFrame({
        "clip": [clip.name for clip in clips],
        "subject": [clip.subject.name for clip in clips],
        "condition": list(conditions),
        "asked": list(asked),
    })  # fmt: skip
    return table.join(recognised(judge, values))


def _untrained(shape: tuple[int, ...], fewest: int, seed: int) -> Pipeline:
    """Few components of many vertices, then a linear decision; each emotion counts the same, however rare."""
    n_clips, n_values = shape
    smallest_fold = n_clips - -(-n_clips // min(FOLDS, fewest))
    components = max(1, min(COMPONENTS, n_values, smallest_fold - 1))
    return make_pipeline(
        PCA(components, whiten=True, svd_solver="full"),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000, random_state=seed),
    )


def _cross_validated(
    model: Pipeline, features: Features, folds: BaseCrossValidator, groups: Sequence[str] | None = None
) -> NDArray[np.bool_]:
    """Whether each clip's emotion is recognised by a model that has not seen its fold, (N,)."""
    labels, right = np.array(features.emotions), np.zeros(len(features.emotions), dtype=bool)
    for train, test in folds.split(features.values, labels, groups):
        if len(np.unique(labels[train])) < 2:
            continue  # nothing to learn without this subject: its clips count as wrong
        size = min(model.named_steps["pca"].n_components, len(train) - 1)
        fitted = clone(model).set_params(pca__n_components=size).fit(features.values[train], labels[train])
        right[test] = fitted.predict(features.values[test]) == labels[test]
    return right


def _displacements(vertices: NDArray, template: NDArray) -> Iterator[NDArray[np.float64]]:
    size = max(1, BLOCK_BYTES // (8 * template.size))
    for start in range(0, len(vertices), size):
        block = vertices[start : start + size]
        yield np.subtract(block, template, dtype=np.float64).reshape(len(block), -1)

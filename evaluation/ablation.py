"""Eq. (8), measured: does the face show more of the emotion as alpha grows from neutral to the whole style?

The paper asks people (Table V: alpha 0, 0.3, 1). Here two instruments answer before anybody is asked: how far the
upper face is from rest and how much it moves, and how surely the classifier of `classifier` sees the emotion.

References
    The paper's IV-F, Eq. (8). Page, "Ordered hypotheses for multiple treatments", 1963 (the trend test; scipy's).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sqlalchemy.orm import Session

from db.clips import load_template, regions
from db.models import LabelRelease
from db.predictions import load_prediction, predictions_of
from db.result_models import PredictionSet
from evaluation.classifier import Judge, clip_features, recognised
from evaluation.intervals import Interval, mean_interval, share_interval
from evaluation.metrics import Frames, region_indices, squared_distances, upper_face_dynamics
from evaluation.scores import UPPER_FACE, labels_of, release_of

MEASURES = {
    "displacement": "mean distance of the upper face from the template, corpus units",
    "dynamics": "how much the upper face moves, as in FDD, corpus units squared",
    "probability": "how surely the classifier sees the emotion, 0 to 1",
    "recognised": "share of predictions in which the classifier names the emotion",
}


@dataclass(frozen=True)
class Ablation:
    """predictions: a row per clip, condition subject and alpha with the `MEASURES`; intervals: of their means, by
    measure and alpha; trend: one-sided p of Page's test that a measure grows with alpha, over clips (None where there
    are fewer than three alphas, or two clips)."""

    predictions: pd.DataFrame
    intervals: dict[str, dict[float, Interval]]
    trend: dict[str, float | None]


def ablate(
    session: Session,
    sets: Sequence[PredictionSet],
    judge: Judge | None = None,
    release: LabelRelease | None = None,
    over: str = "clip",
) -> Ablation:
    """Compare prediction sets that differ in alpha only, on the clips and conditions that all of them have.

    Clips whose emotion is neutral are left out, as alpha changes nothing in them. Without a judge, only the geometry is
    measured. over: what intervals resample, "clip" or "subject". Raises ValueError for fewer than two sets, sets
    without an alpha, of different corpora or emotions or with the same alpha, a corpus without upper-face region, and
    for sets that share no clip with an emotion.
    """
    sets = _checked(sets)
    upper = regions(sets[0].corpus).get(UPPER_FACE)
    if upper is None:
        raise ValueError(f"corpus {sets[0].corpus.name} has no upper-face region (regions/{UPPER_FACE}.txt)")
    labels = labels_of(session, release or release_of(session, sets[0]), sets[0].corpus_id)
    found = [_measured(session, row, upper, labels, judge) for row in sets]
    shared = set.intersection(*({(row["clip"], row["condition"]) for row in rows} for rows in found))
    if not shared:
        raise ValueError("the sets share no clip with an emotion other than neutral; predict the same part with each")
    rows = [row for rows in found for row in rows if (row["clip"], row["condition"]) in shared]
    table = pd.DataFrame(rows).sort_values(["clip", "condition", "alpha"], ignore_index=True)
    measures = [name for name in MEASURES if name in table]
    return Ablation(
        table,
        {name: _intervals(table, name, over) for name in measures},
        {name: trend(table, name) for name in measures},
    )


def upper_face_displacement(vertices: ArrayLike, template: ArrayLike, upper_face: ArrayLike) -> Frames:
    """How far the upper face is from rest in each frame, (T,): its vertices' mean distance to the template (V, 3).

    Raises ValueError for a template of another size or an index that is no vertex.
    """
    region = region_indices(upper_face, np.shape(template)[0], "upper face")
    return np.concatenate([np.sqrt(part).mean(axis=1) for part in squared_distances(vertices, template, region)])


def trend(table: pd.DataFrame, measure: str) -> float | None:
    """One-sided p-value that `measure` grows with alpha: Page's test, a clip's mean over conditions being its answer.

    None where there are fewer than three alphas or two clips; 1 where nothing differs.
    """
    wide = table.pivot_table(index="clip", columns="alpha", values=measure, aggfunc="mean").sort_index(axis=1).dropna()
    if wide.shape[1] < 3 or len(wide) < 2:
        return None
    if np.ptp(wide.to_numpy(), axis=1).max() == 0:
        return 1.0
    return float(stats.page_trend_test(wide.to_numpy(), method="asymptotic").pvalue)


def _checked(sets: Sequence[PredictionSet]) -> list[PredictionSet]:
    names = ", ".join(row.name for row in sets) or "none"
    if len(sets) < 2:
        raise ValueError(f"sets {names}: an ablation needs two or more that differ in alpha")
    if without := [row.name for row in sets if row.intensity is None]:
        raise ValueError(f"{', '.join(without)}: made without an alpha of Eq. (8); only EavaNet's predictions have one")
    if len({(row.corpus_id, row.emotion, row.system) for row in sets}) > 1:
        raise ValueError(f"sets {names}: differ in more than alpha (corpus, system or emotion)")
    if len({row.intensity for row in sets}) < len(sets):
        raise ValueError(f"sets {names}: two have the same alpha; choose one of them")
    return sorted(sets, key=lambda row: row.intensity)


def _measured(
    session: Session, predictions: PredictionSet, upper: np.ndarray, labels: dict, judge: Judge | None
) -> list[dict]:
    found, values = [], []
    for row in predictions_of(session, predictions.id):
        emotion = predictions.emotion or labels.get(row.clip_id)
        if emotion is None or emotion == "neutral":
            continue
        motion, template = load_prediction(row), load_template(row.clip.subject)
        found.append({
            "clip": row.clip.name,
            "subject": row.clip.subject.name,
            "emotion": emotion,
            "condition": row.condition_subject.name if row.condition_subject else "",
            "alpha": predictions.intensity,
            "displacement": float(upper_face_displacement(motion, template, upper).mean()),
            "dynamics": upper_face_dynamics(motion, template, upper),
        })  # fmt: skip
        if judge is not None:
            values.append(clip_features(motion, template))
    if values:
        for row, (_, seen) in zip(found, recognised(judge, np.stack(values)).iterrows(), strict=True):
            row["probability"] = float(seen.get(row["emotion"], 0.0))
            row["recognised"] = float(seen["recognised"] == row["emotion"])
    return found


def _intervals(table: pd.DataFrame, measure: str, over: str) -> dict[float, Interval]:
    interval = share_interval if measure == "recognised" else mean_interval
    return {
        alpha: interval(rows[measure], groups=rows[over].tolist(), what=f"{over}s")
        for alpha, rows in table.groupby("alpha")
    }

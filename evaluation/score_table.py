"""What a table of scores holds: a row per clip and condition subject, a column per metric; and how it is averaged.

    clip  subject  emotion  condition  n_frames  vertex_error  lip_vertex_error  fdd ...

Every metric is one number per row. Those that are means over frames are averaged by the clips' frames, so that the
result is the mean over all frames of all clips, as the official script pools; the others count each row once.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

ROW = ("clip", "subject", "emotion", "condition", "n_frames")


@dataclass(frozen=True)
class Metric:
    """A column of scores.

    unit: "squared" (corpus units squared), "units", "mm" or "units/s^3". better: "lower"; "zero" for signed ones;
    "truth" for what should be as in the truth (see `beside`); "neither". pooling: over "frames" or "clips"; "root"
    is the root of the mean square over frames. beside: the column with the truth's own value, where there is one.
    """

    key: str
    title: str
    about: str
    unit: Literal["squared", "units", "mm", "units/s^3"]
    better: Literal["lower", "zero", "truth", "neither"] = "lower"
    pooling: Literal["frames", "clips", "root"] = "frames"
    beside: str | None = None


METRICS = {
    metric.key: metric
    for metric in (
        Metric("vertex_error", "Vertex error", "mean squared distance over all vertices", "squared"),
        Metric("lip_vertex_error", "Lip vertex error", "largest squared distance over the lips", "squared"),
        Metric("fdd", "FDD", "upper-face dynamics, truth minus prediction", "squared", "zero", "clips"),
        Metric("fdd_absolute", "|FDD|", "upper-face dynamics, absolute deviation of each clip", "squared",
               pooling="clips"),
        Metric("distance", "Vertex distance", "root mean square distance over all vertices", "units", pooling="root"),
        Metric("distance_mm", "Vertex distance", "root mean square distance over all vertices", "mm", pooling="root"),
        Metric("upper_face_error", "Upper-face vertex error", "mean squared distance over the upper face", "squared"),
        Metric("emotional_vertex_error", "Emotional vertex error",
               "largest squared distance over eyes and forehead", "squared"),
        Metric("mouth_opening_difference", "Mouth opening difference", "how far the lips' distance is off", "units"),
        Metric("lip_dynamics", "Lip dynamics", "difference of the mouth's opening after time warping", "units",
               pooling="clips"),
        Metric("jitter", "Jitter", "mean size of the third derivative over time", "units/s^3", "truth", "clips",
               beside="jitter_of_truth"),
    )
}  # fmt: skip


def pooled(table: pd.DataFrame, key: str) -> float:
    """A metric over all rows, averaged as its kind asks (see `METRICS`); NaN if no row has it.

    Rows without a value (NaN) are left out. Raises ValueError for an empty table or an unknown metric.
    """
    values, weights = values_and_weights(table, key)
    if not len(values):
        return float("nan")
    mean = float(np.average(values, weights=weights))
    return float(np.sqrt(mean)) if METRICS[key].pooling == "root" else mean


def values_and_weights(table: pd.DataFrame, key: str) -> tuple[np.ndarray, np.ndarray]:
    """What `pooled` averages: the rows' values (N,), squared for a "root" metric, and how much each counts (N,).

    Raises ValueError for an empty table or an unknown metric.
    """
    if key not in METRICS:
        raise ValueError(f"metric {key!r}: expected one of {', '.join(METRICS)}")
    if table.empty:
        raise ValueError("no clip to score; is the part of the split empty, or the set of predictions?")
    there = table[table[key].notna()]
    values = there[key].to_numpy(dtype=np.float64)
    by_frames = METRICS[key].pooling != "clips"
    weights = there["n_frames"].to_numpy(dtype=np.float64) if by_frames else np.ones(len(values))
    return (values**2 if METRICS[key].pooling == "root" else values), weights


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Every metric, pooled."""
    return {key: pooled(table, key) for key in METRICS}


def per_clip(table: pd.DataFrame) -> pd.DataFrame:
    """A row per clip, averaged over its condition subjects; columns as before, with `conditions`, how many they were.

    Predictions of one clip under several subjects are no independent measurements; whoever counts clips starts here.
    """
    measured = {column: "mean" for column in table.columns if column not in ROW}
    measured |= {key: _root_mean_square for key in measured if key in METRICS and METRICS[key].pooling == "root"}
    return table.groupby("clip", sort=True, as_index=False).agg(
        subject=("subject", "first"), emotion=("emotion", "first"), conditions=("condition", "size"),
        n_frames=("n_frames", "first"), **{column: (column, how) for column, how in measured.items()},
    )  # fmt: skip


def _root_mean_square(values: pd.Series) -> float:
    return float(np.sqrt((values**2).mean()))

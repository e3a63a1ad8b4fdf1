"""How sure is a mean score? Bootstrap intervals over clips, or over groups of clips that belong together.

Clips are the items that were drawn; frames of a clip, and predictions of one clip under several condition subjects,
are no independent draws and are resampled together. To speak of other subjects than those measured, resample subjects:
with five of them the interval is rough, and says so by its width and by `Interval.groups`.

References
    Efron, "Better bootstrap confidence intervals", 1987 (BCa; scipy's implementation).
    Wilson, "Probable inference, the law of succession, and statistical inference", 1927 (statsmodels').
    Davison and Hinkley, "Bootstrap Methods and their Application", 1997, 3.8 (resampling whole clusters).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evaluation.score_table import METRICS, values_and_weights

RESAMPLES = 9_999
BATCH = 500  # resamples at a time, so that memory stays flat
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval. `low` and `high` are None where there is too little to resample.

    n: rows; groups: what was resampled; method: for the caption, in words.
    """

    estimate: float
    low: float | None
    high: float | None
    n: int
    groups: int
    method: str


def mean_interval(
    values: ArrayLike,
    weights: ArrayLike | None = None,
    groups: Sequence | None = None,
    *,
    root: bool = False,
    what: str = "groups",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The weighted mean of values (N,), or with `root` its square root, with a bootstrap interval.

    groups: which values are resampled together, (N,); by default each by itself. The same seed gives the same interval.
    Raises ValueError for no values, values that are not finite, weights that are not positive, or other lengths.
    """
    values, weights = _checked(values, weights)
    sums, sizes = _by_group(values * weights, weights, groups)
    estimate = _mean(sums, sizes, root=root)
    method = f"{confidence:.0%} BCa bootstrap over {len(sums)} {what}, {resamples} resamples, seed {seed}"
    if len(sums) < 2:
        return Interval(float(estimate), None, None, len(values), len(sums), f"no interval from {len(sums)} {what}")
    if np.ptp(sums / sizes) <= 1e-12 * max(1e-300, np.abs(sums / sizes).max()):  # equal: nothing to resample
        return Interval(float(estimate), float(estimate), float(estimate), len(values), len(sums), method)
    found = stats.bootstrap(
        (sums, sizes), lambda s, w, axis=-1: _mean(s, w, axis, root), paired=True, vectorized=True, method="BCa",
        confidence_level=confidence, n_resamples=resamples, batch=BATCH, rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(float(estimate), float(found.low), float(found.high), len(values), len(sums), method)


def share_interval(
    right: ArrayLike, groups: Sequence | None = None, *, what: str = "groups", confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:  # fmt: skip
    """The share of `right` (N,), with an interval: `mean_interval`'s, or Wilson's where all or none are right.

    Resampling ten hits gives ten hits; ten of ten still leave room for one in four to fail. Wilson's interval then
    counts groups, not values. Raises ValueError as `mean_interval`.
    """
    values = np.asarray(right, dtype=np.float64)
    found = mean_interval(values, groups=groups, what=what, confidence=confidence, seed=seed)
    if found.estimate not in (0, 1):
        return found
    hits = round(found.estimate) * found.groups
    low, high = proportion_confint(hits, found.groups, alpha=1 - confidence, method="wilson")
    low, high = (min(1.0, max(0.0, round(float(end), 12))) for end in (low, high))  # 1, not 0.9999999999999999
    return replace(found, low=low, high=high, method=f"{confidence:.0%} Wilson interval of {found.groups} {what}")


def metric_interval(
    table: pd.DataFrame, key: str, *, over: str = "clip", confidence: float = CONFIDENCE, seed: int = 0
) -> Interval:
    """A metric of a score table, pooled as `score_table.pooled` does, with its interval.

    over: "clip", or "subject" to speak of other subjects. Rows without a value are left out.
    Raises ValueError for an empty table, an unknown metric, or one that no row has.
    """
    values, weights = values_and_weights(table, key)
    if not len(values):
        raise ValueError(f"{METRICS[key].title}: no clip has it; see the notes of the scores")
    groups = table.loc[table[key].notna(), over].tolist()
    return mean_interval(
        values, weights, groups, root=METRICS[key].pooling == "root", what=f"{over}s", confidence=confidence, seed=seed
    )


def _checked(values: ArrayLike, weights: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, dtype=np.float64)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not len(values) or weights.shape != values.shape:
        raise ValueError(f"values {values.shape} with weights {weights.shape}: expected as many of each, at least one")
    if not np.isfinite(values).all() or not (weights > 0).all():
        raise ValueError("values must be finite and weights positive; were clips without a score left in?")
    return values, weights


def _by_group(sums: np.ndarray, sizes: np.ndarray, groups: Sequence | None) -> tuple[np.ndarray, np.ndarray]:
    if groups is None:
        return sums, sizes
    if len(groups) != len(sums):
        raise ValueError(f"{len(sums)} values in {len(groups)} groups: expected a group for each")
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(number, sums), np.bincount(number, sizes)


def _mean(sums: np.ndarray, sizes: np.ndarray, axis: int = -1, root: bool = False) -> np.ndarray:
    mean = sums.sum(axis=axis) / sizes.sum(axis=axis)
    return np.sqrt(mean) if root else mean

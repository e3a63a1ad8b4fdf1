"""Is one system better than another? Paired tests on the clips that both predicted, corrected for asking often.

The difference that is tested is the one that is reported: the mean over clips of how much worse the first is, with a
bootstrap interval. Under the null hypothesis a clip's difference could as well have had the other sign, which gives the
p-value by flipping signs; Wilcoxon's signed-rank test stands beside it as a check. Holm's correction is over all pairs
of systems of one metric.

References
    Fisher, "The Design of Experiments", 1935 (sign flipping; scipy's `permutation_test`).
    Holm, "A simple sequentially rejective multiple test procedure", 1979 (statsmodels' `multipletests`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evaluation.intervals import BATCH, RESAMPLES, mean_interval
from evaluation.score_table import METRICS, per_clip


@dataclass(frozen=True)
class Comparison:
    """Two systems on one metric, over the clips that both have.

    difference: mean of first minus second, of errors: below 0, the first is better; with its interval low..high.
    better: share of clips on which the first is better, ties half. n: clips; groups: what was resampled and flipped;
    left_out: clips that only one of them has. p_holm is None until all pairs are known.
    """

    metric: str
    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    better: float
    p: float
    p_wilcoxon: float
    n: int
    groups: int
    left_out: int
    p_holm: float | None = None


def compare(
    tables: Mapping[str, pd.DataFrame],
    metrics: Sequence[str],
    *,
    reference: str | None = None,
    over: str = "clip",
    seed: int = 0,
) -> pd.DataFrame:
    """Every pair of systems on every metric, a row each (see `Comparison`); with a reference, its pairs only.

    tables: score tables by the system's name. over: "clip", or "subject" to speak of other subjects. Metrics that two
    systems have no clip in common for are left out of their rows. Raises ValueError for fewer than two systems, an
    unknown reference or metric, and for systems that share no clip.
    """
    if len(tables) < 2:
        raise ValueError(f"{len(tables)} system: a comparison needs two")
    if reference is not None and reference not in tables:
        raise ValueError(f"system {reference!r}: expected one of {', '.join(tables)}")
    names = [reference, *(name for name in tables if name != reference)] if reference else list(tables)
    pairs = [(first, second) for first, second in combinations(names, 2) if reference in (None, first)]
    clips = {name: per_clip(table) for name, table in tables.items()}
    found = []
    for metric in metrics:
        rows = [compare_pair(clips[a], clips[b], metric, names=(a, b), over=over, seed=seed) for a, b in pairs]
        found += with_holm([row for row in rows if row is not None])
    return pd.DataFrame([asdict(row) for row in found], columns=list(Comparison.__dataclass_fields__))


def compare_pair(
    first: pd.DataFrame,
    second: pd.DataFrame,
    metric: str,
    *,
    names: tuple[str, str] = ("first", "second"),
    over: str = "clip",
    seed: int = 0,
) -> Comparison | None:
    """Two tables with a row per clip (see `score_table.per_clip`); None if no clip has the metric in both.

    Raises ValueError for an unknown metric, or if the tables share no clip.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
    both = first.merge(second, on="clip", suffixes=("_1", "_2"))
    if both.empty:
        raise ValueError(f"{names[0]} and {names[1]} share no clip; are they of different parts of a split?")
    difference = badness(both, metric, "_1") - badness(both, metric, "_2")
    there = difference.notna()
    if not there.any():
        return None
    difference, weights = difference[there].to_numpy(), np.ones(int(there.sum()))
    if METRICS[metric].pooling == "frames":
        weights = both.loc[there, "n_frames_1"].to_numpy(dtype=np.float64)
    groups = both.loc[there, "clip" if over == "clip" else f"{over}_1"].tolist()
    interval = mean_interval(difference, weights, groups, what=f"{over}s", seed=seed)
    return Comparison(
        metric, *names, interval.estimate, interval.low, interval.high,
        better=float(np.mean((difference < 0) + 0.5 * (difference == 0))),
        p=sign_flip_p(difference * weights, groups, seed), p_wilcoxon=_wilcoxon_p(difference),
        n=len(difference), groups=interval.groups, left_out=len(set(first["clip"]) ^ set(second["clip"])),
    )  # fmt: skip


def badness(table: pd.DataFrame, metric: str, suffix: str = "") -> pd.Series:
    """What should be small: the error itself, the size of a signed one, or how far the value is from the truth's."""
    values = table[metric + suffix]
    if METRICS[metric].better == "zero":
        return values.abs()
    if METRICS[metric].better == "truth":
        return (values - table[METRICS[metric].beside + suffix]).abs()
    return values


def sign_flip_p(differences: np.ndarray, groups: Sequence, seed: int = 0) -> float:
    """Two-sided p-value that the differences (N,) have mean 0, flipping the signs of whole groups; exact for few."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(number, differences)
    if not sums.any():
        return 1.0
    tested = stats.permutation_test(
        (sums,), lambda x, axis=-1: x.sum(axis=axis), permutation_type="samples", vectorized=True, batch=BATCH,
        n_resamples=RESAMPLES, rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(tested.pvalue)


def with_holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one metric with Holm's correction for their number."""
    if not comparisons:
        return []
    corrected = multipletests([row.p for row in comparisons], method="holm")[1]
    return [replace(row, p_holm=float(p)) for row, p in zip(comparisons, corrected, strict=True)]


def _wilcoxon_p(difference: np.ndarray) -> float:
    return float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0

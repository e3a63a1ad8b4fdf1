"""How far participants agree about the same clips: Krippendorff's alpha, nominal for A/B, ordinal for scores.

References
    Hayes and Krippendorff, "Answering the call for a standard reliability measure", 2007 (the `krippendorff` package).
"""

import numpy as np
import pandas as pd

from evaluation.study.opinions import scored
from evaluation.study.preferences import voted
from evaluation.study.two_way import StudyInterval

RESAMPLES = 500


def alpha(responses: pd.DataFrame, seed: int = 0) -> dict[tuple[str, str], StudyInterval]:
    """Alpha of each question and comparison, or of each question's scores; 1 is perfect agreement, 0 is chance.

    Of scores the key is (question, "all conditions"), and a unit is a clip under a condition. The interval is by
    resampling items. Undefined, with the reason, where all answers are equal or no item has two answers.
    """
    found = {}
    for (question, comparison), rows in voted(responses).groupby(["question", "comparison"], sort=False):
        found[str(question), str(comparison)] = _alpha(rows["item"], rows["item"], rows["vote"], rows, "nominal", seed)
    for question, rows in scored(responses).groupby("question", sort=False):
        units = rows["item"] + "\x1f" + rows["condition"]
        found[str(question), "all conditions"] = _alpha(units, rows["item"], rows["score"], rows, "ordinal", seed)
    return found


def _alpha(
    units: pd.Series, items: pd.Series, values: pd.Series, rows: pd.DataFrame, level: str, seed: int
) -> StudyInterval:
    """units: what was judged; items: what is resampled, a unit or several; all (N,)."""
    import krippendorff

    counts = pd.crosstab(units, values)
    item_of = pd.Series(items.to_numpy(), index=units.to_numpy()).groupby(level=0).first().reindex(counts.index)
    shared = counts.sum(axis=1).to_numpy() >= 2
    table, domain = counts.to_numpy()[shared], np.asarray(counts.columns, dtype=float)
    groups = pd.factorize(item_of.to_numpy()[shared])[0]
    n_items, n_people = int(groups.max()) + 1 if len(groups) else 0, rows["participant"].nunique()

    def told(value: float | None, low: float | None, high: float | None, method: str, why: str = "") -> StudyInterval:
        return StudyInterval(value, low, high, int(table.sum()), n_items, method, "alpha", n_people, n_items, why)

    if n_people < 2 or not len(table):
        return told(None, None, None, "undefined: no item has two answers", "no item has two answers")
    used = table.sum(axis=0) > 0
    table, domain = table[:, used], domain[used]
    if used.sum() < 2:
        return told(None, None, None, "undefined: all answers are equal", "all answers are equal")
    name = f"Krippendorff's alpha, {level}"
    value = float(krippendorff.alpha(value_counts=table, value_domain=list(domain), level_of_measurement=level))
    if n_items < 2:
        return told(value, None, None, f"{name}; no interval from one item", "no interval from one item")
    drawn = _resampled(table, groups, level, seed)
    low, high = np.quantile(drawn[np.isfinite(drawn)], [0.025, 0.975])
    return told(value, float(low), float(high), f"{name}, 95% bootstrap over {n_items} items, {RESAMPLES} resamples, "
                                                f"seed {seed}")  # fmt: skip


def _resampled(table: np.ndarray, groups: np.ndarray, level: str, seed: int) -> np.ndarray:
    """Alpha of draws of as many items, with replacement, (RESAMPLES,); NaN where all drawn answers are equal.

    table: counts (units, values); groups: each unit's item, from 0. How often two values meet in a draw is the sum over
    its items, so that all draws are one product of matrices; the package takes a second for the same.
    """
    n_values, n_items = table.shape[1], int(groups.max()) + 1
    meetings = table[:, :, None] * table[:, None, :] - np.eye(n_values) * table[:, :, None]
    meetings = meetings / (table.sum(axis=1) - 1)[:, None, None]
    of_item = np.zeros((n_items, n_values, n_values))
    np.add.at(of_item, groups, meetings)
    drawn = np.random.default_rng(seed).multinomial(n_items, np.full(n_items, 1 / n_items), size=RESAMPLES)
    met = np.tensordot(drawn, of_item, axes=1)  # (RESAMPLES, values, values)
    given = met.sum(axis=2)
    rank = given.cumsum(axis=1) - given / 2  # the middle rank of a value among all that were drawn
    apart = (rank[:, :, None] - rank[:, None, :]) ** 2 if level == "ordinal" else 1 - np.eye(n_values)
    observed = (met * apart).sum(axis=(1, 2))
    by_chance = (given[:, :, None] * given[:, None, :] * apart).sum(axis=(1, 2)) / (given.sum(axis=1) - 1)
    return 1 - np.divide(observed, by_chance, out=np.full(RESAMPLES, np.nan), where=by_chance > 0)

"""How well raters agree, with each other and with themselves.

All functions are pure and take votes (or answers) as tables, see `labeling.votes`. What cannot be computed, such as
alpha when everybody gives the same answer, is None ("undefined"), never 0 or 1.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from labeling.emotions import EMOTIONS, INTENSITIES

RESAMPLES = 1000


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of agreement, 1 for perfect and 0 for chance, with its 95% interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n_clips: int = 0  # clips with at least two ratings


def value_counts(votes: pd.DataFrame, column: str) -> pd.DataFrame:
    """How often each value of `column` (emotion or intensity) was given: one row per clip, all values as columns."""
    domain = list(EMOTIONS) if column == "emotion" else list(INTENSITIES)
    return pd.crosstab(votes["clip"], votes[column]).reindex(columns=domain, fill_value=0)


def krippendorff_alpha(votes: pd.DataFrame, column: str, resamples: int = RESAMPLES, seed: int = 0) -> Coefficient:
    """Krippendorff's alpha: nominal for "emotion", ordinal for "intensity"; interval by resampling clips.

    Hayes and Krippendorff (2007). Clips with a single rating tell nothing about agreement and are left out.
    """
    import krippendorff

    level = "nominal" if column == "emotion" else "ordinal"
    counts = value_counts(votes, column).to_numpy()
    counts = counts[counts.sum(axis=1) >= 2]
    if (counts.sum(axis=0) > 0).sum() < 2:
        return Coefficient(None, n_clips=len(counts))  # everybody gave one and the same value, or nobody any
    value = krippendorff.alpha(value_counts=counts, value_domain=list(range(counts.shape[1])),
                               level_of_measurement=level)  # fmt: skip
    if len(counts) < 2:
        return Coefficient(float(value), n_clips=1)
    low, high = np.nanpercentile(_resampled_alphas(counts, level, resamples, seed), [2.5, 97.5])
    return Coefficient(float(value), float(low), float(high), len(counts))


def _resampled_alphas(counts: np.ndarray, level: str, resamples: int, seed: int) -> np.ndarray:
    """Alpha of `resamples` draws of as many clips, with replacement; (resamples,), NaN where undefined.

    counts is (clips, values). The coincidences of a draw are the sum of its clips' own, so that all draws are one
    matrix product: the package would take seconds for what a page has to show at once.
    """
    n_clips, n_values = counts.shape
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(n_values)
    own = pairs / (counts.sum(axis=1) - 1)[:, None, None]
    drawn = np.random.default_rng(seed).multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=resamples)
    coincidences = (drawn @ own.reshape(n_clips, -1)).reshape(resamples, n_values, n_values)
    given = coincidences.sum(axis=2)  # (resamples, values)
    if level == "nominal":
        distance = np.broadcast_to(1 - np.eye(n_values), coincidences.shape)
    else:
        middle = given.cumsum(axis=1) - given / 2  # a value's middle rank among all that were given
        distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (coincidences * distance).sum(axis=(1, 2))
    expected = (given[:, :, None] * given[:, None, :] * distance).sum(axis=(1, 2)) / (given.sum(axis=1) - 1)
    return 1 - np.divide(observed, expected, out=np.full(resamples, np.nan), where=expected > 0)


def fleiss_kappa(votes: pd.DataFrame) -> Coefficient:
    """Fleiss' kappa on the emotions, over the clips that have the most usual number of votes."""
    from statsmodels.stats.inter_rater import fleiss_kappa as fleiss

    counts = value_counts(votes, "emotion")
    n_votes = counts.sum(axis=1)
    usual = counts[n_votes == n_votes.mode().max()] if len(counts) else counts
    if not len(usual) or usual.iloc[0].sum() < 2 or (usual.sum() > 0).sum() < 2:
        return Coefficient(None, n_clips=len(usual))
    return Coefficient(float(fleiss(usual.to_numpy())), n_clips=len(usual))


def cohen_kappas(votes: pd.DataFrame) -> pd.DataFrame:
    """Cohen's kappa of every two raters who share clips: rater, other, shared (clips), agreement (0..1), kappa."""
    from statsmodels.stats.inter_rater import cohens_kappa

    by_rater = _by_rater(votes)
    rows = []
    for first, second in itertools.combinations(by_rater.columns, 2):
        both = by_rater[[first, second]].dropna()
        if both.empty:
            continue
        table = _table(both[first], both[second])
        chance = (table.sum(0) * table.sum(1)).sum() / table.sum() ** 2
        kappa = float(cohens_kappa(table, return_results=False)) if chance < 1 else None
        rows.append((first, second, len(both), float((both[first] == both[second]).mean()), kappa))
    return pd.DataFrame(rows, columns=["rater", "other", "shared", "agreement", "kappa"])


def confusion(votes: pd.DataFrame) -> pd.DataFrame:
    """How often one rater said the row's emotion and another, of the same clip, the column's; symmetric counts."""
    by_rater = _by_rater(votes)
    total = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=int)
    for first, second in itertools.permutations(by_rater.columns, 2):
        both = by_rater[[first, second]].dropna()
        total += _table(both[first], both[second])
    return pd.DataFrame(total, index=list(EMOTIONS), columns=list(EMOTIONS))


def with_the_others(votes: pd.DataFrame) -> pd.DataFrame:
    """Each rater against the majority of the others: rater, n_clips (where it is clear), agreement, mean_intensity."""
    rows = []
    for rater, own in votes.groupby("rater", sort=True):
        counts = value_counts(votes[(votes["rater"] != rater) & votes["clip"].isin(own["clip"])], "emotion")
        clear = counts[counts.eq(counts.max(axis=1), axis=0).sum(axis=1) == 1]
        said = own.set_index("clip")["emotion"].reindex(clear.index)
        share = float((said == clear.idxmax(axis=1)).mean()) if len(clear) else None
        rows.append((rater, len(clear), share, float(own["intensity"].mean())))
    return pd.DataFrame(rows, columns=["rater", "n_clips", "agreement", "mean_intensity"])


def with_themselves(answers: pd.DataFrame) -> pd.DataFrame:
    """Each rater's consistency on the hidden repeats: rater, n_repeats, same_emotion (0..1), intensity_difference.

    `intensity_difference` is the mean absolute difference, over the repeats with the same emotion or not.
    """
    rated = answers[answers["emotion"].notna()]
    first = rated[rated["kind"].isin(["vote", "adjudication"])]
    pairs = rated[rated["kind"] == "repeat"].merge(first, on=["rater", "clip"], suffixes=("", "_first"))
    rows = [
        (rater, len(own), float((own["emotion"] == own["emotion_first"]).mean()),
         float((own["intensity"] - own["intensity_first"]).abs().mean()))
        for rater, own in pairs.groupby("rater", sort=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["rater", "n_repeats", "same_emotion", "intensity_difference"])


def disagreements(votes: pd.DataFrame) -> pd.DataFrame:
    """The clips on which raters differ, the most divided first: clip, the four counts, tie, intensity_range."""
    counts = value_counts(votes, "emotion")
    largest = counts.max(axis=1)
    table = counts.assign(
        tie=counts.eq(largest, axis=0).sum(axis=1) > 1,
        intensity_range=votes.groupby("clip")["intensity"].agg(lambda values: int(values.max() - values.min())),
        share=largest / counts.sum(axis=1),
    )
    divided = table[table["share"] < 1].sort_values(["share", "intensity_range", "clip"], ascending=[True, False, True])
    return divided.drop(columns="share").reset_index()


def _by_rater(votes: pd.DataFrame) -> pd.DataFrame:
    """Emotions with a row per clip and a column per rater."""
    return votes.pivot(index="clip", columns="rater", values="emotion")


def _table(first: pd.Series, second: pd.Series) -> np.ndarray:
    return pd.crosstab(first, second).reindex(index=list(EMOTIONS), columns=list(EMOTIONS), fill_value=0).to_numpy()

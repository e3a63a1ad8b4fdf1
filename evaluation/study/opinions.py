"""Mean opinion scores: each condition's mean with its interval, their differences, and whether there are any at all.

The default interval lets people and clips vary (see `two_way`); where Student's t would leave the scale, the two-way
bootstrap takes its place. Differences are tested on participants' means (Wilcoxon's signed ranks, Friedman over all
conditions), Holm's correction is over the pairs of conditions of a question.

References
    Friedman, "The use of ranks to avoid the assumption of normality", 1937 (scipy's `friedmanchisquare`).
    Baayen, Davidson and Bates, "Mixed-effects modeling with crossed random effects", 2008 (statsmodels' `MixedLM`).
"""

import warnings
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evaluation.intervals import CONFIDENCE
from evaluation.study.responses import SCALE, counted
from evaluation.study.two_way import (
    Answers,
    StudyInterval,
    bootstrap_interval,
    means_interval,
    pooled_interval,
    two_way_error,
    two_way_interval,
    within,
)


@dataclass(frozen=True)
class Opinion:
    """A condition's mean score. mean: the default interval; intervals: all kinds, see `two_way.KINDS`."""

    question: str
    condition: str
    n: int
    participants: int
    items: int
    mean: StudyInterval
    intervals: dict[str, StudyInterval]


@dataclass(frozen=True)
class Difference:
    """Mean score of first minus second. p: t test of the two-way error; p_wilcoxon: participants' means, with p_holm.

    p and p_wilcoxon are None where they are undefined; then `why` and `why_wilcoxon` say why.
    """

    question: str
    first: str
    second: str
    difference: StudyInterval
    p: float | None = None
    p_wilcoxon: float | None = None
    p_holm: float | None = None
    why: str = ""
    why_wilcoxon: str = ""


@dataclass(frozen=True)
class Test:
    """A test over all conditions. n: participants with every condition. None where undefined, with the reason."""

    statistic: float | None
    p: float | None
    n: int
    method: str
    why: str = ""


@dataclass(frozen=True)
class MixedModel:
    """Scores as condition + participant + item + rest: each condition's mean, standard deviations, differences' p."""

    means: dict[str, StudyInterval]
    sd_participant: float | None
    sd_item: float | None
    sd_rest: float | None
    why: str = ""


def scored(responses: pd.DataFrame) -> pd.DataFrame:
    """The scores that count."""
    rows = counted(responses)
    return rows[rows["kind"] == "mos"]


def opinions(responses: pd.DataFrame, scale: tuple[float, float] = SCALE, seed: int = 0) -> list[Opinion]:
    """Every condition of every question, in the order in which they first come."""
    found = []
    for (question, condition), rows in scored(responses).groupby(["question", "condition"], sort=False):
        answers = _answers(rows)
        intervals = {
            "two-way": two_way_interval(answers),
            "bootstrap": bootstrap_interval(answers, seed=seed),
            "participants": means_interval(answers, "participants"),
            "items": means_interval(answers, "items"),
            "independent": pooled_interval(answers),
        }
        default = within(intervals["two-way"], intervals["bootstrap"], *scale)
        found.append(Opinion(str(question), str(condition), len(rows), answers.n_persons, answers.n_items, default,
                             intervals))  # fmt: skip
    return found


def _answers(rows: pd.DataFrame) -> Answers:
    return Answers(rows["score"].to_numpy(), rows["participant"].tolist(), rows["item"].tolist())


def differences(responses: pd.DataFrame) -> list[Difference]:
    """Every two conditions of a question: the later in `responses` against the earlier."""
    found = []
    for question, rows in scored(responses).groupby("question", sort=False):
        names = list(dict.fromkeys(rows["condition"]))
        pairs = [_difference(str(question), rows, second, first) for first, second in combinations(names, 2)]
        tested = [pair.p_wilcoxon for pair in pairs if pair.p_wilcoxon is not None]
        corrected = iter(multipletests(tested, method="holm")[1] if tested else [])
        found += [pair if pair.p_wilcoxon is None else replace(pair, p_holm=float(next(corrected))) for pair in pairs]
    return found


def _difference(question: str, rows: pd.DataFrame, first: str, second: str) -> Difference:
    both = rows[rows["condition"].isin([first, second])]
    is_first = both["condition"].eq(first).to_numpy()
    interval, p = two_way_difference(both["score"].to_numpy(), is_first, both["participant"], both["item"])
    means = _participant_means(both)[[first, second]].dropna()
    gaps = (means[first] - means[second]).to_numpy()
    if len(gaps) < 2 or not np.abs(gaps).max() > 1e-12:
        why = "no two participants scored both" if len(gaps) < 2 else "every participant scores both alike"
        return Difference(question, first, second, interval, p, why=interval.why, why_wilcoxon=why)
    wilcoxon = float(stats.wilcoxon(np.round(gaps, 12)).pvalue)
    return Difference(question, first, second, interval, p, wilcoxon, why=interval.why)


def two_way_difference(
    scores: np.ndarray, is_first: np.ndarray, participants: pd.Series, items: pd.Series, confidence: float = CONFIDENCE
) -> tuple[StudyInterval, float | None]:
    """Mean of the scores (N,) that are first minus that of the others, and p that it is 0: two-way errors, t.

    Equals statsmodels' OLS on a constant and `is_first` with two-way clusters. What a person, or a clip, does to both
    conditions alike cancels out. p is None where the interval is undefined.
    """
    answers = Answers(scores, participants.tolist(), items.tolist())
    estimate = float(scores[is_first].mean() - scores[~is_first].mean())
    residual = np.where(is_first, scores - scores[is_first].mean(), scores - scores[~is_first].mean())
    influence = np.where(is_first, residual / is_first.sum(), -residual / (~is_first).sum())
    groups = min(answers.n_persons, answers.n_items)
    error = two_way_error(influence, answers.person, answers.item, parameters=2) if groups > 1 else None
    if error is None:
        why = "needs two participants and two items" if groups < 2 else "neither people nor clips differ at all"
        return replace(answers.undefined("two-way", why), estimate=estimate), None
    half = stats.t.ppf((1 + confidence) / 2, groups - 1) * error
    method = (f"{confidence:.0%} interval of a difference, two-way cluster-robust over {answers.n_persons} "
              f"participants and {answers.n_items} items, t with {groups - 1} df")  # fmt: skip
    interval = answers.interval("two-way", estimate - half, estimate + half, groups, method)
    return replace(interval, estimate=estimate), float(2 * stats.t.sf(abs(estimate) / error, groups - 1))


def _participant_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean scores, a row per participant, a column per condition."""
    return rows.pivot_table(index="participant", columns="condition", values="score", aggfunc="mean")


def friedman(responses: pd.DataFrame) -> dict[str, Test]:
    """For each question: do participants rank the conditions alike, at all?"""
    return {str(question): _friedman(rows) for question, rows in scored(responses).groupby("question", sort=False)}


def _friedman(rows: pd.DataFrame) -> Test:
    means = _participant_means(rows).dropna().round(12)
    method = "Friedman test on participants' means"
    if rows["condition"].nunique() < 3:
        return Test(None, None, len(means), method, "needs three conditions; for two, see their difference")
    if len(means) < 2:
        return Test(None, None, len(means), method, "no two participants scored every condition")
    if (means.nunique(axis=1) == 1).all():
        return Test(None, None, len(means), method, "every participant scores all conditions alike")
    found = stats.friedmanchisquare(*(means[name] for name in means.columns))
    return Test(float(found.statistic), float(found.pvalue), len(means), method)


def mixed_model(responses: pd.DataFrame) -> dict[str, MixedModel]:
    """For each question: a mixed model with crossed random effects of participants and items; takes seconds."""
    return {str(question): _mixed(rows) for question, rows in scored(responses).groupby("question", sort=False)}


def _mixed(rows: pd.DataFrame) -> MixedModel:
    from statsmodels.regression.mixed_linear_model import MixedLM

    fewest = min(rows["participant"].nunique(), rows["item"].nunique())
    if fewest < 2 or not np.ptp(rows["score"]):
        return MixedModel({}, None, None, None, "needs two participants, two items and scores that differ")
    names = list(dict.fromkeys(rows["condition"]))
    design = np.column_stack([rows["condition"].eq(name).to_numpy(dtype=float) for name in names])
    people, items = (pd.get_dummies(rows[name]).to_numpy(dtype=float) for name in ("participant", "item"))
    variances = {"participant": {0: people}, "item": {0: items}}
    model = MixedLM(rows["score"].to_numpy(), design, groups=np.zeros(len(rows)), exog_vc=_components(variances))
    with warnings.catch_warnings():  # told below, in words
        warnings.simplefilter("ignore")
        try:
            fitted = model.fit(reml=True, method=["lbfgs"])
        except (np.linalg.LinAlgError, ValueError) as error:
            return MixedModel({}, None, None, None, f"the model could not be fitted: {error}")
    errors = np.asarray(fitted.bse_fe)
    if not fitted.converged or not np.isfinite(errors).all():
        return MixedModel({}, None, None, None, "the fit did not converge")
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * errors
    means = {
        name: StudyInterval(
            float(mean), float(mean - wide), float(mean + wide), len(rows), fewest,
            "95% interval of a linear mixed model, crossed random effects of participants and items", "mixed model",
            rows["participant"].nunique(), rows["item"].nunique())
        for name, mean, wide in zip(names, np.asarray(fitted.fe_params), half, strict=True)
    }  # fmt: skip
    deviations = dict(zip(fitted.model.exog_vc.names, np.sqrt(fitted.vcomp), strict=True))
    return MixedModel(means, float(deviations["participant"]), float(deviations["item"]), float(fitted.scale**0.5))


def _components(variances: dict[str, dict[int, np.ndarray]]):
    from statsmodels.regression.mixed_linear_model import VCSpec

    names = list(variances)
    columns = [[[f"{name} {i}" for i in range(variances[name][0].shape[1])]] for name in names]
    return VCSpec(names, columns, [[variances[name][0]] for name in names])


def by_item(responses: pd.DataFrame) -> pd.DataFrame:
    """A row per question, condition and item: n, mean."""
    return _table_by(responses, "item")


def by_participant(responses: pd.DataFrame) -> pd.DataFrame:
    """A row per question, condition and participant: n, mean."""
    return _table_by(responses, "participant")


def _table_by(responses: pd.DataFrame, what: str) -> pd.DataFrame:
    grouped = scored(responses).groupby(["question", "condition", what], sort=True)["score"]
    return grouped.agg(n="count", mean="mean").reset_index()

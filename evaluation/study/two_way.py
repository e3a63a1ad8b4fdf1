"""How sure is a mean over ratings, when the ratings of a person, and of a clip, belong together?

Every tool of the field that we looked into pools all ratings, as if 25 people who rate 15 clips were 375 people; such
"95%" intervals cover the truth about six times in ten (docs/studies-statistics.md). The default here lets both people
and clips vary: two-way cluster-robust errors, with Student's t on min(people, clips) - 1 degrees of freedom.

The two-way variance is that over people, plus that over clips, minus that over single answers. By chance it can fall
below the larger of the first two, as if answers about one clip were less alike than any; that one is then taken.

References
    Cameron, Gelbach and Miller, "Robust inference with multiway clustering", 2011 (statsmodels' `cov_cluster_2groups`).
    MacKinnon, Nielsen and Webb, "Jackknife inference with two-way clustering", 2024 (the largest of the three errors).
    Owen, "The pigeonhole bootstrap", 2007 (people and clips are drawn independently of each other).
    Wilson, "Probable inference, the law of succession, and statistical inference", 1927 (statsmodels').
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evaluation.intervals import CONFIDENCE, Interval

RESAMPLES = 4_999
BATCH = 500  # resamples at a time, so that memory stays flat
# What an interval is over, in words, by its kind; the first is the default.
KINDS = {
    "two-way": "two-way clusters",
    "bootstrap": "two-way bootstrap",
    "participants": "participants' means (paper-style)",
    "items": "clips' means",
    "independent": "assumes independence",
}


@dataclass(frozen=True)
class StudyInterval(Interval):
    """An estimate from `n` answers of `participants` people on `items` clips. kind: see `KINDS`, or what it is of.

    low and high are None where there is no interval; then `why` says why, and so does `method`.
    """

    kind: str = "two-way"
    participants: int = 0
    items: int = 0
    why: str = ""


class Answers:
    """Values (N,) with who gave them and about which clip, as numbers; what all intervals are computed from.

    Raises ValueError for no value, or lengths that differ.
    """

    def __init__(self, values: ArrayLike, participants: Sequence, items: Sequence):
        self.values = np.asarray(values, dtype=np.float64)
        if not len(self.values) or not len(self.values) == len(participants) == len(items):
            raise ValueError(f"{len(self.values)} values of {len(participants)} participants on {len(items)} items: "
                             "expected as many of each, at least one")  # fmt: skip
        self.person = np.unique(np.asarray(participants, dtype=str), return_inverse=True)[1]
        self.item = np.unique(np.asarray(items, dtype=str), return_inverse=True)[1]
        self.n_persons, self.n_items = int(self.person.max()) + 1, int(self.item.max()) + 1
        self.mean = float(self.values.mean())

    def interval(self, kind: str, low: float | None, high: float | None, groups: int, method: str) -> StudyInterval:
        """The mean with these ends, not beyond what numbers can tell."""
        return StudyInterval(self.mean, _tidy(low), _tidy(high), len(self.values), groups, method, kind, self.n_persons,
                             self.n_items)  # fmt: skip

    def undefined(self, kind: str, why: str) -> StudyInterval:
        """The mean without an interval, and why there is none."""
        return replace(self.interval(kind, None, None, 0, f"undefined: {why}"), why=why)


def two_way_error(scores: np.ndarray, person: np.ndarray, item: np.ndarray, parameters: int = 1) -> float | None:
    """Standard error of an estimate whose influence by each answer is `scores` (N,), clustered by person and by item.

    person, item: whole numbers from 0. Equals statsmodels' two-way error with its small-sample factors for OLS with as
    many `parameters`, or the larger of its one-way errors where that is more. None if all are 0, or one cluster is all.
    """
    n = len(scores)
    together = np.unique(person * (int(item.max()) + 1) + item, return_inverse=True)[1]
    by_person, by_item, alone = (_cluster_square(scores, groups) for groups in (person, item, together))
    if by_person is None or by_item is None or alone is None:
        return None
    variance = largest_variance(by_person, by_item, alone) * (n - 1) / (n - parameters)
    return float(np.sqrt(variance)) if variance > 1e-24 * max(1.0, float(np.abs(scores).sum()) ** 2) else None


def largest_variance(by_person: ArrayLike, by_item: ArrayLike, alone: ArrayLike) -> Any:
    """The two-way variance from its three parts, never below the larger one-way part."""
    return np.maximum(np.add(by_person, by_item) - alone, np.maximum(by_person, by_item))


def _cluster_square(scores: np.ndarray, groups: np.ndarray) -> float | None:
    sums = np.bincount(groups, scores)
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1) if len(sums) > 1 else None


def two_way_interval(answers: Answers, confidence: float = CONFIDENCE) -> StudyInterval:
    """The default: two-way cluster-robust, t with min(participants, items) - 1 degrees of freedom."""
    groups = min(answers.n_persons, answers.n_items)
    if why := _too_little(answers):
        return answers.undefined("two-way", why)
    scores = (answers.values - answers.mean) / len(answers.values)
    error = two_way_error(scores, answers.person, answers.item)
    if error is None:
        return answers.undefined("two-way", "neither people nor clips differ at all, only single answers do")
    half = stats.t.ppf((1 + confidence) / 2, groups - 1) * error
    method = (f"{confidence:.0%} interval, two-way cluster-robust over {answers.n_persons} participants and "
              f"{answers.n_items} items, t with {groups - 1} df")  # fmt: skip
    return answers.interval("two-way", answers.mean - half, answers.mean + half, groups, method)


def _too_little(answers: Answers) -> str:
    if answers.n_persons < 2:
        return "one participant tells nothing about other people"
    if answers.n_items < 2:
        return "one item tells nothing about other clips"
    return "all answers are equal" if not np.ptp(answers.values) else ""


def means_interval(answers: Answers, over: str, confidence: float = CONFIDENCE) -> StudyInterval:
    """Student's t on the means of each participant (over "participants", as papers do) or each item ("items").

    Lets only these vary. The estimate is the mean of all answers, the interval is around the mean of the means; in a
    complete design they are the same.
    """
    groups = answers.person if over == "participants" else answers.item
    means = np.bincount(groups, answers.values) / np.bincount(groups)
    if len(means) < 2:
        return answers.undefined(over, f"the means of one {over[:-1]}")
    if np.ptp(means) <= 1e-12 * max(1.0, float(np.abs(means).max())):
        return answers.undefined(over, f"the means of all {over} are equal")
    half = stats.t.ppf((1 + confidence) / 2, len(means) - 1) * means.std(ddof=1) / len(means) ** 0.5
    method = f"{confidence:.0%} t interval over the means of {len(means)} {over}"
    method += ", paper-style: takes the clips as given" if over == "participants" else ": takes the people as given"
    return answers.interval(over, means.mean() - half, means.mean() + half, len(means), method)


def pooled_interval(answers: Answers, confidence: float = CONFIDENCE) -> StudyInterval:
    """Student's t on all answers, as if each came from another person about another clip."""
    n = len(answers.values)
    if n < 2 or not np.ptp(answers.values):
        return answers.undefined("independent", "one answer" if n < 2 else "all answers are equal")
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * answers.values.std(ddof=1) / n**0.5
    method = f"{confidence:.0%} t interval over {n} answers, assumes independence"
    return answers.interval("independent", answers.mean - half, answers.mean + half, n, method)


def wilson_interval(answers: Answers, confidence: float = CONFIDENCE) -> StudyInterval:
    """Wilson's interval of a share, as if each answer came from another person about another clip."""
    n = len(answers.values)
    low, high = proportion_confint(float(answers.values.sum()), n, alpha=1 - confidence, method="wilson")
    low, high = min(low, answers.mean), max(high, answers.mean)  # 0 and 1, not 1e-17 beside them
    return answers.interval("independent", low, high, n, f"{confidence:.0%} Wilson interval of {n} answers, "
                                                         "assumes independence")  # fmt: skip


def bootstrap_interval(
    answers: Answers, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> StudyInterval:
    """Percentiles of the mean over people and items that are both drawn anew; never beyond the answers' range."""
    if why := _too_little(answers):
        return answers.undefined("bootstrap", why)
    shape = (answers.n_persons, answers.n_items)
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (answers.person, answers.item), answers.values)
    np.add.at(counts, (answers.person, answers.item), 1.0)
    rng, means = np.random.default_rng(seed), []
    for start in range(0, resamples, BATCH):
        size = min(BATCH, resamples - start)
        people, items = (rng.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64) for n in shape)
        drawn = ((people @ counts) * items).sum(axis=1)
        means.append(((people @ sums) * items).sum(axis=1)[drawn > 0] / drawn[drawn > 0])
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    method = (f"{confidence:.0%} two-way percentile bootstrap over {shape[0]} participants and {shape[1]} items, "
              f"{resamples} resamples, seed {seed}")  # fmt: skip
    return answers.interval("bootstrap", low, high, min(shape), method)


def within(default: StudyInterval, instead: StudyInterval, low: float, high: float) -> StudyInterval:
    """The default interval, or the one `instead` where the default leaves the scale: t does not know where it ends."""
    inside = default.low is None or low <= default.low <= default.high <= high
    return default if inside else instead


def _tidy(end: float | None) -> float | None:
    return None if end is None else float(round(end, 12))

"""Algorithm 1 of the paper: from ratings to the selected subjects and one label per clip.

    lines 1-5   a subject is selected if the average expression score is strictly greater than 3
    lines 6-14  a clip's label is the emotion with the most of its m = 3 votes

The algorithm as printed does not say what happens to a tie: its "index with maximum value" calls every 1-1-1 split
"happy", the first in its order. Here ties are explicit, and a policy decides:
    "adjudicate"  no label until a further rater decides (default)
    "paper"       the first of happy, angry, sadness, neutral among the tied ones
    "exclude"     no label; the clip is left out for good
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from labeling.emotions import EMOTIONS

POLICIES = ("adjudicate", "paper", "exclude")
THRESHOLD = 3.0
MINIMUM_VOTES = 3
LABEL_COLUMNS = ["subject", "clip", "label", "tie", "n_votes", *EMOTIONS, "mean_intensity"]
SUBJECT_COLUMNS = ["subject", "score", "n_ratings", "selected"]


class TooFewVotes(ValueError):
    """Clips lack the votes that a label needs; `clips` names them."""

    def __init__(self, message: str, clips: list[str]):
        super().__init__(message)
        self.clips = clips


@dataclass(frozen=True)
class Labels:
    """What Algorithm 1 found.

    labels: one row per clip with LABEL_COLUMNS, sorted by subject and clip; `label` is None where there is none.
    subjects: one row per subject with SUBJECT_COLUMNS, sorted by name.
    """

    labels: pd.DataFrame
    subjects: pd.DataFrame

    @property
    def selected(self) -> list[str]:
        """The training subjects S_tr."""
        return list(self.subjects.loc[self.subjects["selected"], "subject"])


def aggregate(
    ratings: pd.DataFrame, policy: str = "adjudicate", minimum_votes: int = MINIMUM_VOTES, allow_partial: bool = False,
    threshold: float = THRESHOLD,
) -> Labels:  # fmt: skip
    """Run Algorithm 1 on `ratings`, a row per vote with the columns subject, clip, rater, emotion, intensity.

    A clip with fewer than `minimum_votes` votes is an error, unless `allow_partial`: then it has no label.
    Its ratings count in its subject's score all the same.
    Raises ValueError for an unknown policy or no rating at all, TooFewVotes as said.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy {policy!r}: expected one of {', '.join(POLICIES)}")
    if minimum_votes < 1:
        raise ValueError(f"minimum votes {minimum_votes}: at least 1")
    if ratings.empty:
        raise ValueError("there is no rating to aggregate")
    labels, counts = _count(ratings)
    short = labels["n_votes"].to_numpy() < minimum_votes
    if short.any() and not allow_partial:
        names = list(labels.loc[short, "clip"])
        shown = ", ".join(
            f"{name} ({n})" for name, n in labels.loc[short, ["clip", "n_votes"]].head(10).itertuples(index=False)
        )
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise TooFewVotes(
            f"{len(names)} of {len(labels)} clips have fewer than {minimum_votes} votes: {shown}{more}; collect the "
            "missing ratings, or allow a partial result, in which these clips have no label", names)  # fmt: skip
    labelled = ~short & (~labels["tie"].to_numpy() | (policy == "paper"))
    winners = np.array(EMOTIONS, dtype=object)[counts.argmax(axis=1)]  # argmax takes the first: the paper's order
    labels["label"] = pd.Series(np.where(labelled, winners, None), dtype=object)
    return Labels(labels[LABEL_COLUMNS], _score_subjects(ratings, threshold))


def _count(ratings: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """One row per clip with its votes, and the votes as an array (clips, 4)."""
    clips = ratings.groupby(["subject", "clip"], sort=True, observed=True)
    row_of = clips.ngroup().to_numpy()
    emotion = pd.Categorical(ratings["emotion"], categories=list(EMOTIONS)).codes.astype(np.int64)
    assert (emotion >= 0).all(), "emotions are checked where ratings come in"
    n_clips = clips.ngroups
    counts = np.bincount(row_of * len(EMOTIONS) + emotion, minlength=n_clips * len(EMOTIONS)).reshape(n_clips, -1)
    labels = clips["intensity"].mean().rename("mean_intensity").reset_index()
    labels[list(EMOTIONS)] = counts
    labels["n_votes"] = counts.sum(axis=1)
    labels["tie"] = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return labels, counts


def _score_subjects(ratings: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """scr_i and S_tr, lines 1-5: the mean of all of a subject's intensities, exactly, against the threshold."""
    sums = ratings.groupby("subject", sort=True, observed=True)["intensity"].agg(["sum", "count"]).reset_index()
    return pd.DataFrame({
        "subject": sums["subject"],
        "score": sums["sum"] / sums["count"],
        "n_ratings": sums["count"],
        # In whole numbers, so that a mean of exactly 3 is never selected by a rounding error.
        "selected": sums["sum"] > threshold * sums["count"],
    })  # fmt: skip


def score_intervals(ratings: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Intervals of the subjects' scores: columns subject, score_low, score_high (NaN where undefined).

    Ratings of one clip, and of one rater, are not independent: the variance of the mean is clustered both ways
    (Cameron, Gelbach and Miller 2011), with a t distribution of min(clips, raters) - 1 degrees of freedom.
    One clip or one rater has no interval.
    """
    rows = []
    for subject, of_subject in ratings.groupby("subject", sort=True, observed=True):
        low, high = _two_way_interval(
            of_subject["intensity"].to_numpy(float), pd.factorize(of_subject["clip"])[0],
            pd.factorize(of_subject["rater"])[0], confidence,
        )  # fmt: skip
        rows.append((subject, low, high))
    return pd.DataFrame(rows, columns=["subject", "score_low", "score_high"])


def _two_way_interval(values: np.ndarray, clip: np.ndarray, rater: np.ndarray, confidence: float) -> tuple:
    freedom = min(clip.max(), rater.max())  # codes count from 0
    if freedom < 1:
        return np.nan, np.nan
    mean = values.mean()
    if np.ptp(values) == 0:
        return mean, mean
    # Loaded here: both take longer to load than a page may take to appear.
    import statsmodels.api as sm
    from scipy import stats

    def variance(groups) -> float:
        fitted = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups})
        return float(fitted.cov_params()[0, 0])

    # With few clusters the two-way estimate can fall below either of its parts, even below 0; the larger
    # part is then the safer one.
    one_way = max(variance(clip), variance(rater))
    both = variance(np.column_stack([clip, rater]))
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(max(both, one_way))
    return mean - half, mean + half


def without_each_rater(ratings: pd.DataFrame, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Would the result change without any one rater? One row per rater.

    Columns: rater, n_ratings, gained and lost (subjects, as lists), changed (clips whose majority is another one,
    or tied, without the rater, among those that keep at least one vote).
    """
    everybody = set(_selected(ratings, threshold))
    whole = _majorities(ratings)
    rows = []
    for rater, own in ratings.groupby("rater", sort=True, observed=True):
        rest = ratings[ratings["rater"] != rater]
        selected = set(_selected(rest, threshold)) if len(rest) else set()
        majorities = _majorities(rest) if len(rest) else pd.Series(dtype=object)
        same = whole.reindex(majorities.index)
        rows.append((rater, len(own), sorted(selected - everybody), sorted(everybody - selected),
                     int((same.to_numpy() != majorities.to_numpy()).sum())))  # fmt: skip
    return pd.DataFrame(rows, columns=["rater", "n_ratings", "gained", "lost", "changed"])


def _selected(ratings: pd.DataFrame, threshold: float) -> list[str]:
    subjects = _score_subjects(ratings, threshold)
    return list(subjects.loc[subjects["selected"], "subject"])


def _majorities(ratings: pd.DataFrame) -> pd.Series:
    labels, counts = _count(ratings)
    winners = np.where(labels["tie"], "tie", np.array(EMOTIONS, dtype=object)[counts.argmax(axis=1)])
    return pd.Series(winners, index=pd.MultiIndex.from_frame(labels[["subject", "clip"]]))


if __name__ == "__main__":
    # The command reads and writes files; importing it up there would tie these pure functions to them.
    from labeling.command import main

    raise SystemExit(main())

"""Fig. 3: which style tokens does each emotion turn to? Mean attention scores per head, emotion and token.

References
    The paper's Eq. (2) and Fig. 3. Wang et al., "Style Tokens", ICML 2018.
"""

import numpy as np
import pandas as pd

from evaluation.description import Description
from evaluation.emotions import in_order
from evaluation.intervals import mean_interval

RESAMPLES = 999  # for each of a hundred and more bars


def mean_scores(description: Description, intervals: bool = True) -> pd.DataFrame:
    """A row per emotion, head and token, counted from 1: score, low, high, n (clips).

    Scores of one head and emotion sum to 1. Intervals resample clips; None for an emotion with a single clip, or if
    they are not wanted. Raises ValueError for scores that do not sum to 1 over the tokens.
    """
    scores = np.asarray(description.scores, dtype=np.float64)
    if not np.allclose(scores.sum(axis=2), 1, atol=1e-3):
        raise ValueError("attention scores do not sum to 1 over the tokens; run python -m eavanet.describe again")
    rows = []
    for emotion in in_order(description.emotion):
        of_emotion = scores[description.emotion == emotion]  # (n, heads, tokens)
        for head, token in np.ndindex(scores.shape[1:]):
            values = of_emotion[:, head, token]
            low = high = None
            if intervals:
                found = mean_interval(values, resamples=RESAMPLES)
                low, high = found.low, found.high
            rows.append((emotion, head + 1, token + 1, float(values.mean()), low, high, len(values)))
    return pd.DataFrame(rows, columns=["emotion", "head", "token", "score", "low", "high", "n"])


def difference_between_emotions(description: Description) -> float:
    """How much the emotions' mean scores differ, 0 (all alike) to 1 (no token in common): the mean over heads and
    pairs of emotions of the total variation distance. NaN for a single emotion."""
    scores = np.asarray(description.scores, dtype=np.float64)
    means = [scores[description.emotion == emotion].mean(axis=0) for emotion in in_order(description.emotion)]
    distances = [np.abs(a - b).sum(axis=1).mean() / 2 for i, a in enumerate(means) for b in means[i + 1 :]]
    return float(np.mean(distances)) if distances else float("nan")

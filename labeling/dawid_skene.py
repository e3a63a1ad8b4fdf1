"""Labels by a model of the raters (Dawid and Skene 1979), beside the majority, to see whether it matters.

Each rater has a confusion matrix of their own; expectation maximisation finds these together with the probability of
each emotion for each clip. A rater who errs often counts less. Never used for a label release: a sensitivity check.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from labeling.emotions import EMOTIONS

# One imagined right answer spread over each row, so that a rater with few clips is not thought infallible.
SMOOTHING = 0.25


@dataclass(frozen=True)
class DawidSkene:
    """What the model believes.

    probabilities: one row per clip, one column per emotion, rows sum to 1.
    accuracy: per rater, the probability of naming the true emotion, averaged over emotions as they occur.
    """

    probabilities: pd.DataFrame
    accuracy: pd.Series

    @property
    def labels(self) -> pd.Series:
        """The most probable emotion of each clip."""
        return self.probabilities.idxmax(axis=1)


def dawid_skene(votes: pd.DataFrame, tolerance: float = 1e-6, most_rounds: int = 200) -> DawidSkene:
    """Fit the model to `votes` (columns clip, rater, emotion). Raises ValueError without a vote."""
    if votes.empty:
        raise ValueError("there is no vote to fit the model to")
    clip, clips = pd.factorize(votes["clip"], sort=True)
    rater, raters = pd.factorize(votes["rater"], sort=True)
    said = pd.Categorical(votes["emotion"], categories=list(EMOTIONS)).codes.astype(int)
    n_clips, n_raters, k = len(clips), len(raters), len(EMOTIONS)
    belief = np.zeros((n_clips, k))
    np.add.at(belief, (clip, said), 1)
    belief /= belief.sum(axis=1, keepdims=True)  # begin with the shares of the votes
    for _ in range(most_rounds):
        prior = (belief.sum(axis=0) + SMOOTHING) / (n_clips + k * SMOOTHING)
        confusion = np.full((n_raters, k, k), SMOOTHING)  # rater, truth, answer
        np.add.at(confusion.transpose(0, 2, 1), (rater, said), belief[clip])
        confusion /= confusion.sum(axis=2, keepdims=True)
        log_belief = np.tile(np.log(prior), (n_clips, 1))
        np.add.at(log_belief, clip, np.log(confusion[rater, :, said]))
        new = np.exp(log_belief - log_belief.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        change = np.abs(new - belief).max()
        belief = new
        if change < tolerance:
            break
    accuracy = np.einsum("rkk,k->r", confusion, prior / prior.sum())
    return DawidSkene(
        pd.DataFrame(belief, index=pd.Index(clips, name="clip"), columns=list(EMOTIONS)),
        pd.Series(accuracy, index=pd.Index(raters, name="rater"), name="accuracy"),
    )

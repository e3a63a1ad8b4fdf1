"""Fig. 2: do clips of one emotion lie together in the space of style embeddings, whoever speaks?

A t-SNE picture shows groups, and can make them up; the silhouettes are computed in the space itself, by emotion and by
speaker, and beside them those of an encoder before training, for what the motion alone groups.

References
    van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008.
    Rousseeuw, "Silhouettes", 1987. Kobak and Berens, "The art of using t-SNE", 2019 (start from principal components).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples
from threadpoolctl import threadpool_limits

from evaluation.description import Description
from evaluation.intervals import Interval, mean_interval

PERPLEXITY = 30.0  # or a third of the clips, where they are few
FEWEST = 4  # clips that a picture can be made of


@dataclass(frozen=True)
class Silhouettes:
    """Mean silhouette of the clips, -1 to 1: near 1, groups are tight and apart; 0, they overlap; below, they mix.

    None where a grouping has one group only, or as many as clips.
    """

    emotion: Interval | None
    subject: Interval | None
    emotion_untrained: Interval | None
    subject_untrained: Interval | None


def project(embedding: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """t-SNE of embeddings (N, D) in the plane, (N, 2). The same embeddings give the same picture, bit by bit.

    Computed exactly, from principal components, with one thread: sums in another order would lead elsewhere.
    Raises ValueError for fewer than 4 clips, or values that are not finite.
    """
    embedding = np.asarray(embedding, dtype=np.float64)
    if embedding.ndim != 2 or len(embedding) < FEWEST:
        raise ValueError(f"embeddings {embedding.shape}: a picture needs at least {FEWEST} clips")
    if not np.isfinite(embedding).all():
        raise ValueError("embeddings have values that are no numbers; did the training diverge?")
    if np.ptp(embedding, axis=0).max() == 0:
        return np.zeros((len(embedding), 2))  # all the same: one point
    perplexity = min(PERPLEXITY, (len(embedding) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(
            2, perplexity=perplexity, init="pca", method="exact", learning_rate="auto", random_state=seed
        ).fit_transform(embedding)


def silhouettes(description: Description) -> Silhouettes:
    """How far emotions, and speakers, form groups; trained and untrained. Intervals resample clips."""
    found = {}
    for suffix, embedding in (("", description.embedding), ("_untrained", description.untrained)):
        for by in ("emotion", "subject"):
            found[by + suffix] = silhouette(embedding, getattr(description, by))
    return Silhouettes(**found)


def silhouette(embedding: ArrayLike, groups: ArrayLike) -> Interval | None:
    """The mean silhouette of embeddings (N, D) in groups (N,), with its interval; None if there is nothing to group.

    Distances are Euclidean, in the space itself. The interval resamples clips and leaves the groups as they are.
    """
    embedding, groups = np.asarray(embedding, dtype=np.float64), np.asarray(groups)
    if len(embedding) != len(groups):
        raise ValueError(f"{len(embedding)} embeddings in {len(groups)} groups: expected a group for each")
    if not 2 <= len(np.unique(groups)) <= len(groups) - 1:
        return None
    with threadpool_limits(1):
        return mean_interval(silhouette_samples(embedding, groups), what="clips")

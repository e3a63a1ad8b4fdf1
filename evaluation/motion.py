"""How a predicted face moves, whatever the truth: is it calm, and does the condition subject make a difference?

Neither is good or bad by itself: both are read beside the truth's, or another system's.

References
    Flash and Hogan, "The coordination of arm movements", 1985 (jerk as the measure of smoothness).
    Yi et al., "Physical Inertial Poser", CVPR 2022 (mean jerk as "jitter" of predicted motion).
    Stan et al., "FaceDiffuser", MIG 2023 (diversity over the training subjects as conditions).
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from evaluation.metrics import BLOCK_BYTES, squared_distances


def jitter(vertices: ArrayLike, frames_per_second: float) -> float:
    """Mean size of the third derivative over vertices and time, corpus units per second cubed.

    Third differences of the frames times the frame rate cubed, as in PIP. Near the truth's is good: more is
    trembling, less is motion that was smoothed away. NaN for fewer than 4 frames, which have none.
    Raises ValueError if `vertices` is not (T, V, 3).
    """
    vertices = np.asanyarray(vertices)
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise ValueError(f"expected vertices (T, V, 3), found {vertices.shape}")
    n_frames, n_vertices, _ = vertices.shape
    if n_frames < 4:
        return float("nan")
    size, total = max(1, BLOCK_BYTES // (24 * n_vertices)), 0.0
    for start in range(0, n_frames - 3, size):
        block = vertices[start : start + size + 3].astype(np.float64).reshape(-1, 3 * n_vertices)
        jerk = np.diff(block, n=3, axis=0)
        np.multiply(jerk, jerk, out=jerk)
        total += np.sqrt(jerk.reshape(-1, 3) @ np.ones(3)).sum()
    return float(total / ((n_frames - 3) * n_vertices) * frames_per_second**3)


def diversity(predictions: Sequence[ArrayLike]) -> float:
    """How far predictions of one clip under different conditions lie apart, corpus units.

    The mean distance of a vertex, over frames, vertices and all pairs of the sequences (T, V, 3). After FaceDiffuser;
    0 says that the condition subject makes no difference. Raises ValueError for fewer than two sequences, or
    different shapes.
    """
    if len(predictions) < 2:
        raise ValueError(f"{len(predictions)} prediction: diversity is over two or more conditions of one clip")
    return float(np.mean([_mean_distance(first, second) for first, second in combinations(predictions, 2)]))


def _mean_distance(first: ArrayLike, second: ArrayLike) -> float:
    sums = [np.sqrt(squared).sum() for squared in squared_distances(first, second)]
    return float(sum(sums) / (len(first) * np.shape(first)[1]))

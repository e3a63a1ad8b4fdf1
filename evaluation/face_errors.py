"""Further distances between prediction and truth, beside those of the paper's Table II (see `metrics`).

Conventions are those of `metrics`: sequences (T, V, 3) in corpus units, one value per frame, averaged once at the end.
A name says whether it is a distance or its square; lower is better.

References
    Peng et al., "EmoTalk", ICCV 2023 (emotional vertex error). Fan et al., "UniTalker", ECCV 2024 (error of the upper
    face beside that of the lips). Xing et al., "CodeTalker", CVPR 2023 (the upper-face region).
"""

import numpy as np
from numpy.typing import ArrayLike

from evaluation.metrics import Frames, region_indices, squared_distances


def root_mean_square(squared: ArrayLike, mm_per_unit: float | None = None) -> float:
    """The typical distance behind squared ones, sqrt(mean), in corpus units, or in mm where the corpus has a scale.

    A squared error of 4e-5 says nothing to a person; 6 thousandths of a face, or 1.2 mm, does.
    Raises ValueError without a value.
    """
    squared = np.asarray(squared, dtype=np.float64)
    if not squared.size:
        raise ValueError("no squared distance to average; is the clip empty?")
    return float(np.sqrt(squared.mean())) * (1.0 if mm_per_unit is None else mm_per_unit)


def upper_face_vertex_error(predicted: ArrayLike, reference: ArrayLike, upper_face: ArrayLike) -> Frames:
    """Mean squared distance over the upper face of each frame, (T,); lower is better.

    UniTalker's companion of the vertex error, squared as Table II's. FDD sees how much the upper face moves; this sees
    whether it moves at the right time and place. Raises ValueError as `lip_vertex_error`.
    """
    region = region_indices(upper_face, _n_vertices(reference), "upper face")
    return np.concatenate([squared.mean(axis=1) for squared in squared_distances(predicted, reference, region)])


def emotional_vertex_error(predicted: ArrayLike, reference: ArrayLike, eyes_and_forehead: ArrayLike) -> Frames:
    """Largest squared distance over eyes and forehead of each frame (EVE), (T,); lower is better.

    EmoTalk's: made as the lip vertex error, of the region where emotion shows. Squared, as CodeTalker's lip vertex
    error is, so that the two can stand side by side. Raises ValueError as `lip_vertex_error`.
    """
    region = region_indices(eyes_and_forehead, _n_vertices(reference), "eyes and forehead")
    return np.concatenate([squared.max(axis=1) for squared in squared_distances(predicted, reference, region)])


def _n_vertices(reference: ArrayLike) -> int:
    shape = np.shape(reference)
    if len(shape) != 3:
        raise ValueError(f"expected vertices (T, V, 3) with at least one frame, found {shape}")
    return shape[1]

"""All metrics of one clip at once: prediction against truth, pure numbers in, one number per metric out.

What each metric is stands with its own function, in `metrics`, `face_errors`, `mouth` and `motion`; here the clip is
walked through once for all distances, since reading it is most of the work.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.metrics import Frames, region_indices, squared_distances, upper_face_dynamics
from evaluation.motion import jitter
from evaluation.mouth import Mouth, lip_dynamics, mouth_opening, mouth_opening_difference
from evaluation.score_table import METRICS

NONE = float("nan")


@dataclass(frozen=True)
class Measures:
    """What the clips of a corpus are measured with. What it lacks is None, and `notes` say why."""

    frames_per_second: float
    mm_per_unit: float | None = None
    lips: NDArray[np.intp] | None = None
    upper_face: NDArray[np.intp] | None = None
    eyes_and_forehead: NDArray[np.intp] | None = None
    mouth: Mouth | None = None
    notes: list[str] = field(default_factory=list)


def score_motion(
    predicted: ArrayLike, reference: ArrayLike, template: ArrayLike, measures: Measures
) -> dict[str, float]:
    """All metrics of one prediction, both (T, V, 3): means over the frames; NaN for what cannot be measured.

    The vertex error is not finite if a coordinate of either is not, and the rest is left open then.
    Raises ValueError if the shapes differ or a region points outside the mesh.
    """
    found = dict.fromkeys([*METRICS, "jitter_of_truth"], NONE) | _distances(predicted, reference, measures)
    if not np.isfinite(found["vertex_error"]):
        return found  # neither is the rest
    if measures.upper_face is not None:
        dynamics = [upper_face_dynamics(vertices, template, measures.upper_face) for vertices in (reference, predicted)]
        found["fdd"] = dynamics[0] - dynamics[1]
        found["fdd_absolute"] = abs(found["fdd"])
    if measures.mouth is not None:
        openings = [mouth_opening(vertices, measures.mouth) for vertices in (predicted, reference)]
        found["mouth_opening_difference"] = float(mouth_opening_difference(*openings).mean())
        found["lip_dynamics"] = lip_dynamics(*openings)
    found["distance"] = found["vertex_error"] ** 0.5
    if measures.mm_per_unit is not None:
        found["distance_mm"] = found["distance"] * measures.mm_per_unit
    for key, vertices in (("jitter", predicted), ("jitter_of_truth", reference)):
        found[key] = jitter(vertices, measures.frames_per_second)
    return found


def _distances(predicted: ArrayLike, reference: ArrayLike, measures: Measures) -> dict[str, float]:
    """The errors of `metrics` and `face_errors`, of all regions in one pass over the clip."""
    frames: dict[str, list[Frames]] = defaultdict(list)
    regions = {
        name: region_indices(region, np.shape(reference)[1], name)
        for name in ("lips", "upper_face", "eyes_and_forehead")
        if (region := getattr(measures, name)) is not None
    }
    for squared in squared_distances(predicted, reference):
        within = {name: squared.take(region, axis=1) for name, region in regions.items()}
        frames["vertex_error"].append(squared.mean(axis=1))
        if "lips" in within:
            frames["lip_vertex_error"].append(within["lips"].max(axis=1))
        if "upper_face" in within:
            frames["upper_face_error"].append(within["upper_face"].mean(axis=1))
        if "eyes_and_forehead" in within:
            frames["emotional_vertex_error"].append(within["eyes_and_forehead"].max(axis=1))
    return {key: float(np.concatenate(parts).mean()) for key, parts in frames.items()}

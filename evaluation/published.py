"""What the paper published, as numbers: they stand beside ours in every report, and are always marked as published.

The paper: "EavaNet", its Tables I to V. Distances are on unit-normalised coordinates, so "mm" in its heads is nominal.
"""

from typing import NamedTuple

SOURCE = "published in the EavaNet paper"


class DataSet(NamedTuple):
    """A row of Table I. release: whether the data can be had."""

    name: str
    speakers: int
    emotions: str
    duration: str
    released: bool


DATA_SETS = (
    DataSet("VOCASET", 12, "1", "32m", True),
    DataSet("Multiface (subset)", 13, "1", "21m", True),
    DataSet("BIWI", 14, "15", "43m 35s", True),
    DataSet("Pham et al. [8]", 2, "N/A", "8m 46s", False),
    DataSet("CREMA-D [9]", 91, "6", "7442 clips", False),
    DataSet("AdaIN [10]", 1, "8", "38m 57s", False),
)
# Table II, on BIWI-A: vertex error, lip vertex error, FDD, in corpus units squared.
ERRORS = {
    "FaceFormer": {"vertex_error": 3.9876e-5, "lip_vertex_error": 7.5916e-4, "fdd": 5.0914e-5},
    "CodeTalker": {"vertex_error": 4.7354e-5, "lip_vertex_error": 8.2971e-4, "fdd": 3.6702e-5},
    "EavaNet": {"vertex_error": 3.4603e-5, "lip_vertex_error": 6.3628e-4, "fdd": 3.9958e-5},
}
# Table III: how often EavaNet was preferred, in percent.
PREFERENCES = {
    "GT": {"lip sync": 40.86, "expression": 45.21},
    "FaceFormer": {"lip sync": 51.73, "expression": 66.23},
    "CodeTalker": {"lip sync": 53.52, "expression": 60.41},
}
# Table IV: real time factors on an RTX 3090.
RTF = {"FaceFormer": 0.1356, "CodeTalker": 1.5684, "EavaNet": 0.0097}
RTF_DEVICE = "RTX 3090"
# Table V: mean opinion scores of emotional strength, 1 to 5, with the half-width that the paper calls a 95% interval.
OPINIONS = {"Neutral": (2.44, 0.29), "Interpolated": (3.13, 0.21), "Emotion": (4.11, 0.19)}

"""The opening of the mouth over time, on any topology, and what of it a prediction misses.

Where the lips part is found, not known: no corpus, landmark or vertex number is built in. In a narrow upright strip
through the middle of the lip region, the mesh falls into two pieces, since nothing joins the upper lip to the lower
one there; the rims of the two pieces that face each other are the edges of the lips.

References
    Sun et al., "DiffPoseTalk", SIGGRAPH 2024 (mouth opening difference, given in words only).
    Thambiraja et al., "Imitator", ICCV 2023 (dynamic time warping of lip motion).
    Sakoe and Chiba, 1978 (dynamic time warping); librosa's implementation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from evaluation.metrics import Frames, region_indices

STRIPS = (0.06, 0.12, 0.25, 0.5)  # share of the region's width; the narrowest that holds both lips is taken
RIM = 0.1  # the edge's share of the vertices that the smaller lip has in the strip
FEWEST = 2  # vertices of a lip in the strip


@dataclass(frozen=True)
class Mouth:
    """The vertices in the middle of the edges of the upper and lower lip."""

    upper: NDArray[np.intp]
    lower: NDArray[np.intp]


def find_mouth(template: ArrayLike, lips: ArrayLike, triangles: ArrayLike) -> Mouth:
    """Where the lips part on a neutral face (V, 3), y up, with triangles (F, 3) and the region `lips` around the mouth.

    Raises ValueError if the region is no mouth that can open: nothing parts it in the middle.
    """
    template = np.asarray(template, dtype=np.float64)
    lips = region_indices(lips, len(template), "lips")
    edges = _edges(triangles)
    across = template[lips, 0]
    middle, width = (across.min() + across.max()) / 2, np.ptp(across)
    for share in STRIPS:
        strip = lips[np.abs(across - middle) <= share * width / 2]
        pieces = _pieces(strip, edges, len(template))
        if len(pieces) >= 2 and len(pieces[1]) >= FEWEST:
            lower, upper = sorted(pieces[:2], key=lambda piece: template[piece, 1].mean())
            count = max(1, round(RIM * len(pieces[1])))  # the same for both: a chin may hang on the lower lip
            return Mouth(_rim(upper, lower, template, count), _rim(lower, upper, template, count))
    raise ValueError(
        f"region lips: its {len(lips)} vertices do not part into an upper and a lower lip in the middle; the region "
        "should hold both lips and nothing that joins them (such as the inside of the mouth)"
    )


def mouth_opening(vertices: ArrayLike, mouth: Mouth) -> Frames:
    """How far the lips are apart in each frame, (T,), corpus units: from edge to edge, in the middle of the mouth.

    The edges have a thickness, so closed lips are a little above 0. Raises ValueError for another topology.
    """
    vertices = np.asanyarray(vertices)
    last = max(mouth.upper.max(), mouth.lower.max())
    if vertices.ndim != 3 or vertices.shape[1] <= last or vertices.shape[2] != 3:
        raise ValueError(f"expected vertices (T, V, 3) with V above {last}, found {vertices.shape}; same topology?")
    upper, lower = (vertices[:, edge].astype(np.float64).mean(axis=1) for edge in (mouth.upper, mouth.lower))
    return np.linalg.norm(upper - lower, axis=1)


def mouth_opening_difference(predicted: ArrayLike, reference: ArrayLike) -> Frames:
    """How far the opening is off in each frame, from the two curves (T,): |predicted - reference|; lower is better.

    DiffPoseTalk's mouth opening difference (MOD), before the average over frames. Raises ValueError if the curves
    differ in length.
    """
    predicted, reference = _curves(predicted, reference)
    if len(predicted) != len(reference):
        raise ValueError(f"openings of {len(predicted)} and {len(reference)} frames; cut both to the same frames")
    return np.abs(predicted - reference)


def lip_dynamics(predicted: ArrayLike, reference: ArrayLike) -> float:
    """What remains of the opening's difference when time may stretch, corpus units; lower is better.

    The mean difference along the path of dynamic time warping between the two curves, (T,) and (T',). After Imitator,
    who warp lip vertices; the opening needs no correspondence between them. Against the mouth opening difference it
    tells wrong timing (this is much lower) from wrong shapes (both are alike).
    """
    import librosa  # with numba it takes a second to load: only who scores pays for it

    predicted, reference = _curves(predicted, reference)
    cost, path = librosa.sequence.dtw(predicted[None], reference[None], metric="euclidean")
    return float(cost[-1, -1] / len(path))


def _curves(predicted: ArrayLike, reference: ArrayLike) -> tuple[Frames, Frames]:
    curves = np.asarray(predicted, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    for curve in curves:
        if curve.ndim != 1 or not len(curve):
            raise ValueError(f"expected an opening for each of at least one frame, found shape {curve.shape}")
    return curves


def _edges(triangles: ArrayLike) -> NDArray[np.intp]:
    triangles = np.asarray(triangles, dtype=np.intp).reshape(-1, 3)
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def _pieces(strip: NDArray[np.intp], edges: NDArray[np.intp], n_vertices: int) -> list[NDArray[np.intp]]:
    """The strip's connected pieces, largest first."""
    within = np.zeros(n_vertices, dtype=bool)
    within[strip] = True
    edges = edges[within[edges].all(axis=1)]
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n_vertices, n_vertices))
    _, label = connected_components(graph, directed=False)
    pieces = [strip[label[strip] == number] for number in np.unique(label[strip])]
    return sorted(pieces, key=len, reverse=True)


def _rim(
    lip: NDArray[np.intp], other: NDArray[np.intp], template: NDArray[np.float64], count: int
) -> NDArray[np.intp]:
    """The `count` vertices of one lip that are nearest to the other."""
    distance, _ = KDTree(template[other]).query(template[lip])
    return np.sort(lip[np.argsort(distance, kind="stable")[:count]])

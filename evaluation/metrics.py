"""Geometric metrics of speech-driven facial animation, per frame or per clip, from vertices alone.

Conventions
    Sequences are (T, V, 3) in the units of the corpus, memory maps welcome. Each function walks through a clip in
    blocks of frames and adds in float64, so memory stays flat and float32 files lose nothing.
    Components are kept per frame or clip: `pool` averages once, at the end, as the official script does.
    Squared distances are in corpus units squared. The papers print "mm", but BIWI's coordinates have no unit.

Metrics
    vertex_error        mean squared distance over all vertices; lower is better (EavaNet's Table II)
    lip_vertex_error    largest squared distance over the lip vertices; lower is better
    upper_face_dynamics how much the upper face moves; FDD is truth minus prediction, closer to 0 is better

References
    Richard et al., "MeshTalk", ICCV 2021 (lip vertex error). Fan et al., "FaceFormer", CVPR 2022.
    Xing et al., "CodeTalker", CVPR 2023 (FDD; their evaluation script defines what "official" means here).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK_BYTES = 2 << 20  # of float64 vertices at a time: larger blocks leave the cache and gain nothing

Frames = NDArray[np.float64]  # (T,)


@dataclass(frozen=True)
class ClipScores:
    """The components of one clip, before any averaging."""

    vertex_error: Frames
    lip_vertex_error: Frames
    fdd: float  # signed: truth minus prediction


@dataclass(frozen=True)
class Scores:
    """Averages over clips: errors over all frames pooled, FDD over clips (signed, and of absolute values)."""

    frames: int
    clips: int
    vertex_error: float
    lip_vertex_error: float
    fdd: float
    fdd_absolute: float


def vertex_error(predicted: ArrayLike, reference: ArrayLike) -> Frames:
    """Mean squared vertex distance of each frame, (T,); lower is better.

    The paper calls it the "L2 error for all vertices in each frame"; no official script exists, and the mean of
    the squared distance has the magnitude of Table II. Raises ValueError if the sequences differ in shape.
    """
    return np.concatenate([squared.mean(axis=1) for squared in squared_distances(predicted, reference)])


def lip_vertex_error(predicted: ArrayLike, reference: ArrayLike, lips: ArrayLike) -> Frames:
    """Largest squared lip-vertex distance of each frame, (T,); lower is better.

    CodeTalker's definition, which EavaNet's Table II follows; `lips` are vertex indices. Raises ValueError if the
    sequences differ in shape, or an index is no vertex.
    """
    predicted, reference = _same_shape(predicted, reference)
    lips = region_indices(lips, predicted.shape[1], "lips")
    return np.concatenate([squared.max(axis=1) for squared in squared_distances(predicted, reference, lips)])


def upper_face_dynamics(vertices: ArrayLike, template: ArrayLike, upper_face: ArrayLike) -> float:
    """How much the upper face moves: the spread over time of its squared displacement, averaged over vertices.

    For each upper-face vertex, the (population) standard deviation over the frames of its squared distance to the
    template; then the mean over those vertices. Corpus units squared. `template` is (V, 3).
    Raises ValueError for a template of another size or an index that is no vertex.
    """
    vertices = _sequence(vertices)
    upper_face = region_indices(upper_face, vertices.shape[1], "upper face")
    count, mean, squares = 0, np.zeros(len(upper_face)), np.zeros(len(upper_face))
    # Blocks are merged as in Chan, Golub and LeVeque (1983): the difference of two large sums would lose the small one.
    for squared in squared_distances(vertices, template, upper_face):
        n, block_mean = len(squared), squared.mean(axis=0)
        step = block_mean - mean
        squares += ((squared - block_mean) ** 2).sum(axis=0) + step**2 * (count * n / (count + n))
        mean += step * (n / (count + n))
        count += n
    return float(np.sqrt(squares / count).mean())


def squared_distances(
    predicted: ArrayLike, reference: ArrayLike, region: NDArray[np.intp] | None = None
) -> Iterator[NDArray[np.float64]]:
    """Squared distance of each vertex, in blocks of frames (b, V), or (b, R) for the R vertices of a region.

    What all errors are made of. The reference is a sequence, or one face (V, 3) for all frames.
    Raises ValueError if the shapes differ.
    """
    if np.ndim(reference) == 3:
        predicted, reference = _same_shape(predicted, reference)
    else:
        predicted, reference = _sequence(predicted), _float64(reference)
        if reference.shape != predicted.shape[1:]:
            raise ValueError(f"template {reference.shape}, but the frames are {predicted.shape[1:]}; same topology?")
    n_vertices = predicted.shape[1] if region is None else len(region)
    # A coordinate at a time out of flat frames: three times faster than picking out rows of three.
    picked = slice(None) if region is None else (3 * region[:, None] + np.arange(3)).ravel()
    still = reference.reshape(1, -1)[:, picked] if reference.ndim == 2 else None
    size = max(1, BLOCK_BYTES // (24 * n_vertices))
    for start in range(0, len(predicted), size):
        block = slice(start, start + size)
        target = _picked(reference[block], picked) if still is None else still
        difference = np.subtract(_picked(predicted[block], picked), target, dtype=np.float64)
        np.multiply(difference, difference, out=difference)
        # The sum over x, y, z as a product with ones: a sum along so short an axis is far slower.
        yield (difference.reshape(-1, 3) @ np.ones(3)).reshape(-1, n_vertices)


def _picked(frames: NDArray, coordinates: NDArray[np.intp] | slice) -> NDArray:
    flat = frames.reshape(len(frames), -1)
    return flat if isinstance(coordinates, slice) else flat.take(coordinates, axis=1)


def score_clip(
    predicted: ArrayLike, reference: ArrayLike, template: ArrayLike, lips: ArrayLike, upper_face: ArrayLike
) -> ClipScores:
    """All three metrics of one clip; a longer prediction is cut to the reference, as the official script does.

    Raises ValueError if the prediction is shorter than the reference, or of another topology.
    """
    predicted, reference = _sequence(predicted), _sequence(reference)
    if len(predicted) < len(reference):
        raise ValueError(
            f"the prediction has {len(predicted)} frames, the reference {len(reference)}; "
            "a prediction may be longer (it is cut), never shorter: predict this clip again"
        )
    predicted = predicted[: len(reference)]
    lips = region_indices(lips, reference.shape[1], "lips")
    mean, largest = [], []
    for squared in squared_distances(predicted, reference):
        mean.append(squared.mean(axis=1))
        largest.append(squared.take(lips, axis=1).max(axis=1))
    return ClipScores(
        np.concatenate(mean),
        np.concatenate(largest),
        upper_face_dynamics(reference, template, upper_face)
        - upper_face_dynamics(predicted, template, upper_face),
    )


def pool(clips: Iterable[ClipScores]) -> Scores:
    """Average once: errors over all frames of all clips, FDD over clips. Raises ValueError without a clip."""
    clips = list(clips)
    if not clips:
        raise ValueError("no clip to score; is the split empty, or the folder of predictions?")
    return Scores(
        frames=sum(len(clip.vertex_error) for clip in clips),
        clips=len(clips),
        vertex_error=float(np.concatenate([clip.vertex_error for clip in clips]).mean()),
        lip_vertex_error=float(np.concatenate([clip.lip_vertex_error for clip in clips]).mean()),
        fdd=float(np.mean([clip.fdd for clip in clips])),
        fdd_absolute=float(np.mean([abs(clip.fdd) for clip in clips])),
    )


def region_indices(indices: ArrayLike, n_vertices: int, name: str) -> NDArray[np.intp]:
    """A region as an index array. Raises ValueError if it is empty or points outside the mesh."""
    indices = np.asarray(indices)
    if indices.ndim != 1 or not len(indices) or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"region {name}: expected a list of vertex numbers, found {indices.dtype} {indices.shape}")
    if indices.min() < 0 or indices.max() >= n_vertices:
        worst = int(indices.max()) if indices.max() >= n_vertices else int(indices.min())
        raise ValueError(
            f"region {name}: vertex {worst}, but the mesh has vertices 0..{n_vertices - 1}; "
            "the region file belongs to another topology"
        )
    return indices.astype(np.intp)


def _float64(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _sequence(vertices: ArrayLike) -> NDArray:
    vertices = np.asanyarray(vertices)
    if vertices.ndim != 3 or vertices.shape[2] != 3 or not len(vertices):
        raise ValueError(f"expected vertices (T, V, 3) with at least one frame, found {vertices.shape}")
    return vertices


def _same_shape(predicted: ArrayLike, reference: ArrayLike) -> tuple[NDArray, NDArray]:
    predicted, reference = _sequence(predicted), _sequence(reference)
    if predicted.shape != reference.shape:
        raise ValueError(
            f"the prediction is {predicted.shape} (frames, vertices, 3), the reference {reference.shape}; "
            "cut both to the same frames, and check that both come from the same topology"
        )
    return predicted, reference


if __name__ == "__main__":
    # The command reads files; importing it up there would tie these pure functions to them.
    from evaluation.score_folders import main

    raise SystemExit(main())

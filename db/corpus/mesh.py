"""A mesh as the readers hand it on: points, triangles and, where a file has them, colours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from db.corpus.errors import BadFile


@dataclass(frozen=True)
class Mesh:
    """vertices (V, 3) float64, faces (F, 3) uint32, colours (V, 3) uint8 or None."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None = None


def split_polygons(polygons: Iterable[Sequence[int]]) -> np.ndarray:
    """Polygons as triangles (F, 3), fanned out from each first corner; raises ValueError below 3 corners."""
    triangles = []
    for polygon in polygons:
        if len(polygon) < 3:
            raise ValueError(f"a face with {len(polygon)} corners")
        triangles += [(polygon[0], polygon[i], polygon[i + 1]) for i in range(1, len(polygon) - 1)]
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)


def checked_mesh(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None, name: str) -> Mesh:
    """The mesh, if its coordinates are numbers and its faces point at its own vertices; else BadFile."""
    if not len(vertices) or not len(faces):
        raise BadFile(f"{name}: {len(vertices)} vertices and {len(faces)} faces; expected a mesh. Export it again")
    if not np.isfinite(vertices).all():
        raise BadFile(f"{name}: has coordinates that are NaN or infinite; export the mesh again", kind="not_finite")
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= len(vertices):
        raise BadFile(
            f"{name}: a face names vertex {low if low < 0 else high}, but there are only {len(vertices)}; "
            "the file is damaged or mixed from two meshes"
        )
    return Mesh(vertices, np.ascontiguousarray(faces, dtype=np.uint32), colours)

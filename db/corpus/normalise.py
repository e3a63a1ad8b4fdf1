"""From the corpus's coordinates to the peers': turn upright, centre, divide by the square root of the area.

CodeTalker's preprocessing: multiply row vectors by the rotation of pi about x, subtract the mean vertex, divide by
the square root of the mesh's surface area, each of *that frame*. The scale then breathes with the opening jaw
(vertices that rest seem to move); "template" takes centre and area of the subject's template for all its frames.
"""

import numpy as np

# Rotation of pi about x; it is its own transpose, so rows or columns make no difference.
UPRIGHT = np.array([1.0, -1.0, -1.0])


def surface_area(vertices: np.ndarray, faces: np.ndarray) -> float:
    """The area of the triangles `faces` (F, 3) over `vertices` (V, 3), in squared units of the vertices."""
    x, y, z = np.ascontiguousarray(vertices.T)
    a, b, c = faces.T
    # Written out by axis: twice as fast as np.cross, and this runs for every frame of a corpus.
    ux, uy, uz = x[b] - x[a], y[b] - y[a], z[b] - z[a]
    vx, vy, vz = x[c] - x[a], y[c] - y[a], z[c] - z[a]
    doubled = np.sqrt((uy * vz - uz * vy) ** 2 + (uz * vx - ux * vz) ** 2 + (ux * vy - uy * vx) ** 2)
    return float(doubled.sum() / 2)


def centre_and_scale(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean vertex (3,) and square root of the surface area of one mesh (V, 3); ValueError without area."""
    vertices = np.asarray(vertices, dtype=np.float64)
    area = surface_area(vertices, faces)
    if not area > 0:
        raise ValueError("the mesh has no surface area: all its vertices lie on one line or point")
    return vertices.mean(axis=0), float(np.sqrt(area))


def normalise(frames: np.ndarray, faces: np.ndarray, how: str, template: np.ndarray | None) -> np.ndarray:
    """Bring `frames` (T, V, 3), in the corpus's own coordinates, to the peers', in place; returns them.

    how: "per-frame", "template" (template: (V, 3) in the corpus's own coordinates) or "none", which only turns
    the face upright. Raises ValueError for a mesh without area, or a missing template.
    """
    faces = np.ascontiguousarray(faces.T, dtype=np.intp).T  # converted once, not for every frame
    if how == "template":
        if template is None:
            raise ValueError("normalising by the template needs the subject's template, which is missing")
        centre, scale = centre_and_scale(template * UPRIGHT, faces)
    for frame in frames:
        upright = frame.astype(np.float64) * UPRIGHT
        if how == "per-frame":
            centre, scale = centre_and_scale(upright, faces)
        frame[:] = upright if how == "none" else (upright - centre) / scale
    return frames

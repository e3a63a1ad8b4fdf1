"""The shape of the average head: a smooth union of ellipsoids, in millimetres.

The head is the zero set of a signed distance function put together from a few ellipsoids (cranium, jaw, chin,
cheekbones, nose, ears, neck) that melt into one another, with hollows (eye sockets, temples) taken away. Sizes are
those of adult anthropometry (pupils 62 mm apart, 225 mm from crown to chin), with eyes a little larger than life.

Axes: x to the subject's left, y up, z forward; the origin lies between the ears at the height of the pupils.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CENTRE = np.array([0.0, -38.0, 4.0])  # every surface point can be seen from here
NECK_CUT_Y = -158.0
EYE = np.array([32.0, 0.0, 72.5])  # centre of the left eyeball
EYE_RADIUS = 14.2
LID_THICKNESS = 1.9

# (centre, radii, how softly it melts into what is there already); x > 0 parts are mirrored.
_SOLIDS = (
    ((0, 30, -6), (73, 83, 94), 1),  # cranium
    ((0, 34, 40), (61, 50, 54), 26),  # forehead
    ((0, -26, 36), (62, 66, 55), 30),  # middle of the face
    ((0, -72, 30), (47, 40, 52), 28),  # lower jaw
    ((0, -70, 68), (31, 26, 25), 24),  # behind the lips
    ((0, -97, 68), (19, 16.5, 20.5), 18),  # chin
    ((43, -27, 52), (20, 17, 22), 26),  # cheekbone
    ((30, -50, 58), (23, 24, 23), 26),  # cheek
    ((41, -66, 12), (15, 26, 24), 26),  # angle of the jaw
    ((22, 18, 78), (24, 8.5, 13.5), 18),  # brow ridge
    ((0, -150, -18), (53, 105, 53), 26),  # neck
)
_NOSE = (
    ((0, 4, 87), (7, 16, 9), 10),  # root
    ((0, -14, 97), (6.8, 21, 8.8), 9),  # bridge
    ((0, -35, 106), (9.0, 8.2, 10.5), 10),  # tip
    ((10.5, -38, 99), (6.4, 6.8, 9.0), 8),  # wing
    ((0, -43, 98), (5.0, 5, 9.0), 8),  # septum
)
_HOLLOWS = (
    ((31, 1, 101), (21, 13, 15), 13),  # eye socket
    ((79, 8, 42), (8, 30, 24), 20),  # temple
)
_EAR = ((71.5, -8, -8), (7.5, 29, 16.5), 9)
_EAR_HOLLOW = ((82, -9, -2), (8, 17, 8.5), 4)


def _ellipsoid(points: Array, centre, radii) -> Array:
    """Approximate signed distance (N,) of points (N, 3) from an ellipsoid; exact on its surface."""
    q = (points - np.asarray(centre)) / np.asarray(radii)
    scaled = np.sqrt((q * q).sum(-1)) + 1e-12
    gradient = np.sqrt(((q / np.asarray(radii)) ** 2).sum(-1)) + 1e-12
    return scaled * (scaled - 1) / gradient


def _melt(a: Array, b: Array, softness: float) -> Array:
    """Smooth minimum: the union of two bodies with a fillet of the given size in mm."""
    h = np.clip(softness - np.abs(a - b), 0, None) / softness
    return np.minimum(a, b) - h * h * softness * 0.25


def distance(points: Array) -> Array:
    """Signed distance (N,) in mm of points (N, 3) from the head's skin; negative inside."""
    p = points.copy()
    p[:, 0] = np.sqrt(p[:, 0] ** 2 + 9.0)  # the mirrored half for free, rounded so that no crease runs down the middle
    body = None
    for centre, radii, softness in _SOLIDS:
        solid = _ellipsoid(p if centre[0] else points, centre, radii)
        body = solid if body is None else _melt(body, solid, softness)
    for centre, radii, softness in _HOLLOWS:
        body = -_melt(-body, _ellipsoid(p, centre, radii), softness)
    for centre, radii, softness in _NOSE:
        body = _melt(body, _ellipsoid(p if centre[0] else points, centre, radii), softness)
    ear = -_melt(-_ellipsoid(_ear_frame(p), *_EAR[:2]), _ellipsoid(p, *_EAR_HOLLOW[:2]), _EAR_HOLLOW[2])
    body = _melt(body, ear, _EAR[2])
    from_eye = np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]], -1) - EYE
    lids = np.linalg.norm(from_eye, axis=1) - (EYE_RADIUS + LID_THICKNESS)
    return _melt(body, lids, 5.0)


def _ear_frame(points: Array) -> Array:
    """Turn points (N, 3) about the ear's upright axis, so that the ear stands off the head by 20 degrees."""
    angle = np.radians(-22.0)
    centre = np.asarray(_EAR[0], float)
    q = points - centre
    turned = q.copy()
    turned[:, 0] = np.cos(angle) * q[:, 0] - np.sin(angle) * q[:, 2]
    turned[:, 2] = np.sin(angle) * q[:, 0] + np.cos(angle) * q[:, 2]
    return turned + centre


def trace(origins: Array, directions: Array, steps: int = 90) -> Array:
    """Walk from origins (N, 3) along unit directions (N, 3) until the skin; returns the points reached, (N, 3).

    Sphere tracing with a cautious step, since the distances are exact only at the surface itself.
    """
    points = origins.copy()
    walking = np.arange(len(points))
    for _ in range(steps):
        gap = distance(points[walking])
        points[walking] += 0.8 * gap[:, None] * directions[walking]
        walking = walking[np.abs(gap) > 1e-4]
        if not len(walking):
            break
    return points


def surface_along(directions: Array) -> Array:
    """Skin points (N, 3) seen from the head's centre in unit directions (N, 3), outermost hit first."""
    return trace(CENTRE + 230.0 * directions, -directions)


def front_surface(x: Array, y: Array) -> Array:
    """Skin points (N, 3) met by rays that come from the front at (x, y) mm."""
    origins = np.stack([np.asarray(x, float), np.asarray(y, float), np.full(len(x), 160.0)], -1)
    return trace(origins, np.broadcast_to([0.0, 0.0, -1.0], origins.shape))


def directions_of(points: Array) -> Array:
    """Unit directions (N, 3) from the head's centre to points (N, 3)."""
    offset = points - CENTRE
    return offset / np.linalg.norm(offset, axis=1, keepdims=True)

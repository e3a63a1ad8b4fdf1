"""The lines that make a face: mouth, lips, lids, brows and hairline, as curves in mm or in directions.

Mesh, relief, colours, actions and identities all read them here, so that a brow's colour sits on a brow's points.
Plane curves are seen from the front (x, y); see `head` for the axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[np.float64]

MOUTH_WIDTH = 26.0  # half, mm
MOUTH_OPEN = 6.0  # half height of the lens in the layout, mm
LIP_GAP = 0.02  # half the slit that stays between closed lips, mm
LID_WIDTH = 15.3  # half, mm
COLLAR_Y = -143.0
HAIRLINE_RADIANS = 0.020  # half the width of the step from skin to hair


def mouth_line(x: Array) -> Array:
    """Height in mm of the closed mouth at x mm: a soft bow with its dip in the middle."""
    u = np.clip(np.abs(np.asarray(x)) / MOUTH_WIDTH, 0, 1.4)
    return -69.0 - 1.1 * np.exp(-((u / 0.24) ** 2)) - 0.9 * np.exp(-(((u - 0.85) / 0.32) ** 2)) + 0.5 * u**2


def lens(x: Array) -> Array:
    """How far the mouth can open at x mm: 1 in the middle, 0 at the corners and beyond."""
    return np.sqrt(np.clip(1 - (np.asarray(x) / MOUTH_WIDTH) ** 2, 0, 1))


def red_height(x: Array, side: Array) -> Array:
    """Height in mm of the red of the lip at x mm, upper (side > 0, with its bow) or lower."""
    u = np.clip((np.asarray(x) / (MOUTH_WIDTH + 1.5)) ** 2, 0, 1)
    upper = 8.2 * (1 - u) ** 0.8 * (1 - 0.22 * np.exp(-((np.asarray(x) / 3.8) ** 2)))
    return np.where(np.asarray(side) > 0, upper, 9.8 * (1 - u) ** 0.62) + 0.15


def lid_edges(t: Array) -> tuple[Array, Array]:
    """Heights in mm of the upper and lower lid's edge at t in [-1, 1], from the inner to the outer corner."""
    arch = np.clip(1 - t * t, 0, 1)
    tilt = 1.0 * t
    upper = 6.4 * arch**0.62 * (1 - 0.10 * t) + tilt
    lower = -4.9 * arch**0.72 * (1 + 0.12 * t) + tilt
    return upper, lower


_HAIRLINE = PchipInterpolator(  # azimuth in degrees from the face -> elevation in degrees, seen from the centre
    [0, 20, 34, 46, 56, 64, 71, 77, 83, 89, 95, 101, 108, 116, 126, 140, 158, 180],
    [54, 54, 53, 47, 38, 29, 24, 22, 27, 35, 40, 41, 36, 20, 4, -9, -16, -18],
)


def hairline(s: Array, rise: float = 0.0) -> Array:
    """Directions (N, 3) along the left hairline, s in [0, 1] from forehead to nape, `rise` radians up from it."""
    ray = _hairline_ray(s)
    along = _hairline_ray(np.minimum(s + 1e-4, 1.0)) - _hairline_ray(np.maximum(s - 1e-4, 0.0))
    upward = np.cross(ray, along)
    upward *= -1.0 / np.linalg.norm(upward, axis=1, keepdims=True)
    moved = ray + rise * upward
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _hairline_ray(s: Array) -> Array:
    return spherical(np.radians(_HAIRLINE(180.0 * np.asarray(s))), np.pi * np.asarray(s))


def brow_curve(s: Array, row: float) -> Array:
    """Points (N, 2) in mm along the left brow from nose to temple; row -1, 0, 1: lower edge, middle, upper edge."""
    thickness = 3.9 * np.sqrt(np.clip(1.10 - s, 0, 1)) * (0.72 + 0.28 * np.clip(s / 0.12, 0, 1))
    arch = 17.5 + 9.0 * np.sin(0.84 * np.pi * np.sign(s) * np.abs(s) ** 0.85)
    return np.stack([10.5 + 43.0 * s, arch + row * thickness], -1)


def spherical(elevation: Array, azimuth: Array) -> Array:
    """Unit directions (N, 3) at elevation and azimuth in radians; azimuth 0 is straight ahead, positive to the left."""
    flat = np.cos(elevation)
    return np.stack([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)], -1)

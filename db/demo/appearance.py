"""Vertex colours and regions of the demo's face.

Colours carry what a mesh of this size cannot: brows, lashes, the shadow of the lid's fold, red of the lips and
cheeks, iris and pupil, the dark of the mouth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import head, outline
from .face import Face

Array = NDArray[np.float64]

SKIN = np.array([0.86, 0.655, 0.545])
HAIR = np.array([0.20, 0.125, 0.085])
BROW = np.array([0.19, 0.115, 0.08])
LIP = np.array([0.70, 0.385, 0.355])
BLUSH = np.array([0.84, 0.47, 0.41])
SHADE = np.array([0.60, 0.385, 0.315])
LASH = np.array([0.15, 0.09, 0.075])
IRIS, IRIS_EDGE, PUPIL = np.array([0.27, 0.43, 0.52]), np.array([0.10, 0.17, 0.22]), np.array([0.02, 0.02, 0.025])
CLOTH = np.array([0.20, 0.25, 0.33])
EYE_WHITE, CATCHLIGHT = np.array([0.93, 0.915, 0.90]), np.array([1.0, 1.0, 1.0])
MOUTH = np.array(  # from the lips inward
    [[0.56, 0.22, 0.21], [0.33, 0.09, 0.09], [0.17, 0.04, 0.045], [0.09, 0.02, 0.025], [0.06, 0.015, 0.02]]
)
TOOTH, GUM, TONGUE = np.array([0.95, 0.925, 0.87]), np.array([0.62, 0.27, 0.27]), np.array([0.66, 0.29, 0.29])


def _mix(colours: Array, paint: Array, amount: Array) -> Array:
    return colours + (paint - colours) * np.clip(amount, 0, 1)[:, None]


def _blob(x: Array, y: Array, cx: float, cy: float, sx: float, sy: float) -> Array:
    return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)


def brow_amount(points: Array) -> Array:
    """How much (N,) of each point (N, 3) is eyebrow."""
    x, y = np.abs(points[:, 0]), points[:, 1]
    s = (x - 10.5) / 43.0
    middle = outline.brow_curve(np.clip(s, 0, 1), 0.0)[:, 1]
    half = outline.brow_curve(np.clip(s, 0, 1), 1.0)[:, 1] - middle
    across = np.clip((1.15 - np.abs(y - middle) / half) / 0.3, 0, 1)
    along = np.clip((s + 0.05) / 0.07, 0, 1) * np.clip((1.06 - s) / 0.08, 0, 1)
    return across * along * (points[:, 2] > 20)


def _skin_colours(face: Face) -> Array:
    points = face.vertices
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    front = z > 30
    colours = np.tile(SKIN, (len(points), 1))
    colours = _mix(colours, BLUSH, 0.42 * front * _blob(x, y, 42, -34, 18, 15))
    colours = _mix(colours, BLUSH, 0.30 * front * _blob(x, y, 0, -36, 15, 8))
    colours = _mix(colours, BLUSH, 0.35 * _blob(x, y, 82, -10, 7, 26))
    colours = _mix(colours, BLUSH, 0.15 * front * _blob(x, y, 0, -104, 16, 9))
    colours = _mix(colours, SHADE, 0.38 * front * _eye_shadow(x, y))
    colours = _mix(colours, SHADE * 0.75, 0.65 * front * _blob(x, y, 6.4, -44.5, 3.0, 1.8))  # nostrils
    colours = _mix(colours, SHADE, 0.30 * (y < -112) * (z > 0))
    colours = _mix(colours, LIP, 0.92 * face.red)
    colours = _mix(colours, LIP * 0.55, 0.8 * face.red * np.exp(-(((y - outline.mouth_line(x)) / 1.1) ** 2)))
    colours = _mix(colours, BROW, 0.93 * brow_amount(points))
    colours = _mix(colours, CLOTH, (y < outline.COLLAR_Y) * 1.0)
    return _mix(colours, HAIR, face.hair)


def _eye_shadow(x: Array, y: Array) -> Array:
    """Fold above the upper lid and the soft hollow below the eye; (N,) 0..1."""
    t = np.clip((x - head.EYE[0]) / (outline.LID_WIDTH + 3), -1, 1)
    upper, lower = outline.lid_edges(t)
    near = np.exp(-(((x - head.EYE[0]) / 19) ** 6))
    fold = np.exp(-(((y - upper - 5.4) / 2.0) ** 2))
    bag = 0.35 * np.exp(-(((y - lower + 6.0) / 3.0) ** 2))
    return near * np.maximum(fold, bag) + 0.5 * _blob(x, y, 15, 6, 5, 8)


def _eye_colours(face: Face) -> Array:
    """Colours (V, 3) as if every vertex lay on an eyeball; `depth` is the polar angle in degrees."""
    angle = face.depth
    white = _mix(np.tile(EYE_WHITE, (len(angle), 1)), np.array([0.80, 0.66, 0.62]), np.clip((angle - 48) / 45, 0, 0.8))
    iris = _mix(np.tile(IRIS, (len(angle), 1)), IRIS_EDGE, np.clip((angle - 20) / 5, 0, 1) ** 2)
    colours = np.where((angle < 26)[:, None], iris, white)
    colours = np.where((angle < 11)[:, None], PUPIL, colours)
    local = face.vertices - head.EYE * np.stack([np.sign(face.vertices[:, 0]), *np.ones((2, len(angle)))], -1)
    spot = (angle > 3) & (angle < 20) & (np.hypot(local[:, 0] + 1.9, local[:, 1] - 1.9) < 1.15)
    return np.where(spot[:, None], CATCHLIGHT, colours)


def colours_of(face: Face) -> NDArray[np.uint8]:
    """Colours (V, 3), red green blue, of every vertex."""
    colours = _skin_colours(face)
    for ring in face.skin.eyes:
        upper = face.vertices[ring, 1] > face.vertices[ring, 1].mean() + 0.8
        colours[ring] = np.where(upper[:, None], LASH, SHADE * 0.9)
    eyes, rims = face.of("left eye", "right eye"), face.of("left rim", "right rim")
    colours[eyes] = _eye_colours(face)[eyes]
    colours[rims] = np.where((face.vertices[rims, 1] > 1.0)[:, None], SHADE * 0.6, SKIN * [0.95, 0.75, 0.72])
    pouch = face.of("mouth")
    colours[pouch] = MOUTH[face.depth[pouch].astype(int) - 1]
    for name, gum_rows in (("upper teeth", (0.0,)), ("lower teeth", (3.0,))):
        teeth = face.of(name)
        shade = 1 - 0.78 * np.clip((np.abs(face.vertices[teeth, 0]) - 8) / 15, 0, 1)[:, None]
        colours[teeth] = np.where(np.isin(face.depth[teeth], gum_rows)[:, None], GUM * 0.7, TOOTH) * shade
    tongue = face.of("tongue")
    colours[tongue] = TONGUE * (0.95 - 0.6 * face.depth[tongue])[:, None]
    return np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def regions_of(face: Face) -> dict[str, NDArray[np.int64]]:
    """Vertex indices of the lip region (`lve`) and of the upper face (`fdd`), as the peers' scores use them.

    As in BIWI's region files, the lip region takes in the skin around the red, and the upper face runs from the
    cheekbones to the forehead, ear to ear; neither has anything behind the skin.
    """
    x, y, z = np.abs(face.vertices[:, 0]), face.vertices[:, 1], face.vertices[:, 2]
    skin = face.of("skin")
    lips = skin & (((x / 36) ** 2 + ((y + 69) / 22) ** 2) < 1) & (z > 40)
    upper = skin & (y > -32) & (z > 25) & (face.hair < 0.05) & (x < 72) & ~((x < 16) & (y < -18))
    return {"lve": np.flatnonzero(lips), "fdd": np.flatnonzero(upper)}

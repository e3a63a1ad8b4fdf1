"""Facial actions as fixed displacement fields: a pose is the rest face plus coefficients times fields.

Names follow the Facial Action Coding System (FACS; Ekman, Friesen, Hager) where it has one. A coefficient of 1 is a
strong but natural action; fields are in mm, so coefficients may be mixed, exceed 1 a little, or be negative.

Fields of the skin are smooth functions of where a vertex rests; only jaw, lips and lids differ above and below their
opening. What hangs behind the skin follows it (`parts.Part.follows`), teeth and tongue follow the jaw.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from . import head, outline
from .face import Face, build_face

Array = NDArray[np.float64]

JAW_HINGE = np.array([0.0, -14.0, 2.0])
JAW_RADIANS = 0.26  # at coefficient 1; the chin drops by about 27 mm
MOUTH_Y = -69.0

NAMES = (
    "AU1 inner brow up", "AU2 outer brow up", "AU4 brows together", "AU5 upper lid up", "AU6 cheeks up",
    "AU7 lids tight", "AU9 nose wrinkled", "AU10 upper lip up", "AU12 lip corners up", "AU15 lip corners down",
    "AU16 lower lip down", "AU17 chin up", "AU18 lips pursed", "AU20 lips wide", "AU23 lips tight",
    "AU24 lips pressed", "AU26 jaw down", "AU43 eyes shut", "lower lip to teeth", "tongue up", "gaze sideways",
    "gaze down",
)  # fmt: skip
AU = {name.split()[0] if name.startswith("AU") else name: i for i, name in enumerate(NAMES)}


class _Places:
    """Coordinates of the resting skin and the bumps that fields are made of; arrays are (V,) in mm."""

    def __init__(self, face: Face) -> None:
        self.x, self.y, self.z = face.vertices.T
        self.out = np.tanh(self.x / 5.0)  # +1 on the left, -1 on the right, without a jump on the midline
        self.front = 1 / (1 + np.exp(-(self.z - 28) / 9.0))
        self.above = face.side > 0
        self.away = np.abs(self.y - outline.mouth_line(self.x))
        self.arch = outline.lens(self.x)
        self.arch_wide = np.clip(1 - (self.x / (outline.MOUTH_WIDTH + 5)) ** 2, 0, 1) ** 0.6

    def at(self, cx: float, cy: float, sx: float, sy: float) -> Array:
        """A bump of height 1 at (cx, cy) and its mirror image, on the front of the head."""
        u = np.exp(-(((np.abs(self.x) - cx) / sx) ** 2)) if cx else np.exp(-((self.x / sx) ** 2))
        return u * np.exp(-(((self.y - cy) / sy) ** 2)) * self.front

    def lip(self, above: bool, reach: float) -> Array:
        """Upper or lower lip: 1 at the mouth's line, fading over `reach` mm, 0 at the corners."""
        return (self.above == above) * self.arch_wide * np.exp(-((self.away / reach) ** 2)) * self.front


def _field(dx=0.0, dy=0.0, dz=0.0) -> Array:
    return np.stack(np.broadcast_arrays(np.asarray(dx, float), dy, dz), -1)


def jaw_share(face: Face) -> Array:
    """How much (V,) each skin vertex goes along with the jaw: 1 at chin and lower lip, 0.5 at the lips' corners."""
    at = _Places(face)
    beyond = np.clip(np.abs(at.x) - 20, 0, None)
    width = 5.0 + 0.55 * beyond + 0.10 * np.clip(75 - at.z, 0, None)
    across = np.where(at.above, 1.0, -1.0) * at.arch + (1 - at.arch) * np.tanh(
        (at.y - outline.mouth_line(at.x)) / width + 0.35
    )
    share = 0.5 - 0.5 * across
    throat = 1 / (1 + np.exp(-(at.z - 16) / 8)) * 1 / (1 + np.exp(-(at.y + 128) / 5))
    return share * throat * np.clip((at.z - 0) / 25, 0, 1)


def _turned(points: Array, centre: Array, radians: Array) -> Array:
    """Displacement (N, 3) of points turned about the x axis through `centre`; positive turns the front down."""
    y, z = points[:, 1] - centre[1], points[:, 2] - centre[2]
    cos, sin = np.cos(radians), np.sin(radians)
    return _field(0.0, cos * y - sin * z - y, sin * y + cos * z - z)


def _lid_field(face: Face, upper: bool, degrees_of, reach: float) -> Array:
    """Slide one lid along the eyeballs: its edge turns by degrees_of(t), fading out over `reach` mm above or below.

    The turn is about the eyeball's x axis; t in [-1, 1] runs from the inner to the outer corner.
    """
    points = face.vertices
    total = np.zeros_like(points)
    for side in (1, -1):
        centre = head.EYE * [side, 1, 1]
        t = np.clip((points[:, 0] * side - head.EYE[0]) / outline.LID_WIDTH, -1.25, 1.25)
        high, low = outline.lid_edges(np.clip(t, -1, 1))
        edge = high if upper else low
        beyond = (points[:, 1] - edge) * (1 if upper else -1)
        middle = (high + low) / 2
        mine = (points[:, 1] >= middle) if upper else (points[:, 1] < middle)
        fade = np.clip(1 - np.clip(beyond, 0, None) / reach, 0, 1)
        fade = fade * fade * (3 - 2 * fade) * mine * (points[:, 2] > 40) * (points[:, 0] * side > 0)
        total += _turned(points, centre, np.radians(degrees_of(np.clip(t, -1, 1)) * fade * (np.abs(t) < 1.2)))
    return total


def _edge_degrees(t: Array) -> tuple[Array, Array]:
    """Elevation in degrees of the upper and lower lid's edge as seen from the eyeball's centre."""
    high, low = outline.lid_edges(t)
    depth = np.sqrt(np.clip((head.EYE_RADIUS + head.LID_THICKNESS) ** 2 - (outline.LID_WIDTH * t) ** 2, 9.0, None))
    return np.degrees(np.arctan2(high, depth)), np.degrees(np.arctan2(low, depth))


def _shut(t: Array) -> Array:
    high, low = _edge_degrees(t)
    return (high - low) * 0.90


def _raise(t: Array) -> Array:
    high, low = _edge_degrees(t)
    return -0.24 * (high - low)


def _lower_up(t: Array) -> Array:
    high, low = _edge_degrees(t)
    return -0.13 * (high - low)


def _skin_fields(face: Face) -> dict[str, Array]:
    """Field (V, 3) of each action on the skin; behind the skin they are meaningless and get replaced."""
    at = _Places(face)
    x, out, bump = at.x, at.out, at.at
    corner = bump(outline.MOUTH_WIDTH, -71, 13, 12)
    cheek = bump(36, -28, 17, 14)
    beyond = np.clip(np.abs(x) - outline.MOUTH_WIDTH, 0, None)
    arc = np.minimum(np.abs(x) / outline.MOUTH_WIDTH, 1) ** 1.7 * np.exp(-((beyond / 12) ** 2)) * at.front
    smile, frown = (arc * np.exp(-(((at.y + 71) / reach) ** 2)) for reach in (13, 12))
    fold = bump(33, -52, 5, 13)  # the furrow from nose to mouth
    fields = {
        "AU1": _field(
            -1.0 * out * bump(14, 22, 12, 14),
            8.2 * bump(14, 21, 12, 15) + 2.5 * bump(0, 32, 20, 16),
            1.6 * bump(13, 30, 14, 5) - 1.4 * bump(0, 45, 26, 3.5) - 1.2 * bump(0, 37, 24, 3),
        ),
        "AU2": _field(0, 6.8 * bump(44, 23, 15, 13) + 2.0 * bump(40, 38, 20, 14), 0.8 * bump(42, 30, 14, 5)),
        "AU4": _field(
            -4.2 * out * bump(15, 18, 11, 13) - 1.2 * out * bump(30, 22, 12, 10),
            -7.2 * bump(13, 19, 12, 14) - 3.2 * bump(32, 22, 14, 11) - 1.8 * bump(0, 14, 12, 14),
            2.6 * bump(8, 17, 6.5, 7) - 2.8 * bump(0, 20, 3.2, 9) + 1.2 * bump(24, 18, 14, 6),
        ),
        "AU5": _lid_field(face, True, _raise, 9.0),
        "AU6": _field(
            1.6 * out * cheek,
            5.2 * cheek + 2.6 * bump(32, -15, 20, 8),
            4.4 * cheek - 1.6 * bump(36, -14, 16, 3.5) - 1.0 * bump(52, -3, 6, 8),
        )
        + 0.55 * _lid_field(face, False, _lower_up, 8.0),
        "AU7": _lid_field(face, False, _lower_up, 9.0) + 0.22 * _lid_field(face, True, _shut, 8.0),
        "AU9": _field(
            0.5 * out * bump(13, -37, 8, 8),
            3.6 * bump(12, -36, 9, 12) + 2.2 * bump(0, -34, 12, 12) - 1.4 * bump(0, 8, 14, 8),
            1.8 * bump(8, -18, 6, 9)
            - 1.5 * bump(0, 3, 12, 2.6)
            - 1.2 * bump(22, -38, 4, 9)
            + 1.0 * bump(14, -38, 6, 6),
        ),
        "AU10": _field(0, 4.8 * at.lip(True, 13) + 2.2 * bump(22, -50, 8, 10), 1.2 * at.lip(True, 9) - 1.0 * fold),
        "AU12": _field(
            out * (6.6 * corner + 1.4 * bump(34, -58, 12, 12)),
            9.6 * smile + 3.0 * bump(33, -52, 14, 14),
            -4.6 * corner + 3.8 * bump(41, -45, 12, 12) - 2.2 * fold - 1.6 * bump(0, -69, 18, 10),
        ),
        "AU15": _field(
            out * 0.8 * corner,
            -7.4 * frown + 0.8 * bump(0, -66, 14, 9),
            -0.8 * corner - 1.4 * bump(31, -84, 5, 9) + 1.0 * bump(38, -84, 7, 9),
        ),
        "AU16": _field(0, -4.6 * at.lip(False, 12), 0.8 * at.lip(False, 9)),
        "AU17": _field(
            0,
            2.6 * at.lip(False, 16) + 3.6 * bump(0, -98, 17, 12) + 0.9 * at.lip(True, 10),
            2.0 * at.lip(False, 10) + 2.2 * bump(0, -101, 13, 8) - 1.6 * bump(0, -87, 17, 5),
        ),
        "AU18": _field(
            -0.40 * x * np.exp(-(((at.y - MOUTH_Y) / 19) ** 2)) * np.exp(-((x / 34) ** 4)) * at.front,
            -1.0 * at.lip(True, 12) + 1.0 * at.lip(False, 12),
            5.8 * bump(0, MOUTH_Y, 20, 15) * (0.5 + 0.5 * at.arch_wide),
        ),
        "AU20": _field(out * 5.2 * corner, -0.9 * corner, -2.2 * corner - 0.8 * bump(0, -69, 20, 12)),
        "AU23": _field(0, -1.6 * at.lip(True, 7) + 1.6 * at.lip(False, 7), -2.0 * bump(0, MOUTH_Y, 24, 10)),
        "AU24": _field(
            -out * 1.2 * corner,
            -1.5 * at.lip(True, 10) + 1.5 * at.lip(False, 10),
            -1.8 * at.lip(True, 8) - 1.8 * at.lip(False, 8),
        ),
        "AU26": jaw_share(face)[:, None] * _jaw_turn(face.vertices),
        "AU43": _lid_field(face, True, _shut, 13.0) + 0.12 * _lid_field(face, False, _lower_up, 7.0),
        "lower lip to teeth": _field(0, 3.4 * at.lip(False, 10), -4.0 * at.lip(False, 9)),
    }
    still = ("tongue up", "gaze sideways", "gaze down")  # these move nothing of the skin
    return fields | {name: np.zeros_like(face.vertices) for name in still}


def _jaw_turn(points: Array) -> Array:
    """Displacement (N, 3) of points that turn with the jaw, as the chord of half the way so that it stays linear."""
    return _turned(points, JAW_HINGE, np.full(len(points), 0.62 * JAW_RADIANS)) / 0.62


def _behind(face: Face, fields: dict[str, Array]) -> None:
    """Give rims, mouth, teeth, tongue and eyeballs their motion, in place."""
    hanging = np.flatnonzero(face.follows >= 0)
    pouch = face.of("mouth")
    floor = np.where(face.vertices[:, 1] < outline.mouth_line(face.vertices[:, 0]) - 0.1, 1.0, 0.0)
    for name, field in fields.items():
        field[~face.of("skin")] = 0
        field[hanging] = face.share[hanging, None] * field[face.follows[hanging]]
        if name == "AU26":
            rest = (1 - face.share) * pouch * floor
            field += rest[:, None] * _jaw_turn(face.vertices)
            moving = face.of("lower teeth", "tongue")
            field[moving] = _jaw_turn(face.vertices)[moving]
    tongue = face.of("tongue")
    fields["tongue up"][tongue] = (_field(0, 7.5, 2.5) * (1 - face.depth[:, None]))[tongue]
    for side, name in ((1, "left eye"), (-1, "right eye")):
        ball = face.of(name)
        local = face.vertices[ball] - head.EYE * [side, 1, 1]
        fields["gaze down"][ball] = _turned(face.vertices[ball], head.EYE, np.full(ball.sum(), 0.2))
        fields["gaze sideways"][ball] = 0.2 * np.stack([local[:, 2], np.zeros(len(local)), -local[:, 0]], -1)
    lids = 0.55 * fields["AU43"] * (0.2 / np.radians(50.0))  # the upper lid follows the gaze down
    fields["gaze down"] += 3.0 * lids


@cache
def displacement_fields(size: str = "small") -> Array:
    """All fields (A, V, 3) in mm in the order of `NAMES`, for the face of that size."""
    face = build_face(size)
    fields = _skin_fields(face)
    _behind(face, fields)
    order = [name.split()[0] if name.startswith("AU") else name for name in NAMES]
    return np.stack([fields[name] for name in order])


def pose(size: str, actions: dict[str, float], rest: Array | None = None) -> Array:
    """Vertices (V, 3) in mm of the face with the named actions ("AU12": 0.8); `rest` is a subject's own face.

    Raises KeyError for an action that does not exist.
    """
    coefficients = np.zeros(len(NAMES))
    for name, amount in actions.items():
        coefficients[AU[name]] = amount
    start = build_face(size).vertices if rest is None else rest
    return start + np.tensordot(coefficients, displacement_fields(size), 1)

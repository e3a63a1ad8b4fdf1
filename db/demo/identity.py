"""The fourteen subjects: how each one's head differs from the average, and how much each one shows.

A subject's shape is the average face moved by a smooth warp of space, so that lids stay on eyeballs, lips on teeth,
and the same displacement fields serve everybody. Shapes and characters are fixed; they belong to the demo, not to the
seed of a corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import head, outline
from .face import Face

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """Departures from the average head, in mm at the place named."""

    width: float = 0.0  # cheekbones, outward on each side
    jaw: float = 0.0  # angle of the jaw, outward on each side
    chin: float = 0.0  # longer
    chin_forward: float = 0.0
    nose_length: float = 0.0
    nose_width: float = 0.0  # wings, outward on each side
    nose_bridge: float = 0.0  # forward
    brow_ridge: float = 0.0  # forward
    brow_height: float = 0.0
    cheeks: float = 0.0  # fullness, outward
    lips: float = 0.0  # red of each lip, higher
    mouth_width: float = 0.0  # each corner, outward
    eyes_apart: float = 0.0  # each eye, outward
    forehead: float = 0.0  # higher
    neck: float = 0.0  # each side, outward
    hair_top: float = 0.0
    hair_sides: float = 0.0
    hair_back: float = 0.0


@dataclass(frozen=True)
class Subject:
    """A speaker: shape of the head, and `expressiveness` in [0, 1], how strongly emotion shows and sounds."""

    shape: Shape
    expressiveness: float


# Five subjects are clearly expressive, as in the paper's selection (F1, F3, F4, F5, F7); the others are not.
SUBJECTS = {
    "F1": Subject(Shape(-2, -5, -4, 0, -2, -1.5, 0, -2, 2, 1, 0.8, 0, 0.5, 0, -8, 12, 4, 8), 0.86),
    "F2": Subject(Shape(4, -3, -7, -1, -3, 0, -1.5, -2, 1, 5, 0.2, -1, 1.5, 3, -6, 4, 12, 14), 0.36),
    "F3": Subject(Shape(-5, -8, 3, 1.5, 1, -2.5, 2, -1.5, 3, -4, 1.2, 1.5, -1, -3, -10, 18, 0, 4), 0.93),
    "F4": Subject(Shape(5, 0, -6, -1, -4, 1.5, -2, -1.5, 0, 6, 1.0, 1, 2.5, 1, -6, 8, 14, 6), 0.84),
    "F5": Subject(Shape(-1, -7, 0, 2.5, -1, -1.5, 1.5, -2, 3, -1, -0.3, 0.5, 0, 6, -9, 22, 8, 20), 0.90),
    "F6": Subject(Shape(-5, -4, 6, 0, 3, -2, 3, -1, 0.5, -3, -1.2, -1.5, -1.5, 3, -8, 2, 0, 3), 0.30),
    "F7": Subject(Shape(6, -1, -3, 1.5, -2, 3, -1, -1.5, 1.5, 3, 1.8, 2.5, 1.5, -4, -7, 10, 20, 14), 0.88),
    "F8": Subject(Shape(1, -5, -2, -3, 2, 0, 0.5, -1.5, -1, 1, -0.4, -2.5, 0, -2, -6, 6, 8, 26), 0.42),
    "M1": Subject(Shape(3, 9, 5, 2, 3, 2.5, 2, 3.5, -2, -1, -2.2, 1, 0, 0, 7, 4, -1, 0), 0.33),
    "M2": Subject(Shape(7, 12, 1, 3, 0, 4, 0, 4, -3, 5, -1.5, 2, 1.5, 2, 11, 1, 0, 0), 0.45),
    "M3": Subject(Shape(-3, 5, 11, 3, 5, 1, 4, 3, -0.5, -5, -2.4, 0, -1.5, 5, 3, 12, 0, 2), 0.24),
    "M4": Subject(Shape(5, 7, 4, 0.5, 2, 2, -1, 2.5, -1.5, 7, -0.9, -0.5, 1, -4, 9, 20, 1, 2), 0.38),
    "M5": Subject(Shape(0, 11, 7, 5, 2, 3.5, 1, 4, -3, -3, -1.8, 2.5, 1, -1, 9, 8, 2, 3), 0.48),
    "M6": Subject(Shape(-5, 3, 3, -2, 6, 0.5, 5, 2.5, 0, -2, -2.0, -1.5, -2, 8, 4, -1, -2, -2), 0.28),
}
EXPRESSIVE = ("F1", "F3", "F4", "F5", "F7")


def _bump(distance_sq: Array) -> Array:
    return np.exp(-distance_sq)


def _warp(points: Array, shape: Shape) -> Array:
    """Displacement (N, 3) in mm of points (N, 3) of the average head."""
    x, y, z = points.T
    side, out = np.abs(x), np.tanh(x / 8.0)
    front = 1 / (1 + np.exp(-(z - 45) / 10))
    below = np.clip((-62 - y) / 48, 0, 1.3)
    move = np.zeros_like(points)
    move[:, 0] += shape.width * out * _bump(((y + 20) / 42) ** 2 + ((z - 35) / 60) ** 2)
    move[:, 0] += shape.jaw * out * _bump(((y + 82) / 26) ** 2 + ((z - 25) / 42) ** 2) * np.clip(side / 40, 0, 1)
    move[:, 0] += shape.cheeks * out * _bump(((y + 48) / 20) ** 2 + ((side - 48) / 22) ** 2) * front
    move[:, 2] += 0.6 * shape.cheeks * _bump(((y + 44) / 18) ** 2 + ((side - 34) / 18) ** 2) * front
    move[:, 1] -= shape.chin * below * np.clip((z + 10) / 50, 0, 1)
    move[:, 2] += shape.chin_forward * _bump(((y + 100) / 20) ** 2 + (x / 28) ** 2) * front
    nose = _bump((x / 22) ** 2) * front
    move[:, 1] -= shape.nose_length * _bump(((y + 38) / 13) ** 2) * nose
    move[:, 2] += shape.nose_bridge * _bump(((y + 14) / 17) ** 2 + (x / 11) ** 2) * front
    move[:, 0] += shape.nose_width * np.tanh(x / 6) * _bump(((y + 38) / 10) ** 2 + ((side - 12) / 9) ** 2) * front
    move[:, 2] += shape.brow_ridge * _bump(((y - 18) / 9) ** 2 + ((side - 18) / 26) ** 2) * front
    move[:, 1] += shape.brow_height * _bump(((y - 24) / 11) ** 2) * front
    _warp_mouth(move, points, shape, front)
    move[:, 0] += shape.eyes_apart * np.tanh(x / 12) * _bump(((y - 2) / 26) ** 2) * front
    move[:, 1] += shape.forehead * np.clip((y - 30) / 80, 0, 1)
    move[:, 0] += shape.neck * out * np.clip((-85 - y) / 40, 0, 1) * (1 - front)
    return move


def _warp_mouth(move: Array, points: Array, shape: Shape, front: Array) -> None:
    """Fuller lips and a wider mouth, in place; both are zero on the mouth's line, so closed lips stay closed."""
    x, y, _ = points.T
    from_line = y - outline.mouth_line(x)
    red = _bump((from_line / 11) ** 2 + (x / 30) ** 4) * front
    move[:, 1] += shape.lips * np.tanh(from_line / 6.0) * red
    move[:, 2] += 0.8 * shape.lips * red
    move[:, 0] += shape.mouth_width * np.tanh(x / 20) * _bump((from_line / 15) ** 2 + (x / 48) ** 4) * front


def _hair_move(face: Face, shape: Shape) -> Array:
    """Displacement (V, 3) that gives the hair its body."""
    ray = head.directions_of(face.vertices)
    top = np.clip(ray[:, 1], 0, 1) ** 2
    back = np.clip(-ray[:, 2], 0, 1) ** 2
    sides = np.clip(np.abs(ray[:, 0]), 0, 1) ** 2
    amount = shape.hair_top * top + shape.hair_sides * sides * (1 - top) + shape.hair_back * back
    return (face.mane * amount)[:, None] * ray


def template_of(face: Face, name: str) -> Array:
    """The subject's neutral face (V, 3) in mm; KeyError for a subject that the demo does not have."""
    shape = SUBJECTS[name].shape
    move = _warp(face.vertices, shape)
    for side in (1, -1):  # around an eye the warp is one and the same shift, or lids would leave the eyeball
        eye = head.EYE * [side, 1, 1]
        reach = np.linalg.norm((face.vertices - eye) * [1, 1, 0.6], axis=1)
        hold = np.clip((33 - reach) / 12, 0, 1)[:, None]
        hold = hold * hold * (3 - 2 * hold)
        move = move + hold * (_warp(eye[None], shape) - move)
    return face.vertices + move + _hair_move(face, shape)

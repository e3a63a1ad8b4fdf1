"""What sits behind the skin: eyeballs, lid rims, the pouch of the mouth, teeth and tongue, in millimetres.

Each part is a `Part`: points, triangles that may also use rings of the skin, and for points that hang on a ring of
the skin the ring point they follow and how far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import head, mesh, outline

Array = NDArray[np.float64]
Index = NDArray[np.int64]

IRIS_DEGREES, PUPIL_DEGREES = 26.0, 11.0
TEETH_BEHIND_LIPS = 6.5  # mm from the lips' front to the upper incisors
# Rings of the mouth's pouch from the lips inward: width against the lips', height away from the mouth's line and
# depth in the middle, depth at the corners (mm), share of the lips' motion.
_POUCH = (
    (1.0, 0.7, 3.2, 2.4, 1.0),
    (0.985, 8.0, 5.0, 7.0, 0.8),
    (0.95, 11.0, 13.0, 14.0, 0.35),
    (0.75, 9.0, 30.0, 30.0, 0.1),
)
ARCH_HALF_WIDTH, ARCH_DEPTH, ARCH_ANGLE = 23.0, 23.0, 1.30


@dataclass
class Part:
    """Points (N, 3), triangles (F, 3) in the numbering `offset` + own index, and for each point what it follows.

    `follows` holds skin indices (N,), -1 for none; `share` (N,) how much of the followed point's motion is taken.
    """

    points: Array
    faces: Index
    follows: Index
    share: Array
    depth: Array  # (N,) 0 at the lips or the lid's edge, growing inward; elsewhere whatever colours the part

    @staticmethod
    def free(points: Array, faces: Index, depth: Array) -> Part:
        """A part that hangs on nothing."""
        return Part(points, faces, np.full(len(points), -1), np.zeros(len(points)), depth)


def eyeball(side: int, segments: int, angles: tuple[float, ...], offset: int) -> Part:
    """Eyeball on the left (side 1) or right (-1): rings at polar `angles` in degrees around the gaze, +z.

    `depth` of its points is the polar angle in degrees, which colours pupil, iris and white.
    """
    polar = np.radians(np.asarray(angles))[:, None]
    turn = 2 * np.pi * np.arange(segments)[None] / segments
    rings = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn], -1)
    rings[:, :, 0] *= side  # mirrored numbering, so that left and right correspond point by point
    unit = np.vstack([[[0.0, 0.0, 1.0]], rings.reshape(-1, 3)])
    depth = np.r_[0.0, np.repeat(angles, segments)]
    cornea = 0.9 * np.clip(1 - depth / IRIS_DEGREES, 0, 1)
    points = head.EYE * [side, 1, 1] + (head.EYE_RADIUS + cornea)[:, None] * unit
    fan = _fan(np.zeros(segments, int), 1 + np.arange(segments))
    strips = [_strip(1 + r * segments + np.arange(segments), 1 + (r + 1) * segments + np.arange(segments))
              for r in range(len(angles) - 1)]  # fmt: skip
    faces = np.vstack([fan, *strips])
    return Part.free(points, (faces if side > 0 else faces[:, ::-1]) + offset, depth)


def _strip(outer: Index, inner: Index) -> Index:
    """Triangles between two closed rings of equal count."""
    a, b, c, d = outer, np.roll(outer, -1), inner, np.roll(inner, -1)
    return np.vstack([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])


def _fan(centre: Index, ring: Index) -> Index:
    return np.stack([centre, ring, np.roll(ring, -1)], 1)


def lid_rim(skin: mesh.Skin, side: int, offset: int) -> Part:
    """The thickness of the lids: from their edge back to just inside the eyeball."""
    ring = skin.eyes[0 if side > 0 else 1]
    centre = head.EYE * [side, 1, 1]
    ray = skin.points[ring] - centre
    points = centre + (head.EYE_RADIUS - 0.4) * ray / np.linalg.norm(ray, axis=1, keepdims=True)
    faces = _strip(ring, offset + np.arange(len(ring)))
    faces = faces[:, ::-1] if side > 0 else faces  # seen from in front, through the opening
    return Part(points, faces, ring, np.ones(len(ring)), np.ones(len(ring)))


def mouth_pouch(skin: mesh.Skin, rest: Array, offset: int) -> Part:
    """The inside of the mouth as one closed sack that hangs on the lips' edge; so no smile can show a hole.

    `rest` are the skin's points after the lips were closed.
    """
    ring = skin.mouth
    edge, count = rest[ring], len(ring)
    arch = outline.lens(edge[:, 0])
    side = np.where(np.arange(count) <= count // 2, 1.0, -1.0)
    rings, share, depth = [], [], []
    for k, (narrow, up, back, corner, part) in enumerate(_POUCH):
        x = edge[:, 0] * narrow
        y = edge[:, 1] + side * up * arch
        z = edge[:, 2] - (back * arch + corner * (1 - arch))
        rings.append(np.stack([x, y, z], -1))
        share.append(np.full(count, part))
        depth.append(np.full(count, k + 1.0))
    rings.append([[0.0, edge[:, 1].mean(), edge[:, 2].mean() - 36.0]])
    order = [ring] + [offset + k * count + np.arange(count) for k in range(4)]
    faces = [_strip(a, b)[:, ::-1] for a, b in zip(order, order[1:], strict=False)]
    faces.append(_fan(np.full(count, offset + 4 * count), order[-1]))
    return Part(
        np.vstack(rings), np.vstack(faces), np.r_[np.tile(ring, 4), -1],
        np.r_[np.concatenate(share), 0.0], np.r_[np.concatenate(depth), 5.0],
    )  # fmt: skip


def _arch(columns: int, front: float, rows: tuple[tuple[float, float], ...], offset: int, scale: float) -> Part:
    """A row of teeth: `columns` across, rows of (height mm, setback mm) from top to bottom."""
    s = np.linspace(-1, 1, columns)
    x = scale * ARCH_HALF_WIDTH * np.sin(ARCH_ANGLE * s) / np.sin(ARCH_ANGLE)
    z = front - ARCH_DEPTH * (1 - np.cos(ARCH_ANGLE * s)) / (1 - np.cos(ARCH_ANGLE))
    points = np.vstack([np.stack([x, np.full(columns, y), z - setback], -1) for y, setback in rows])
    faces = []
    for r in range(len(rows) - 1):
        a, b = r * columns + np.arange(columns - 1), r * columns + np.arange(1, columns)
        faces += [np.stack([a, a + columns, b + columns], 1), np.stack([a, b + columns, b], 1)]
    depth = np.repeat(np.arange(len(rows), dtype=float), columns)
    return Part.free(points, np.vstack(faces) + offset, depth)


def upper_teeth(columns: int, lips_front: float, offset: int) -> Part:
    """Gum, neck and edge of the upper teeth; `lips_front` is the lips' foremost z in mm."""
    front = lips_front - TEETH_BEHIND_LIPS
    return _arch(columns, front, ((-57.0, 2.0), (-61.5, 0.3), (-66.0, 0.0), (-71.3, 0.8)), offset, 1.0)


def lower_teeth(columns: int, lips_front: float, offset: int) -> Part:
    """Edge, neck and gum of the lower teeth, which close behind the upper ones."""
    front = lips_front - TEETH_BEHIND_LIPS - 2.6
    return _arch(columns, front, ((-70.4, 0.8), (-74.0, 0.0), (-78.5, 0.2), (-82.0, 1.6)), offset, 0.93)


def tongue(columns: int, rows: int, lips_front: float, offset: int) -> Part:
    """The tongue's back and tip, a low dome behind the lower teeth."""
    u, v = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    x = 14.5 * u * np.sqrt(np.clip(1.02 - (1 - v).clip(0) ** 3, 0.08, 1))
    y = -75.5 + 3.4 * np.sin(np.pi * (0.25 + 0.6 * v)) * (1 - 0.8 * u * u) - 1.2 * np.exp(-((u / 0.16) ** 2))
    z = lips_front - 12.0 - 24.0 * v - 3.0 * u * u
    index = np.arange(columns * rows).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.vstack([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return Part.free(np.stack([x, y, z], -1).reshape(-1, 3), faces + offset, v.ravel())

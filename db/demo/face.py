"""The demo's face: skin, eyes, mouth, teeth and tongue in one mesh, with colours and regions.

`build_face("small")` has 1,800 vertices, `build_face("full")` 23,370, the paper's number. Vertices are millimetres
here (see `head` for the axes); `build` divides them by `MM_PER_UNIT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from . import head, mesh, outline, parts

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MM_PER_UNIT = 150.0  # brings coordinates to the size that the peers' losses and learning rates expect
PARTS = ("skin", "left eye", "right eye", "left rim", "right rim", "mouth", "upper teeth", "lower teeth", "tongue")


@dataclass(frozen=True)
class Size:
    """What makes up one topology; `vertices` is exact."""

    vertices: int
    resolution: mesh.Resolution
    eye_segments: int
    eye_angles: tuple[float, ...]
    teeth_columns: int
    tongue: tuple[int, int]


SIZES = {
    "small": Size(
        vertices=1_800,
        resolution=mesh.Resolution(
            eye_ring=28, mouth_ring=40, neck_ring=24, lip_rings=(0.0, 0.28, 0.62, 0.97, 1.11, 1.75),
            brow_rows=(-1.35, -0.75, 0.75, 1.35), spacing=1.0, samples=16_000,
        ),
        eye_segments=16, eye_angles=(9.8, 11.6, 24.6, 27.2, 46.0, 74.0, 100.0), teeth_columns=13, tongue=(5, 6),
    ),
    "full": Size(
        vertices=23_370,
        resolution=mesh.Resolution(
            eye_ring=84, mouth_ring=132, neck_ring=72,
            lip_rings=(0.0, 0.07, 0.16, 0.27, 0.39, 0.52, 0.64, 0.76, 0.87, 0.97, 1.05, 1.14, 1.25, 1.4, 1.57, 1.75),
            brow_rows=(-1.4, -1.1, -0.8, -0.4, 0.0, 0.4, 0.8, 1.1, 1.4), spacing=0.29, samples=120_000,
        ),
        eye_segments=48,
        eye_angles=(4.0, 9.0, 10.4, 11.4, 14.0, 18.0, 22.0, 25.2, 26.6, 30.0, 36.0, 44.0, 54.0, 66.0, 80.0, 100.0),
        teeth_columns=73, tongue=(17, 15),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Face:
    """The average face at rest: lips closed, eyes open.

    vertices (V, 3) mm; faces (F, 3) outward; part (V,) index into `PARTS`; `follows` (V,) the skin vertex that a
    vertex of rim or mouth hangs on (-1: none) with its `share`; `depth` (V,) see `parts.Part`; `side` (V,) +1 above
    the mouth's line and -1 below; `hair` and `red` (V,) how much a skin vertex is hair, lip red, 0..1; `mane` (V,)
    how much of the hair's full body it has, 0 at the hairline; `mirror` (V,) the opposite vertex.
    """

    vertices: Array
    faces: Index
    part: Index
    follows: Index
    share: Array
    depth: Array
    side: Index
    hair: Array
    mane: Array
    red: Array
    mirror: Index
    skin: mesh.Skin

    def of(self, *names: str) -> NDArray[np.bool_]:
        """Mask (V,) of the vertices that belong to the named parts."""
        return np.isin(self.part, [PARTS.index(name) for name in names])


def _closed(points: Array, side: Index) -> Array:
    """Skin points (N, 3) with the layout's open mouth brought together, and lips raised from the surface."""
    x, y, z = points.T
    near = (z > 35) & (y > -104) & (y < -46) & (np.abs(x) < outline.MOUTH_WIDTH + 8)
    line, arch = outline.mouth_line(x), outline.lens(x)
    reach = np.maximum(np.abs(y - line) - outline.MOUTH_OPEN * arch, 0)
    away = reach + outline.MOUTH_OPEN * arch * (1 - np.exp(-reach / 13.0)) + outline.LIP_GAP * arch
    rest = points.copy()
    rest[near, 1] = (line + side * away)[near]
    rest[near] = head.front_surface(rest[near, 0], rest[near, 1])
    rest[near, 2] += lip_relief(x, away, side)[near]
    return rest


def lip_relief(x: Array, away: Array, side: Index) -> Array:
    """How far (N,) in mm the lips and their surroundings stand out, `away` mm above or below the mouth's line."""
    height = outline.red_height(x, side)
    q = away / np.maximum(height, 0.6)
    full = np.clip(1 - (x / (outline.MOUTH_WIDTH + 3)) ** 2, 0, 1) ** 0.7
    bulge = np.where(side > 0, 3.6, 4.6) * np.exp(-(((q - 0.55) / 0.55) ** 2))
    ridge = 1.3 * np.exp(-(((away - height - 0.4) / 2.2) ** 2))
    tuck = -3.0 * np.exp(-((q / 0.22) ** 2))
    corner = -2.6 * np.exp(-(((np.abs(x) - outline.MOUTH_WIDTH - 0.5) / 5) ** 2) - (away / 5.0) ** 2)
    philtrum = np.where(side > 0, -1.5, 0) * np.exp(-((x / 3.2) ** 2) - ((away - 15) / 6.5) ** 2)
    ridges = np.where(side > 0, 0.8, 0) * np.exp(-(((np.abs(x) - 5.5) / 2.4) ** 2) - ((away - 14) / 7) ** 2)
    hollow = np.where(side < 0, -3.2, 0) * np.exp(-((x / 19) ** 2) - ((away - 16.5) / 5.5) ** 2)
    return full * (bulge + ridge + tuck) + corner + philtrum + ridges + hollow


def _hair(points: Array) -> tuple[Array, Array]:
    """How much (N,) of each skin point is hair, 0..1, and how far (N,) in radians it lies behind the hairline."""
    ray = head.directions_of(points)
    ray[:, 0] = np.abs(ray[:, 0])
    line = outline.hairline(np.linspace(0, 1, 2000))
    gap, nearest = cKDTree(line).query(ray)
    above = np.arcsin(ray[:, 1]) > np.interp(
        np.arctan2(ray[:, 0], ray[:, 2]), np.linspace(0, np.pi, 2000), np.arcsin(line[:, 1])
    )
    behind = np.where(above, gap, -gap)
    amount = np.clip(behind / (2 * outline.HAIRLINE_RADIANS) + 0.5, 0, 1)
    ear = np.exp(-((((np.abs(points[:, 0]) - 79) / 10) ** 2 + ((points[:, 1] + 8) / 33) ** 2) ** 2))
    return amount * (1 - ear), behind


def _tousle(skin: mesh.Skin) -> Array:
    """Unevenness (N,) of the hair, -1..1, equal on both sides."""
    ray = head.directions_of(skin.points)
    return np.sin(9.0 * ray[:, 2] + 14.0 * np.abs(ray[:, 0]) ** 2 + 5.0 * ray[:, 1])


def _sculpted(skin: mesh.Skin) -> tuple[Array, dict[str, Array]]:
    """Skin points at rest (N, 3), and how much each is hair, its body, and lip red."""
    hair, behind = _hair(skin.points)
    rest = _closed(skin.points, skin.side)
    mane = hair * np.clip(behind / 0.45, 0, 1) ** 0.7
    thickness = (2.5 * hair + 9.0 * mane) * (1 + 0.16 * _tousle(skin))
    rest = rest + thickness[:, None] * head.directions_of(rest)
    cloth = skin.points[:, 1] < outline.COLLAR_Y
    rest[cloth] *= 1 + np.array([0.05, 0.0, 0.05]) + [[0.010, 0, 0.010]] * (outline.COLLAR_Y - rest[cloth, 1:2])
    away = np.abs(rest[:, 1] - outline.mouth_line(rest[:, 0]))
    height = outline.red_height(np.clip(rest[:, 0], -outline.MOUTH_WIDTH, outline.MOUTH_WIDTH), skin.side) + 0.6
    inside = (np.abs(rest[:, 0]) < outline.MOUTH_WIDTH + 0.9) & (rest[:, 2] > 40)
    red = np.clip((1.11 - away / height) / 0.14, 0, 1) * inside
    return rest, {"hair": hair, "mane": mane, "red": red}


@cache
def build_face(size: str = "small") -> Face:
    """The average face in one of the `SIZES`; ValueError names the sizes for any other word."""
    if size not in SIZES:
        raise ValueError(f"vertices {size!r}: the demo's face comes as {' or '.join(SIZES)}")
    plan = SIZES[size]
    behind = _count_behind(plan)
    skin = mesh.build_skin(plan.resolution, plan.vertices - behind)
    rest, paint = _sculpted(skin)
    pieces, offset = [], len(rest)

    def put(make) -> None:
        nonlocal offset
        pieces.append(make(offset))
        offset += len(pieces[-1].points)

    front = rest[skin.mouth, 2].max()
    for side in (1, -1):
        put(lambda at, s=side: parts.eyeball(s, plan.eye_segments, plan.eye_angles, at))
    for side in (1, -1):
        put(lambda at, s=side: parts.lid_rim(skin, s, at))
    put(lambda at: parts.mouth_pouch(skin, rest, at))
    put(lambda at: parts.upper_teeth(plan.teeth_columns, front, at))
    put(lambda at: parts.lower_teeth(plan.teeth_columns, front, at))
    put(lambda at: parts.tongue(*plan.tongue, front, at))
    return _assembled(skin, rest, paint, pieces)


def _count_behind(plan: Size) -> int:
    eyes = 2 * (1 + plan.eye_segments * len(plan.eye_angles)) + 2 * plan.resolution.eye_ring
    mouth = 4 * plan.resolution.mouth_ring + 1 + 8 * plan.teeth_columns + plan.tongue[0] * plan.tongue[1]
    return eyes + mouth


def _assembled(skin: mesh.Skin, rest: Array, paint: dict[str, Array], pieces: list[parts.Part]) -> Face:
    """One numbering for skin and pieces."""
    lengths = [len(piece.points) for piece in pieces]
    none = np.zeros(sum(lengths))
    vertices = np.vstack([rest, *(piece.points for piece in pieces)])
    behind_side = np.where(vertices[len(rest) :, 1] >= outline.mouth_line(vertices[len(rest) :, 0]), 1, -1)
    return Face(
        vertices=vertices,
        faces=np.vstack([skin.faces, *(piece.faces for piece in pieces)]),
        part=np.repeat(np.arange(len(PARTS)), [len(rest), *lengths]),
        follows=np.r_[np.full(len(rest), -1), *(piece.follows for piece in pieces)],
        share=np.r_[np.zeros(len(rest)), *(piece.share for piece in pieces)],
        depth=np.r_[np.zeros(len(rest)), *(piece.depth for piece in pieces)],
        side=np.r_[skin.side, behind_side],
        mirror=_whole_mirror(skin, vertices, lengths),
        skin=skin,
        **{name: np.r_[amount, none] for name, amount in paint.items()},
    )


def _whole_mirror(skin: mesh.Skin, vertices: Array, lengths: list[int]) -> Index:
    """The opposite of every vertex, looked up by position behind the skin."""
    start = len(skin.points)
    behind = vertices[start:]
    gap, partner = cKDTree(behind).query(behind * [-1, 1, 1])
    if gap.max() > 1e-6:
        raise AssertionError(f"the demo's face is not symmetric: {gap.max():.3g} mm")
    return np.r_[skin.mirror, start + partner]

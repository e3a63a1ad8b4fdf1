"""Points and triangles of the skin: features first, the rest spread evenly, triangulated on the sphere of directions.

Eyes, mouth, brows, hairline and neck get rings of points of their own, so that edges run along them. The remaining
points settle by Lloyd's algorithm under a wanted spacing that is fine at the features and coarse at the back of the
head. Since the whole skin can be seen from the head's centre, the convex hull of the viewing directions is its
Delaunay triangulation. One half is made and mirrored, so that the mesh is exactly symmetric.

While the points are laid out the mouth stands open as a lens; `closed_mouth` brings the lips together afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import ConvexHull, cKDTree

from . import head, outline

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Resolution:
    """How many points each ring has and how wide the spacing is, in multiples of the finest one."""

    eye_ring: int
    mouth_ring: int  # even; both corners are points of the ring
    neck_ring: int
    lip_rings: tuple[float, ...]  # 0 is the lips' edge, 1 the border of the red
    brow_rows: tuple[float, ...]  # -1 and 1 are the brow's edges
    spacing: float  # multiplies the wanted spacing of `wanted_spacing`
    samples: int  # on half a head, for Lloyd's algorithm

    def __post_init__(self) -> None:
        if self.mouth_ring % 4 or self.eye_ring % 2 or self.neck_ring % 2:
            raise ValueError(f"rings need an even number of points, the mouth a multiple of four: {self}")


@dataclass
class Skin:
    """Half-open mesh of the skin: points (N, 3) in mm, triangles (F, 3), and the rings that bound its holes."""

    points: Array
    faces: NDArray[np.int64]
    mirror: NDArray[np.int64]  # (N,) the opposite point; midline points are their own
    mouth: NDArray[np.int64]  # ring, from the left corner over the upper lip
    eyes: tuple[NDArray[np.int64], NDArray[np.int64]]  # rings of the left (x > 0) and right lids
    neck: NDArray[np.int64]
    side: NDArray[np.int64]  # (N,) +1 above the mouth's line, -1 below it


def _eye_ring(count: int, grow: float) -> Array:
    """Points (count, 2) around the left eye's opening, from its outer corner over the upper lid.

    `grow` mm outward from the edge; the rings around it follow the lids.
    """
    angle = 2 * np.pi * np.arange(count) / count
    t = np.cos(angle)
    upper, lower = outline.lid_edges(t)
    y = np.where(np.sin(angle) >= 0, upper, lower)
    y = np.where(np.abs(np.sin(angle)) < 1e-9, t, y)  # both corners lie on the tilted axis
    outward = np.stack([np.cos(angle) * 0.75, np.sin(angle)], -1)
    return np.stack([head.EYE[0] + outline.LID_WIDTH * t, head.EYE[1] + y], -1) + grow * outward


def _mouth_ring(count: int, out: float) -> Array:
    """Points (count, 2) around the open mouth of the layout: out = 0 its edge, 1 the border of the red, 2 beyond."""
    angle = 2 * np.pi * np.arange(count) / count
    inner, rise = outline.MOUTH_WIDTH * np.cos(angle), np.abs(np.sin(angle))
    x = inner + 1.1 * out * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 9
    side = np.where(np.sin(angle) >= 0, 1.0, -1.0)
    reach = out * (outline.red_height(inner, side) * np.minimum(1, 3 * rise) + 0.6 * rise)
    return np.stack([x, outline.mouth_line(x) + side * (outline.MOUTH_OPEN * rise + reach)], -1)


def _on_front(xy: Array) -> Array:
    return head.front_surface(xy[:, 0], xy[:, 1])


def wanted_spacing(points: Array) -> Array:
    """Wanted distance (N,) in mm between neighbours at points (N, 3) of the small mesh."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    front = 1 / (1 + np.exp(-(z - 35) / 9)) / (1 + np.exp((y - 78) / 6)) / (1 + np.exp(-(y + 124) / 4))
    base = 26.0 - 16.0 * front
    for cx, cy, sx, sy, finest in (
        (32, 0, 25, 19, 4.2), (0, -69, 36, 24, 4.4), (0, -36, 22, 16, 4.2), (26, 24, 32, 13, 5.2),
        (33, -40, 22, 24, 6.0), (0, 24, 14, 16, 5.5),
    ):  # fmt: skip
        near = np.exp(-((((x - cx) / sx) ** 2 + ((y - cy) / sy) ** 2) ** 2)) * (z > 30)
        base = base + (finest - base) * near
    ear = np.exp(-((((x - 76) / 14) ** 2 + ((y + 10) / 40) ** 2 + ((z + 8) / 26) ** 2) ** 2))
    return base + (8.5 - base) * ear


def _walk(curve, spacing: float) -> Array:
    """Points along curve(s), s in [0, 1] -> (N, 3), spaced as `wanted_spacing` asks with both ends."""
    fine = curve(np.linspace(0, 1, 1200))
    length = np.linalg.norm(np.diff(fine, axis=0), axis=1)
    cost = np.r_[0, np.cumsum(length / (spacing * wanted_spacing(fine[1:])))]
    count = max(2, int(round(cost[-1])) + 1)
    return curve(np.interp(np.linspace(0, cost[-1], count), cost, np.linspace(0, 1, 1200)))


def _meridian(low: float, high: float):
    """The midline between two polar angles in degrees: 0 is straight ahead, 90 the crown, 180 the back."""

    def curve(s: Array) -> Array:
        angle = np.radians(low + (high - low) * s)
        return head.surface_along(np.stack([np.zeros_like(s), np.sin(angle), np.cos(angle)], -1))

    return curve


def _polar_angle(point: Array) -> float:
    offset = point - head.CENTRE
    return float((np.degrees(np.arctan2(offset[1], offset[2])) + 90) % 360 - 90)


def _neck_ring(count: int, height: float) -> Array:
    """Points (count, 3) around the neck at a height in mm, from the front over the left side."""
    angle = 2 * np.pi * np.arange(count) / count
    aim = np.stack([np.sin(angle), np.zeros(count), np.cos(angle)], -1)
    start = np.array([0.0, height, -20.0])
    return head.trace(start + 150 * aim, -aim)


def _feature_points(resolution: Resolution, odd: bool) -> tuple[Array, dict[str, Array]]:
    """Points (N, 3) of the left half that do not move, and which of them make the rings.

    A mirrored mesh of an odd number of points needs an odd number of them on the midline, hence `odd`.
    """
    step = resolution.spacing
    parts, rings, used = [], {}, 0

    def add(points: Array, name: str | None = None) -> None:
        nonlocal used
        if name:
            rings[name] = used + np.arange(len(points))
        parts.append(points)
        used += len(points)

    for i, grow in enumerate((0.0, 1.9 * step**0.5, 4.6 * step**0.5)):
        add(_on_front(_eye_ring(resolution.eye_ring, grow)), "eye" if i == 0 else None)
    quarter = resolution.mouth_ring // 4
    right_half = np.r_[np.arange(quarter + 1), np.arange(3 * quarter, resolution.mouth_ring)]  # from the corner up
    for i, out in enumerate(resolution.lip_rings):
        ring = _mouth_ring(resolution.mouth_ring, out)[right_half]
        ring[np.abs(ring[:, 0]) < 1e-9, 0] = 0.0
        add(_on_front(ring), "mouth" if i == 0 else None)
    outermost = parts[-1]
    for height in (outline.COLLAR_Y + 2.5, outline.COLLAR_Y - 2.5, head.NECK_CUT_Y):
        neck = _neck_ring(resolution.neck_ring, height)[: resolution.neck_ring // 2 + 1]
        neck[[0, -1], 0] = 0.0
        add(neck, "neck")
    for rise in (-outline.HAIRLINE_RADIANS, outline.HAIRLINE_RADIANS):
        line = _walk(lambda s, r=rise: head.surface_along(outline.hairline(s, r)), step * 0.62)
        line[[0, -1], 0] = 0.0
        add(line)
    ends = np.array([-0.06, 1.07])
    for row in resolution.brow_rows:
        s = np.linspace(0, 1, int(round(10 / step)))
        add(_on_front(outline.brow_curve(np.r_[ends[0], s, ends[1]] if abs(row) > 1 or row == 0 else s, row)))
    if 0.0 not in resolution.brow_rows:
        add(_on_front(outline.brow_curve(ends, 0.0)))
    upper, lower = outermost[quarter], outermost[quarter + 1]  # on the midline
    crown = _walk(_meridian(_polar_angle(upper), _polar_angle(neck[-1])), step)[1:-1]
    chin = _walk(_meridian(_polar_angle(neck[0]), _polar_angle(lower)), step)[1:-1]
    for line in (crown, chin):
        room = cKDTree(np.vstack(parts)).query(line)[0] > 0.5 * step * wanted_spacing(line)
        add(line[room])
    if (sum(int((part[:, 0] == 0).sum()) for part in parts) % 2) != odd:
        parts[-2] = np.delete(parts[-2], len(parts[-2]) // 2, axis=0)  # nobody misses one on the crown
    return np.vstack(parts), rings


def _surface_table(columns: int = 150) -> tuple[tuple[Array, Array], Array]:
    """Over (elevation, azimuth) of the left half head: distance to the skin, and skin area per solid angle, mm^2."""
    axes = np.linspace(-np.pi / 2, np.pi / 2, columns), np.linspace(0, np.pi, columns)
    grid = np.meshgrid(*axes, indexing="ij")
    points = head.surface_along(outline.spherical(*(a.ravel() for a in grid))).reshape(columns, columns, 3)
    radius = np.linalg.norm(points - head.CENTRE, axis=-1)
    up, around = np.gradient(points, axes[0], axis=0), np.gradient(points, axes[1], axis=1)
    area = np.linalg.norm(np.cross(up, around), axis=-1) / np.maximum(np.cos(grid[0]), 0.02)
    return axes, np.stack([radius, np.clip(area, radius**2, 6 * radius**2)], -1)


def _samples(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Points (count', 3) strewn over the left half of the skin, without its holes, and the skin area of each.

    Brows and lips are left to the rows of points that line them, so that their colours stay clean.
    """
    elevation = np.arcsin(rng.uniform(-1, 1, count))
    azimuth = rng.uniform(0, np.pi, count)
    radius, area = RegularGridInterpolator(*_surface_table())(np.stack([elevation, azimuth], -1)).T
    points = head.CENTRE + radius[:, None] * outline.spherical(elevation, azimuth)
    keep = ~_in_hole(points)
    keep &= ~_lined(points)
    return points[keep], area[keep]


def _in_hole(points: Array) -> NDArray[np.bool_]:
    x, y, front = points[:, 0], points[:, 1], points[:, 2] > 40
    t = np.clip((x - head.EYE[0]) / outline.LID_WIDTH, -1, 1)
    upper, lower = outline.lid_edges(t)
    eye = front & (np.abs(x - head.EYE[0]) < outline.LID_WIDTH) & (y > lower) & (y < upper)
    mouth = front & (np.abs(y - outline.mouth_line(x)) < outline.MOUTH_OPEN * outline.lens(x))
    return eye | mouth | (y < head.NECK_CUT_Y + 1)


def _lined(points: Array) -> NDArray[np.bool_]:
    x, y, front = points[:, 0], points[:, 1], points[:, 2] > 20
    s = np.clip((x - 10.5) / 43.0, 0, 1)
    middle, edge = outline.brow_curve(s, 0.0)[:, 1], outline.brow_curve(s, 1.5)[:, 1]
    brow = (np.abs(y - middle) < edge - middle) & (x > 7) & (x < 57)
    side = np.where(y > outline.mouth_line(x), 1, -1)
    reach = outline.MOUTH_OPEN * outline.lens(x) + 1.25 * outline.red_height(x, side) + 0.8
    return front & (brow | ((np.abs(y - outline.mouth_line(x)) < reach) & (x < outline.MOUTH_WIDTH + 3)))


def _settle(fixed: Array, count: int, resolution: Resolution, rounds: int = 24) -> Array:
    """`count` points (count, 3) of the left half, settled between the fixed ones by weighted Lloyd rounds."""
    rng = np.random.default_rng(7)  # the mesh is part of the product: always the same
    samples, area = _samples(resolution.samples, rng)
    density = area / wanted_spacing(samples) ** 2
    gap = cKDTree(fixed).query(samples)[0] / (resolution.spacing * wanted_spacing(samples))
    chance = density * (gap > 0.5)
    moving = samples[rng.choice(len(samples), count, replace=False, p=chance / chance.sum())]
    weight = density / wanted_spacing(samples) ** 2  # the fourth power makes cells follow the wanted size
    for _ in range(rounds):
        owner = cKDTree(np.vstack([fixed, moving])).query(samples)[1] - len(fixed)
        mine = owner >= 0
        total = np.bincount(owner[mine], weight[mine], count)
        centroid = (
            np.stack([np.bincount(owner[mine], weight[mine] * samples[mine, k], count) for k in range(3)], -1)
            / np.maximum(total, 1e-12)[:, None]
        )
        moving = np.where(total[:, None] > 0, centroid, moving)
    return head.surface_along(head.directions_of(moving))


def _mirrored(left: Array) -> tuple[Array, NDArray[np.int64]]:
    """Both halves (N, 3) of points whose midline has x = 0 exactly, and each point's opposite."""
    off = np.flatnonzero(left[:, 0] != 0)
    points = np.vstack([left, left[off] * [-1, 1, 1]])
    mirror = np.arange(len(points))
    mirror[off] = len(left) + np.arange(len(off))
    mirror[len(left) :] = off
    return points, mirror


def _triangulate_left(points: Array, holes: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Triangles (F, 3), outward, of the left half's points (N, 3) seen from the centre; none spans a hole.

    The hull of half a sphere closes itself with triangles within the midplane; those are dropped, and what remains
    ends exactly along the midline.
    """
    directions = head.directions_of(points)
    faces = ConvexHull(directions).simplices.astype(np.int64)
    a, b, c = (directions[faces[:, k]] for k in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) < 0
    faces[inward] = faces[inward][:, ::-1]
    for ring in [np.flatnonzero(points[:, 0] == 0), *holes]:
        faces = faces[~np.isin(faces, ring).all(1)]
    return faces


def build_skin(resolution: Resolution, count: int) -> Skin:
    """The skin of the average head with exactly `count` points.

    Raises ValueError if the rings alone take more points than that.
    """
    fixed, rings = _feature_points(resolution, odd=bool(count % 2))
    free = (count + int((fixed[:, 0] == 0).sum())) // 2 - len(fixed)
    if free < 0:
        raise ValueError(f"{count} points are too few: {resolution} needs {count - 2 * free} for its rings alone")
    left = np.vstack([fixed, _settle(fixed, free, resolution)])
    points, mirror = _mirrored(left)
    eye, mouth, neck = rings["eye"], rings["mouth"], rings["neck"]
    half = len(mouth) // 2 + 1
    mouth_ring = np.r_[mouth[:half], mirror[mouth[: half - 1]][::-1], mirror[mouth[half + 1 :]][::-1], mouth[half:]]
    neck_ring = np.r_[neck, mirror[neck[1:-1]][::-1]]
    left_faces = _triangulate_left(left, [eye, mouth, neck])
    faces = np.vstack([left_faces, mirror[left_faces][:, ::-1]])
    side = np.where(points[:, 1] >= outline.mouth_line(points[:, 0]), 1, -1)
    return Skin(points, faces, mirror, mouth_ring, (eye, mirror[eye]), neck_ring, side)

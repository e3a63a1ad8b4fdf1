"""Clips in the compact form that the player reads, and the triangles and colours that all clips of a corpus share.

A clip of T frames is stored as a resting shape, a few motions that explain most of the movement (the leading
eigenvectors of its T x T Gram matrix, each with one displacement per vertex), and what these leave over. All three
are rounded to whole steps; what is left over is taken after the motions were rounded, so no coordinate is ever off
by more than `TOLERANCE` of the face's height, whatever the number of motions. That number is chosen per clip for the
smallest file: noise costs bits either way, smooth movement nearly none. Without motions this is plain offsets from
the mean, without a remainder a plain low-rank basis; `benchmarks/player.py` compares them.

Neighbouring vertices move alike, but corpora number their vertices in any order (in BIWI successive vertices lie
72 mm apart on average), so motions run along a Morton curve through the resting shape and each vertex is stored as
the difference from the one before. The reader computes the same curve from the resting shape.

Bytes, little-endian, all of it gzipped:

    clip      "EPB1"  u32 T  u32 V  f64 fps  f64 step  u8 1 if the resting shape is differenced
              row of 3V (resting shape, vertex by vertex, in quarters of a step)  u32 segments, then each segment
    segment   u32 frames  u32 rank  f32 frames x rank weights  `rank` rows of 3V (all x, all y, all z, along the
              curve, differenced, in steps)  u8 bits  frames x 3V signed integers of so many bits (the remainder, same
              order, in steps; 0 bits: none; 4 bits: two to a byte, the first in the upper half, plus 8 each)
    row       u8 planes  then the lowest bytes of all values, the second lowest ...; values are zigzag-coded
    topology  "EPT1"  u32 F  u32 V  u8 width  F x 3 unsigned indices of `width` bytes  V x 3 u8 colours (V may be 0)

The reader in the browser is `workbench/player/src/decode.js`.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

TOLERANCE = 2.5e-4  # of the face's height: 0.05 mm on a face of 200 mm
BASE_STEPS = 4  # the resting shape is shown longest, so it is kept finer than the movement
SEGMENT_FRAMES = 256  # bounds memory, and the Gram matrix of a long clip
LARGEST = 1000.0  # coordinates beyond so many face heights are a mistake, not a face
_CURVE_BITS = 10  # Morton cells per axis: 2**10, keys fit 30 bits


def encode_playback(vertices: np.ndarray, fps: float) -> bytes:
    """Pack `vertices` (T, V, 3), any float type or memory map, T >= 1, played at `fps` frames per second.

    Equal input gives equal bytes. At most `SEGMENT_FRAMES` frames are held in memory at a time. Raises ValueError
    for another shape, NaN or infinite coordinates, a frame rate that is not positive, and coordinates more than
    `LARGEST` face heights from the origin.
    """
    if vertices.ndim != 3 or vertices.shape[2] != 3 or 0 in vertices.shape:
        raise ValueError(f"vertices have shape {vertices.shape}, expected (frames, vertices, 3), none of them 0")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"frame rate is {fps}, expected a positive number of frames per second")
    n_frames, n_vertices, _ = vertices.shape
    mean, height = _mean_and_height(vertices)
    step = 2 * TOLERANCE * height * 0.999  # rounding is off by half a step; the rest is for float32
    base = np.rint(mean * (BASE_STEPS / step)).astype(np.int64)  # (V, 3)
    order = morton_order(base)
    differenced = bool(np.abs(np.diff(base, axis=0)).sum() < np.abs(base).sum())

    packer = zlib.compressobj(6, zlib.DEFLATED, 31, 9, zlib.Z_RLE)  # gzip; runs and frequencies: matches only cost time
    parts = [packer.compress(struct.pack("<4sIIddB", b"EPB1", n_frames, n_vertices, fps, step, differenced))]
    stored = np.diff(base, axis=0, prepend=0) if differenced else base
    parts.append(packer.compress(_pack_row(stored.reshape(-1))))
    resting = base.astype(np.float64) * (step / BASE_STEPS)
    bounds = np.linspace(0, n_frames, -(-n_frames // SEGMENT_FRAMES) + 1).astype(int)
    parts.append(packer.compress(struct.pack("<I", len(bounds) - 1)))
    for first, end in zip(bounds[:-1], bounds[1:], strict=True):
        offsets = _offsets(vertices[first:end], resting, order, step)
        parts.extend(packer.compress(block) for block in _encode_segment(offsets))
    return b"".join([*parts, packer.flush()])


def decode_playback(data: bytes) -> tuple[np.ndarray, float]:
    """Read what `encode_playback` wrote: vertices float32 (T, V, 3) and frames per second.

    Raises ValueError if the bytes are damaged or something else.
    """
    reader = _Reader(data, b"EPB1", "a clip")
    n_frames, n_vertices, fps, step, differenced = reader.unpack("<IIddB")
    base = reader.row(3 * n_vertices).reshape(n_vertices, 3)
    base = np.cumsum(base, axis=0) if differenced else base
    order = morton_order(base)
    resting = base * (step / BASE_STEPS)
    vertices = np.empty((n_frames, n_vertices, 3), np.float32)
    first = 0
    for _ in range(reader.unpack("<I")[0]):
        frames, rank = reader.unpack("<II")
        weights = reader.array("<f4", frames * rank).reshape(frames, rank)
        motions = np.empty((rank, 3 * n_vertices), np.float32)
        for motion in motions:
            motion[:] = np.cumsum(reader.row(3 * n_vertices))
        offsets = weights @ motions  # (frames, 3V), in steps
        offsets += reader.remainder(offsets.size).reshape(offsets.shape)
        moved = offsets.reshape(frames, 3, n_vertices).transpose(0, 2, 1) * step  # (frames, V, 3) along the curve
        vertices[first : first + frames, order] = resting[order] + moved
        first += frames
    if first != n_frames or not reader.at_end():
        raise ValueError("the bytes are damaged: a clip with too few or too many frames")
    return vertices, fps


def encode_topology(faces: np.ndarray, colours: np.ndarray | None) -> bytes:
    """Pack the triangles `faces` (F, 3) and the colours (V, 3) uint8 sRGB of the vertices, if there are any.

    Raises ValueError for other shapes, for indices below 0 and for indices beyond the last colour.
    """
    if faces.ndim != 2 or faces.shape[1] != 3 or len(faces) == 0:
        raise ValueError(f"faces have shape {faces.shape}, expected (triangles, 3)")
    if faces.min() < 0:
        raise ValueError(f"faces hold the vertex index {faces.min()}; indices start at 0")
    n_coloured = 0
    if colours is not None:
        if colours.ndim != 2 or colours.shape[1] != 3 or colours.dtype != np.uint8:
            raise ValueError(f"colours are {colours.dtype} {colours.shape}, expected uint8 (vertices, 3)")
        n_coloured = len(colours)
        if faces.max() >= n_coloured:
            raise ValueError(f"faces refer to vertex {faces.max()}, but there are {n_coloured} colours")
    width = 2 if faces.max() < 2**16 else 4
    data = struct.pack("<4sIIB", b"EPT1", len(faces), n_coloured, width) + faces.astype(f"<u{width}").tobytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
    return packer.compress(data + (b"" if colours is None else colours.tobytes())) + packer.flush()


def decode_topology(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Read what `encode_topology` wrote: faces uint32 (F, 3), colours uint8 (V, 3) or None.

    Raises ValueError if the bytes are damaged or something else.
    """
    reader = _Reader(data, b"EPT1", "a topology")
    n_faces, n_coloured, width = reader.unpack("<IIB")
    faces = reader.array(f"<u{width}", 3 * n_faces).reshape(n_faces, 3).astype(np.uint32)
    colours = reader.array("u1", 3 * n_coloured).reshape(n_coloured, 3).copy() if n_coloured else None
    if not reader.at_end():
        raise ValueError("the bytes are damaged: a topology with something after its end")
    return faces, colours


def morton_order(base: np.ndarray) -> np.ndarray:
    """Vertices of the resting shape (V, 3), whole numbers, in the order of a Morton curve: indices (V,).

    Whole numbers only, so that every reader finds the same order; equal cells keep the order of their indices.
    """
    cells = base - base.min(axis=0)
    cells >>= max(0, int(cells.max()).bit_length() - _CURVE_BITS)
    keys = np.zeros(len(base), np.int64)
    for bit in range(_CURVE_BITS):
        for axis in range(3):
            keys |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(keys, kind="stable")


def _mean_and_height(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean shape (V, 3) and the face's height (y extent of the first frame), checked for what is no face."""
    total = np.zeros(vertices.shape[1:], np.float64)
    farthest = 0.0
    for first in range(0, len(vertices), 32):
        block = np.asarray(vertices[first : first + 32])
        total += block.sum(axis=0, dtype=np.float64)
        farthest = max(farthest, float(block.max()), -float(block.min()))  # NaN in, NaN out or caught below
        if not np.isfinite(farthest) or not np.isfinite(total).all():
            frame = first + int(np.argmin(np.isfinite(block).all(axis=(1, 2))))
            raise ValueError(f"frame {frame} holds coordinates that are not finite numbers")
    extents = np.ptp(np.asarray(vertices[0], np.float64), axis=0)
    # A flat or single-point "face" has no height; any scale will do as long as it is one.
    height = float(extents[1] if extents[1] > 1e-3 * extents.max() else extents.max() or farthest or 1.0)
    if farthest > LARGEST * height:
        raise ValueError(
            f"a coordinate of {farthest:g} on a face that is {height:g} high; is one frame in another unit?"
        )
    return total / len(vertices), height


def _offsets(vertices: np.ndarray, resting: np.ndarray, order: np.ndarray, step: float) -> np.ndarray:
    """Frames as offsets from the resting shape: float32 (T, 3V) in steps, all x, all y, all z along the curve."""
    offsets = np.empty((len(vertices), 3, len(order)), np.float32)
    for frame, offset in zip(vertices, offsets, strict=True):
        offset[:] = ((frame - resting) * (1 / step)).T[:, order]
    return offsets.reshape(len(vertices), -1)


def _encode_segment(offsets: np.ndarray) -> Iterator[bytes]:
    """Blocks of one segment, from its offsets (T, 3V) in steps, which are overwritten."""
    weights, motions = _motions(offsets)
    yield struct.pack("<II", len(offsets), len(motions)) + weights.astype("<f4").tobytes()
    for motion in motions:
        yield _pack_row(np.diff(motion.astype(np.int64), prepend=0))
    if len(motions):
        offsets -= weights @ motions
    np.rint(offsets, out=offsets)
    yield _pack_remainder(offsets.reshape(-1))


def _motions(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (T, R) and rounded motions (R, 3V), both float32, with the R that gives the smallest file."""
    values, vectors = np.linalg.eigh((offsets @ offsets.T).astype(np.float64))
    # Flat motions cost a byte per run and help nothing: a motion below a twentieth of a step rounds to nothing.
    useful = int(np.sum(values > offsets.shape[1] * 0.05**2))
    vectors = vectors[:, ::-1][:, :useful]
    vectors *= np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(useful)] < 0, -1, 1)  # one sign everywhere
    weights = np.ascontiguousarray(vectors, np.float32)
    weights = weights[:, : _best_rank(offsets, weights)]
    return weights, np.rint(weights.T @ offsets)


def _best_rank(offsets: np.ndarray, weights: np.ndarray) -> int:
    """The number of motions with the smallest estimated size, judged on runs of 32 out of every 512 columns."""
    n_columns = offsets.shape[1]
    sample = np.arange(n_columns).reshape(-1)
    sample = sample[sample % 512 < 32] if n_columns > 8192 else sample
    rest = offsets[:, sample].copy()
    motions = np.rint(weights.T @ rest)
    best, best_bits, motion_bits, rank = 0, _bits(np.rint(rest)), 0.0, 0
    while rank < len(motions):
        more = min(len(motions), rank + max(1, rank // 8))
        rest -= weights[:, rank:more] @ motions[rank:more]
        motion_bits += sum(_bits(np.diff(motion)) for motion in motions[rank:more])
        rank = more
        bits = motion_bits + _bits(np.rint(rest)) + 32 * len(offsets) * rank * len(sample) / n_columns
        if bits < best_bits:
            best, best_bits = rank, bits
    return best


def _bits(values: np.ndarray) -> float:
    """Entropy of whole numbers in bits; far values count as one, they are rare or everywhere."""
    counts = np.bincount((np.clip(values, -2048, 2048) + 2048).astype(np.int16).ravel())
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def _pack_row(values: np.ndarray) -> bytes:
    """One row of whole numbers below 2**31 as zigzag-coded byte planes, as many as the largest needs."""
    coded = ((values << 1) ^ (values >> 63)).astype("<u4")
    planes = (int(coded.max()).bit_length() + 7) // 8
    return struct.pack("<B", planes) + np.ascontiguousarray(coded.view(np.uint8).reshape(-1, 4)[:, :planes].T).tobytes()


def _pack_remainder(values: np.ndarray) -> bytes:
    """Whole numbers in as few bits each as the largest needs."""
    largest = max(float(values.max()), -float(values.min()))
    bits = next(bits for bits, below in ((0, 1), (4, 2**3), (8, 2**7), (16, 2**15), (32, 2**31)) if largest < below)
    head = struct.pack("<B", bits)
    if bits == 0:
        return head
    if bits > 4:
        return head + values.astype(f"<i{bits // 8}").tobytes()
    # Two to a byte: the entropy coder spends at least one bit on each byte, and most remainders need less.
    coded = np.full(len(values) + len(values) % 2, 8, np.uint8)
    coded[: len(values)] = values.astype(np.int8) + 8
    return head + ((coded[::2] << 4) | coded[1::2]).tobytes()


class _Reader:
    """Takes numbers off the front of packed bytes; every lack of bytes is a ValueError."""

    def __init__(self, data: bytes, magic: bytes, what: str) -> None:
        self.at = len(magic)
        try:
            self.data = zlib.decompress(data, 31)
        except zlib.error as error:
            raise ValueError(f"the bytes are damaged or not {what} for the player: {error}") from None
        if self.data[: len(magic)] != magic:
            raise ValueError(f"not {what} for the player: starts with {self.data[:4]!r}, expected {magic!r}")

    def array(self, kind: str, count: int) -> np.ndarray:
        end = self.at + count * np.dtype(kind).itemsize
        if end > len(self.data):
            raise ValueError(f"the bytes are damaged: {len(self.data)} bytes, expected at least {end}")
        self.at, start = end, self.at
        return np.frombuffer(self.data[start:end], kind)

    def unpack(self, pattern: str) -> tuple:
        return struct.unpack(pattern, self.array("u1", struct.calcsize(pattern)).tobytes())

    def row(self, count: int) -> np.ndarray:
        planes = self.array("u1", self.unpack("<B")[0] * count).reshape(-1, count).astype(np.int64)
        coded = sum((plane << (8 * level) for level, plane in enumerate(planes)), np.zeros(count, np.int64))
        return (coded >> 1) ^ -(coded & 1)

    def remainder(self, count: int) -> np.ndarray:
        bits = self.unpack("<B")[0]
        if bits == 0:
            return np.zeros(count, np.int8)
        if bits > 4:
            return self.array(f"<i{bits // 8}", count)
        pairs = self.array("u1", (count + 1) // 2)
        return np.stack([pairs >> 4, pairs & 15], axis=1).reshape(-1)[:count].astype(np.int8) - np.int8(8)

    def at_end(self) -> bool:
        return self.at == len(self.data)

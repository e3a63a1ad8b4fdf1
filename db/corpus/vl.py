"""Vertex sequences as BIWI distributes them: one `.vl` file per frame, in a folder or packed in a `.tar`.

A frame is a little-endian vertex count (4 bytes; some copies have 8) and that many float32 x, y, z. Archives
are read as a stream: nothing is unpacked to the disk, so what a member is called cannot do harm.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from db.corpus.errors import BadFile, shown

ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tar.gz")
_CHUNK_BYTES = 1 << 20
_LARGEST_FRAME = 20  # times the size expected: enough to name another topology, too little to fill the memory
_NUMBER = re.compile(r"(\d+)\.vl$", re.IGNORECASE)


def read_sequence(path: Path, n_vertices: int) -> np.ndarray:
    """The frames of a folder or archive as (T, V, 3) float32, in the order of their numbers.

    Raises BadFile if a frame is missing, double, truncated or of another vertex count.
    """
    frames: dict[int, np.ndarray] = {}
    for name, data in _frame_files(path, n_vertices):
        number = int(_NUMBER.search(name)[1])
        if number in frames:
            raise BadFile(f"{shown(path)}: frame {number} is there twice (second: {name}); remove one")
        frames[number] = decode_frame(data, n_vertices, f"{shown(path)}, {name}")
    _refuse_gaps(sorted(frames), path)
    sequence = np.empty((len(frames), n_vertices, 3), dtype=np.float32)
    for row, number in enumerate(sorted(frames)):
        sequence[row] = frames.pop(number)
    return sequence


def decode_frame(data: bytes, n_vertices: int, name: str) -> np.ndarray:
    """One frame (V, 3) float32; whether the count has 4 or 8 bytes shows in the size."""
    for count_bytes in (4, 8):
        count = int.from_bytes(data[:count_bytes], "little")
        if count and len(data) == count_bytes + 12 * count:
            if count != n_vertices:
                raise BadFile(
                    f"{name}: {count} vertices, the templates have {n_vertices}; is this sequence from another corpus?",
                    kind="vertex_count",
                )
            return np.frombuffer(data, "<f4", offset=count_bytes).reshape(n_vertices, 3)
    count = int.from_bytes(data[:4], "little")
    raise BadFile(
        f"{name}: {len(data)} bytes for {count} vertices, expected {4 + 12 * count}; the frame is truncated or "
        "no .vl file. Copy the sequence again",
        kind="truncated",
    )


def frame_paths(folder: Path) -> list[Path]:
    """The `.vl` files of a folder by number, so that frame_10 follows frame_9."""
    found = [path for path in folder.iterdir() if _NUMBER.search(path.name)]
    return sorted(found, key=lambda path: (int(_NUMBER.search(path.name)[1]), path.name))


def _frame_files(path: Path, n_vertices: int) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            for frame in frame_paths(path):
                yield frame.name, frame.read_bytes()
        else:
            yield from _archive_members(path, n_vertices)
    except OSError as error:
        raise BadFile(f"{shown(path)}: cannot be read ({error.strerror or error}); copy it again") from error


def _archive_members(path: Path, n_vertices: int) -> Iterator[tuple[str, bytes]]:
    try:
        with _opened(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if _NUMBER.search(member.name):
                    yield member.name, _member_bytes(archive, member, path, n_vertices)
            # Cut between two members, an archive only lacks the empty block that ends it,
            if archive.fileobj.tell() < archive.offset + tarfile.BLOCKSIZE:
                raise EOFError("it has no end mark")
            # and a compressed one is not at its own end.
            while stream.read(_CHUNK_BYTES):
                pass
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise BadFile(
            f"{shown(path)}: the archive is damaged or truncated ({error}); copy it again", kind="truncated"
        ) from error


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if compressed else path.open("rb")


def _member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, n_vertices: int) -> bytes:
    if not member.isfile():
        raise BadFile(f"{shown(path)}: {member.name} is a link or a device, expected a frame; make the archive again")
    if member.size > _LARGEST_FRAME * (8 + 12 * n_vertices):
        raise BadFile(
            f"{shown(path)}: {member.name} unpacks to {member.size} bytes, expected {4 + 12 * n_vertices}; "
            "this is no frame of this corpus"
        )
    return archive.extractfile(member).read()


def _refuse_gaps(numbers: list[int], path: Path) -> None:
    if not numbers:
        raise BadFile(f"{shown(path)}: holds no .vl frame; copy the sequence again")
    if numbers[0] > 1:
        raise BadFile(
            f"{shown(path)}: begins with frame {numbers[0]}, expected 0 or 1; the start is missing",
            kind="missing_frames",
        )
    missing = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    if missing:
        raise BadFile(
            f"{shown(path)}: {len(missing)} of {numbers[-1] - numbers[0] + 1} frames are missing (first: "
            f"{missing[0]}), so motion and sound would run apart; copy the sequence again",
            kind="missing_frames",
        )

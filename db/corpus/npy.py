"""Vertex sequences as the peers keep them: one `.npy` file per clip, read as a memory map.

Never unpickles: a file that holds Python objects instead of numbers is refused before anything is loaded.
"""

from pathlib import Path

import numpy as np

from db.corpus.errors import BadFile, shown

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_vertices(path: Path, n_vertices: int | None = None) -> np.ndarray:
    """The sequence in `path` as a (T, V, 3) view of a memory map, float32 or float64, in corpus units.

    The file holds (T, 3V) or (T, V, 3). Raises BadFile if it is no whole .npy file of finite size, holds
    something else than floats, has no frame, or another vertex count than `n_vertices`.
    """
    shape, fortran, dtype, offset = _read_header(path)
    n_frames, found = _frames_and_vertices(path, shape, n_vertices)
    if n_vertices is not None and found != n_vertices:
        raise BadFile(
            f"{shown(path)}: {found} vertices, the corpus topology has {n_vertices}; is this clip from another "
            "corpus, or the .ply file from another one?",
            kind="vertex_count",
        )
    if n_frames == 0:
        raise BadFile(f"{shown(path)}: holds no frame; was its export interrupted? Make it again")
    data = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran else "C")
    return data.reshape(n_frames, found, 3)


def write_array(path: Path, array: np.ndarray) -> None:
    """Write `array` as a .npy file; unlike `numpy.save`, a full disk raises OSError with its errno."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(memoryview(array).cast("B") if array.size else b"")


def _read_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, column-major order, type and offset of the data; the file is known to be long enough."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            shape, fortran, dtype = _HEADERS[version](file)
            offset = file.tell()
    except OSError as error:
        raise BadFile(f"{shown(path)}: cannot be opened ({error.strerror or error}); check the file") from error
    except (ValueError, KeyError, SyntaxError, EOFError) as error:
        raise BadFile(
            f"{shown(path)}: no .npy header at its start; the file is damaged or of another kind. Copy it again"
        ) from error
    if dtype.hasobject or dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise BadFile(f"{shown(path)}: holds {dtype}, expected float32 or float64 coordinates; write it as numbers")
    needed, present = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize, path.stat().st_size
    if present < needed:
        raise BadFile(
            f"{shown(path)}: truncated, {present} of {needed} bytes; the copy was probably interrupted. "
            "Copy the file again",
            kind="truncated",
        )
    return shape, fortran, dtype, offset


def _frames_and_vertices(path: Path, shape: tuple[int, ...], n_vertices: int | None) -> tuple[int, int]:
    if n_vertices is not None and shape == (n_vertices, 3):
        raise BadFile(f"{shown(path)}: shape {shape} is one single frame; expected a sequence (T, {n_vertices}, 3)")
    if len(shape) == 3 and shape[2] == 3:
        return shape[0], shape[1]
    if len(shape) == 2 and shape[1] and shape[1] % 3 == 0:
        return shape[0], shape[1] // 3
    raise BadFile(f"{shown(path)}: shape {shape}; expected (frames, 3 x vertices) or (frames, vertices, 3)")

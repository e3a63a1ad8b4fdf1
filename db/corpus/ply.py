"""Triangles from `.ply` files: binary of either byte order or text, polygons split, optional colours.

Our own reader, because the one on PyPI that is made for this is under the GPL.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from db.corpus.errors import BadFile, shown
from db.corpus.mesh import Mesh, checked_mesh, split_polygons

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER_BYTES = 65536


@dataclass
class _Property:
    name: str
    type: str
    count_type: str | None = None  # of a list's length; None: a single value


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)


def read_ply(path: Path) -> Mesh:
    """The mesh in `path`. Raises BadFile if it is truncated, has no vertices or faces, or a face is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{shown(path)}: cannot be opened ({error.strerror or error}); check the file") from error
    try:
        order, elements, position = _parse_header(data)
        read = _read_binary if order else _read_text
        columns = read(data[position:], elements, order)
        return _mesh(columns, shown(path))
    except BadFile:
        raise
    except EOFError as error:
        raise BadFile(
            f"{shown(path)}: truncated, it ends within its {error}; copy the file again", kind="truncated"
        ) from error
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise BadFile(f"{shown(path)}: not a PLY file that can be read ({error}); export the mesh again") from error


def _parse_header(data: bytes) -> tuple[str, list[_Element], int]:
    """Byte order ("" for text), elements, and where the values begin."""
    if not data.startswith(b"ply"):
        raise ValueError("it does not begin with 'ply'")
    marker = data.find(b"end_header", 0, _MAX_HEADER_BYTES)
    end = data.find(b"\n", marker)
    if marker < 0 or end < 0:
        raise EOFError("header")
    order, elements = None, []
    for line in data[:marker].decode("ascii", "replace").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            order = _FORMATS[words[1]]
        elif words[0] == "element":
            elements.append(_Element(words[1], int(words[2])))
        elif words[0] == "property" and words[1] == "list":
            elements[-1].properties.append(_Property(words[4], _TYPES[words[3]], _TYPES[words[2]]))
        elif words[0] == "property":
            elements[-1].properties.append(_Property(words[2], _TYPES[words[1]]))
        else:
            raise ValueError(f"unknown line {line[:60]!r} in the header")
    if order is None:
        raise ValueError("its header names no format")
    return order, elements, end + 1


def _read_binary(data: bytes, elements: list[_Element], order: str) -> dict[tuple[str, str], object]:
    columns, position = {}, 0
    for element in elements:
        if any(p.count_type for p in element.properties):
            read, position = _binary_lists(data, position, element, order)
        else:
            layout = np.dtype([(p.name, order + p.type) for p in element.properties])
            size = layout.itemsize * element.count
            if position + size > len(data):
                raise EOFError(f"{element.name} element")
            rows = np.frombuffer(data, layout, element.count, position)
            read, position = {p.name: rows[p.name] for p in element.properties}, position + size
        columns.update({(element.name, name): values for name, values in read.items()})
    return columns


def _binary_lists(data: bytes, position: int, element: _Element, order: str) -> tuple[dict[str, object], int]:
    """An element with list properties: at once if all are triangles, as almost always, else row by row."""
    triangles = np.dtype(
        [
            (p.name, order + p.type)
            if p.count_type is None
            else (p.name, [("count", order + p.count_type), ("items", order + p.type, (3,))])
            for p in element.properties
        ]
    )
    lists = [p for p in element.properties if p.count_type]
    end = position + triangles.itemsize * element.count
    if end <= len(data):
        rows = np.frombuffer(data, triangles, element.count, position)
        if all((rows[p.name]["count"] == 3).all() for p in lists):
            return {p.name: rows[p.name]["items"] if p.count_type else rows[p.name] for p in element.properties}, end
    return _binary_lists_by_row(data, position, element, order)


def _binary_lists_by_row(data: bytes, position: int, element: _Element, order: str):
    columns: dict[str, list] = {p.name: [] for p in element.properties}

    def take(type_: str, count: int) -> np.ndarray:
        nonlocal position
        kind = np.dtype(order + type_)
        if count < 0 or position + kind.itemsize * count > len(data):
            raise EOFError(f"{element.name} element")
        values = np.frombuffer(data, kind, count, position)
        position += kind.itemsize * count
        return values

    for _ in range(element.count):
        for p in element.properties:
            count = int(take(p.count_type, 1)[0]) if p.count_type else 1
            values = take(p.type, count)
            columns[p.name].append(values if p.count_type else values[0])
    return columns, position


def _read_text(data: bytes, elements: list[_Element], _order: str) -> dict[tuple[str, str], object]:
    lines = (line for line in data.decode("ascii", "replace").splitlines() if line.strip())
    columns: dict[tuple[str, str], list] = {(e.name, p.name): [] for e in elements for p in e.properties}
    for element in elements:
        for _ in range(element.count):
            words = next(lines, None)
            if words is None:
                raise EOFError(f"{element.name} element")
            _read_text_row(words.split(), element, columns)
    return columns


def _read_text_row(words: list[str], element: _Element, columns: dict[tuple[str, str], list]) -> None:
    position = 0
    for p in element.properties:
        number = float if p.type.startswith("f") else int
        if p.count_type is None:
            columns[element.name, p.name].append(number(words[position]))
            position += 1
        else:
            end = position + 1 + int(words[position])
            if end > len(words):
                raise EOFError(f"{element.name} element")
            columns[element.name, p.name].append([number(word) for word in words[position + 1 : end]])
            position = end


def _mesh(columns: dict[tuple[str, str], object], name: str) -> Mesh:
    if ("vertex", "x") not in columns:
        raise ValueError("it has no vertices")
    vertices = np.stack([np.asarray(columns["vertex", axis], dtype=np.float64) for axis in "xyz"], axis=1)
    polygons = next(
        (columns["face", key] for key in ("vertex_indices", "vertex_index") if ("face", key) in columns), None
    )
    if polygons is None:
        raise BadFile(f"{name}: has points but no faces; expected the triangles of the face")
    colours = None
    if all(("vertex", channel) in columns for channel in ("red", "green", "blue")):
        channels = [np.asarray(columns["vertex", channel]) for channel in ("red", "green", "blue")]
        # Whole numbers are 0..255, floats 0..1.
        scale = 255.0 if channels[0].dtype.kind == "f" else 1.0
        colours = np.clip(np.rint(np.stack(channels, axis=1) * scale), 0, 255).astype(np.uint8)
    faces = polygons if isinstance(polygons, np.ndarray) else split_polygons(polygons)
    return checked_mesh(vertices, faces, colours, name)

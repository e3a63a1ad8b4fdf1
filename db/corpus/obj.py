"""Templates as the corpus distributes them: Wavefront `.obj`, of which positions, faces and colours are read."""

from pathlib import Path

import numpy as np

from db.corpus.errors import BadFile, shown
from db.corpus.mesh import Mesh, checked_mesh, split_polygons


def read_obj(path: Path) -> Mesh:
    """The mesh in `path`; polygons become triangles, texture and normal indices are passed over.

    Colours are read where every position is followed by red, green and blue in 0..1, as many programs write them.

    Raises BadFile with the line number for a line that cannot be read.
    """
    vertices, colours, polygons = [], [], []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadFile(f"{shown(path)}: cannot be opened ({error.strerror or error}); check the file") from error
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), start=1):
        words = line.split()
        try:
            if words and words[0] == "v":
                vertices.append((float(words[1]), float(words[2]), float(words[3])))
                colours += [tuple(map(float, words[4:7]))] if len(words) == 7 else []
            elif words and words[0] == "f":
                polygons.append([_index(word, len(vertices)) for word in words[1:]])
        except (ValueError, IndexError) as error:
            raise BadFile(
                f"{shown(path)}, line {number}: {line.strip()[:60]!r} cannot be read; the file is "
                "damaged or truncated. Copy it again"
            ) from error
    try:
        faces = split_polygons(polygons)
    except ValueError as error:
        raise BadFile(f"{shown(path)}: {error}; export the mesh again") from error
    points = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    coloured = np.clip(np.rint(np.array(colours) * 255), 0, 255).astype(np.uint8) if colours else None
    return checked_mesh(points, faces, coloured if len(colours) == len(vertices) else None, shown(path))


def _index(word: str, n_vertices: int) -> int:
    """`7`, `7/2`, `7//3` or `7/2/3` as index 6; -1 is the newest vertex so far."""
    index = int(word.partition("/")[0])
    if index == 0:
        raise ValueError("indices begin at 1")
    return index - 1 if index > 0 else n_vertices + index

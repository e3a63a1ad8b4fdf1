"""Regions of the face, as lists of vertex indices: the peers' comma separated text, or a pickled list."""

import re
from pathlib import Path

import numpy as np

from db.corpus.errors import BadFile, shown
from db.corpus.pickles import read_pickle


def read_indices(path: Path, n_vertices: int) -> np.ndarray:
    """The indices in `path` as (N,) int64, in the file's order.

    Text (`lve.txt`) has them separated by commas or blanks, a `.pkl` (SelfTalk's BIWI_lip.pkl) holds a list.
    Raises BadFile if there is none, one is no whole number, outside 0..V-1, or there twice.
    """
    values = _from_pickle(path) if path.suffix == ".pkl" else _from_text(path)
    if not len(values):
        raise BadFile(f"{shown(path)}: names no vertex; expected indices such as '12, 15, 18'")
    if values.min() < 0 or values.max() >= n_vertices:
        wrong = values.max() if values.max() >= n_vertices else values.min()
        raise BadFile(
            f"{shown(path)}: names vertex {wrong}, the topology has 0..{n_vertices - 1}; is the list made "
            "for another topology?",
            kind="vertex_count",
        )
    if len(np.unique(values)) != len(values):
        raise BadFile(f"{shown(path)}: names a vertex twice; remove the repetition, it would count double")
    return values


def _from_text(path: Path) -> np.ndarray:
    try:
        words = re.split(r"[\s,;]+", path.read_text(encoding="utf-8-sig").strip(" \t\r\n,;[]"))
        return np.array([int(word) for word in words if word], dtype=np.int64)
    except (OSError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise BadFile(f"{shown(path)}: {error}; expected vertex indices such as '12, 15, 18'") from error


def _from_pickle(path: Path) -> np.ndarray:
    values = np.asarray(read_pickle(path))
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise BadFile(f"{shown(path)}: holds {values.dtype} of shape {values.shape}, expected a list of vertex indices")
    return values.astype(np.int64)

"""A moving face as a glTF 2.0 file (`.glb`) that Blender opens: one mesh, morph targets, an animation of their weights.

The motion of a clip lies in a space of few dimensions (`model.to_vertices` is linear in at most 256), so a few dozen
targets hold it however long it is. The mesh at rest is the template. Coordinates are the corpus's, y up as in glTF.

Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from db import store

TOLERANCE = 1e-4  # root mean square error of a frame's vertices, as a share of the face's height

_FLOAT, _UBYTE, _UINT = 5126, 5121, 5125
_VERTEX_DATA, _INDEX_DATA = 34962, 34963


@dataclass(frozen=True)
class Morphs:
    """Motion as targets (K, V, 3), displacements from the rest face, and weights (T, K), each within -1..1."""

    targets: np.ndarray
    weights: np.ndarray


def factored(latent: np.ndarray, spread: np.ndarray, offset: np.ndarray, height: float) -> Morphs:
    """The displacements latent @ spread.T + offset with as few targets as TOLERANCE allows.

    latent (T, u), spread (3V, u), offset (3V,); height of the face in the same units. Works in u dimensions, so that
    nothing of size T x V is ever made.
    """
    latent = np.column_stack([latent, np.ones(len(latent))]).astype(np.float64)
    spread = np.column_stack([spread, offset]).astype(np.float64)
    values, vectors = np.linalg.eigh(spread.T @ spread)
    scales = np.sqrt(np.clip(values, 0, None))
    _, sizes, axes = np.linalg.svd((latent @ vectors) * scales, full_matrices=False)
    # What is left out of frame t, as root mean square over vertices, is at most the norm of the sizes left out.
    allowed = TOLERANCE * height * np.sqrt(len(spread) / 3)
    coordinates = (latent @ vectors) * scales @ axes.T  # (T, u + 1)
    lost = np.sqrt(np.cumsum(coordinates[:, ::-1] ** 2, axis=1)[:, ::-1]).max(axis=0)
    kept = max(1, int(np.sum(lost > allowed)))
    usable = scales > 1e-12 * max(scales.max(), 1e-300)
    inverse = np.where(usable, 1 / np.where(usable, scales, 1), 0)
    targets = (spread @ (vectors * inverse)) @ axes[:kept].T  # (3V, K), orthonormal
    weights = coordinates[:, :kept]
    largest = np.maximum(np.abs(weights).max(axis=0), 1e-30)
    targets, weights = targets * largest, weights / largest
    return Morphs(
        targets.T.reshape(kept, -1, 3).astype(np.float32), np.ascontiguousarray(weights, dtype=np.float32)
    )


def write_glb(
    path: Path, rest: np.ndarray, triangles: np.ndarray, colours: np.ndarray | None, morphs: Morphs, fps: float
) -> None:
    """Write the face: rest (V, 3), triangles (F, 3), colours (V, 3) uint8 or None, moving at `fps`; in one step."""
    builder = _Builder()
    attributes = {"POSITION": builder.add(rest.astype("<f4"), "VEC3", _VERTEX_DATA, bounds=True)}
    if colours is not None:
        opaque = np.column_stack([colours, np.full(len(colours), 255)]).astype(np.uint8)
        attributes["COLOR_0"] = builder.add(opaque, "VEC4", _VERTEX_DATA, normalised=True)
    indices = builder.add(triangles.astype("<u4").ravel(), "SCALAR", _INDEX_DATA)
    targets = [
        {"POSITION": builder.add(target.astype("<f4"), "VEC3", _VERTEX_DATA, bounds=True)} for target in morphs.targets
    ]
    times = builder.add((np.arange(len(morphs.weights)) / fps).astype("<f4"), "SCALAR", bounds=True)
    weights = builder.add(morphs.weights.astype("<f4").ravel(), "SCALAR")
    names = [f"motion {i + 1}" for i in range(len(targets))]
    primitive = {"attributes": attributes, "indices": indices, "targets": targets, "material": 0}
    document = {
        "asset": {"version": "2.0", "generator": "EavaNet Workbench"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "face"}],
        "meshes": [
            {
                "name": "face",
                "primitives": [primitive],
                "weights": [0.0] * len(targets),
                "extras": {"targetNames": names},  # where Blender looks for the shape keys' names
            }
        ],
        "materials": [
            {
                "name": "skin",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7},
                "doubleSided": True,
            }
        ],
        "animations": [
            {
                "name": "speech",
                "samplers": [{"input": times, "output": weights, "interpolation": "LINEAR"}],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
            }
        ],
        "accessors": builder.accessors,
        "bufferViews": builder.views,
        "buffers": [{"byteLength": len(builder.data)}],
    }
    with store.atomic_write(path) as partial:
        partial.write_bytes(_container(document, bytes(builder.data)))


class _Builder:
    """Collects arrays into one buffer with its views and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add(
        self, array: np.ndarray, kind: str, target: int | None = None, bounds: bool = False, normalised: bool = False
    ) -> int:
        """Append an array; returns its accessor's number."""
        self.data += b"\0" * (-len(self.data) % 4)
        raw = np.ascontiguousarray(array).tobytes()
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw)}
        self.views.append(view | ({"target": target} if target else {}))
        self.data += raw
        component = {"f": _FLOAT, "u": _UINT if array.dtype.itemsize == 4 else _UBYTE}[array.dtype.kind]
        accessor = {
            "bufferView": len(self.views) - 1, "componentType": component, "count": len(array), "type": kind,
        }  # fmt: skip
        if normalised:
            accessor["normalized"] = True
        if bounds:
            rows = array.reshape(len(array), -1)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _container(document: dict, data: bytes) -> bytes:
    """The two chunks of a .glb file, each a multiple of four bytes long."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    length = 12 + 8 + len(text) + 8 + len(data)
    head = struct.pack("<4sII", b"glTF", 2, length)
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data

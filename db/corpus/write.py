"""Corpora written to the disk in both layouts, from arrays: for the demo corpus and for tests with real files.

Everything is written byte for byte the same from the same arrays.
"""

import gzip
import io
import json
import pickle
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from db.corpus.normalise import UPRIGHT
from db.corpus.npy import write_array
from db.corpus.wav import write_audio


@dataclass(frozen=True)
class Sequence:
    """One clip: vertices (T, V, 3) with y up, speech (S,) at `rate` Hz, or None where either is missing."""

    subject: str
    sentence: str
    vertices: np.ndarray | None
    speech: np.ndarray | None
    rate: int = 16_000

    @property
    def name(self) -> str:
        return f"{self.subject}_{self.sentence}"


@dataclass(frozen=True)
class Beside:
    """What a corpus has besides its sequences. templates: subject -> (V, 3) with y up; faces: (F, 3)."""

    templates: dict[str, np.ndarray]
    faces: np.ndarray
    settings: dict = field(default_factory=dict)  # corpus.toml
    colours: np.ndarray | None = None
    regions: dict[str, Iterable[int]] = field(default_factory=dict)
    original_ratings: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)


def write_peers(folder: Path, sequences: Iterable[Sequence], beside: Beside, *, flat: bool = True) -> None:
    """Write the peers' layout into `folder`; `flat` stores (T, 3V) instead of (T, V, 3). Keeps the float type."""
    for name in ("vertices_npy", "wav"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for sequence in sequences:
        if sequence.vertices is not None:
            frames = sequence.vertices
            write_array(
                folder / "vertices_npy" / f"{sequence.name}.npy",
                frames.reshape(len(frames), -1) if flat else frames,
            )
        if sequence.speech is not None:
            write_audio(folder / "wav" / f"{sequence.name}.wav", sequence.speech, sequence.rate)
    # Protocol 2 is what Python 2 wrote and what all of the peers' scripts read.
    (folder / "templates.pkl").write_bytes(pickle.dumps(beside.templates, protocol=2))
    any_template = next(iter(beside.templates.values()))
    write_ply(folder / "topology.ply", any_template, beside.faces, beside.colours)
    write_companions(folder, beside)


def write_raw(
    folder: Path,
    sequences: Iterable[Sequence],
    beside: Beside,
    *,
    packed: str | None = None,
    count_bytes: int = 4,
) -> None:
    """Write the corpus as its makers distribute it, upside down as there, into `folder`.

    packed: None for folders of frames, "tar" or "tgz" for one archive per sequence. count_bytes: 4 or 8.
    """
    for name in ("faces", "rigid_scans", "audio"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for sequence in sequences:
        if sequence.vertices is not None:
            frames = [frame_bytes(frame * UPRIGHT, count_bytes) for frame in sequence.vertices]
            _write_frames(folder / "faces" / sequence.subject / sequence.sentence, frames, packed)
        if sequence.speech is not None:
            write_audio(folder / "audio" / f"{sequence.name}.wav", sequence.speech, sequence.rate)
    for subject, template in beside.templates.items():
        write_obj(folder / "rigid_scans" / f"{subject}.obj", template * UPRIGHT, beside.faces, beside.colours)
    write_companions(folder, beside)


def write_companions(folder: Path, beside: Beside) -> None:
    """corpus.toml, regions and original ratings, which both layouts have in common."""
    # What JSON and TOML write of text, numbers, true and false is the same.
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in beside.settings.items() if value is not None]
    if lines:
        (folder / "corpus.toml").write_text("".join(lines), encoding="utf-8")
    for name, indices in beside.regions.items():
        (folder / "regions").mkdir(exist_ok=True)
        (folder / "regions" / f"{name}.txt").write_text(", ".join(str(int(i)) for i in indices), encoding="ascii")
    if beside.original_ratings:
        adjectives = list(next(iter(beside.original_ratings.values())))
        rows = [["subject", "sentence", *adjectives]]
        rows += [
            [*key, *(f"{scores[word]:g}" for word in adjectives)] for key, scores in beside.original_ratings.items()
        ]
        text = "".join(",".join(row) + "\n" for row in rows)
        (folder / "original_ratings.csv").write_text(text, encoding="utf-8")


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None = None) -> None:
    """A binary little-endian .ply with float coordinates and, if given, (V, 3) uint8 colours."""
    columns = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    properties = [f"property float {axis}" for axis in "xyz"]
    if colours is not None:
        columns += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        properties += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    points = np.zeros(len(vertices), dtype=columns)
    for axis, values in zip("xyz", np.asarray(vertices).T, strict=True):
        points[axis] = values
    if colours is not None:
        for channel, values in zip(("red", "green", "blue"), np.asarray(colours).T, strict=True):
            points[channel] = values
    triangles = np.zeros(len(faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    triangles["count"], triangles["corners"] = 3, faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *properties,
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    path.write_bytes("\n".join(header).encode("ascii") + points.tobytes() + triangles.tobytes())


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None = None) -> None:
    """A Wavefront .obj with positions, triangles and, if given, (V, 3) uint8 colours behind the positions."""
    positions = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in np.asarray(vertices).tolist()]
    if colours is not None:
        paints = (np.asarray(colours) / 255).tolist()
        positions = [f"{line} {r:.4f} {g:.4f} {b:.4f}" for line, (r, g, b) in zip(positions, paints, strict=True)]
    triangles = [f"f {a} {b} {c}" for a, b, c in (np.asarray(faces, dtype=np.int64) + 1).tolist()]
    path.write_text("\n".join([*positions, *triangles, ""]), encoding="ascii")


def frame_bytes(frame: np.ndarray, count_bytes: int = 4) -> bytes:
    """One (V, 3) frame as a .vl file: the vertex count, then float32 x, y, z."""
    return len(frame).to_bytes(count_bytes, "little") + np.ascontiguousarray(frame, dtype="<f4").tobytes()


def _write_frames(place: Path, frames: list[bytes], packed: str | None) -> None:
    names = [f"frame_{number:03d}.vl" for number in range(1, len(frames) + 1)]
    if packed is None:
        place.mkdir(parents=True, exist_ok=True)
        for name, data in zip(names, frames, strict=True):
            (place / name).write_bytes(data)
        return
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in zip(names, frames, strict=True):
            member = tarfile.TarInfo(f"{place.name}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    place.parent.mkdir(parents=True, exist_ok=True)
    # Without a time in the header, so that the same frames give the same bytes.
    data = gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0) if packed == "tgz" else buffer.getvalue()
    place.with_name(f"{place.name}.{packed}").write_bytes(data)

"""Stored clips, loaded: motion, sound, template, triangles and regions of what an import keeps.

Sequences are memory maps: a frame costs memory only when it is looked at. Functions take rows and follow them to
their corpus; with the session closed, that must have been loaded before.
"""

from pathlib import Path

import numpy as np

from db import playback, preprocess, store
from db.corpus.indices import read_indices
from db.corpus.npy import read_vertices
from db.corpus.wav import read_audio
from db.models import Clip, Corpus, Subject


class MissingFile(FileNotFoundError):
    """A file that the database names is not there; the message says what to do."""


def load_vertices(clip: Clip, trimmed: bool = True) -> np.ndarray:
    """The clip's motion (T, V, 3), a view of a memory map in corpus units; `trimmed` to the speech, or all of it.

    Raises MissingFile if the file is gone (or the clip never had one), ValueError if it is not what was imported.
    """
    path = _stored_file(clip.vertices_path, f"{clip.name}: motion")
    vertices = read_vertices(path, clip.corpus.n_vertices)
    if len(vertices) != clip.source_frames:
        raise ValueError(
            f"{path}: {len(vertices)} frames, {clip.source_frames} when it was imported; import the "
            "corpus again with --update"
        )
    return vertices[clip.first_frame : clip.first_frame + clip.n_frames] if trimmed else vertices


def load_audio(clip: Clip, trimmed: bool = True) -> np.ndarray:
    """The clip's sound (S,) float32 at 16 kHz: trimmed and levelled, or as it was before both.

    Trimmed, T = round(frames per second x S / 16000) frames go with it. Raises MissingFile.
    """
    if trimmed:
        samples, rate = read_audio(_stored_file(clip.audio_path, f"{clip.name}: sound"))
    else:
        samples, rate = read_audio(_stored_file(clip.source_audio_path, f"{clip.name}: recorded sound"))
    return preprocess.to_16_khz(samples, rate)


def load_template(subject: Subject) -> np.ndarray:
    """The subject's neutral face (V, 3) float64, in corpus units. Raises MissingFile if there is none."""
    if subject.template_row is None:
        raise MissingFile(f"subject {subject.name}: the corpus has no usable template; see the problems of its import")
    path = _corpus_file(subject.corpus, "templates.npy")
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[subject.template_row], dtype=np.float64)


def load_topology(corpus: Corpus) -> tuple[np.ndarray, np.ndarray | None]:
    """Triangles (F, 3) uint32 and colours (V, 3) uint8, or None where the corpus has none. Raises MissingFile."""
    return playback.decode_topology(_corpus_file(corpus, "topology.bin").read_bytes())


def regions(corpus: Corpus) -> dict[str, np.ndarray]:
    """Vertex indices (N,) by the region's name: "lve" (lips), "fdd" (upper face), and what else there is."""
    folder = store.corpus_folder(corpus.name) / "regions"
    return {path.stem: read_indices(path, corpus.n_vertices) for path in sorted(folder.glob("*.txt"))}


def _corpus_file(corpus: Corpus, name: str) -> Path:
    return _stored_file(str(store.corpus_folder(corpus.name) / name), f"corpus {corpus.name}")


def _stored_file(stored: str | None, what: str) -> Path:
    if stored is None:
        raise MissingFile(f"{what}: the import found none; see the problems of the corpus")
    path = store.stored_path(stored)
    if not path.exists():
        raise MissingFile(
            f"{what}: {path} is gone; connect the disk that it lay on, or import the corpus again from where it is now"
        )
    return path

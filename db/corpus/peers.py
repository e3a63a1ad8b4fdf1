"""The layout of FaceFormer, CodeTalker and nearly everything after them.

    vertices_npy/F1_e01.npy   wav/F1_e01.wav   templates.pkl   one .ply (or templates/*.ply)   regions/lve.txt, fdd.txt

Coordinates are taken as they are: whoever wrote the files has normalised them.
"""

from functools import partial
from pathlib import Path

import numpy as np

from db.corpus.companions import add_companions, described
from db.corpus.errors import BadFile, UnusableCorpus
from db.corpus.mesh import Mesh
from db.corpus.naming import parse_clip_name, sentence_renaming, subject_name
from db.corpus.npy import read_vertices
from db.corpus.pickles import read_pickle
from db.corpus.ply import read_ply
from db.corpus.problems import Problem
from db.corpus.settings import ImportOptions, read_toml
from db.corpus.source import ClipSource, CorpusSource


def read_peers(folder: Path, options: ImportOptions) -> CorpusSource:
    """Find everything in `folder`; no sequence is read yet. Raises UnusableCorpus where it cannot be used at all."""
    toml = read_toml(folder)
    topology_path = find_topology(folder)
    mesh = _topology(topology_path)
    templates_path, values = _template_values(folder)
    source = CorpusSource(
        **described(toml, options, folder),
        layout="peers",
        normalisation=_normalisation(toml.normalisation, options.normalisation),
        faces=mesh.faces,
        n_vertices=len(mesh.vertices),
        colours=mesh.colours,
        templates={},
        files=[topology_path, templates_path],
    )
    if toml.normalisation is None and options.normalisation is None:
        source.problems.append(
            Problem(
                "assumed",
                "nothing says how the coordinates were normalised; taken to be per-frame, as the peers' "
                "scripts do. If that is wrong, say so in corpus.toml or with --normalisation",
            )
        )
    _add_templates(source, values)
    renaming = _add_clips(source, options)
    add_companions(source, renaming)
    return source


def find_topology(folder: Path) -> Path:
    """The .ply file with the triangles: topology.ply, or the only one in the folder or in templates/."""
    if (folder / "topology.ply").is_file():
        return folder / "topology.ply"
    for place in (folder, folder / "templates"):
        found = sorted(path for path in place.glob("*.ply") if not path.name.startswith("."))
        if len(found) == 1:
            return found[0]
        if found:
            raise UnusableCorpus(
                f"{place}: several .ply files ({', '.join(path.name for path in found)}); name the "
                "one that has the corpus topology topology.ply"
            )
    raise UnusableCorpus(
        f"{folder}: no triangles; expected a .ply file in it or in templates/ (BIWI.ply of the "
        "CodeTalker repository, topology.ply in ours)"
    )


def _normalisation(stated: str | None, given: str | None) -> str:
    if stated and given and stated != given:
        raise UnusableCorpus(
            f"corpus.toml says the coordinates are normalised {stated!r}, --normalisation says "
            f"{given!r}; in this layout the files are taken as they are, so correct one of them"
        )
    return given or stated or "per-frame"


def _topology(path: Path) -> Mesh:
    try:
        return read_ply(path)
    except BadFile as error:
        raise UnusableCorpus(str(error)) from error


def _template_values(folder: Path) -> tuple[Path, dict]:
    path = folder / "templates.pkl"
    if not path.is_file():
        raise UnusableCorpus(
            f"{folder}: no templates.pkl; expected a pickled dict from each subject to the vertices "
            "of the neutral face, as the peers' preprocessing writes it. Copy it here"
        )
    try:
        values = read_pickle(path)
    except BadFile as error:
        raise UnusableCorpus(str(error)) from error
    if not isinstance(values, dict) or not values:
        found = "an empty dict" if values == {} else type(values).__name__
        raise UnusableCorpus(f"templates.pkl: holds {found}; expected a dict from each subject to its neutral face")
    return path, values


def _add_templates(source: CorpusSource, values: dict) -> None:
    for key, value in values.items():
        subject = subject_name(key)
        try:
            source.templates[subject] = checked_template(value, source.n_vertices, subject)
        except BadFile as error:
            source.problems.append(Problem(error.kind, str(error)))
    if not source.templates:
        first = source.problems[-1].message
        raise UnusableCorpus(f"templates.pkl: no template fits the topology of {source.n_vertices} vertices ({first})")


def checked_template(value: object, n_vertices: int, subject: str) -> np.ndarray:
    """A template as (V, 3) float64. Raises BadFile if it is empty, of another size, or holds no numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not array.size or not np.any(array):
        raise BadFile(
            f"templates.pkl, subject {subject}: the template is empty or all zero; make it again",
            kind="empty_template",
        )
    if array.shape not in ((n_vertices, 3), (3 * n_vertices,), (1, 3 * n_vertices), (1, n_vertices, 3)):
        raise BadFile(
            f"templates.pkl, subject {subject}: shape {array.shape}, expected ({n_vertices}, 3) or "
            f"({3 * n_vertices},); is it from another corpus?",
            kind="vertex_count",
        )
    if not np.isfinite(array).all():
        raise BadFile(
            f"templates.pkl, subject {subject}: has coordinates that are NaN or infinite; make it again",
            kind="not_finite",
        )
    return array.reshape(n_vertices, 3).astype(np.float64)


def _add_clips(source: CorpusSource, options: ImportOptions) -> dict[str, str]:
    """Pair the sequences with their sound; returns how sentences were renamed."""
    sequences = _by_clip(source, "vertices_npy", ".npy")
    sounds = _by_clip(source, "wav", ".wav")
    if not sequences:
        raise UnusableCorpus(f"{source.folder}: vertices_npy/ holds no .npy sequence named like F1_e01.npy")
    renaming = sentence_renaming(
        {sentence for _, sentence in sequences | sounds}, options.sentences_are, options.numbering
    )
    for key in sorted(sequences.keys() | sounds.keys()):
        path = sequences.get(key)
        read = partial(read_vertices, path, source.n_vertices) if path else None
        source.clips.append(ClipSource(key[0], renaming[key[1]], path, sounds.get(key), read))
    return renaming


def _by_clip(source: CorpusSource, folder: str, suffix: str) -> dict[tuple[str, str], Path]:
    found = {}
    for path in sorted((source.folder / folder).glob(f"*{suffix}")):
        # macOS leaves "._F1_e01.npy" beside files on foreign disks.
        if path.name.startswith("."):
            continue
        try:
            key = parse_clip_name(path.stem)
        except ValueError as error:
            source.problems.append(Problem("bad_name", f"{folder}/{path.name}: {error}"))
            continue
        if key in found:
            source.problems.append(
                Problem(
                    "bad_name",
                    f"{folder}/{path.name}: means the same clip as {found[key].name}; it was passed over. Rename one",
                )
            )
            continue
        found[key] = path
    return found

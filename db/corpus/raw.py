"""The corpus as its makers distribute it.

    faces/F1/e01/frame_001.vl (or faces/F1/e01.tgz, faces/F1_e01.tar)   rigid_scans/F1.obj
    audio/F1_e01.wav and/or videos/F1_e01.flv

Coordinates are turned upright and normalised here (see `normalise`), the templates together with the sequences.
"""

from functools import partial
from pathlib import Path

import numpy as np

from db.corpus.companions import add_companions, described
from db.corpus.errors import BadFile, UnusableCorpus
from db.corpus.mesh import Mesh
from db.corpus.naming import parse_clip_name, sentence_renaming
from db.corpus.normalise import normalise
from db.corpus.obj import read_obj
from db.corpus.problems import Problem
from db.corpus.settings import ImportOptions, read_toml
from db.corpus.source import ClipSource, CorpusSource
from db.corpus.vl import ARCHIVE_SUFFIXES, read_sequence

Key = tuple[str, str]  # subject, sentence


def read_raw(folder: Path, options: ImportOptions) -> CorpusSource:
    """Find everything in `folder`; no sequence is read yet. Raises UnusableCorpus where it cannot be used at all."""
    toml = read_toml(folder)
    problems: list[Problem] = []
    scans, files = _read_scans(folder, problems)
    how = options.normalisation or toml.normalisation or "per-frame"
    if how == "per-axis":
        raise UnusableCorpus(
            "normalisation 'per-axis' can only be recorded for files in the peers' layout; choose "
            "per-frame, template or none"
        )
    any_scan = next(iter(scans.values()))
    source = CorpusSource(
        **described(toml, options, folder),
        layout="raw",
        normalisation=how,
        faces=any_scan.faces,
        n_vertices=len(any_scan.vertices),
        colours=any_scan.colours,
        templates={},
        problems=problems,
        files=files,
    )
    # One scan at a time has the shape of a sequence of one frame.
    for subject, scan in scans.items():
        try:
            frames = scan.vertices.copy()[np.newaxis]
            source.templates[subject] = normalise(frames, scan.faces, how, scan.vertices)[0]
        except ValueError as error:
            problems.append(Problem("empty_template", f"rigid_scans, subject {subject}: {error}"))
    renaming = _add_clips(source, scans, options)
    add_companions(source, renaming)
    return source


def _read_scans(folder: Path, problems: list[Problem]) -> tuple[dict[str, Mesh], list[Path]]:
    """Each subject's template; all have the triangles that most of them have, others are problems."""
    files = sorted(path for path in (folder / "rigid_scans").glob("*.obj") if not path.name.startswith("."))
    if not files:
        raise UnusableCorpus(
            f"{folder}: no template, so no triangles; expected rigid_scans/F1.obj and so on, as "
            "they come with the corpus. Copy that folder here"
        )
    scans: dict[str, Mesh] = {}
    for path in files:
        try:
            scans[path.stem.replace("_", "-")] = read_obj(path)
        except BadFile as error:
            problems.append(Problem("empty_template", f"subject {path.stem}: {error}"))
    if not scans:
        raise UnusableCorpus(
            f"{folder}: none of the {len(files)} templates in rigid_scans/ can be read; the first: "
            f"{problems[-1].message}"
        )
    usual = _most_common_topology(scans)
    for subject in [name for name, scan in scans.items() if _topology_key(scan) != usual]:
        problems.append(
            Problem(
                "vertex_count",
                f"subject {subject}: rigid_scans/{subject}.obj has other vertices or "
                "triangles than most templates; is it from another corpus?",
            )
        )
        del scans[subject]
    return scans, files


def _topology_key(scan: Mesh) -> tuple[int, bytes]:
    return len(scan.vertices), scan.faces.tobytes()


def _most_common_topology(scans: dict[str, Mesh]) -> tuple[int, bytes]:
    keys = [_topology_key(scan) for scan in scans.values()]
    return max(keys, key=keys.count)


def _add_clips(source: CorpusSource, scans: dict[str, Mesh], options: ImportOptions) -> dict[str, str]:
    sequences = _find_sequences(source)
    sounds = _find_sounds(source)
    if not sequences:
        raise UnusableCorpus(
            f"{source.folder}: faces/ holds no sequence; expected faces/F1/e01/frame_001.vl, or "
            "archives such as faces/F1/e01.tgz"
        )
    renaming = sentence_renaming(
        {sentence for _, sentence in sequences | sounds}, options.sentences_are, options.numbering
    )
    for key in sorted(sequences.keys() | sounds.keys()):
        path, scan = sequences.get(key), scans.get(key[0])
        template = scan.vertices if scan else None
        read = partial(_read_normalised, path, source.faces, source.n_vertices, source.normalisation, template)
        source.clips.append(ClipSource(key[0], renaming[key[1]], path, sounds.get(key), read if path else None))
    return renaming


def _read_normalised(path: Path, faces: np.ndarray, n_vertices: int, how: str, template: np.ndarray | None):
    frames = read_sequence(path, n_vertices)
    try:
        return normalise(frames, faces, how, template)
    except ValueError as error:
        raise BadFile(f"{path.parent.name}/{path.name}: {error}", kind="normalisation") from error


def _find_sequences(source: CorpusSource) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    for path in sorted((source.folder / "faces").iterdir()):
        if path.is_dir():
            for inner in sorted(path.iterdir()):
                _add(found, source, f"{path.name}_{_stem(inner)}", inner, sequence=True)
        else:
            _add(found, source, _stem(path), path, sequence=True)
    return found


def _find_sounds(source: CorpusSource) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    # The .wav comes first: the .flv only carries a compressed copy of it.
    for path in sorted((source.folder / "audio").glob("*.wav")):
        _add(found, source, path.stem, path)
    heard = set(found)
    for path in sorted((source.folder / "videos").glob("*.flv")):
        videos: dict[Key, Path] = {}
        _add(videos, source, path.stem, path)
        found.update({key: path for key in videos if key not in heard})
    return found


def _stem(path: Path) -> str:
    return next(
        (path.name.removesuffix(suffix) for suffix in reversed(ARCHIVE_SUFFIXES) if path.name.endswith(suffix)),
        path.name,
    )


def _add(found: dict[Key, Path], source: CorpusSource, stem: str, path: Path, sequence: bool = False) -> None:
    if path.name.startswith("."):
        return
    place = path.relative_to(source.folder)
    if sequence and not path.is_dir() and not path.name.endswith(ARCHIVE_SUFFIXES):
        source.problems.append(Problem("bad_name", f"{place}: neither a folder of frames nor a .tar or .tgz archive"))
        return
    try:
        key = parse_clip_name(stem)
    except ValueError as error:
        source.problems.append(Problem("bad_name", f"{place}: {error}"))
        return
    if key in found:
        source.problems.append(
            Problem(
                "bad_name",
                f"{place}: the same sequence as "
                f"{found[key].relative_to(source.folder)}; it was passed over. Remove one",
            )
        )
        return
    found[key] = path

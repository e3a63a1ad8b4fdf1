"""Import: fill the data root and the database from a corpus folder, all of it or nothing.

Files are made in a folder beside their destination and take their place together with the database rows. The
source is only read. One clip is in memory at a time, whatever the size of the corpus.
"""

import contextlib
import errno
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from threadpoolctl import threadpool_limits

from db import playback, preprocess, store
from db.corpus import rows
from db.corpus.digest import differences, digests_of, sha256_of, total_digest
from db.corpus.errors import UnusableCorpus
from db.corpus.examine import Examined, examine, open_corpus
from db.corpus.npy import write_array
from db.corpus.report import Report, status_of
from db.corpus.settings import ImportOptions
from db.corpus.source import ClipSource, CorpusSource
from db.corpus.wav import write_audio
from db.models import Corpus
from db.progress import Progress
from db.session import reading, writing

FORMAT = 1  # of what an import makes; a newer one makes everything again
_STALE_S = 24 * 3600  # what an import left when it was killed is removed after so long
_PLAYBACK_SHARE = 0.1  # of the size of a sequence, for the guess whether the disk has the space
_LISTED = 8


class SourceChanged(UnusableCorpus):
    """The corpus was imported before, and would now come out differently."""


class DiskFull(UnusableCorpus):
    """There was no space for what an import makes; nothing of it was kept."""


def import_corpus(
    engine: Engine,
    folder: Path,
    options: ImportOptions | None = None,
    *,
    update: bool = False,
    progress: Progress | None = None,
    actor: str = "command",
) -> Report:
    """Import the corpus in `folder`; returns the report that is also stored with it.

    Repeating an import changes nothing if nothing changed (`report.action` is "unchanged", or "moved" if the same
    corpus now lies elsewhere). If something did, SourceChanged says what; `update` then takes the changes over and
    keeps clips, with what was rated, under their names. Raises UnusableCorpus for a folder that cannot be used.
    """
    options = options or ImportOptions()
    source = open_corpus(Path(folder), options)
    settings = _settings(source, options)
    with reading(engine) as session:
        existing = rows.find_corpus(session, source.name)
        complete = existing is not None and rows.files_present(session, existing)
    if existing is not None:
        digests = digests_of(source, progress)
        if total_digest(settings, digests) != existing.sha256:
            _refuse_change(existing, source, settings, digests, update)
        elif complete:
            return _keep(engine, source, actor)
    # The matrices are so small that threads only wait for each other (three times slower), and their number would
    # show in the last bits of what is written.
    with threadpool_limits(limits=1, user_api="blas"), _clear_space_errors(source):
        return _import(engine, source, options, existing is not None, progress, actor)


def _import(
    engine: Engine,
    source: CorpusSource,
    options: ImportOptions,
    again: bool,
    progress: Progress | None,
    actor: str,
) -> Report:
    report = Report.of(source)
    final = store.corpus_folder(source.name)
    with _working_folder(final) as folder:
        digests = {path.relative_to(source.folder).as_posix(): sha256_of(path) for path in source.files}
        clips = []
        for number, clip in enumerate(source.clips, start=1):
            clips.append(_make_clip(clip, source, options, folder, digests, report))
            if progress:
                progress(number, len(source.clips), clip.name)
        _write_shared(source, folder)
        settings = _settings(source, options)
        manifest = {"settings": settings, "files": digests}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        sha256 = total_digest(settings, digests)
        with _taking_the_place_of(final, folder), writing(engine) as session:
            rows.store_corpus(session, source, clips, report, options.loudness, sha256, again, actor)
    report.action = "updated" if again else "imported"
    return report


def _make_clip(
    clip: ClipSource,
    source: CorpusSource,
    options: ImportOptions,
    folder: Path,
    digests: dict,
    report: Report,
) -> dict:
    """Write what one clip needs below `folder`; returns its columns in the table of clips."""
    hashes = {path: sha256_of(path) for path in (clip.vertices_path, clip.audio_path) if path}
    digests.update({path.relative_to(source.folder).as_posix(): value for path, value in hashes.items()})
    examined = examine(clip, source, options)
    files = {**_write_motion(examined, source, folder, hashes), **_write_speech(examined, source, folder)}
    scores = source.original_ratings.get(clip.name, {})
    report.count(examined, scores)
    status, reason = status_of(examined, scores)
    return {
        "name": clip.name,
        "sentence": clip.sentence,
        "status": status,
        "status_reason": reason,
        "source_audio_path": rows.path_in_place(clip.audio_path) if clip.audio_path else None,
        "source_audio_sha256": hashes.get(clip.audio_path),
        "source_frames": examined.source_frames,
        "source_duration_s": examined.source_duration_s,
        "first_frame": examined.kept.start,
        "n_frames": examined.kept.stop - examined.kept.start,
        "gain_db": examined.speech.gain_db if examined.speech else 0.0,
        **files,
    }


def _write_motion(examined: Examined, source: CorpusSource, folder: Path, hashes: dict[Path, str]) -> dict:
    """The playback file and, in the raw layout, the normalised vertices; the peers' are used where they lie."""
    if examined.vertices is None:
        return {"vertices_path": None, "vertices_sha256": None, "playback_path": None}
    clip = examined.clip
    columns = {"vertices_path": rows.path_in_place(clip.vertices_path), "vertices_sha256": hashes[clip.vertices_path]}
    if source.layout == "raw":
        path = _inside(folder, "vertices", f"{clip.name}.npy")
        write_array(path, examined.vertices)
        columns = {"vertices_path": _stored(source, path), "vertices_sha256": sha256_of(path)}
    try:
        data = playback.encode_playback(examined.vertices[examined.kept], source.frames_per_second)
    except ValueError as error:
        examined.breaks("implausible", f"{clip.name}: {error}; are the coordinates those of a face?")
        return {**columns, "playback_path": None}
    path = _inside(folder, "playback", f"{clip.name}.bin")
    path.write_bytes(data)
    return {**columns, "playback_path": _stored(source, path)}


def _write_speech(examined: Examined, source: CorpusSource, folder: Path) -> dict:
    if examined.speech is None:
        return {"audio_path": None}
    path = _inside(folder, "audio", f"{examined.clip.name}.wav")
    write_audio(path, examined.speech.samples, preprocess.SAMPLE_RATE)
    return {"audio_path": _stored(source, path)}


def _inside(folder: Path, kind: str, name: str) -> Path:
    (folder / kind).mkdir(exist_ok=True)
    return folder / kind / name


def _stored(source: CorpusSource, path: Path) -> str:
    """How the database names a file of the working folder: by the place that it will take."""
    return f"corpora/{source.name}/{path.parent.name}/{path.name}"


def _write_shared(source: CorpusSource, folder: Path) -> None:
    """Triangles with colours, templates by row, regions."""
    (folder / "topology.bin").write_bytes(playback.encode_topology(source.faces, source.colours))
    templates = [source.templates[subject] for subject in sorted(source.templates)]
    if templates:
        write_array(folder / "templates.npy", np.stack(templates))
    for name, indices in source.regions.items():
        _inside(folder, "regions", f"{name}.txt").write_text(", ".join(map(str, indices)), encoding="ascii")


def _settings(source: CorpusSource, options: ImportOptions) -> dict:
    """Everything besides the files that decides what an import makes."""
    given = asdict(options)
    return {
        **{key: given[key] for key in ("tolerance_frames", "loudness", "level_db", "top_db")},
        "sentences": given["sentences_are"] or given["numbering"] or "as named",
        "layout": source.layout,
        "frames_per_second": source.frames_per_second,
        "normalisation": source.normalisation,
        "format": FORMAT,
    }


def _keep(engine: Engine, source: CorpusSource, actor: str) -> Report:
    """Leave an import as it is, but for the place where the same files now lie."""
    with writing(engine) as session:
        corpus = rows.find_corpus(session, source.name)
        moved = rows.move_corpus(session, corpus, source.folder, actor)
        report = rows.stored_report(session, corpus)
    report.action = "moved" if moved else "unchanged"
    return report


def _refuse_change(corpus: Corpus, source: CorpusSource, settings: dict, digests: dict[str, str], update: bool) -> None:
    """Raise SourceChanged with the differences, unless they were asked for."""
    if update:
        return
    since = f"{corpus.imported_at:%Y-%m-%d %H:%M} UTC"
    if Path(corpus.source) != source.folder:
        raise SourceChanged(
            f"a corpus named '{corpus.name}' was imported on {since} from another folder, {corpus.source}; import this "
            "one under another name with --name, or replace that one with --update"
        )
    manifest = store.corpus_folder(corpus.name) / "manifest.json"
    before = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    old, files = before.get("settings", {}), before.get("files", {})
    found = [f"{key} is {value!r}, was {old.get(key)!r}" for key, value in settings.items() if old.get(key) != value]
    found += differences(files, digests) if files else []
    more = f", and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise SourceChanged(
        f"'{corpus.name}' was imported on {since} and would now come out differently: "
        f"{', '.join(found[:_LISTED])}{more}. Nothing was changed. Import again with --update to take this over "
        "(clips keep their ratings), or under another name with --name"
    )


@contextlib.contextmanager
def _working_folder(final: Path) -> Iterator[Path]:
    """An empty folder beside `final`, removed at the end unless it was moved away."""
    final.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(final)
    folder = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".part"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(final: Path) -> None:
    """What earlier imports left when they were killed; a running one touches its folders all the time."""
    for folder in [*final.parent.glob(f".{final.name}.*.part"), *final.parent.glob(f".{final.name}.*.old")]:
        touched = max(path.stat().st_mtime for path in [folder, *folder.iterdir()])
        if touched < time.time() - _STALE_S:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _taking_the_place_of(final: Path, folder: Path) -> Iterator[None]:
    """Put `folder` at `final`; on an exception, also of the commit within, what was there comes back."""
    old = None
    if final.exists():
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".old"))
        final.replace(old / "was")
    folder.replace(final)
    try:
        yield
    except BaseException:
        shutil.rmtree(final, ignore_errors=True)
        if old is not None:
            (old / "was").replace(final)
            old.rmdir()
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _clear_space_errors(source: CorpusSource) -> Iterator[None]:
    """Refuse at once what cannot fit, and say clearly when the disk fills up nevertheless."""
    place = store.data_root()
    needed, free = _needed_bytes(source), shutil.disk_usage(place).free
    if needed > free:
        raise DiskFull(
            f"{place}: {free / 1e9:.1f} GB free, but the import needs about {needed / 1e9:.1f} GB; free some "
            "space, or set EAVANET_DATA to a folder on a larger disk"
        )
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(_full(place)) from error
        raise
    except OperationalError as error:
        if "full" in str(error.orig):
            raise DiskFull(_full(place)) from error
        raise


def _full(place: Path) -> str:
    return (
        f"{place}: the disk is full; nothing of this import was kept. Free some space, or set EAVANET_DATA to a "
        "folder on a larger disk, and import again"
    )


def _needed_bytes(source: CorpusSource) -> int:
    """About what an import of `source` writes; archives count as large as they are, which is too little."""
    total = 0.0
    for clip in source.clips:
        path = clip.vertices_path
        if path is None:
            continue
        size = sum(frame.stat().st_size for frame in path.iterdir()) if path.is_dir() else path.stat().st_size
        total += size * (_PLAYBACK_SHARE + (source.layout == "raw"))
    return int(total)

"""The data root: one folder that holds everything the workbench makes, and safe ways to write into it.

    <data root>/eavanet.sqlite          the database (unless EAVANET_DATABASE_URL names another)
    <data root>/corpora/<corpus>/       what an import made: audio, playback files, templates, topology
    <data root>/demo/                   demo corpora, as the command that makes them wrote them
    <data root>/runs/<run>/             checkpoints and logs of training runs
    <data root>/features/               what the frozen part of an audio encoder says of each clip
    <data root>/predictions/<set>/      vertex files that a checkpoint predicted
    <data root>/scores/                 metrics of prediction sets, as long as their files are the same
    <data root>/animations/             see `animations`
    <data root>/speed/                  measured real time factors
    <data root>/studies/<name>-v<n>/    the films of a study that was launched
    <data root>/pseudonyms.key          see `evaluation.study.pseudonyms`; never leaves the server
    <data root>/jobs/<id>/              logs of child processes
    <data root>/backups/                copies of the database

The data root is `./data`, or the folder that EAVANET_DATA names.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def data_root() -> Path:
    """The folder for everything that the workbench stores; made if it does not exist."""
    root = Path(os.environ.get("EAVANET_DATA") or "data").expanduser().resolve()
    root.mkdir(parents=True, exist_ok=True)
    return root


def database_url() -> str:
    """The SQLAlchemy URL of the database: EAVANET_DATABASE_URL, or an SQLite file in the data root."""
    return os.environ.get("EAVANET_DATABASE_URL") or f"sqlite:///{data_root() / 'eavanet.sqlite'}"


def checked_name(name: str, what: str) -> str:
    """Return `name` if it may become part of a path; every name from outside passes through here first.

    Raises ValueError if it has anything but letters, digits, "_" and "-", or is longer than 64 characters.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(
            f"{what} {name[:80]!r}: a name has letters, digits, '_' and '-' only, begins with a letter or "
            "digit, and is at most 64 characters long; rename it and try again"
        )
    return name


def corpus_folder(name: str) -> Path:
    """Where an import keeps what it made from the corpus `name`."""
    return data_root() / "corpora" / checked_name(name, "corpus")


def stored_path(relative_or_absolute: str) -> Path:
    """The file that a database row names: absolute for a source in place, else below the data root."""
    path = Path(relative_or_absolute)
    return path if path.is_absolute() else data_root() / path


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path to write to that becomes `path` in one step at the end, or vanishes on an error.

    The file is flushed to the disk before it takes its name, so that a crash leaves the old file or the new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `path` at the end, or vanishes on an error.

    A folder that is already at `path` stays until the new one is complete.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield partial
        partial.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
            path.replace(old / "was")
            partial.replace(path)
            shutil.rmtree(old)
        else:
            partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise

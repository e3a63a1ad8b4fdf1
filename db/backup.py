"""Copies of the database: `python -m db.backup` makes one, `python -m db.backup restore FILE` puts one back.

SQLite's online backup copies a consistent state while the workbench runs. A copy is checked before it counts. The
files of corpora are not part of it: an import makes them again from the source. For PostgreSQL use its own tools.
"""

import argparse
import contextlib
import re
import sqlite3
import sys
from pathlib import Path

from sqlalchemy import Engine, make_url

from db import events, store
from db.models import now
from db.session import BUSY_TIMEOUT_MS, DatabaseUnusable, connect, open_database, writing

TABLES = {"alembic_version", "events", "ratings"}  # without these a file is no database of ours


class BackupRefused(ValueError):
    """A copy cannot be made or put back; the message says why and what to do."""


def back_up(engine: Engine, label: str = "") -> Path:
    """Copy a running SQLite database to `<data root>/backups/<UTC>[-label].sqlite`; returns the checked copy.

    Raises BackupRefused for PostgreSQL, or if the copy does not pass its check.
    """
    source = _sqlite_file(engine)
    if not source.is_file():
        raise BackupRefused(f"{source}: there is no database yet")
    return _copy_to(source, _free_name(f"{now():%Y%m%dT%H%M%SZ}{'-' if label else ''}{label}"))


def restore(engine: Engine, copy: Path) -> Path | None:
    """Put a copy back in place of the present database, in one step; returns a copy of what it replaced.

    Works while the app runs, but what raters see changes under them: stop it first. The result may be older than
    the program: opening it migrates it. Raises BackupRefused if the copy is damaged or no database of ours.
    """
    target = _sqlite_file(engine)
    if not copy.is_file():
        raise BackupRefused(f"{copy}: no such file")
    check(copy)
    replaced = back_up(engine, "before-restore") if target.is_file() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    # Page by page in one transaction: a crash in between leaves the present database as it was.
    with _opened(copy, "ro") as source, _opened(target, "rwc") as destination:
        source.backup(destination)
    return replaced


def check(path: Path) -> None:
    """Raise BackupRefused unless `path` is a sound database of the workbench."""
    try:
        with _opened(path, "ro") as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
    except sqlite3.DatabaseError as error:
        raise BackupRefused(f"{path}: {error}; choose another copy") from error
    if not tables >= TABLES:
        raise BackupRefused(f"{path}: is no database of the workbench (no table {', '.join(sorted(TABLES - tables))})")
    if problems != ["ok"] or orphans:
        raise BackupRefused(f"{path}: is damaged ({'; '.join(map(str, [*problems, *orphans]))}); choose another copy")


def _copy_to(source: Path, path: Path) -> Path:
    with store.atomic_write(path) as partial:
        with _opened(source, "rw") as original, contextlib.closing(sqlite3.connect(partial)) as copy:
            original.backup(copy)
            # A copy is one file: no write-ahead log beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
        check(partial)
    path.chmod(0o600)  # names of raters and hashes of passwords are nobody else's business
    return path


def _free_name(stem: str) -> Path:
    folder = store.data_root() / "backups"
    stem = re.sub(r"[^A-Za-z0-9_-]", "-", stem)
    names = (folder / f"{stem}{suffix}.sqlite" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(path for path in names if not path.exists())


def _sqlite_file(engine: Engine) -> Path:
    if engine.dialect.name != "sqlite":
        shown = make_url(engine.url).set(drivername="postgresql", password=None).render_as_string()
        raise BackupRefused(
            f"a PostgreSQL database is copied by its own tools: pg_dump --format=custom --file=eavanet.dump '{shown}', "
            f"and put back with pg_restore --clean --dbname='{shown}' eavanet.dump"
        )
    if not engine.url.database or engine.url.database == ":memory:":
        raise BackupRefused("a database in memory has no file to copy")
    return Path(engine.url.database).resolve()


def _opened(path: Path, mode: str) -> contextlib.closing[sqlite3.Connection]:
    address = f"{path.resolve().as_uri()}?mode={mode}"
    return contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_MS / 1000))


def main(arguments: list[str] | None = None) -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(prog="python -m db.backup", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("make", help="copy the database into the data root's backups (default)")
    put_back = commands.add_parser("restore", help="put a copy back; what it replaces is copied first")
    put_back.add_argument("file", type=Path, help="a copy from <data root>/backups")
    options = parser.parse_args(arguments)
    try:
        engine = connect()
        if options.command == "restore":
            replaced = restore(engine, options.file)
            with writing(open_database()) as session:  # migrates an older copy
                events.record(session, "command", "database.restored", {"file": options.file.name})
            print(f"Restored {options.file}." + (f" What it replaced is in {replaced}." if replaced else ""))
        else:
            print(back_up(engine))
    except (BackupRefused, DatabaseUnusable, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

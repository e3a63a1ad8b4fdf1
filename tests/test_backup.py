"""Copies of the database: consistent while others write, checked before they count, put back in one step."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from db import events
from db.backup import BackupRefused, back_up, check, main, restore
from db.models import Event
from db.session import connect, reading, writing
from tests.writer import start_writer


def test_a_backup_holds_what_was_stored_and_restores_it(sqlite_engine: Engine, data_root: Path):
    with writing(sqlite_engine) as session:
        events.record(session, "system", "kept", {})
    copy = back_up(sqlite_engine)
    assert copy.parent == data_root / "backups"
    assert copy.stat().st_mode & 0o077 == 0, "it holds hashes of passwords: nobody else's business"
    with writing(sqlite_engine) as session:
        events.record(session, "system", "regretted", {})
    replaced = restore(sqlite_engine, copy)
    with reading(sqlite_engine) as session:
        assert [event.kind for event in session.scalars(select(Event))] == ["kept"]
    check(replaced)
    restore(sqlite_engine, replaced)
    with reading(sqlite_engine) as session:
        assert events.head(session).count == 2


def test_a_backup_is_consistent_while_others_write(sqlite_engine: Engine):
    writer = start_writer("writer:1")
    writer.stdout.readline()
    copies = [back_up(sqlite_engine) for _ in range(3)]
    writer.kill()
    writer.communicate()
    for copy in copies:
        engine = connect(f"sqlite:///{copy}")
        with reading(engine) as session:
            assert events.verify(session) is None
            assert events.head(session).count > 0
        engine.dispose()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"nonsense" * 1000, "file is not a database"), (None, "no database of the workbench"), (..., "no such file")],
)
def test_a_bad_copy_is_not_restored(sqlite_engine: Engine, tmp_path: Path, content, reason: str):
    copy = tmp_path / "copy.sqlite"
    if content is None:
        with contextlib.closing(sqlite3.connect(copy)) as other:
            other.execute("CREATE TABLE t (x)")
    elif content is not ...:
        copy.write_bytes(content)
    with writing(sqlite_engine) as session:
        events.record(session, "system", "kept", {})
    with pytest.raises(BackupRefused, match=reason):
        restore(sqlite_engine, copy)
    with reading(sqlite_engine) as session:
        assert events.head(session).count == 1


def test_a_damaged_copy_is_not_restored(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        for number in range(200):
            events.record(session, "system", "filled", {"text": "x" * 500, "number": number})
    copy = back_up(sqlite_engine)
    content = bytearray(copy.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20_000] = os.urandom(20_000)
    copy.write_bytes(content)
    with pytest.raises(BackupRefused, match="damaged|malformed"):
        restore(sqlite_engine, copy)


def test_the_backup_command_prints_the_copy_and_restores_it(sqlite_engine: Engine, capsys):
    assert main([]) == 0
    copy = capsys.readouterr().out.strip()
    assert main(["restore", copy]) == 0
    assert f"Restored {copy}" in capsys.readouterr().out
    with reading(sqlite_engine) as session:
        assert [event.kind for event in session.scalars(select(Event))] == ["database.restored"]
    assert main(["restore", "/nowhere.sqlite"]) == 1
    assert capsys.readouterr().err == "error: /nowhere.sqlite: no such file\n"


def test_the_backup_command_names_postgresqls_own_tools(postgres_engine: Engine, capsys):
    assert main([]) == 1
    assert "pg_dump --format=custom" in capsys.readouterr().err

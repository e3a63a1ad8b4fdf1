"""Bringing a database's tables up to date, by Alembic, when it is opened.

To change the tables: change `db.models`, then `python -m db.migrations revision "what changes"`, read and mend the
new file under `versions/`, and set HEAD to its number. A test compares the tables that the migrations make with
the models, on both databases.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from db.session import DatabaseUnusable

# The newest migration. Stated here so that opening an up-to-date database, at every start, need not load Alembic.
HEAD = "0003"
# Any fixed number: whoever migrates a PostgreSQL database holds this advisory lock.
_LOCK_KEY = 0x65_61_76_61_6E_65_74


def upgrade(engine: Engine) -> None:
    """Make or migrate the tables, all or nothing, one process at a time; an older SQLite file is backed up first.

    Raises DatabaseUnusable for a file that is no database, another program's database, or a newer version's.
    """
    try:
        with engine.connect() as connection:
            found = current_revision(connection)
        if found != HEAD:
            with _locked(engine) as connection:
                _upgrade(connection, engine)
    except OperationalError:
        raise  # cannot be reached, read or written: `open_database` says so
    except DatabaseError as error:
        raise DatabaseUnusable(
            f"{_shown(engine)}: {error.orig}; this is no database of the workbench, or it is damaged. "
            "Move it away, or put back a copy with `python -m db.backup restore`"
        ) from error


def current_revision(connection: Connection) -> str | None:
    """The migration that the database is at; None if it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, engine: Engine) -> None:
    found = current_revision(connection)  # again: another process may have migrated while this one waited
    if found == HEAD:
        return
    if found is None and (tables := inspect(connection).get_table_names()):
        raise DatabaseUnusable(
            f"{_shown(engine)}: has tables of another program ({', '.join(sorted(tables)[:5])}); "
            "give the workbench a database of its own"
        )
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseUnusable(
            f"{_shown(engine)}: was made by a newer version of the workbench (schema {found}, this version knows "
            f"{HEAD}); install that version, or put back an older copy with `python -m db.backup restore`"
        )
    if found is not None and engine.dialect.name == "sqlite":
        from db.backup import back_up

        back_up(engine, label=f"before-{HEAD}")
    command.upgrade(config, "head")


def alembic_config(connection: Connection):
    """Alembic's configuration for a connection that is in a transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextlib.contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that only one process at a time can have; commits at the end."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection
        return
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        # Alembic changes an SQLite table by making a new one and dropping the old. With foreign keys on, the drop
        # would take the rows that refer to it along, and they can only be switched off outside a transaction.
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            connection = connection.execution_options(eavanet_writing=True)
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                if broken:
                    raise DatabaseUnusable(f"{_shown(engine)}: rows without their parents: {broken[:5]}")
        finally:
            raw.execute("PRAGMA foreign_keys=ON")


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)

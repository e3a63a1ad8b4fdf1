"""Opening the database and talking to it: `reading` and `writing` are the only two ways in.

SQLite is set up so that what was committed survives a crash (WAL, synchronous=FULL) and so that writers
wait for each other instead of failing (`BEGIN IMMEDIATE`, a busy timeout). PostgreSQL needs none of that.
"""

import contextlib
import threading
from collections.abc import Iterator

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db import store

BUSY_TIMEOUT_MS = 30_000
# Set on an engine's connections whose next BEGIN takes the write lock at once.
_WRITING = "eavanet_writing"


class DatabaseUnusable(RuntimeError):
    """The database cannot be opened or written; the message says why and what to do."""


def connect(url: str | None = None) -> Engine:
    """An engine for `url` (default: the data root's), without looking at what is in the database."""
    parsed = make_url(url or store.database_url())
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=40)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection, _record) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver's own would come too late
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Without it, INSERT OR REPLACE would get past the triggers that keep ratings and events from being deleted.
    cursor.execute("PRAGMA recursive_triggers=ON")
    cursor.close()


def _begin_sqlite(connection) -> None:
    # A transaction that begins by reading and then writes can fail at once when another one wrote in
    # between; taking the write lock first makes it wait instead.
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def open_database(url: str | None = None) -> Engine:
    """An engine on a database whose tables are up to date; made if missing, migrated if older.

    Raises DatabaseUnusable if it cannot be opened, is no database, or is newer than this program.
    """
    from db.migrations import upgrade

    engine = connect(url)
    try:
        upgrade(engine)
    except OperationalError as error:
        raise DatabaseUnusable(
            f"{engine.url.render_as_string(hide_password=True)}: {error.orig}; check that the server runs, "
            "that the disk has space and that this user may write there"
        ) from error
    return engine


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads; its objects stay usable afterwards."""
    with Session(engine, expire_on_commit=False) as session:
        yield session


# On one server the waiting for SQLite's write lock happens here, fairly and without polling: SQLite's own
# busy handler sleeps in growing steps, which costs a burst of raters tens of milliseconds each.
_WRITE_TURN = threading.Lock()


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """A session that holds the write lock and commits at the end; an exception undoes everything.

    When this returns without an exception, what was written is on the disk.
    """
    sqlite = engine.dialect.name == "sqlite"
    bound = engine.execution_options(**{_WRITING: True}) if sqlite else engine
    with _WRITE_TURN if sqlite else contextlib.nullcontext():
        with Session(bound, expire_on_commit=False) as session, session.begin():
            yield session

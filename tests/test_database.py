"""The database: made by migrations that agree with the models, append-only where it must be, durable."""

import contextlib
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, delete, inspect, select, text, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from db import events, migrations, result_models, study_models  # noqa: F401  their tables are part of the metadata
from db.models import (
    Assignment,
    Base,
    Clip,
    Corpus,
    Event,
    LabelingRound,
    LabelRelease,
    Rater,
    Rating,
    ReleaseLabel,
    ReleaseSubject,
    Subject,
)
from db.session import DatabaseUnusable, connect, open_database, reading, writing
from tests.writer import start_writer

ROOT = Path(__file__).resolve().parents[1]


def a_rating(session, client_key: str = "k1") -> Rating:
    """A rating with all that it hangs on."""
    corpus = Corpus(
        name="c", source="/c", layout="peers", synthetic=True, frames_per_second=25.0, n_vertices=3, n_faces=1,
        normalisation="none", sha256="0" * 64,
    )
    session.add(corpus)
    session.flush()
    subject = Subject(corpus_id=corpus.id, name="F1")
    rater = Rater(name="Ann")
    session.add_all([subject, rater])
    session.flush()
    clip = Clip(corpus_id=corpus.id, subject_id=subject.id, name="F1_e01", sentence="e01", status="usable")
    labelling = LabelingRound(
        corpus_id=corpus.id, name="r", votes_per_clip=3, repeat_share=0.05, practice_clips=2, seed=1
    )
    session.add_all([clip, labelling])
    session.flush()
    assignment = Assignment(
        round_id=labelling.id, clip_id=clip.id, rater_id=rater.id, kind="vote", slot=1, position=1
    )
    session.add(assignment)
    session.flush()
    rating = Rating(assignment_id=assignment.id, revision=1, client_key=client_key, emotion="happy", intensity=4)
    session.add(rating)
    session.flush()
    return rating


def a_release(session, rating: Rating) -> None:
    """A label release of one clip."""
    clip = rating.assignment.clip
    release = LabelRelease(
        corpus_id=clip.corpus_id, name="r1", policy="paper", minimum_votes=3, allow_partial=True, threshold=3.0,
        ratings_sha256="", n_ratings=1, n_ties=0, simulated=False, summary={}, sha256="", created_by="researcher",
    )
    session.add(release)
    session.flush()
    session.add_all(
        [
            ReleaseLabel(
                release_id=release.id, clip_id=clip.id, label="happy", tie=False, n_votes=1, happy=1, angry=0,
                sadness=0, neutral=0, mean_intensity=4.0,
            ),
            ReleaseSubject(release_id=release.id, subject_id=clip.subject_id, score=4.0, n_ratings=1, selected=True),
        ]
    )


# Migrations -----------------------------------------------------------------------------------------------------


def test_the_migrations_make_what_the_models_say(engine: Engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_the_checks_of_the_models(engine: Engine):
    # Alembic's comparison leaves check constraints out.
    made, meant = inspect(engine), create_engine("sqlite://")
    Base.metadata.create_all(meant)
    for table in Base.metadata.tables:
        names = {check["name"] for check in made.get_check_constraints(table)}
        assert names == {check["name"] for check in inspect(meant).get_check_constraints(table)}, table


def test_the_stated_head_is_the_newest_migration(sqlite_engine: Engine):
    with sqlite_engine.connect() as connection:
        script = ScriptDirectory.from_config(migrations.alembic_config(connection))
        assert script.get_heads() == [migrations.HEAD]


def test_opening_an_up_to_date_database_loads_no_alembic(sqlite_engine: Engine):
    code = "import sys; from db.session import open_database; open_database(); sys.exit('alembic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_three_processes_that_open_a_new_database_at_once_make_it_once(data_root: Path):
    code = "from db.session import open_database; open_database()"
    opening = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in opening] == [0, 0, 0]


def test_two_servers_that_open_a_new_postgresql_database_at_once_make_it_once(postgres_engine: Engine):
    with postgres_engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    failures: list[Exception] = []

    def open_it() -> None:
        try:
            open_database().dispose()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert inspect(postgres_engine).has_table("ratings")


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnusable, match="newer version of the workbench"):
        open_database()
    with engine.connect() as connection:
        assert migrations.current_revision(connection) == "9999"


def test_another_programs_database_is_refused(data_root: Path):
    with contextlib.closing(sqlite3.connect(data_root / "eavanet.sqlite")) as other:
        other.execute("CREATE TABLE moz_places (url)")
        other.commit()
    with pytest.raises(DatabaseUnusable, match="another program.*moz_places"):
        open_database()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(data_root: Path, content: bytes):
    path = data_root / "eavanet.sqlite"
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match="eavanet.sqlite"):
        open_database()
    assert path.read_bytes() == content


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(DatabaseUnusable, match="nowhere"):
        open_database(f"sqlite:///{tmp_path}/nowhere/eavanet.sqlite")


def test_a_server_that_is_not_there_is_named_without_its_password():
    pytest.importorskip("psycopg")
    with pytest.raises(DatabaseUnusable, match="127.0.0.1") as caught:
        open_database("postgresql+psycopg://me:hidden-word@127.0.0.1:1/eavanet?connect_timeout=2")
    assert "hidden-word" not in str(caught.value)


def test_an_older_file_is_backed_up_before_it_is_migrated(sqlite_engine: Engine, data_root: Path, tmp_path: Path):
    # A migration to come, in a copy of the migrations: a table that loses a column, with rows that refer to it.
    code = f"""
import shutil, sys
from pathlib import Path
import db.migrations as m
copy = Path({str(tmp_path)!r}) / "migrations"
shutil.copytree(Path(m.__file__).parent, copy)
(copy / "versions" / "next.py").write_text('''
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "{migrations.HEAD}", None, None
def upgrade():
    with op.batch_alter_table("clips") as batch:
        batch.drop_column("gain_db")
''')
m.HEAD, m.__file__ = "next", str(copy / "__init__.py")
from db.session import open_database
open_database()
"""
    with writing(sqlite_engine) as session:
        a_rating(session)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert "gain_db" not in {column["name"] for column in inspect(sqlite_engine).get_columns("clips")}
    with reading(sqlite_engine) as session:
        assert session.scalar(text("SELECT count(*) FROM assignments JOIN clips ON clips.id = clip_id")) == 1
    (copy,) = (data_root / "backups").iterdir()
    assert "before-next" in copy.name
    with contextlib.closing(sqlite3.connect(copy)) as before:
        assert before.execute("SELECT gain_db FROM clips").fetchall() == [(0.0,)]


def test_a_database_of_the_first_version_gets_the_later_tables_and_keeps_its_rows(data_root: Path):
    with connect().connect() as connection:
        connection = connection.execution_options(eavanet_writing=True)
        with connection.begin():
            command.upgrade(migrations.alembic_config(connection), "0001")
    old = connect()
    with writing(old) as session:
        a_release(session, a_rating(session))
    engine = open_database()
    assert inspect(engine).has_table("training_runs") and inspect(engine).has_table("predictions")
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM release_labels")) == 1
    assert [copy.name.endswith(".sqlite") for copy in (data_root / "backups").iterdir()] == [True]
    # Changing tables must not lose the triggers that keep what was recorded.
    with pytest.raises(IntegrityError, match="append-only"), writing(engine) as session:
        session.execute(text("UPDATE release_labels SET label = 'angry'"))


# Append-only ----------------------------------------------------------------------------------------------------


APPEND_ONLY = (Rating, Event, LabelRelease, ReleaseLabel, ReleaseSubject)


def test_what_was_recorded_cannot_be_changed_or_deleted(engine: Engine):
    with writing(engine) as session:
        a_release(session, a_rating(session))
        events.record(session, "system", "test", {})
    for model in APPEND_ONLY:
        column = list(model.__table__.c)[-1]
        refusal = f"{model.__tablename__} is append-only"
        for change in (update(model).values({column.name: column}), delete(model)):
            with pytest.raises(IntegrityError, match=refusal), writing(engine) as session:
                session.execute(change)


def test_a_rating_cannot_be_replaced_by_inserting_it_again(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        a_rating(session)
    with pytest.raises(IntegrityError, match="append-only"), writing(sqlite_engine) as session:
        session.execute(
            text(
                "INSERT OR REPLACE INTO ratings SELECT id, assignment_id, revision, client_key, 'angry', intensity,"
                " problem, reason, plays, coverage, watched_s, created_at FROM ratings"
            )
        )


def test_ratings_cannot_be_truncated_on_postgresql(postgres_engine: Engine):
    with pytest.raises(IntegrityError, match="append-only"), writing(postgres_engine) as session:
        session.execute(text("TRUNCATE ratings CASCADE"))


def test_a_rating_is_refused_twice_under_one_key(engine: Engine):
    with writing(engine) as session:
        rating = a_rating(session)
    again = Rating(assignment_id=rating.assignment_id, revision=2, client_key="k1", emotion="sadness", intensity=1)
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.add(again)


IMPOSSIBLE_ANSWERS = (
    {"emotion": "joy", "intensity": 3},
    {"emotion": "happy", "intensity": 0},
    {"emotion": "happy", "intensity": 6},
    {"emotion": "happy"},
    {"emotion": "happy", "intensity": 3, "problem": "cannot_tell"},
    {"problem": "bored"},
    {},
)


def test_an_impossible_answer_is_refused_by_the_database_itself(engine: Engine):
    with writing(engine) as session:
        assignment = a_rating(session).assignment_id
    for answer in IMPOSSIBLE_ANSWERS:
        with pytest.raises(DatabaseError), writing(engine) as session:
            session.add(Rating(assignment_id=assignment, revision=2, client_key="k2", **answer))


def test_assignments_may_change(engine: Engine):
    with writing(engine) as session:
        a_rating(session)
        session.execute(update(Assignment).values(slot=2))


# Durability -----------------------------------------------------------------------------------------------------


def test_sqlite_is_set_up_to_keep_what_was_acknowledged(sqlite_engine: Engine):
    with sqlite_engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}


def test_a_row_without_its_parent_is_refused(engine: Engine):
    with pytest.raises(IntegrityError), writing(engine) as session:
        session.add(Subject(corpus_id=12345, name="F1"))


def test_killing_writers_loses_nothing_that_they_acknowledged(engine: Engine):
    acknowledged: dict[str, int] = {}
    for turn in range(2):
        writers = {f"writer:{turn}.{n}": start_writer(f"writer:{turn}.{n}") for n in range(2)}
        for actor, process in writers.items():
            for _ in range(10):
                acknowledged[actor] = int(process.stdout.readline())
        for actor, process in writers.items():
            process.send_signal(signal.SIGKILL)
            rest = process.communicate()[0].split("\n")[:-1]  # a line without its end was not said
            acknowledged[actor] = max(acknowledged[actor], *map(int, rest), 0)
    with reading(engine) as session:
        stored = list(session.scalars(select(Event)))
        assert events.verify(session) is None
    for actor, last in acknowledged.items():
        numbers = [events_number(event) for event in stored if event.actor == actor]
        assert numbers[: last + 1] == list(range(last + 1)), actor
        assert len(numbers) <= last + 2, "at most the one that was being written is there without its word"


def events_number(event: Event) -> int:
    return int(event.payload.removeprefix('{"number":').removesuffix("}"))


def test_two_processes_write_at_the_same_time_without_being_locked_out(sqlite_engine: Engine):
    writers = [start_writer(f"writer:{n}") for n in range(2)]
    for process in writers:
        for expected in range(30):
            assert int(process.stdout.readline()) == expected
    for process in writers:
        process.kill()
        process.communicate()


def test_a_reader_is_not_kept_waiting_by_a_writer(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        a_rating(session)
        with reading(sqlite_engine) as other:
            assert other.scalar(text("SELECT count(*) FROM ratings")) == 0


def test_a_full_disk_is_an_error_and_what_was_stored_stays(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        events.record(session, "system", "opened", {})
    full = connect()
    with full.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(OperationalError, match="full"), writing(full) as session:
        events.record(session, "system", "filled", {"text": "x" * 1_000_000})
    full.dispose()
    with writing(sqlite_engine) as session:
        events.record(session, "system", "went on", {})
    with reading(sqlite_engine) as session:
        assert [event.kind for event in session.scalars(select(Event))] == ["opened", "went on"]


# As a full disk would, the limit makes the write to the file itself fail, in the middle of the log.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from db import events
from db.session import open_database, writing
from sqlalchemy.exc import OperationalError
engine = open_database()
resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))
for number in range(10_000):
    try:
        with writing(engine) as session:
            events.record(session, "limited", "counted", {"number": number, "text": "x" * 2000})
    except OperationalError as error:
        print("error", error.orig, flush=True)
        break
    print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes here")
def test_a_disk_that_fills_up_while_writing_loses_nothing_acknowledged(sqlite_engine: Engine):
    sqlite_engine.dispose()
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    *numbers, last = ran.stdout.splitlines()
    assert last.startswith("error")
    with reading(sqlite_engine) as session:
        stored = list(session.scalars(select(Event)))
        assert events.verify(session) is None
    assert len(stored) == len(numbers) > 10

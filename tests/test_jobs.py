"""Commands that run beside the app: started, watched, stopped, looked up after a restart."""

import datetime
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from db.models import Event, Job, now
from db.session import connect, reading, writing
from workbench import jobs, supervisor

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """`command(code)` is a job's command that runs `code`; it lies in a package that jobs may run."""
    folder = tmp_path / "modules"
    (folder / "evaluation_of_a_test").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(jobs, "_MODULE", re.compile("evaluation_of_a_test"))

    def write(code: str) -> list[str]:
        (folder / "evaluation_of_a_test" / "__main__.py").write_text(code)
        return ["evaluation_of_a_test"]

    return write


def stored(engine: Engine, job_id: int) -> Job:
    with reading(engine) as session:
        return session.get_one(Job, job_id)


def wait(engine: Engine, job_id: int, until: Callable[[Job], bool] = lambda job: job.status != "running") -> Job:
    """Refresh until the job is as wanted."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        jobs.refresh(engine)
        if until(job := stored(engine, job_id)):
            return job
        time.sleep(0.05)
    raise AssertionError(f"{job.status} {job.message!r}; log: {jobs.log_tail(job_id)}")


def test_a_job_runs_a_command_and_keeps_its_log(engine: Engine, command):
    say = [*command("import sys; print(*sys.argv[1:])"), "a b", "$HOME;ls"]
    job = wait(engine, jobs.start(engine, "Say it", say, "researcher:1"))
    assert (job.status, job.exit_code, job.progress, job.started_by) == ("done", 0, 1.0, "researcher:1")
    assert jobs.log_tail(job.id) == "a b $HOME;ls", "no shell has read it"
    assert job.ended_at >= job.started_at
    with reading(engine) as session:
        assert [event.kind for event in session.scalars(select(Event))] == ["job.started"]
        assert [listed.id for listed in jobs.list_jobs(session)] == [job.id]


def test_a_job_reports_its_progress_while_it_runs(sqlite_engine: Engine, command):
    code = """
import json, os, sys, time
assert os.environ["EAVANET_PROGRESS"] == "json"
print("a word for the log")
print(json.dumps({"progress": 0.25, "message": "F1_e01"}), file=sys.stderr, flush=True)
time.sleep(60)
"""
    job_id = jobs.start(sqlite_engine, "Slow", command(code), "researcher:1")
    job = wait(sqlite_engine, job_id, lambda job: job.progress is not None)
    assert (job.status, job.progress, job.message) == ("running", 0.25, "F1_e01")
    assert jobs.log_tail(job_id) == "a word for the log"
    jobs.cancel(sqlite_engine, job_id, "researcher:1")
    job = wait(sqlite_engine, job_id)
    assert (job.status, job.message, job.progress) == ("cancelled", "stopped on request", 0.25)


def test_the_report_that_a_command_prints_as_json_can_be_read(sqlite_engine: Engine, command):
    code = "import json, sys; print(json.dumps({'clips': 3}, indent=1)); print('loading', file=sys.stderr)"
    job = wait(sqlite_engine, jobs.start(sqlite_engine, "Check", command(code), "r"))
    assert (jobs.report(job.id), job.message) == ({"clips": 3}, "")
    assert jobs.log_tail(job.id).splitlines()[0] == "loading"
    plain = wait(sqlite_engine, jobs.start(sqlite_engine, "Say", command("print(3)"), "r"))
    assert (jobs.report(plain.id), plain.message) == (None, "3")


def test_a_failed_job_says_why(sqlite_engine: Engine, command):
    code = "import sys; print('working'); print('error: F1_e04.npy: 5023 vertices', file=sys.stderr); sys.exit(3)"
    job = wait(sqlite_engine, jobs.start(sqlite_engine, "Bad", command(code), "researcher:1"))
    assert (job.status, job.exit_code, job.message) == ("failed", 3, "F1_e04.npy: 5023 vertices")


def test_a_job_that_crashes_says_the_last_line_of_its_traceback(sqlite_engine: Engine, command):
    job = wait(sqlite_engine, jobs.start(sqlite_engine, "Bug", command("1 / 0"), "researcher:1"))
    assert (job.status, job.exit_code) == ("failed", 1)
    assert job.message == "ZeroDivisionError: division by zero"


def test_a_job_that_is_killed_says_so(sqlite_engine: Engine, command):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    job = wait(sqlite_engine, jobs.start(sqlite_engine, "Big", command(code), "researcher:1"))
    assert (job.status, job.exit_code) == ("failed", -9)
    assert "SIGKILL; the machine may have run out of memory" in job.message


def test_cancelling_kills_a_command_that_does_not_listen_and_what_it_started(
    sqlite_engine: Engine, command, monkeypatch, tmp_path: Path
):
    code = f"""
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path({str(tmp_path)!r}, "child").write_text(str(child.pid))
print("deaf", flush=True)
time.sleep(60)
"""
    monkeypatch.setattr(jobs, "GRACE_S", 0.5)
    job_id = jobs.start(sqlite_engine, "Deaf", command(code), "researcher:1")
    wait(sqlite_engine, job_id, lambda _: "deaf" in jobs.log_tail(job_id))
    jobs.cancel(sqlite_engine, job_id, "researcher:1")
    job = wait(sqlite_engine, job_id)
    assert (job.status, job.exit_code) == ("cancelled", -9)
    grandchild = int((tmp_path / "child").read_text())
    assert gone(grandchild)
    with reading(sqlite_engine) as session:
        assert [event.kind for event in session.scalars(select(Event))] == ["job.started", "job.cancelled"]
    jobs.cancel(sqlite_engine, job_id, "researcher:1")
    assert stored(sqlite_engine, job_id).status == "cancelled", "asking again changes nothing"


def gone(pid: int) -> bool:
    """Whether a process ends within a moment."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if supervisor.process_started(pid) is None:
            return True
        time.sleep(0.05)
    return False


STARTER = """
import re
from db.session import open_database
from workbench import jobs
jobs._MODULE = re.compile("evaluation_of_a_test")
print(jobs.start(open_database(), "Long", ["evaluation_of_a_test"], "researcher:1"), flush=True)
input()
"""


def test_a_job_outlives_the_app_and_its_end_is_still_known(engine: Engine, command, tmp_path: Path):
    gate = tmp_path / "gate"
    waiting = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)\n"
    command(waiting + "print('finished')")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
    app = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    job_id = int(app.stdout.readline())
    os.killpg(app.pid, signal.SIGKILL)  # as a closed terminal would, but for good
    app.communicate()
    jobs.refresh(engine)
    assert stored(engine, job_id).status == "running"
    gate.touch()
    job = wait(engine, job_id)
    assert (job.status, job.message) == ("done", "finished")


def test_a_job_whose_machine_was_restarted_has_died(sqlite_engine: Engine, command):
    job_id = jobs.start(sqlite_engine, "Long", command("import time; time.sleep(60)"), "researcher:1")
    job = wait(sqlite_engine, job_id, lambda job: (jobs.folder(job_id) / "process.json").exists())
    child = jobs._read_json(jobs.folder(job_id) / "process.json")["pid"]
    os.killpg(job.pid, signal.SIGKILL)  # the supervisor; the command lives on without it
    job = wait(sqlite_engine, job_id)
    assert (job.status, job.exit_code) == ("died", None)
    assert "restarted, or it was killed" in job.message
    assert gone(child), "nobody would have seen it end"


def test_a_process_that_got_the_same_number_later_is_not_taken_for_the_job(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        session.add(
            Job(title="Old", command=["db.corpus"], status="running", started_by="r", pid=os.getpid(),
                process_started="another-boot-1")
        )  # fmt: skip
    jobs.refresh(sqlite_engine)
    assert stored(sqlite_engine, 1).status == "died"
    jobs.cancel(sqlite_engine, 1, "researcher:1")  # and it is certainly not signalled: that would end these tests


def test_a_job_that_never_got_a_process_has_died_after_a_while(sqlite_engine: Engine):
    with writing(sqlite_engine) as session:
        session.add(Job(title="Lost", command=["db.corpus"], status="running", started_by="r"))
    jobs.refresh(sqlite_engine)
    assert stored(sqlite_engine, 1).status == "running"
    with writing(sqlite_engine) as session:
        session.get_one(Job, 1).started_at = now() - datetime.timedelta(seconds=jobs.START_S + 1)
    jobs.refresh(sqlite_engine)
    assert stored(sqlite_engine, 1).status == "died"


@pytest.mark.parametrize(
    "bad", [[], ["os"], ["db.corpus; ls"], ["-c"], ["dbx"], ["db..corpus"], ["workbench"], ["labeling/x"]]
)
def test_only_commands_of_ours_become_jobs(sqlite_engine: Engine, bad: list[str]):
    with pytest.raises(ValueError, match="a job runs a module of"):
        jobs.start(sqlite_engine, "Bad", bad, "researcher:1")
    with reading(sqlite_engine) as session:
        assert jobs.list_jobs(session) == []


def test_a_real_command_runs_as_a_job_and_writes_to_the_same_database(sqlite_engine: Engine):
    job = wait(sqlite_engine, jobs.start(sqlite_engine, "Back up", ["db.backup"], "researcher:1"))
    assert job.status == "done", job.message
    assert Path(job.message).exists()


def test_refreshing_when_nothing_runs_writes_nothing(sqlite_engine: Engine):
    with connect().connect() as other:
        other.exec_driver_sql("PRAGMA busy_timeout=0")
        raw = other.connection.dbapi_connection
        raw.execute("COMMIT")
        raw.execute("BEGIN IMMEDIATE")  # whoever wanted to write would wait for us for half a minute
        before = time.monotonic()
        jobs.refresh(sqlite_engine)
        assert time.monotonic() - before < 5

"""Commands that run beside the app: started from a page, watched, stopped, and looked up later.

A job is a `python -m ...` command that a person could type, run as a child process without a shell. Its row says what
it is and how it stands, its folder `<data root>/jobs/<id>/` has what it printed. It outlives the app; `refresh` brings
the rows up to date with what happened, also after a restart.

A command reports progress by lines of JSON on standard error, such as {"progress": 0.4, "message": "F1_e07"}, if
EAVANET_PROGRESS is "json". What else it prints there is its log, and the last line of that says why it failed. Standard
output is for its result.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db import events, store
from db.models import Job, now
from db.session import reading, writing
from workbench.supervisor import process_started

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("db", "labeling", "eavanet", "evaluation")  # whose commands a job may run
GRACE_S = 10.0  # from the request to stop until a command is killed
START_S = 60  # a job without a process after so long never got one
_TAIL_BYTES = 64 * 1024
_MODULE = re.compile(rf"({'|'.join(PACKAGES)})(\.[a-z_0-9]+)*|workbench\.pipeline")

# Children of this process, kept so that they are reaped when they end.
_children: dict[int, subprocess.Popen] = {}


def start(engine: Engine, title: str, command: list[str], started_by: str) -> int:
    """Start `python -m <command>`; returns the job's id. Raises ValueError if it is no command of ours."""
    if not command or not _MODULE.fullmatch(command[0]):
        raise ValueError(f"{command[:1]}: a job runs a module of {', '.join(PACKAGES)}")
    command = [str(part) for part in command]
    with writing(engine) as session:
        job = Job(title=title[:120], command=command, status="running", started_by=started_by)
        session.add(job)
        session.flush()
        events.record(session, started_by, "job.started", {"job": job.id, "command": command})
    try:
        process = _spawn(folder(job.id), command)
    except OSError as error:
        with writing(engine) as session:
            _end(session.get_one(Job, job.id), "failed", f"could not be started: {error}")
        return job.id
    _children[process.pid] = process
    with writing(engine) as session:
        stored = session.get_one(Job, job.id)
        stored.pid, stored.process_started = process.pid, process_started(process.pid)
    return job.id


def _spawn(where: Path, command: list[str]) -> subprocess.Popen:
    shutil.rmtree(where, ignore_errors=True)  # of another database's job of this number, before a restore perhaps
    where.mkdir(parents=True)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "EAVANET_PROGRESS": "json",
        "EAVANET_JOB": where.name,
        "EAVANET_DATA": str(store.data_root()), "EAVANET_DATABASE_URL": store.database_url(),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "workbench.supervisor", str(where), str(GRACE_S), sys.executable, "-m", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment, start_new_session=True,
    )


def folder(job_id: int) -> Path:
    """Where a job's log lies."""
    return store.data_root() / "jobs" / str(job_id)


def list_jobs(session: Session, limit: int = 50) -> list[Job]:
    """The newest jobs, newest first, as they stood at the last `refresh`."""
    return list(session.scalars(select(Job).order_by(Job.id.desc()).limit(limit)))


def refresh(engine: Engine) -> None:
    """Bring the rows of running jobs up to date: progress, and how those ended that are not running any more."""
    with reading(engine) as session:
        running = list(session.scalars(select(Job).where(Job.status == "running")))
    seen = {job.id: _look(job) for job in running}
    changed = {job.id for job in running if seen[job.id] != (job.status, job.progress, job.message, job.exit_code)}
    if not changed:
        return
    with writing(engine) as session:
        for job in session.scalars(select(Job).where(Job.id.in_(changed), Job.status == "running")):
            status, job.progress, message, job.exit_code = seen[job.id]
            if status == "running":
                job.message = message
            else:
                _end(job, status, message)


def cancel(engine: Engine, job_id: int, actor: str) -> None:
    """Ask a job to stop; it is killed if it does not within GRACE_S. One that has ended stays as it is.

    Raises ValueError if there is no such job.
    """
    with writing(engine) as session:
        job = session.get(Job, job_id)
        if job is None:
            raise ValueError(f"there is no job {job_id}")
        if job.status != "running" or not _alive(job.pid, job.process_started):
            return
        events.record(session, actor, "job.cancelled", {"job": job_id})
        os.kill(job.pid, signal.SIGTERM)


def log_tail(job_id: int, lines: int = 200) -> str:
    """The end of what a job printed, without its progress reports: standard error, then standard output."""
    printed = [*_tail(job_id, "log"), *_tail(job_id, "output")]
    return "\n".join([line for line in printed if _progress(line) is None][-lines:])


def _look(job: Job) -> tuple[str, float | None, str, int | None]:
    """How a job that was running stands now: status, progress, message, exit code."""
    if (child := _children.get(job.pid)) is not None and child.poll() is not None:
        del _children[job.pid]
    # First whether it lives, then how it ended: the other way round, it could end in between.
    alive = _alive(job.pid, job.process_started) or _just_started(job)
    end = _read_json(folder(job.id) / "end.json")
    progress, message = _last_progress(job)
    if end is not None:
        return _ending(job, end, progress)
    if alive:
        return "running", progress, message, None
    _kill_orphan(job)
    return "died", progress, "it stopped without a word: the machine was restarted, or it was killed", None


def _ending(job: Job, end: dict, progress: float | None) -> tuple[str, float | None, str, int | None]:
    code = end["exit_code"]
    if code == 0:
        return "done", 1.0, _result(job), 0
    if end["cancelled"]:
        return "cancelled", progress, "stopped on request", code
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
        return "failed", progress, f"was ended by {name}{hint}", code
    return "failed", progress, _last_line(job) or f"ended with exit code {code}", code


def _end(job: Job, status: str, message: str) -> None:
    job.status, job.message, job.ended_at = status, message, now()


def _alive(pid: int | None, started: str | None) -> bool:
    return pid is not None and started is not None and process_started(pid) == started


def _just_started(job: Job) -> bool:
    return job.pid is None and (now() - job.started_at).total_seconds() < START_S


def _kill_orphan(job: Job) -> None:
    # The supervisor was killed, its command was not: nobody would see it end.
    process = _read_json(folder(job.id) / "process.json")
    if process and _alive(process["pid"], process["started"]):
        os.killpg(process["pid"], signal.SIGKILL)


def _last_progress(job: Job) -> tuple[float | None, str]:
    for line in reversed(_tail(job.id, "log")):
        if (said := _progress(line)) is not None:
            share = said.get("progress")
            share = min(max(float(share), 0.0), 1.0) if isinstance(share, int | float) else job.progress
            return share, str(said.get("message", job.message))[:500]
    return job.progress, job.message


def _last_line(job: Job) -> str:
    """The last word on why a job failed."""
    lines = [line.strip() for line in _tail(job.id, "log") if line.strip() and _progress(line) is None]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1].removeprefix("error:").strip()[:500]


def _result(job: Job) -> str:
    """The last line that a job printed as its result; empty if that was a report."""
    lines = [] if report(job.id) else _tail(job.id, "output")
    return lines[-1].strip()[:500] if lines else ""


def _progress(line: str) -> dict | None:
    if not line.startswith('{"progress"'):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def _tail(job_id: int, name: str) -> list[str]:
    try:
        with (folder(job_id) / name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line for line in re.split(r"[\r\n]+", text) if line]


def _read_json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def report(job_id: int) -> dict | None:
    """What a job's command printed as JSON (see `--json`), or None if it printed no such report."""
    printed = _read_json(folder(job_id) / "output")
    return printed if isinstance(printed, dict) else None

"""The database's account of training runs, written by the training itself, and made for runs that came as folders.

    python -m eavanet.records list
    python -m eavanet.records register [NAME ...]     runs that lie in the data root and were trained elsewhere

A run's folder is what counts: a row that cannot be written is warned about, and training goes on.
"""

import argparse
import contextlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import events, store
from db.models import Corpus, Job, LabelRelease, Split, now
from db.result_models import SYSTEMS, TrainingRun
from db.session import DatabaseUnusable, connect, open_database, writing
from eavanet.standing import best_epoch, list_runs, metrics_of

PATIENCE_MS = 5_000  # a training waits no longer than this for a database that somebody else holds
JOB_VARIABLE = "EAVANET_JOB"  # the app's job that a command runs as


class UnknownRun(ValueError):
    """A folder that is no run, or a run whose data are not in this database; the message says which."""


@dataclass
class Recorder:
    """Keeps one run's row up to date while it is trained. No error of the database reaches the training.

    given: the row's columns, of which `name` finds it again. A row that could not be written is written next time.
    """

    engine: Engine
    given: dict[str, Any]
    started: dict[str, Any] = field(default_factory=dict)
    _warned: bool = field(default=False, repr=False)

    def begin(self) -> None:
        """The training holds its folder and begins."""
        self._write(status="running", message="", event_kind="run.began")

    def describe(self, manifest: dict[str, Any]) -> None:
        """What it works with is known: the checkpoints' manifest."""
        self.given["manifest"] = manifest | {"started": self.started}
        self._write()

    def epoch(self, epoch: int) -> None:
        """So many epochs are finished."""
        self.given["epoch"] = epoch
        self._write()

    def end(self, status: str, message: str = "") -> None:
        """The training is over: "finished", "stopped" or "failed", and why."""
        self._write(status=status, message=message[:2000], event_kind=f"run.{status}")

    def _write(self, event_kind: str | None = None, **changes: Any) -> None:
        self.given |= changes
        try:
            _check_present(self.engine)
            with writing(self.engine) as session:
                row = _upsert(session, self.given)
                if event_kind:
                    told = {"run": row.name, "epoch": row.epoch, "message": row.message}
                    events.record(session, "command", event_kind, told)
        except (SQLAlchemyError, OSError) as error:
            if not self._warned:
                reason = str(getattr(error, "orig", None) or error)
                print(
                    f"warning: the database does not take down how the run stands ({reason}); training goes on, and "
                    "the run's folder has everything",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
            self._warned = True


@contextlib.contextmanager
def recording(
    folder: Path,
    system: str,
    rows: dict[str, Any],
    settings: dict[str, Any],
    *,
    epochs: int,
    epoch: int = 0,
    command: list[str] | None = None,
) -> Iterator[Recorder]:
    """Keep the row of the run in `folder` while the block trains, and write how it ended.

    rows: the Corpus, LabelRelease and Split. settings: tables "training" and "model". epoch: finished before, for one
    that is resumed. command: the arguments of `python -m eavanet.train`. Whatever ends the block is passed on.
    """
    engine = connect()
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _impatient)
    given = {
        "name": folder.name, "system": system, "folder": _stored(folder), "settings": settings, "manifest": {},
        "epochs": epochs, "epoch": epoch, **{f"{key}_id": row.id for key, row in rows.items()},
    }  # fmt: skip
    recorder = Recorder(engine, given, started(command or []))
    recorder.begin()
    try:
        yield recorder
        recorder.end("finished")
    except KeyboardInterrupt:
        recorder.end("stopped", "stopped on request")
        raise
    except SystemExit:  # so submitit ends it
        recorder.end("stopped", "its time on the cluster was over; it goes on when it is requeued")
        raise
    except BaseException as error:
        recorder.end("failed", str(error) or type(error).__name__)
        raise
    finally:
        engine.dispose()


def _impatient(connection, _record) -> None:
    connection.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")


def _check_present(engine: Engine) -> None:
    # SQLite would make an empty database where one was removed.
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and not Path(path).exists():
        raise FileNotFoundError(f"{path} is gone")


def _upsert(session: Session, given: dict[str, Any]) -> TrainingRun:
    row = session.scalar(select(TrainingRun).where(TrainingRun.name == given["name"]))
    if row is None:
        row = TrainingRun(name=given["name"])
        session.add(row)
    for column, value in given.items():
        if column != "manifest" or value:  # a run that is resumed keeps its own until the new one is known
            setattr(row, column, value)
    row.manifest = row.manifest or {}
    row.job_id = _job_id(session)
    row.archived = bool(row.archived)
    row.updated_at = now()
    session.flush()
    return row


def _job_id(session: Session) -> int | None:
    """The app's job that this process belongs to, if it is in this database."""
    text = os.environ.get(JOB_VARIABLE, "")
    job = session.get(Job, int(text)) if text.isdigit() else None
    return job.id if job else None


def started(arguments: list[str]) -> dict[str, Any]:
    """Who trains: the command line, the machine and the process."""
    return {
        "command": shlex.join(["python", "-m", "eavanet.train", *arguments]),
        "host": platform.node(),
        "pid": os.getpid(),
    }


def archive(session: Session, run_id: int, archived: bool, actor: str) -> None:
    """Put a run away, or bring it back; its folder stays as it is. Raises ValueError if there is no such run."""
    row = session.get(TrainingRun, run_id)
    if row is None:
        raise ValueError(f"there is no run {run_id}")
    if row.archived != archived:
        row.archived = archived
        events.record(session, actor, "run.archived" if archived else "run.brought_back", {"run": row.name})


# Runs that came as folders --------------------------------------------------------------------------------------------


def unregistered(session: Session) -> list[str]:
    """Folders of runs with a checkpoint that the database does not know."""
    known = set(session.scalars(select(TrainingRun.name)))
    return [path.parent.name for path in _run_files() if path.parent.name not in known]


def register(
    session: Session, name: str, actor: str = "command", message: str = "registered from its folder"
) -> TrainingRun:
    """Make the row of a run that lies in <data root>/runs/<name>; one that has a row keeps it.

    Raises UnknownRun if it is no run, or if it was trained on a corpus that is not in this database (other data under
    the same name count as another corpus).
    """
    row = session.scalar(select(TrainingRun).where(TrainingRun.name == name))
    if row is not None:
        return row
    folder = store.data_root() / "runs" / store.checked_name(name, "run")
    manifest, config = _last_checkpoint(folder)
    told = manifest["corpus"]
    corpus = session.scalar(select(Corpus).where(Corpus.name == told["name"], Corpus.sha256 == told["sha256"]))
    if corpus is None:
        raise UnknownRun(
            f"run {name}: was trained on corpus {told['name']} ({told['sha256'][:12]}), which is not here, or has "
            "other data here; import that corpus first"
        )
    epoch, epochs = int(manifest.get("epoch", 0)), int(config["training"].get("epochs", 0))
    given = {
        "name": name, "system": _system(config, manifest), "folder": _stored(folder), "corpus_id": corpus.id,
        "settings": {"training": config["training"], "model": config.get("model", {})}, "manifest": manifest,
        "epochs": max(epochs, epoch), "epoch": epoch, "status": "finished" if epoch >= epochs else "stopped",
        "message": message,
    }  # fmt: skip
    for key, table in (("release", LabelRelease), ("split", Split)):
        told = manifest.get(key, {}).get("sha256")  # a published model was trained with others' labels
        query = select(table.id).where(table.corpus_id == corpus.id, table.sha256 == told)
        given[f"{key}_id"] = session.scalar(query.order_by(table.id).limit(1))
    row = _upsert(session, given)
    row.job_id = None
    events.record(session, actor, "run.registered", {"run": name, "epoch": epoch})
    return row


def _run_files() -> list[Path]:
    return sorted((store.data_root() / "runs").glob("*/run.json"))


def _last_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """manifest.json and config.json of the last checkpoint."""
    try:
        last = folder / json.loads((folder / "run.json").read_text())["last"]
        manifest, config = (json.loads((last / name).read_text()) for name in ("manifest.json", "config.json"))
        manifest["corpus"]["sha256"], config["training"]
        for key in () if "published" in manifest else ("release", "split"):
            manifest[key]["sha256"]
    except FileNotFoundError as error:
        raise UnknownRun(f"{folder}: has no {Path(error.filename).name}; copy the whole folder of the run") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownRun(f"{folder}: is not the folder of a run, or is damaged ({error!r})") from error
    return manifest, config


def _system(config: dict[str, Any], manifest: dict[str, Any]) -> str:
    system = config.get("system") or manifest.get("system") or "eavanet"
    if system not in SYSTEMS:
        raise UnknownRun(f"system {system!r}: expected one of {', '.join(SYSTEMS)}")
    return system


def _stored(folder: Path) -> str:
    return folder.resolve().relative_to(store.data_root()).as_posix()


# The command ----------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """List or register runs; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        engine = open_database()
        act: Callable[[Engine, argparse.Namespace], int] = {"list": _list, "register": _register}[given.action]
        return act(engine, given)
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eavanet.records", description=__doc__.partition("\n")[0])
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="runs and how they stand")
    listing.add_argument("--json", action="store_true")
    adding = actions.add_parser("register", help="make rows for runs that came as folders")
    adding.add_argument("names", nargs="*", metavar="NAME", help="folders in <data root>/runs (default: all new ones)")
    return parser


def _list(engine: Engine, given: argparse.Namespace) -> int:
    found = list_runs(engine)
    rows = [
        {"name": run.row.name, "system": run.row.system, "corpus": run.row.corpus.name, "status": run.status,
         "epoch": run.epoch, "epochs": run.row.epochs, "archived": run.row.archived, "message": run.message}
        for run in found
    ]  # fmt: skip
    if given.json:
        print(json.dumps(rows))
        return 0
    for row, run in zip(rows, found, strict=True):
        judged = (best_epoch(metrics_of(run.folder)) or {}).get("validation/total")
        best = f", best validation loss {judged:.5g}" if judged is not None else ""
        mark = ", archived" if row["archived"] else ""
        why = f" ({row['message']})" if row["message"] else ""
        print(f"{row['name']}: {row['system']} on {row['corpus']}, {row['status']}{why}, epoch {row['epoch']} of "
              f"{row['epochs']}{best}{mark}")  # fmt: skip
    if not rows:
        print("no run yet; see python -m eavanet.train --help")
    return 0


def _register(engine: Engine, given: argparse.Namespace) -> int:
    with writing(engine) as session:
        names = given.names or unregistered(session)
    wrong = 0
    for name in names:
        try:
            with writing(engine) as session:
                row = register(session, name)
            print(f"{name}: registered, {row.system}, epoch {row.epoch} of {row.epochs}")
        except ValueError as error:
            wrong += 1
            print(f"error: {error}", file=sys.stderr)
    if not names:
        print("every run here is registered already")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

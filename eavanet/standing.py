"""How training runs stand: running, finished, stopped, failed, or died; read without torch, for lists and pages.

A row says what its training wrote last. Whether that training lives is told by the lock on the run's folder, which the
system itself takes off a process that ends, also by `kill -9`.
"""

import fcntl
import itertools
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, joinedload

from db import store
from db.models import Job, now
from db.result_models import TrainingRun
from db.session import reading

STATUSES = ("running", "finished", "stopped", "failed", "died")
# A lock may not be seen from another machine of a cluster; there, a row that is fresh says that the run lives.
_FRESH_S = 900.0


@dataclass(frozen=True)
class RunStanding:
    """A run's row with what is really the case. epoch: finished ones, as far as the folder knows."""

    row: TrainingRun
    status: str
    epoch: int
    message: str

    @property
    def folder(self) -> Path:
        """Where the run's checkpoints lie."""
        return store.stored_path(self.row.folder)

    @property
    def marks(self) -> list[str]:
        """What keeps its numbers from being results, in words."""
        manifest = self.row.manifest
        return [
            words
            for words, holds in (
                ("synthetic corpus", self.row.corpus.synthetic),
                ("simulated labels", manifest.get("release", {}).get("simulated")),
                ("random audio encoder", manifest.get("encoder", {}).get("random")),
            )
            if holds
        ]


def list_runs(engine: Engine, archived: bool | None = None) -> list[RunStanding]:
    """All runs, newest first, or only those that are archived, or are not."""
    query = select(TrainingRun).options(joinedload(TrainingRun.corpus)).order_by(TrainingRun.id.desc())
    if archived is not None:
        query = query.where(TrainingRun.archived == archived)
    # First the locks, then the rows: a training writes its last word before it lets go of its folder.
    with reading(engine) as session:
        folders = list(session.scalars(select(TrainingRun.folder)))
    held = {folder for folder in folders if is_held(store.stored_path(folder))}
    with reading(engine) as session:
        rows = list(session.scalars(query))
        jobs = _jobs(session, rows)
    return [_standing(row, row.folder in held, jobs.get(row.job_id)) for row in rows]


def find_run(engine: Engine, run_id: int) -> RunStanding | None:
    """One run, or None if there is no such row."""
    return next((run for run in list_runs(engine) if run.row.id == run_id), None)


def is_held(folder: Path) -> bool:
    """Whether a process trains in this folder at this moment."""
    try:
        with (folder / ".lock").open() as file:
            # Shared, so that two who look do not take each other for a training.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """A run's metrics, one entry per epoch; a line that is being written at this moment is left out."""
    try:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries


def newest_stage(metrics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The epochs whose losses can be compared with the last one's.

    A system that is trained in stages (CodeTalker: codes, then speech) has other losses in each, by other names.
    """
    return [entry for entry in metrics if _losses(entry) == _losses(metrics[-1])]


def stages_of(metrics: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The epochs of each stage that was begun, in order; most systems have one."""
    return [list(entries) for _, entries in itertools.groupby(metrics, key=_losses)]


def best_epoch(metrics: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The epoch with the lowest validation loss (of training, where there is no validation), of the newest stage.

    None without epochs.
    """
    judged = [entry for entry in newest_stage(metrics) if "validation/total" in entry or "train/total" in entry]
    return min(judged, key=lambda entry: entry.get("validation/total", entry.get("train/total"))) if judged else None


def _losses(entry: Mapping[str, Any]) -> set[str]:
    return {key for key in entry if key.startswith("train/")}


def _jobs(session: Session, rows: Iterable[TrainingRun]) -> dict[int, Job]:
    ids = {row.job_id for row in rows if row.status == "running" and row.job_id is not None}
    return {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids)))} if ids else {}


def _standing(row: TrainingRun, held: bool, job: Job | None) -> RunStanding:
    if not held and row.status != "running":
        return RunStanding(row, row.status, row.epoch, row.message)
    metrics = metrics_of(store.stored_path(row.folder))
    epoch = max(row.epoch, int(metrics[-1].get("epoch", 0)) if metrics else 0)
    if held or _lives_elsewhere(row, metrics):
        return RunStanding(row, "running", epoch, "")
    if epoch >= row.epochs:
        return RunStanding(row, "finished", epoch, "")
    return RunStanding(row, "died", epoch, _cause(job))


def _cause(job: Job | None) -> str:
    if job is not None and job.status in ("failed", "died", "cancelled") and job.message:
        return job.message
    return "its process ended without a word: it was killed, or the machine was restarted"


def _lives_elsewhere(row: TrainingRun, metrics: list[dict[str, Any]]) -> bool:
    host = row.manifest.get("started", {}).get("host")
    if host is None or host == platform.node():
        return False
    seconds = max((entry.get("seconds", 0.0) for entry in metrics[-5:]), default=0.0)
    return (now() - row.updated_at).total_seconds() < max(_FRESH_S, 3 * seconds)

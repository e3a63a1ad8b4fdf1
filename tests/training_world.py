"""Small trainings to look at: the settings of one that takes seconds, a data root with two, and waiting for a job."""

import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.models import Job
from db.session import open_database, reading
from eavanet.train_command import main
from tests.eavanet_world import make_world
from workbench import jobs

TINY = [
    "--preset", "demo", "--device", "cpu", "--set", "model.width=16", "--set", "model.style.width=16",
    "--set", "model.lstm_units=8", "--set", "model.gau_channels=16", "--set", "model.projection_units=8",
    "--batch-size", "2", "--threads", "1",
]  # fmt: skip
JOB_PATIENCE_S = 120.0


def make_trained_root(root: Path) -> Path:
    """A data root with the finished runs `first` (3 epochs) and `second` (2 epochs, ten times the learning rate)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAVANET_DATA", str(root))
        root.mkdir()
        engine = open_database()
        make_world(engine)
        assert main([*TINY, "--epochs", "3", "--name", "first", "--learning-rate", "0.0005"]) == 0
        assert main([*TINY, "--epochs", "2", "--name", "second", "--learning-rate", "0.005"]) == 0
        engine.dispose()
    return root


def ended_job(engine: Engine) -> Job:
    """The newest job, when it has ended."""
    deadline = time.monotonic() + JOB_PATIENCE_S
    while time.monotonic() < deadline:
        jobs.refresh(engine)
        with reading(engine) as session:
            job = jobs.list_jobs(session)[0]
        if job.status != "running":
            return job
        time.sleep(0.2)
    raise AssertionError("the job did not end")

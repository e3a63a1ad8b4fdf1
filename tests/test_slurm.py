"""Training on a cluster, with submitit's local executor in the place of Slurm: submitted, requeued, refused."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

submitit = pytest.importorskip("submitit", reason="submitit is not installed (pip install -e '.[slurm]')")

from eavanet import slurm  # noqa: E402
from eavanet.run import Run  # noqa: E402
from eavanet.slurm import ResumableTraining, arguments_now, minutes  # noqa: E402
from eavanet.standing import list_runs  # noqa: E402
from eavanet.train_command import main as train  # noqa: E402
from tests.eavanet_world import make_world  # noqa: E402
from tests.training_world import TINY  # noqa: E402

PATIENCE_S = 120.0
LOCAL = ["--local", "--gpus", "0", "--json"]


@pytest.fixture
def world(sqlite_engine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # put back, whatever the submission adds
    make_world(sqlite_engine)
    return sqlite_engine


def wait_until(true) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def log_of(told: dict) -> str:
    """What the job printed, standard error included."""
    out = Path(told["log"])
    return "".join(path.read_text() for path in out.parent.glob(f"{told['job']}_*_log.*"))


def test_a_job_whose_time_is_over_is_requeued_and_resumes(world, capsys):
    assert slurm.main([*LOCAL, "--", *TINY, "--epochs", "12", "--name", "requeued"]) == 0
    told = json.loads(capsys.readouterr().out)
    wait_until(lambda: (runs := list_runs(world)) and runs[0].epoch >= 2 and Run("requeued").exists)
    process = list_runs(world)[0].row.manifest["started"]["pid"]
    os.kill(process, signal.SIGUSR2)  # what Slurm sends when the time is over
    wait_until(lambda: list_runs(world)[0].status == "finished")
    run = list_runs(world)[0]
    assert run.epoch == 12
    assert run.row.manifest["started"]["pid"] != process
    command = run.row.manifest["started"]["command"]
    assert command.endswith("--resume --name requeued --epochs 12 --device cpu --threads 1")
    assert [entry["epoch"] for entry in Run("requeued").metrics()] == list(range(1, 13))
    assert "Requeued job" in log_of(told)


def test_a_training_that_fails_is_told_by_who_waits_for_it(world, capsys):
    lost = [*TINY, "--name", "lost", "--corpus", "biwi"]
    assert slurm.main([*LOCAL, "--wait", "--", *lost]) == 1
    captured = capsys.readouterr()
    assert "error: run lost did not finish (no corpus called biwi; there are: tiny); its log is" in captured.err
    assert "no corpus called biwi" in log_of(json.loads(captured.out))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "--epoch", "two"], "python -m eavanet.train: "),
        (["--", "--epochs", "0"], "epochs = 0: must be at least 1"),
        (["--", "--name", "../up"], "a name has letters"),
        (["--", "--resume"], "--resume needs --name"),
        (["--time", "soon", "--", "--name", "a"], "time 'soon': expected minutes"),
        (["--gpus", "-1", "--", "--name", "a"], "--gpus -1: must be at least 0"),
        (["--sbatch", "account", "--", "--name", "a"], "--sbatch account: expected KEY=VALUE"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_submitted(data_root, capsys, arguments, message):
    assert slurm.main(["--local", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (data_root / "slurm").exists()


def test_without_slurm_it_says_so(data_root, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm.main(["--", "--name", "a"]) == 1
    assert "Slurm did not take the job" in capsys.readouterr().err


def test_what_slurm_is_asked_for(monkeypatch):
    arguments = ["--partition", "gpu", "--time", "1-12", "--gpus", "4", "--memory-gb", "64", "--sbatch", "account=lab"]
    given = slurm._parser().parse_args(arguments)
    assert slurm._resources(given, "first") == {
        "name": "eavanet-first", "timeout_min": 36 * 60, "nodes": 1, "gpus_per_node": 4, "tasks_per_node": 4,
        "cpus_per_task": 4, "mem_gb": 64, "slurm_partition": "gpu",
        "slurm_additional_parameters": {"account": "lab"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"),
    [("90", 90), ("2:30:00", 150), ("1-00", 1440), ("1-02:30", 1590), ("1-02:30:30", 1590), ("5:30", 5)],
)
def test_times_are_read_as_slurm_writes_them(text, number):
    assert minutes(text) == number


def test_a_job_resumes_only_what_there_is_to_resume(world):
    arguments = [*TINY, "--epochs", "1", "--name", "run"]
    assert arguments_now("run", arguments) == arguments
    assert train(arguments) == 0
    assert arguments_now("run", arguments) == [
        "--resume", "--name", "run", "--epochs", "1", "--device", "cpu", "--threads", "1",
    ]  # fmt: skip
    again = ["--resume", "--name", "run", "--epochs", "3"]
    assert arguments_now("run", again) == again
    training = ResumableTraining("run", arguments, "data", "sqlite:///x")
    assert training.checkpoint().function is training

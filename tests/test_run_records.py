"""The database's account of training runs: written while they train, and true whatever ends them."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest
import torch
from sqlalchemy import select

from db.models import Corpus, Event, Job, LabelRelease, Split
from db.result_models import TrainingRun
from db.session import open_database, reading, writing
from eavanet import records
from eavanet.run import Run
from eavanet.standing import find_run, is_held, list_runs, metrics_of
from eavanet.train_command import main
from tests.eavanet_world import make_world
from tests.training_world import TINY

torch.set_num_threads(1)


@pytest.fixture
def world(sqlite_engine):
    make_world(sqlite_engine)
    return sqlite_engine


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory):
    """A data root with the run `there` of one epoch, to copy from."""
    root = tmp_path_factory.mktemp("trained") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAVANET_DATA", str(root))
        root.mkdir()
        engine = open_database()
        make_world(engine)
        assert main([*TINY, "--epochs", "1", "--name", "there"]) == 0
        engine.dispose()
    return root


@pytest.fixture
def trained(trained_root, data_root):
    """A world of this test's own with the run `there`."""
    shutil.copytree(trained_root, data_root, dirs_exist_ok=True)
    engine = open_database()
    yield engine
    engine.dispose()


def only(engine):
    (run,) = list_runs(engine)
    return run


def started_training(*more: str) -> subprocess.Popen:
    """A training as a person starts it, with its first epoch kept."""
    command = [sys.executable, "-m", "eavanet.train", *TINY, *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    for line in process.stdout:
        if line.startswith(b"epoch 2/"):
            return process
    raise AssertionError("it ended before its second epoch")


def test_a_training_writes_what_it_was_given_and_how_it_ended(world):
    assert main([*TINY, "--epochs", "2", "--name", "first"]) == 0
    run = only(world)
    assert (run.status, run.epoch, run.row.epochs, run.message) == ("finished", 2, 2, "")
    assert (run.row.system, run.row.corpus.name, run.row.folder) == ("eavanet", "tiny", "runs/first")
    assert run.row.release_id and run.row.split_id and run.row.job_id is None
    assert run.row.settings["training"]["batch_size"] == 2
    assert run.row.settings["model"]["width"] == 16
    assert run.row.manifest["corpus"]["sha256"] == "c" * 64
    assert "--epochs 2 --name first" in run.row.manifest["started"]["command"]
    assert run.marks == ["synthetic corpus", "simulated labels", "random audio encoder"]
    with reading(world) as session:
        assert [kind for kind in session.scalars(select(Event.kind)) if kind.startswith("run.")] == [
            "run.began", "run.finished",
        ]  # fmt: skip


def test_a_run_that_goes_on_keeps_its_row(trained):
    first = only(trained)
    assert main(["--resume", "--name", "there", "--epochs", "3", "--device", "cpu"]) == 0
    again = only(trained)
    assert (again.row.id, again.epoch, again.row.epochs, again.status) == (first.row.id, 3, 3, "finished")
    assert again.row.created_at == first.row.created_at


def test_a_training_that_fails_says_why(trained, data_root):
    (data_root / "corpora/tiny/vertices/F1_e01.npy").unlink()
    assert main(["--resume", "--name", "there", "--epochs", "2", "--device", "cpu"]) == 1
    run = only(trained)
    assert (run.status, run.epoch) == ("failed", 1)
    assert "F1_e01" in run.message


def test_while_it_trains_it_is_running_and_killed_with_9_it_has_died(world):
    process = started_training("--epochs", "500", "--name", "killed")
    assert is_held(Run("killed").folder)
    assert only(world).status == "running"
    process.kill()
    process.communicate()
    run = only(world)
    assert run.row.status == "running", "nobody was there to write it"
    assert run.status == "died"
    assert run.epoch >= 1
    assert "killed, or the machine was restarted" in run.message


def test_one_that_is_asked_to_stop_is_stopped_and_can_go_on(world):
    process = started_training("--epochs", "500", "--name", "asked")
    process.send_signal(signal.SIGTERM)
    process.communicate()
    run = only(world)
    assert (run.status, run.message) == ("stopped", "stopped on request")
    assert main(["--resume", "--name", "asked", "--epochs", str(run.epoch + 1), "--device", "cpu"]) == 0
    assert only(world).status == "finished"


def test_a_row_that_could_not_be_written_at_the_end_is_no_death(trained):
    with writing(trained) as session:
        session.query(TrainingRun).one().status = "running"
    assert only(trained).status == "finished"


def test_the_job_tells_why_a_run_died(trained):
    with writing(trained) as session:
        killed = Job(title="Train", command=["eavanet.train"], status="failed", message="was ended by SIGKILL; the "
                     "machine may have run out of memory", started_by="test")  # fmt: skip
        session.add(killed)
        session.flush()
        row = session.query(TrainingRun).one()
        row.status, row.epochs, row.job_id = "running", 9, killed.id
    assert (only(trained).status, only(trained).message) == ("died", killed.message)


def test_the_row_is_kept_up_to_date_on_both_databases(engine, data_root, capsys):
    make_world(engine)
    with reading(engine) as session:
        rows = {"corpus": session.query(Corpus).one(), "release": session.query(LabelRelease).one(),
                "split": session.query(Split).one()}  # fmt: skip
    folder = data_root / "runs" / "both"
    settings = {"training": {"epochs": 3}, "model": {}}

    def train() -> None:
        with records.recording(folder, "eavanet", rows, settings, epochs=3, command=["--name", "both"]) as recorder:
            recorder.describe({"corpus": {"name": "tiny"}})
            recorder.epoch(2)
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        train()
    run = only(engine)
    assert (run.status, run.epoch, run.message, run.row.settings) == ("failed", 2, "no more", settings)
    assert run.row.manifest["started"]["command"] == "python -m eavanet.train --name both"
    assert capsys.readouterr().err == ""


def test_a_run_trained_on_another_machine_is_believed_as_long_as_its_row_is_fresh(trained):
    with writing(trained) as session:
        row = session.query(TrainingRun).one()
        row.status, row.epochs = "running", 9
        row.manifest = row.manifest | {"started": {"host": "node-17"}}
    assert only(trained).status == "running"
    with writing(trained) as session:
        row = session.query(TrainingRun).one()
        row.updated_at = row.created_at.replace(year=2020)
    assert only(trained).status == "died"


def test_a_database_that_is_locked_costs_one_warning_and_no_training(world, capsys, monkeypatch):
    monkeypatch.setattr(records, "PATIENCE_MS", 50)
    holder = sqlite3.connect(world.url.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert main([*TINY, "--epochs", "2", "--name", "locked"]) == 0
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert capsys.readouterr().err.count("training goes on") == 1
    assert len(Run("locked").metrics()) == 2
    assert list_runs(world) == []


def test_a_database_that_is_taken_away_is_not_made_anew(world, capsys, data_root):
    path = data_root / "eavanet.sqlite"
    facts = {"corpus": type("Row", (), {"id": 1}), "release": type("Row", (), {"id": 1})}
    folder = data_root / "runs" / "gone"
    with records.recording(folder, "eavanet", facts, {}, epochs=2) as recorder:
        path.rename(data_root / "elsewhere.sqlite")
        recorder.epoch(1)
        recorder.epoch(2)
    assert not path.exists()
    assert capsys.readouterr().err.count("is gone") == 1


def test_the_apps_job_is_written_down_if_it_is_in_this_database(trained, monkeypatch):
    with writing(trained) as session:
        session.add(Job(title="Train", command=["eavanet.train"], status="running", started_by="test"))
    monkeypatch.setenv(records.JOB_VARIABLE, "1")
    assert main(["--resume", "--name", "there", "--epochs", "2", "--device", "cpu"]) == 0
    assert only(trained).row.job_id == 1
    monkeypatch.setenv(records.JOB_VARIABLE, "77")
    assert main(["--resume", "--name", "there", "--epochs", "3", "--device", "cpu"]) == 0
    assert only(trained).row.job_id is None


def test_a_folder_that_was_copied_in_is_registered(trained, data_root, capsys):
    shutil.copytree(data_root / "runs/there", data_root / "runs/here")
    assert records.main(["register"]) == 0
    assert records.main(["register"]) == 0
    assert "every run here is registered already" in capsys.readouterr().out
    here, there = list_runs(trained)
    assert (here.row.name, here.status, here.epoch) == ("here", "finished", 1)
    assert (here.row.split_id, here.row.release_id) == (there.row.split_id, there.row.release_id)
    assert here.marks == there.marks
    assert records.main(["list", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["here", "there"]


def test_a_folder_of_another_corpus_or_of_something_else_is_refused(trained, data_root, capsys):
    shutil.copytree(data_root / "runs/there", data_root / "runs/here")
    (data_root / "runs/odd").mkdir()
    with writing(trained) as session:
        session.query(Corpus).one().sha256 = "9" * 64
    assert records.main(["register", "here", "odd", "../up"]) == 1
    said = capsys.readouterr().err
    assert "was trained on corpus tiny (cccccccccccc), which is not here" in said
    assert "odd: has no run.json" in said
    assert "a name has letters" in said


def test_a_run_is_put_away_and_brought_back(trained):
    run = only(trained)
    with writing(trained) as session:
        records.archive(session, run.row.id, True, "test")
    assert list_runs(trained, archived=False) == []
    assert [found.row.name for found in list_runs(trained, archived=True)] == ["there"]
    assert Run("there").checkpoint().exists()
    with writing(trained) as session:
        records.archive(session, run.row.id, False, "test")
    assert find_run(trained, run.row.id).row.name == "there"


def test_metrics_that_are_being_written_are_read_up_to_there(tmp_path):
    assert metrics_of(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert [entry["epoch"] for entry in metrics_of(tmp_path)] == [1, 2]

"""The Runs page: a training is watched, stopped, gone on with, compared, put away, and never lost."""

import asyncio
import shutil
import time

import pytest
from starlette.requests import Request

from db import access
from db.models import Clip, Event
from db.result_models import TrainingRun
from db.session import open_database, reading, writing
from eavanet.run import Run
from eavanet.samples import sample_path, sampled_clip, sampled_epochs
from eavanet.standing import best_epoch, list_runs
from tests.eavanet_world import make_world
from tests.test_researcher_pages import checked, field, opened, press, words
from tests.training_world import JOB_PATIENCE_S, TINY, ended_job, make_trained_root
from workbench import jobs, media
from workbench.researcher.run_charts import compared_figure, curve, run_figure
from workbench.researcher.run_compare import differing_settings


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory):
    return make_trained_root(tmp_path_factory.mktemp("trained") / "data")


@pytest.fixture
def trained(trained_root, data_root):
    """A data root of this test's own with two finished runs."""
    shutil.copytree(trained_root, data_root, dirs_exist_ok=True)
    engine = open_database()
    yield engine
    engine.dispose()


@pytest.fixture
def world(sqlite_engine):
    make_world(sqlite_engine)
    return sqlite_engine


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the jobs': several beside the tests would only wait for each other


def test_on_an_empty_data_root_the_page_says_how_to_begin(sqlite_engine):
    page = opened("runs")
    assert not page.error
    assert "Nothing was trained yet." in words(page)



def test_the_newest_run_is_shown_with_what_it_learned(trained):
    page = opened("runs")
    table = page.dataframe[0].value
    assert list(table["run"]) == ["second", "first"]
    assert set(table["marks"]) == {"synthetic corpus, simulated labels, random audio encoder"}
    assert page.subheader[0].value == "second"
    assert "Finished: epoch 2 of 2." in words(page)
    assert {metric.label: metric.value for metric in page.metric}["Epoch"] == "2 / 2"
    assert "tensorboard --logdir" in words(page)
    assert any("--learning-rate 0.005" in code.value for code in page.code)


def test_several_runs_are_compared_by_what_differs(trained):
    page = opened("runs", chosen_runs=[1, 2])
    assert page.subheader[0].value == "2 runs compared"
    different = page.dataframe[-1].value
    assert dict(different.loc["training.learning_rate"]) == {"second": "0.005", "first": "0.0005"}
    assert "training.batch_size" not in different.index


def test_runs_on_other_data_are_not_compared_without_a_word(trained):
    with writing(trained) as session:
        session.get_one(TrainingRun, 2).release_id = None
    assert "cannot be compared as they are" in words(opened("runs", chosen_runs=[1, 2]))


def test_a_run_is_archived_and_brought_back_and_nothing_is_lost(trained):
    page = opened("runs", chosen_runs=[1])
    press(page, "Archive")
    page = opened("runs")
    assert list(page.dataframe[0].value["run"]) == ["second"]
    field(page.toggle, "With 1 archived").set_value(True)
    checked(page.run())
    assert list(page.dataframe[0].value["status"]) == ["finished", "finished, archived"]
    page = opened("runs", chosen_runs=[1], runs_with_archived=True)
    press(page, "Bring back")
    assert [run.row.name for run in list_runs(trained, archived=True)] == []
    assert Run("first").checkpoint("last").exists()
    with reading(trained) as session:
        kinds = [event.kind for event in session.query(Event).order_by(Event.id)]
    assert kinds[-2:] == ["run.archived", "run.brought_back"]


def test_a_run_goes_on_with_more_epochs_from_the_page(trained):
    page = opened("runs", chosen_runs=[1])
    field(page.number_input, "Up to epoch").set_value(4)
    page.selectbox(key="device 1").set_value("cpu")
    checked(page.run())
    field(page.button, "Go on").click()
    page.run()
    assert ended_job(trained).status == "done"
    run = next(run for run in list_runs(trained) if run.row.name == "first")
    assert (run.status, run.epoch, run.row.epochs) == ("finished", 4, 4)
    assert run.row.job_id is not None


def test_a_run_is_stopped_from_the_page_and_says_so(world):
    command = ["eavanet.train", *TINY, "--epochs", "2000", "--name", "long"]
    jobs.start(world, "Train long", command, "researcher:1")
    deadline = time.monotonic() + JOB_PATIENCE_S
    while not (runs := list_runs(world)) or runs[0].epoch < 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    page = opened("runs")
    assert runs[0].status == "running"
    assert "Before the first one" not in words(page)
    field(page.button, "Stop").click()
    checked(page.run())
    assert ended_job(world).status == "cancelled"
    page = opened("runs")
    assert "it can go on. Stopped on request." in words(page)


def test_a_run_that_was_killed_is_shown_as_such_with_the_way_on(trained):
    with writing(trained) as session:
        row = session.get_one(TrainingRun, 2)
        row.status, row.epochs = "running", 9
    page = opened("runs")
    assert "Ended unexpectedly after epoch 2 of 9: its process ended without a word" in words(page)
    assert field(page.number_input, "Up to epoch").value == 9


def test_a_folder_that_was_copied_in_is_taken_in(trained, data_root):
    shutil.copytree(data_root / "runs/first", data_root / "runs/from-the-cluster")
    page = opened("runs")
    assert "A run lies in the data root that the database does not know:** from-the-cluster" in words(page)
    press(page, "Take in")
    assert "from-the-cluster" in [run.row.name for run in list_runs(trained)]


def test_a_run_without_an_epoch_and_without_a_checkpoint_has_a_page(trained, data_root):
    with writing(trained) as session:
        row = session.get_one(TrainingRun, 2)
        row.status, row.epoch, row.message = "failed", 0, "no space left"
    shutil.rmtree(data_root / "runs/second")
    page = opened("runs")
    assert "Failed after epoch 0 of 2: no space left." in words(page)
    assert "there is nothing to go on from" in words(page)


def served(address: str):
    """What the media route answers to an address, without a server around it."""
    request = Request({"type": "http", "method": "GET", "headers": [], "path_params": {"token": address[5:]}})
    return asyncio.run(media.serve_media(request))


def test_a_sample_is_served_to_who_is_signed_in_and_to_nobody_else(trained):
    with writing(trained) as session:
        cookie = access.sign_in_with_link(session, access.new_sign_in_link(session))
        viewer = f"researcher:{access.researcher_session(session, cookie).id}"
    run = next(run for run in list_runs(trained) if run.row.name == "first")
    epoch = sampled_epochs(run.folder)[-1]
    with reading(trained) as session:
        clip = session.query(Clip).filter_by(name=sampled_clip(run.folder)["clip"]).one()
        source = media.sample_source(run.row, epoch, clip, viewer)
    answer = served(source.playback_url)
    assert answer.status_code == 200
    assert answer.path == sample_path(run.folder, epoch)
    assert "content-disposition" in answer.headers and "first" not in str(answer.headers)
    assert served(media.media_url("sample", run.row.id, viewer, 999)).status_code == 404
    assert served(media.media_url("sample", 999, viewer, epoch)).status_code == 403
    with writing(trained) as session:
        access.sign_out(session, cookie)
    assert served(source.playback_url).status_code == 403


def test_the_newest_sample_is_shown_until_another_epoch_is_chosen(trained):
    with writing(trained) as session:
        for clip in session.query(Clip):
            clip.playback_path = clip.vertices_path  # no browser reads it here
    run = next(run for run in list_runs(trained) if run.row.name == "first")
    epochs = sampled_epochs(run.folder)
    page = opened("runs", chosen_runs=[run.row.id])
    slider = page.select_slider[0]
    assert (list(slider.options), slider.value) == ([str(epoch) for epoch in epochs], epochs[-1])
    slider.set_value(epochs[0])
    checked(page.run())
    assert page.session_state[f"sampled epoch {run.row.id}"] == epochs[0]
    assert f"{sampled_clip(run.folder)['clip']} of the validation set" in words(page)


def test_figures_show_what_was_measured_and_nothing_else():
    metrics = [{"epoch": e, "train/total": 3.0 - e, "validation/total": (e - 2) ** 2 + 0.5} for e in (1, 2, 3)]
    assert curve(metrics, "validation/total") == ([1, 2, 3], [1.5, 0.5, 1.5])
    assert best_epoch(metrics)["epoch"] == 2
    assert best_epoch([]) is None
    figure = run_figure("Loss", metrics, 2)
    assert [trace.name for trace in figure.data] == ["training", "validation"]
    assert run_figure("Lip vertex error", metrics) is None
    assert [trace.name for trace in compared_figure("Loss", {"one": metrics, "two": []}).data] == ["one"]
    assert compared_figure("Lip vertex error", {"one": metrics}) is None


def test_runs_with_the_same_settings_differ_in_nothing(trained):
    first = next(run for run in list_runs(trained) if run.row.name == "first")
    assert differing_settings([first]).empty

"""The Train page: from a labelled corpus to a training that is measured and started."""

import shutil

import pytest
from streamlit.testing.v1 import AppTest

from db.models import Corpus, Split
from db.session import open_database, writing
from eavanet.standing import list_runs
from tests.eavanet_world import make_world
from tests.test_researcher_pages import checked, field, opened, press, words
from tests.training_world import ended_job, make_trained_root
from workbench import jobs
from workbench.researcher import training, training_form
from workbench.researcher.training_form import changed, completed, training_options


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


def command_of(page: AppTest) -> str:
    return next(code.value for code in page.code if "eavanet.train" in code.value)



def test_on_an_empty_data_root_the_page_says_how_to_begin(sqlite_engine):
    page = opened("training")
    assert not page.error
    assert "There is no corpus to train on yet." in words(page)


def test_what_is_missing_before_a_training_is_named(world):
    with writing(world) as session:
        session.add(Corpus(
            id=99, name="other", source="", layout="peers", synthetic=True, frames_per_second=25.0, n_vertices=9,
            n_faces=2, normalisation="none", mm_per_unit=None, sha256="d" * 64,
        ))  # fmt: skip
    with writing(world) as session:
        session.query(Split).one().corpus_id = 99
    page = opened("training", chosen_corpus=1)
    assert "The corpus tiny has no split yet." in words(page)
    page = opened("training", chosen_corpus=99)
    assert "The corpus other has no label release yet." in words(page)


def test_the_page_shows_the_data_the_marks_and_the_command(world):
    page = opened("training")
    table = page.dataframe[0].value
    assert list(table["clips"]) == [10, 2, 0, 6]
    assert table["subjects"][0] == "F1, F3"
    assert "synthetic corpus: nobody was recorded" in words(page)
    assert "random-small is random" in words(page)
    assert command_of(page) == (
        "python -m eavanet.train --preset demo --name demo-1 --corpus tiny --release labels --split split --device "
        + page.selectbox(key="device").value
    )
    assert "Nothing like it has run on this device yet" in words(page)


def test_a_setting_that_is_changed_is_part_of_the_command_and_of_the_file(world):
    page = opened("training")
    field(page.number_input, "Epochs").set_value(7)
    field(page.toggle, "Compile").set_value(True)
    model = field(page.text_area, "The model's own settings (TOML)")
    model.set_value(model.value + "n_tokens = 5")
    command = command_of(checked(page.run()))
    assert command.endswith("--epochs 7 --compile --set model.style.n_tokens=5")


def test_a_setting_of_the_preset_that_is_struck_out_becomes_the_default(world):
    page = opened("training")
    field(page.text_area, "The model's own settings (TOML)").set_value("")
    command = command_of(checked(page.run()))
    assert command.endswith(
        "--set model.width=256 --set model.gau_channels=512 --set model.lstm_units=256 --set model.style.width=256"
    )


def test_another_preset_brings_its_own_settings(world, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    page = opened("training")
    page.selectbox(key="preset eavanet").set_value("paper")
    checked(page.run())
    assert field(page.number_input, "Epochs").value == 200
    assert "--preset paper --name paper-1" in command_of(page)
    assert "`facebook/wav2vec2-base-960h` is not on this machine" in words(page)
    assert "hf download" in words(page)


@pytest.mark.parametrize(
    ("system", "own", "others", "command"),
    [
        ("faceformer", "Teacher forcing", "Emotion weight", "--epochs 7 --teacher-forcing --set model.heads=2"),
        ("codetalker", "Code epochs", "Vertex loss", "--epochs 7 --code-epochs 3 --set model.heads=2"),
    ],
)
def test_another_system_brings_its_presets_and_its_own_settings(world, system, own, others, command):
    page = opened("training")
    page.selectbox(key="system").set_value(system)
    checked(page.run())
    assert page.selectbox(key=f"preset {system}").options == [f"{system}-demo", f"{system}-paper"]
    assert page.selectbox(key=f"preset {system}").value == f"{system}-demo"
    assert "CodeTalker" in words(page) or "FaceFormer" in words(page)
    labels = [widget.label for widget in [*page.number_input, *page.toggle, *page.selectbox]]
    assert own in labels and others not in labels
    field(page.number_input, "Epochs").set_value(7)
    if system == "faceformer":
        field(page.toggle, own).set_value(True)
    else:
        field(page.number_input, own).set_value(3)
        assert {metric.label: metric for metric in page.metric}["Steps"].help.endswith("of its stages")
    model = field(page.text_area, "The model's own settings (TOML)")
    model.set_value(model.value.replace("[model]", "[model]\nheads = 2", 1))
    said = command_of(checked(page.run()))
    assert said.startswith(f"python -m eavanet.train --system {system} --preset {system}-demo --name {system}-demo-1 ")
    assert said.endswith(command)
    assert "no training clip is labelled" not in words(page)


def test_settings_are_taken_from_a_file(world):
    page = opened("training", settings_taken=({"epochs": 9, "vertex_loss": "mse"}, {"lstm_units": 64}))
    assert field(page.number_input, "Epochs").value == 9
    assert field(page.selectbox, "Vertex loss").value == "mse"
    assert "--epochs 9 --vertex-loss mse --set model.lstm_units=64" in command_of(page).replace(
        "--vertex-loss mse --epochs 9", "--epochs 9 --vertex-loss mse"
    )


def test_what_cannot_be_is_refused_before_it_starts(trained):
    page = opened("training")
    field(page.text_input, "Name of the run").set_value("../up")
    assert "a name has letters" in words(checked(page.run()))
    field(page.text_input, "Name of the run").set_value("first")
    assert "Run first exists" in words(checked(page.run()))
    field(page.text_input, "Name of the run").set_value("fine")
    field(page.text_area, "The model's own settings (TOML)").set_value("[model]\ndepth = 3")
    assert "Model.depth: there is no such setting" in words(checked(page.run()))


def test_too_few_emotions_and_subjects_are_said_in_advance(sqlite_engine):
    make_world(sqlite_engine, emotions=("happy", "neutral"))
    said = words(opened("training"))
    assert "No training clip is labelled angry: the model will not be able to show it." in said


def test_an_earlier_run_tells_how_long_it_takes(trained):
    assert "Reckoned from the run second" in words(opened("training"))


def test_the_options_are_asked_once_and_a_failure_is_told(world, monkeypatch):
    assert training_options() is training_options()
    monkeypatch.setattr(training_form, "ROOT", "/nowhere")
    training_options.cache_clear()
    monkeypatch.setattr(training_form.sys, "executable", "/bin/false")
    page = opened("training")
    assert "eavanet.options failed" in words(page)
    assert [button.label for button in page.button] == ["Try again"]
    training_options.cache_clear()


def test_a_training_is_measured_started_watched_and_ends(world):
    page = opened("training")
    field(page.number_input, "Epochs").set_value(2)
    field(page.number_input, "Batch size").set_value(2)
    field(page.text_area, "The model's own settings (TOML)").set_value(
        "[model]\nwidth = 16\nlstm_units = 8\ngau_channels = 16\nstyle.width = 16"
    )
    checked(page.run())
    press(page, "Measure first")
    assert ended_job(world).status == "done"
    checked(page.run())
    assert "Measured here:" in words(page)
    assert list_runs(world) == []
    field(page.button, "Start training").click()
    page.run()
    job = ended_job(world)
    assert job.status == "done", job.message
    (run,) = list_runs(world)
    assert (run.row.name, run.status, run.row.job_id) == ("demo-1", "finished", job.id)
    assert "epoch 2/2" in jobs.log_tail(job.id)
    runs = opened("runs")
    assert "Finished: epoch 2 of 2." in words(runs)
    assert any("epoch 2/2" in code.value for code in runs.code)
    assert training._nameless(job.command)[:4] == ["eavanet.train", "--preset", "demo", "--corpus"]


def test_a_training_that_did_not_begin_says_why_on_both_pages(world):
    jobs.start(world, "Train odd", ["eavanet.train", "--preset", "demo", "--encoder", "/nowhere", "--name", "odd"], "r")
    assert ended_job(world).status == "failed"
    assert "Train odd did not begin: /nowhere: no such folder here" in words(opened("runs"))
    assert "/nowhere: no such folder here" in words(opened("training"))


def test_what_a_preset_sets_and_the_form_leaves_out_is_the_default():
    preset, defaults = {"a": 1, "style": {"b": 2}}, {"a": 10, "c": 30, "style": {"b": 20, "d": 40}}
    assert completed({}, preset, defaults) == {"a": 10, "style": {"b": 20}}
    assert completed({"a": 5, "style": {"d": 6}}, preset, defaults) == {"a": 5, "style": {"b": 20, "d": 6}}
    assert completed({"c": 3}, {}, defaults) == {"c": 3}


def test_only_what_differs_from_the_preset_is_asked_for():
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 3}) == {"b": 2}
    assert changed({"style": {"width": 2, "n": 1}}, {"style": {"width": 2}}) == {"style": {"n": 1}}
    assert changed({"style": {"width": 2}}, {}) == {"style": {"width": 2}}
    assert changed({"style": {"width": 2}}, {"style": {"width": 2}}) == {}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (75, "1 min 15 s"), (1830, "30 min"), (3700, "1 h 02 min"), (200_000, "2.3 days")],
)
def test_lengths_of_time_are_said_in_the_units_that_matter(seconds, said):
    assert training.duration(seconds) == said

"""A training before it starts: command line, TOML, encoder, estimate; and what forms are told of the settings."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eavanet import planning
from eavanet.options import documented, main, options
from eavanet.planning import Wanted, as_toml, encoder_place, read_toml, training_command
from eavanet.settings import PRESETS, read_settings, train_config
from eavanet.standing import list_runs
from eavanet.train_command import main as train
from eavanet.train_command import parser
from tests.eavanet_world import make_world
from tests.training_world import TINY

WANTED = Wanted("eavanet", "demo", "first", "tiny", "labels", "split", "cpu")


@pytest.fixture(scope="module")
def found():
    return options()


def test_the_command_is_understood_by_the_training_and_gives_the_settings_back():
    wanted = Wanted(**vars(WANTED) | {
        "preset": "paper",
        "training": {"learning_rate": 3e-05, "regularise_encoder": True, "compile": False, "encoder": "/a b/wav2vec2"},
        "model": {"width": 16, "style": {"width": 16, "project_values": False}, "gau_kernels": [5, 3]},
    })  # fmt: skip
    module, *arguments = training_command(wanted)
    given = parser().parse_args(arguments)
    model, training = read_settings(given)
    assert module == "eavanet.train"
    assert (given.name, given.corpus, given.release, given.split, given.device) == (
        "first", "tiny", "labels", "split", "cpu",
    )  # fmt: skip
    assert (training.learning_rate, training.regularise_encoder, training.encoder) == (3e-05, True, "/a b/wav2vec2")
    assert training.epochs == 200, "the preset's"
    assert model == {"width": 16, "style": {"width": 16, "project_values": False}, "gau_kernels": [5, 3]}


def test_on_a_cluster_every_process_takes_its_own_gpu():
    command = planning.cluster_command(WANTED)
    assert command[:command.index("--")] == ["eavanet.slurm", "--gpus", "1", "--time", "24:00:00"]
    assert "--device" not in command
    assert parser().parse_args(command[command.index("--") + 1 :]).name == "first"


def test_another_system_is_named_in_the_command():
    peer = Wanted(**vars(WANTED) | {"system": "faceformer", "preset": "faceformer"})
    assert training_command(peer)[:5] == ["eavanet.train", "--system", "faceformer", "--preset", "faceformer"]


def test_forms_are_told_every_setting_with_its_words(found):
    assert {setting["name"] for setting in found["settings"]} >= {"encoder", "epochs", "learning_rate", "seed"}
    assert all(setting["help"] for setting in found["settings"])
    by_name = {setting["name"]: setting for setting in found["settings"]}
    assert by_name["vertex_loss"]["choices"] == ["norm", "mse"]
    assert (by_name["epochs"]["minimum"], by_name["seed"]["minimum"]) == (1, 0)
    assert set(found["presets"]) == set(PRESETS)
    assert found["presets"]["demo"]["training"]["encoder"] == "random-small"
    assert found["presets"]["demo"]["about"].startswith("Minutes on two processor cores")
    assert found["devices"][-1]["name"] == "cpu"
    assert "n_vertices" not in {setting["name"] for setting in found["model_settings"]}


def test_the_options_are_printed_for_people_and_for_forms(capsys):
    assert main([]) == 0
    assert "preset demo: Minutes" in capsys.readouterr().out
    assert main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["presets"]["paper"]["system"] == "eavanet"


def test_words_about_fields_are_read_from_a_docstring():
    told = documented("A thing.\n\n    size: how big; see other: it\n        says. one, two: both. kind: x.", [
        "size", "one", "two", "kind",
    ])  # fmt: skip
    assert told == {"size": "How big; see other: it says.", "one": "Both.", "two": "Both.", "kind": "X."}


def test_settings_survive_a_file(found):
    training = found["presets"]["paper"]["training"]
    model = {"width": 128, "gau_kernels": [5, 3, 5], "style": {"n_tokens": 7}}
    text = as_toml(training, model, "of run first\nwith two lines")
    assert text.startswith("# of run first\n# with two lines\n")
    assert read_toml(text, found) == (training, model)
    assert train_config(tomllib.loads(text)["training"]).halve_every == 40


@given(st.floats(1e-9, 1e9), st.text(st.characters(exclude_categories=("C",)), max_size=20))
def test_any_number_and_any_word_survive_a_file(number, word):
    assert tomllib.loads(as_toml({"a": number, "b": word}, {}))["training"] == {"a": number, "b": word}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nepochs = many", "no valid TOML"),
        ("[trainings]\nepochs = 3", "trainings: settings are in the tables"),
        ("[training]\nepoch = 3", "training.epoch: there is no such setting; there are encoder"),
        ("[training]\nepochs = '3'", "training.epochs = '3': expected int"),
        ("[training]\nvertex_loss = 'l1'", "expected one of norm, mse"),
        ("[model]\ndepth = 3", "model.depth: there is no such setting"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(found, text, message):
    with pytest.raises(ValueError, match=message):
        read_toml(text, found)


def test_a_whole_number_is_good_enough_for_a_fraction(found):
    assert read_toml("[training]\nlearning_rate = 1", found)[0] == {"learning_rate": 1.0}


def test_the_encoder_is_looked_for_where_it_would_be_loaded_from(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert encoder_place("random-small", ["random-small"]) == "random"
    assert encoder_place("facebook/wav2vec2-base-960h", []) == "absent"
    snapshot = tmp_path / "hub/models--facebook--wav2vec2-base-960h/snapshots/abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert encoder_place("facebook/wav2vec2-base-960h", []) == "cache"
    assert encoder_place(str(snapshot), []) == "folder"


def run(name: str, *, seconds: list[float], batch_size: int = 4, device: str = "CPU", host: str = "here", clips=10):
    row = type("Row", (), {
        "name": name, "system": "eavanet", "corpus": type("Corpus", (), {"n_vertices": 9}),
        "settings": {"training": {"encoder": "random-small", "batch_size": batch_size, "precision": "float32"}},
        "manifest": {
            "started": {"host": host}, "environment": {"device": device}, "clips": {"train": {"happy": clips}},
        },
    })  # fmt: skip
    return type("Run", (), {"row": row, "folder": seconds})


def test_the_estimate_is_what_the_newest_run_of_the_kind_took_here(monkeypatch):
    monkeypatch.setattr(planning, "metrics_of", lambda seconds: [{"seconds": 0, "epoch_seconds": s} for s in seconds])
    monkeypatch.setattr(planning.platform, "node", lambda: "here")
    training = {"encoder": "random-small", "batch_size": 4, "precision": "float32"}
    runs = [
        run("other-machine", seconds=[1, 1], host="there"), run("gpu", seconds=[1, 1], device="H100"),
        run("large-batches", seconds=[9, 2, 2], batch_size=16), run("same", seconds=[90, 5, 6, 7]),
    ]  # fmt: skip

    def pace(runs):
        return planning.earlier_pace(runs, system="eavanet", n_vertices=9, device_model="CPU", training=training)

    assert pace(runs) == planning.Pace((0.6,), "same", True)
    assert pace(runs).seconds(clips=20, stages=[3]) == pytest.approx(36)
    assert pace(runs[:3]) == planning.Pace((0.2,), "large-batches", False)
    assert pace(runs[:2]) is None


def test_a_dry_run_measures_and_leaves_no_run_behind(sqlite_engine, data_root, capsys):
    make_world(sqlite_engine)
    assert train([*TINY, "--epochs", "50", "--name", "rehearsed", "--dry-run", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["steps_per_epoch"] == 5
    assert numbers["seconds_in_all"] == pytest.approx(50 * numbers["seconds_per_epoch"])
    assert 0 < numbers["trained_parameters"] < numbers["parameters"]
    assert numbers["memory_mb"] > 0
    assert not (data_root / "runs").exists()
    assert list_runs(sqlite_engine) == []
    assert train([*TINY, "--name", "rehearsed", "--dry-run"]) == 0
    assert "5 steps per epoch" in capsys.readouterr().out

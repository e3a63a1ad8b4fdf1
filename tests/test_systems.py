"""EavaNet, FaceFormer and CodeTalker by the same commands: trained, killed and resumed, predicted, animated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from sqlalchemy import Engine

from db.predictions import list_sets, load_prediction, predictions_of
from db.session import open_database, reading
from eavanet.animate import main as animate
from eavanet.audio import load_encoder
from eavanet.checkpoint import load_checkpoint
from eavanet.generate import Manner, latent_motion, style_for
from eavanet.options import options
from eavanet.performer import Performer
from eavanet.planning import stages_planned
from eavanet.predict import main as predict
from eavanet.run import Run
from eavanet.samples import sampled_clip, sampled_epochs
from eavanet.settings import PRESETS, preset_settings, preset_system
from eavanet.standing import best_epoch, list_runs, newest_stage, stages_of
from eavanet.systems import SYSTEMS, find_system
from eavanet.train_command import main as train
from tests.eavanet_world import V, make_world
from tests.test_eavanet_train import TINY as TINY_EAVANET
from tests.test_peers_codetalker_training import TINY as TINY_CODETALKER
from tests.test_researcher_pages import checked, opened, words

torch.set_num_threads(1)
TINY = {
    "eavanet": TINY_EAVANET,
    "faceformer": ["--system", "faceformer", "--preset", "demo", "--device", "cpu", "--threads", "1",
                   "--set", "model.width=16", "--set", "model.heads=2"],
    "codetalker": [*TINY_CODETALKER, "--code-epochs", "2", "--own-past", "3"],  # chance has a part in the past
}  # fmt: skip
PEERS = ("faceformer", "codetalker")
EPOCHS = "4"


@pytest.fixture(scope="module")
def trained_root(tmp_path_factory) -> Path:
    """A data root with a finished run of each system, which has the system's name."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("systems") / "data"
        root.mkdir()
        patch.setenv("EAVANET_DATA", str(root))
        patch.delenv("EAVANET_DATABASE_URL", raising=False)
        engine = open_database()
        make_world(engine)
        engine.dispose()
        for name, flags in TINY.items():
            assert train([*flags, "--epochs", EPOCHS, "--name", name]) == 0
    return root


@pytest.fixture
def trained(trained_root: Path, monkeypatch) -> Engine:
    monkeypatch.setenv("EAVANET_DATA", str(trained_root))
    engine = open_database()
    yield engine
    engine.dispose()


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Half a second of noise."""
    soundfile.write(tmp_path / "speech.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    return tmp_path / "speech.wav"


# Training -------------------------------------------------------------------------------------------------------------


def test_every_system_leaves_a_run_with_its_name_its_losses_and_a_sample(trained: Engine):
    runs = {run.row.name: run for run in list_runs(trained)}
    assert {name: run.row.system for name, run in runs.items()} == {name: name for name in SYSTEMS}
    for name, run in runs.items():
        assert (run.status, run.epoch) == ("finished", int(EPOCHS))
        last = Run(name).metrics()[-1]
        assert {"train/total", "validation/total", "validation/lip_vertex_error"} <= last.keys()
        assert sampled_epochs(run.folder)
        assert ("style" in sampled_clip(run.folder)) == SYSTEMS[name].intercross


def test_the_best_epoch_is_sought_among_those_with_the_same_losses(trained: Engine):
    metrics = Run("codetalker").metrics()
    assert [len(stage) for stage in stages_of(metrics)] == [2, 2]
    assert [entry["epoch"] for entry in newest_stage(metrics)] == [3, 4]
    assert Run("codetalker").checkpoint("best").name == f"epoch-{best_epoch(metrics)['epoch']:04d}"
    assert stages_of([]) == [] and best_epoch([]) is None


@pytest.mark.parametrize("system", PEERS)
def test_a_run_killed_with_9_resumes_exactly(trained: Engine, system: str):
    name = f"killed-{system}"
    command = [sys.executable, "-m", "eavanet.train", *TINY[system], "--epochs", EPOCHS, "--name", name]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=unbuffered)
    for line in process.stdout:
        if line.startswith(b"epoch 2/"):
            time.sleep(0.02)  # somewhere within the third, the first of CodeTalker's second stage
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 2 <= len(Run(name).metrics()) < int(EPOCHS)
    assert train(["--resume", "--name", name, "--device", "cpu"]) == 0
    whole, resumed = (load_file(Run(run).checkpoint("last") / "model.safetensors") for run in (system, name))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


@pytest.mark.parametrize("name", TINY)
def test_a_rehearsal_reckons_every_stage(trained: Engine, name: str, capsys):
    assert train([*TINY[name], "--epochs", "40", "--name", "tried", "--dry-run", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["seconds_in_all"] == pytest.approx(40 * numbers["seconds_per_epoch"])
    assert 0 < numbers["trained_parameters"] < numbers["parameters"]
    assert not Run("tried").folder.exists()


@pytest.mark.parametrize("name", PEERS)
def test_a_clip_longer_than_the_official_600_frames_is_learned_and_spoken(name: str):
    system, frames = find_system(name), 640
    fields = {"width": 16} if name == "faceformer" else {
        "width": 16, "layers": 1, "codes": {"width": 16, "layers": 1, "heads": 2, "mlp_width": 16,
                                            "codes_per_frame": 2, "code_width": 8, "n_codes": 8},
    }  # fmt: skip
    data = {"n_vertices": V, "subjects": ("F1", "F3"), "frames_per_second": 30.0}
    torch.manual_seed(0)
    model = system.make_model(system.make_config(fields | data), load_encoder("random-small", regularise=False))
    features, speaker = torch.randn(1, frames, 64), torch.zeros(1, dtype=torch.long)
    made = model(features, torch.tensor([frames]), speaker, torch.randn(1, frames, 3 * V))
    motion = made if name == "faceformer" else made[0].motion
    motion.square().mean().backward()
    assert motion.shape == (1, frames, 3 * V)
    assert torch.isfinite(model.audio_map.weight.grad).all()
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000 * 25).astype(np.float32)  # 750 frames, two windows
    latent = latent_motion(model.eval(), sound, 0, style_for(model, "F1", Manner()))
    assert latent.shape[0] == 750
    assert torch.isfinite(latent).all()


# Prediction and animation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY)
def test_predictions_of_every_system_are_recorded_under_its_title(trained: Engine, name: str, capsys):
    assert predict(["--checkpoint", name, "--part", "biwi-b", "--conditions", "all", "--device", "cpu", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    with reading(trained) as session:
        found = next(one for one in list_sets(session) if one.name == f"{name}-biwi-b")
        assert (found.system, found.run.name, found.simulated) == (SYSTEMS[name].title, name, True)
        assert found.intensity == (1.0 if SYSTEMS[name].emotional else None)
        rows = predictions_of(session, found.id)
        assert {row.condition_subject.name for row in rows} == {"F1", "F3"}
        assert len(rows) == summary["files"] == 12
        assert all(np.isfinite(load_prediction(row)).all() for row in rows[:2])
    assert summary["system"] == name
    assert ("emotion" in summary) == SYSTEMS[name].emotional


def test_each_system_is_asked_only_for_what_it_can_be_told(trained: Engine, speech: Path, tmp_path: Path, capsys):
    out = ["--audio", str(speech), "--out", str(tmp_path / "out.npy"), "--device", "cpu"]
    for run, asked, message in (
        ("faceformer", ["--emotion", "happy"], "FaceFormer knows no emotions; leave emotion and intensity out"),
        ("codetalker", ["--intensity", "0.3"], "CodeTalker knows no emotions"),
        ("eavanet", [], "EavaNet needs an emotion: one of happy, angry, sadness, neutral"),
        ("eavanet", ["--emotion", "happy", "--blend", "F3"], "takes its style from an emotion, not from a second"),
        ("codetalker", ["--blend", "M2"], "condition subject M2: the model knows F1, F3"),
        ("codetalker", ["--blend", "F3", "--weight", "2"], "weight = 2.0: expected 0"),
    ):
        assert animate([*out, "--checkpoint", run, *asked]) == 1
        assert message in capsys.readouterr().err
    assert predict(["--checkpoint", "codetalker", "--part", "validation", "--emotion", "happy"]) == 1
    assert "CodeTalker knows no emotions" in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("name", PEERS)
def test_a_style_is_mixed_of_two_speakers(trained: Engine, name: str, speech: Path, tmp_path: Path, capsys):
    made = {}
    for weight in ("1", "0.5", "0"):
        out = tmp_path / f"{weight}.npy"
        mixed = ["--blend", "F3", "--weight", weight, "--face", "F1", "--checkpoint", name, "--device", "cpu"]
        assert animate(["--audio", str(speech), "--subject", "F1", "--out", str(out), *mixed]) == 0
        made[weight] = np.load(out)
    assert "spoken as F1 mixed with F3 (0.5)" in capsys.readouterr().out
    for subject, weight in (("F1", "1"), ("F3", "0")):
        out = tmp_path / "alone.npy"
        alone = ["--subject", subject, "--face", "F1", "--checkpoint", name, "--device", "cpu"]
        assert animate(["--audio", str(speech), "--out", str(out), *alone]) == 0
        np.testing.assert_array_equal(np.load(out), made[weight])
    flags = ["--checkpoint", name, "--part", "validation", "--blend", "F1", "--weight", "0.3", "--device", "cpu"]
    assert predict(flags) == 0
    with reading(trained) as session:
        found = next(one for one in list_sets(session) if one.name == f"{name}-validation-blend-F1-0_3")
        assert (found.source["blend"], found.source["weight"]) == ("F1", 0.3)


@pytest.mark.parametrize("name", PEERS)
def test_the_resident_performer_speaks_with_every_system(trained: Engine, name: str, speech: Path):
    performer = Performer(torch.device("cpu"))
    request = {"run": name, "sound": str(speech), "subject": "F1", "face": "F1", "emotion": None, "intensity": 1.0,
               "other": "F3", "weight": 0.5, "about": {"name": "x", "by": "researcher:1"}}  # fmt: skip
    about = performer.animate(request | {"animation": 32 * "a"}, lambda *_: None)
    assert (about["system"], about["emotion"], about["other"], about["weight"]) == (name, None, "F3", 0.5)
    assert Path(performer.export({"animation": 32 * "a", "kind": "glb"}, lambda *_: None)["path"]).stat().st_size > 500
    with pytest.raises(ValueError, match="knows no emotions"):
        performer.animate(request | {"animation": 32 * "b", "emotion": "happy"}, lambda *_: None)


def test_a_run_that_has_learned_only_codes_says_that_it_cannot_speak_yet(trained: Engine, speech: Path, capsys):
    assert train([*TINY["codetalker"], "--epochs", "3", "--name", "young"]) == 0
    folder = Run("young").checkpoint("last")
    manifest = json.loads((folder / "manifest.json").read_text()) | {"epoch": 2}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert predict(["--checkpoint", str(folder), "--part", "validation", "--device", "cpu"]) == 1
    assert "run young cannot speak yet: after 2 epochs CodeTalker has learned codes" in capsys.readouterr().err


# Pages ----------------------------------------------------------------------------------------------------------------


def test_a_run_of_every_system_has_a_page_with_its_own_losses(trained: Engine):
    runs = {run.row.name: run.row.id for run in list_runs(trained)}
    for name, shown, stage_1 in (
        ("faceformer", {"Loss", "Lip vertex error", "Learning rate"}, set()),
        ("codetalker", {"Loss", "Loss of motion", "Loss of codes", "Lip vertex error"}, {"Rebuilt from codes"}),
    ):
        page = opened("runs", chosen_runs=[runs[name]])
        assert "Finished: epoch 4 of 4." in words(page)
        titles = {text.value.split("**")[1] for text in page.markdown if text.value.startswith("**")}
        assert shown <= titles and not {"Loss of emotion", "Emotions recognised"} & titles
        assert ("Rebuilt from codes" in titles) == bool(stage_1)
        assert [expander.label for expander in page.expander if "Stage 1" in expander.label] == (
            ["Stage 1: motion as codes, epochs 1 to 2"] if stage_1 else []
        )
    page = opened("runs", chosen_runs=[runs[name] for name in TINY])
    assert "different systems, each with its own losses" in words(page)
    assert "Loss of codes" in words(page)


def test_speakers_are_mixed_on_the_animate_page_where_there_are_no_emotions(trained: Engine):
    runs = {run.row.name: run.row.id for run in list_runs(trained)}
    page = opened("animate", chosen_run=runs["codetalker"])
    assert not [group for group in page.button_group if group.label == "Emotion"]
    other = page.selectbox(key=f"other {runs['codetalker']} F1")
    assert other.options == ["nobody", "F3"]
    other.set_value("F3")
    checked(page.run())
    assert page.slider(key="blend weight").label == "Part of F1's own style"


# Settings -------------------------------------------------------------------------------------------------------------


def test_every_system_has_its_presets_and_tells_its_settings():
    found = options()
    for name, system in SYSTEMS.items():
        own = [preset for preset in PRESETS if preset_system(preset) is system]
        assert {preset.removeprefix(f"{name}-") for preset in own} == {"paper", "demo"}
        told = found["systems"][name]
        assert all(setting["help"] for setting in told["settings"])
        assert told["emotional"] == system.emotional
        for setting in told["settings"]:
            assert (setting["minimum"] is None) == (setting["kind"] != "int"), setting["name"]
        for preset in own:
            training = found["presets"][preset]["training"]
            assert stages_planned(training) == preset_settings(preset)[1].stages


def test_a_setting_of_another_system_is_refused(trained: Engine, capsys):
    assert train(["--system", "faceformer", "--preset", "demo", "--code-epochs", "3", "--name", "odd"]) == 1
    assert "--code-epochs: the training of FaceFormer has no such setting" in capsys.readouterr().err
    assert load_checkpoint(Run("faceformer").checkpoint()).system is SYSTEMS["faceformer"]

"""Animations: made by a process that stays, kept with what made them, taken off the list and brought back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from db import animations, playback
from db.session import open_database
from eavanet import animate
from eavanet.train_command import main as train
from tests.eavanet_world import V, make_world, template
from tests.test_eavanet_generate import TINY
from workbench.performance import Stage, Ticket

WAIT_S = 120


@pytest.fixture(scope="module")
def _once(tmp_path_factory):
    """A data root with a trained run, and the process: both take seconds to make."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("performer") / "data"
        root.mkdir()
        patch.setenv("EAVANET_DATA", str(root))
        patch.delenv("EAVANET_DATABASE_URL", raising=False)
        engine = open_database()
        make_world(engine)
        engine.dispose()
        assert train(TINY) == 0
        opened = Stage()
        yield root, opened
        opened.close()


@pytest.fixture
def trained(_once, monkeypatch):
    """The data root, without animations."""
    root, _ = _once
    shutil.rmtree(root / "animations", ignore_errors=True)
    monkeypatch.setenv("EAVANET_DATA", str(root))
    return root


@pytest.fixture
def stage(_once, trained):
    return _once[1]


@pytest.fixture
def speech(tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 22_050), 44_100)
    return path


def wishes(sound, **changes) -> dict:
    asked = {
        "animation": animations.new_id(), "run": "run", "sound": str(sound), "subject": "F1", "face": "F1",
        "emotion": "angry", "intensity": 1.0, "about": {"name": "speech.wav", "by": "researcher:1"},
    }  # fmt: skip
    return asked | changes


def perform(stage: Stage, sound, **changes) -> Ticket:
    ticket = stage.ask(do="animate", **wishes(sound, **changes))
    assert ticket.ended.wait(WAIT_S)
    return ticket


def test_an_animation_is_kept_with_what_made_it_and_can_be_played(trained, stage, speech):
    ticket = perform(stage, speech)
    assert ticket.error is None
    (found,) = animations.list_animations()
    assert found.about == ticket.result
    assert (found.about["frames"], found.about["emotion"], found.about["name"]) == (13, "angry", "speech.wav")
    assert found.about["synthetic"] and found.about["random_encoder"] and not found.about["exaggerated"]
    motion = np.load(found.folder / "motion.npy").reshape(13, V, 3)
    shown, fps = playback.decode_playback((found.folder / "motion.bin").read_bytes())
    assert fps == 25 and np.abs(shown - motion).max() <= playback.TOLERANCE * np.ptp(motion[..., 1]) * 1.01
    assert soundfile.info(found.folder / "speech.wav").samplerate == 16_000


def test_another_emotion_on_another_face_needs_no_second_process(trained, stage, speech):
    first = perform(stage, speech)
    process = stage._process.pid
    second = perform(stage, speech, emotion="happy", intensity=1.5, face="M2")
    assert stage._process.pid == process
    assert second.result["exaggerated"] is True
    faces = [np.load(animations.folder_of(t.request["animation"]) / "motion.npy").reshape(-1, V, 3).mean(0)
             for t in (first, second)]  # fmt: skip
    assert np.abs(faces[0] - template(0)).max() < np.abs(faces[0] - template(2)).max()
    assert np.abs(faces[1] - template(2)).max() < np.abs(faces[1] - template(0)).max()


def test_what_is_made_from_memory_is_what_the_command_makes(trained, stage, speech, tmp_path):
    perform(stage, speech, emotion="neutral")
    again = perform(stage, speech, emotion="happy", intensity=0.3)
    arguments = ["--audio", str(speech), "--emotion", "happy", "--intensity", "0.3", "--checkpoint", "run"]
    assert animate.main([*arguments, "--subject", "F1", "--out", str(tmp_path / "face.npy")]) == 0
    made = np.load(animations.folder_of(again.request["animation"]) / "motion.npy")
    np.testing.assert_allclose(made, np.load(tmp_path / "face.npy"), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": "nothing"}, "run nothing has no checkpoint yet"),
        ({"emotion": "joy"}, "emotion 'joy': expected one of"),
        ({"subject": "M2"}, "condition subject M2: the model knows F1, F3"),
        ({"face": "X9"}, "face X9: neither a subject of corpus tiny"),
        ({"sound": "/nowhere/speech.wav"}, "no such file"),
    ],
)
def test_what_cannot_be_animated_is_refused_in_words_and_leaves_nothing(trained, stage, speech, changes, message):
    ticket = perform(stage, changes.pop("sound", speech), **changes)
    assert message in ticket.error
    assert animations.list_animations() == []
    assert [path for path in animations.animations_folder().glob("*") if path.is_dir()] == []


def test_silence_and_less_than_half_a_frame_are_refused(trained, stage, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    assert "the recording is silent" in perform(stage, tmp_path / "silence.wav").error
    soundfile.write(tmp_path / "click.wav", np.ones(100), 16_000)
    assert "less than half a frame" in perform(stage, tmp_path / "click.wav").error


def test_a_process_that_is_killed_fails_its_request_and_the_next_one_starts_another(trained, stage, speech):
    assert perform(stage, speech).error is None
    os.kill(stage._process.pid, signal.SIGKILL)
    stage._process.wait()
    assert perform(stage, speech).error is None
    assert len(animations.list_animations()) == 2


def test_a_request_can_be_stopped_and_those_that_wait_go_on(trained, stage, speech):
    stage.close()
    first = stage.ask(do="animate", **wishes(speech))  # loads torch and the model: long enough to be stopped
    second, third = (stage.ask(do="animate", **wishes(speech)) for _ in range(2))
    while stage._process is None:
        time.sleep(0.01)
    stage.cancel(third)
    stage.cancel(first)
    for ticket in (first, second, third):
        assert ticket.ended.wait(WAIT_S)
    assert (first.error, third.error, second.error) == ("stopped", "stopped", None)
    assert len(animations.list_animations()) == 1


def test_a_file_for_3d_programs_is_made_from_what_was_kept(trained, stage, speech):
    made = perform(stage, speech)
    animation = made.request["animation"]
    ticket = stage.ask(do="export", animation=animation, kind="glb")
    assert ticket.ended.wait(WAIT_S) and ticket.error is None
    assert animations.file_of(animation, "glb").read_bytes()[:4] == b"glTF"
    ticket = stage.ask(do="export", animation=animations.new_id(), kind="glb")
    assert ticket.ended.wait(WAIT_S) and "not there any more" in ticket.error


def test_the_process_ends_when_nobody_asks(trained):
    run = subprocess.run([sys.executable, "-m", "eavanet.performer", "--idle", "0.2"], stdin=subprocess.PIPE,
                         timeout=WAIT_S)  # fmt: skip
    assert run.returncode == 0


# What is kept


def test_an_animation_is_put_away_and_brought_back(data_root):
    animation = animations.new_id()
    folder = animations.folder_of(animation)
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(json.dumps({"created_at": "2026-01-01"}))
    animations.put_away(animation)
    assert animations.list_animations() == []
    assert [found.id for found in animations.list_animations(put_away=True)] == [animation]
    animations.put_away(animation, away=False)
    assert [found.id for found in animations.list_animations()] == [animation]


@pytest.mark.parametrize("bad", ["../../etc", "", "A" * 32, "0" * 31, "0" * 32 + "/.."])
def test_nothing_but_an_id_names_an_animation(data_root, bad):
    with pytest.raises(ValueError, match="is no id of an animation"):
        animations.folder_of(bad)


def test_recordings_are_kept_under_names_of_ours(data_root):
    path = animations.keep_recording(b"RIFF....", "../../my speech.WAV")
    assert path.parent == data_root / "animations" / "recordings" and path.suffix == ".wav"
    assert animations.keep_recording(b"RIFF....", "other.wav") == path
    for name, data, message in (("virus.exe", b"MZ", "expected sound"), ("a.wav", b"", "the file is empty")):
        with pytest.raises(ValueError, match=message):
            animations.keep_recording(data, name)

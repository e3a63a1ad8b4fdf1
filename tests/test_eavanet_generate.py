"""A checkpoint at work: predictions of a split, animation of any recording, speed."""

import json
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from db.predictions import list_sets, load_prediction, predictions_of
from db.session import reading
from eavanet import animate, predict, speed
from eavanet.checkpoint import load_checkpoint
from eavanet.generate import latent_motion, style_of, windows
from eavanet.gltf import factored
from eavanet.recording import UnreadableAudio, read_recording
from eavanet.run import find_checkpoint
from eavanet.train_command import main as train
from tests.eavanet_world import SUBJECTS, V, make_world, template

torch.set_num_threads(1)
TINY = [
    "--preset", "demo", "--device", "cpu", "--set", "model.width=16", "--set", "model.style.width=16",
    "--set", "model.lstm_units=8", "--set", "model.gau_channels=16", "--set", "model.projection_units=8",
    "--learning-rate", "0.003", "--threads", "1", "--epochs", "2", "--name", "run",
]  # fmt: skip


@pytest.fixture
def trained(sqlite_engine, data_root):
    """A data root with a trained run."""
    make_world(sqlite_engine)
    assert train(TINY) == 0
    return data_root


@pytest.fixture
def speech(tmp_path):
    """Half a second of noise at 16 kHz."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    return path


# Predictions of a split


def test_seen_subjects_are_predicted_as_themselves_in_the_peers_layout(trained):
    assert predict.main(["--part", "validation"]) == 0
    files = {path.name: np.load(path) for path in (trained / "predictions/run-validation").glob("*.npy")}
    assert set(files) == {"F1_e06_condition_F1.npy", "F3_e06_condition_F3.npy"}
    assert files["F1_e06_condition_F1.npy"].shape == (25, 3 * V)
    assert files["F1_e06_condition_F1.npy"].dtype == np.float32


def test_unseen_subjects_keep_their_face_and_borrow_every_seen_speaker(trained):
    assert predict.main(["--part", "biwi-b", "--conditions", "all"]) == 0
    files = sorted(path.name for path in (trained / "predictions/run-biwi-b").glob("M2_e01*.npy"))
    assert files == ["M2_e01_condition_F1.npy", "M2_e01_condition_F3.npy"]
    motion = np.load(trained / "predictions/run-biwi-b" / files[0]).reshape(-1, V, 3)
    own, other = (np.abs(motion - template(SUBJECTS.index(name))).max() for name in ("M2", "F1"))
    assert own < 0.2 < other


def test_a_prediction_says_what_made_it(trained, capsys):
    assert predict.main(["--part", "validation", "--emotion", "angry", "--intensity", "1.5", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["exaggerated"] is True
    assert summary["encoder"]["random"] is True
    assert summary["name"] == "run-validation-angry-alpha-1_5"
    assert json.loads((trained / "predictions" / summary["name"] / "predictions.json").read_text()) == summary


def test_predictions_are_recorded_with_what_they_came_from(trained, sqlite_engine):
    assert predict.main(["--part", "biwi-b", "--conditions", "all", "--intensity", "0.3", "--name", "weak"]) == 0
    with reading(sqlite_engine) as session:
        (row,) = list_sets(session)
        found = predictions_of(session, row.id)
    assert (row.name, row.system, row.part, row.emotion, row.intensity) == ("weak", "EavaNet", "biwi-b", None, 0.3)
    assert row.synthetic and row.simulated and row.source["run"] == "run"
    assert len(found) == 12 and {one.condition_subject.name for one in found} == {"F1", "F3"}
    assert load_prediction(found[0]).shape == (found[0].clip.n_frames, V, 3)


def test_a_name_does_not_come_to_mean_another_checkpoints_predictions(trained, sqlite_engine, capsys):
    assert predict.main(["--part", "validation", "--name", "mine"]) == 0
    assert predict.main(["--part", "validation", "--name", "mine"]) == 0  # the same again
    before = (trained / "predictions/mine/F1_e06_condition_F1.npy").read_bytes()
    assert predict.main(["--part", "validation", "--name", "mine", "--emotion", "angry"]) == 1
    assert "were made otherwise (emotion)" in capsys.readouterr().err
    assert train([*TINY[:-1], "other", "--seed", "5"]) == 0
    assert predict.main(["--checkpoint", "other", "--part", "validation", "--name", "mine"]) == 1
    assert "were made otherwise (checkpoint_sha256" in capsys.readouterr().err
    assert (trained / "predictions/mine/F1_e06_condition_F1.npy").read_bytes() == before
    assert predict.main(["--checkpoint", "other", "--part", "validation", "--name", "mine", "--replace"]) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--conditions", "M2"], "condition subject M2: the model knows F1, F3"),
        (["--emotion", "joy"], "emotion 'joy': expected one of happy, angry, sadness, neutral"),
        (["--intensity", "-1"], "intensity -1.0: must be 0"),
        (["--part", "biwi-a"], "has no labelled clip in biwi-a"),
        (["--checkpoint", "nothing"], "run nothing has no checkpoint yet; runs that have: run"),
    ],
)
def test_what_cannot_be_predicted_is_refused_before_anything_is_written(trained, capsys, flags, message):
    assert predict.main(["--part", "validation", *flags]) == 1
    assert message in capsys.readouterr().err
    assert not (trained / "predictions").exists()


def test_another_topology_is_refused(trained, sqlite_engine, capsys, monkeypatch):
    monkeypatch.setattr("tests.eavanet_world.V", 12)
    make_world(sqlite_engine, name="other")
    assert predict.main(["--corpus", "other", "--part", "validation"]) == 1
    assert "makes faces of 9 vertices, corpus other has 12" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["predict", "animate"])
def test_a_command_that_is_cancelled_leaves_nothing_half_written(trained, tmp_path, command):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(0, 0.1, 16_000 * 600), 16_000)
    arguments = {
        "predict": ["--part", "biwi-b", "--conditions", "all"],
        "animate": ["--audio", str(tmp_path / "long.wav"), "--emotion", "happy", "--out", str(tmp_path / "face.npy")],
    }[command]
    process = subprocess.Popen(
        [sys.executable, "-m", f"eavanet.{command}", *arguments], cwd=Path(__file__).parents[1], stderr=subprocess.PIPE,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    time.sleep(4)  # somewhere between the imports and the last file
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode in (0, 130, -signal.SIGTERM)  # done already, in the middle, still importing
    if process.returncode == 130:
        assert told.strip().splitlines()[-1].startswith("stopped; ")
    for path in [*tmp_path.rglob("*.npy"), *(trained / "predictions").rglob("*.npy")]:
        assert len(np.load(path)) > 0  # whole
    assert not list(trained.rglob("*.part")) and not list(tmp_path.glob("*.part"))


# Style


def test_intensity_0_is_neutral_and_1_the_emotion(trained):
    model = load_checkpoint(find_checkpoint("run")).model
    happy, neutral = model.emotion_embeddings[0], model.emotion_embeddings[3]
    torch.testing.assert_close(style_of(model, "happy", 0), neutral)
    torch.testing.assert_close(style_of(model, "happy", 1), happy)
    torch.testing.assert_close(style_of(model, "happy", 0.3), 0.3 * happy + 0.7 * neutral)
    torch.testing.assert_close(style_of(model, "neutral", 0.5), neutral)


def test_an_emotion_that_was_never_trained_cannot_be_shown(trained):
    model = load_checkpoint(find_checkpoint("run")).model
    model.emotion_embeddings[1] = float("nan")
    with pytest.raises(ValueError, match="emotion angry: the model was trained without a clip of it"):
        style_of(model, "angry", 1.0)


# Long recordings


@pytest.mark.parametrize("total", [1, 49, 50, 51, 99, 100, 101, 1234])
def test_windows_cover_every_frame_and_overlap(total):
    found = windows(total, 25, window_s=2.0)
    assert found[0][0] == 0
    assert found[-1][1] == total
    for (_, stop), (start, _) in zip(found, found[1:], strict=False):
        assert stop - start == 25


def test_a_recording_of_many_windows_moves_as_smoothly_as_one_of_a_single(trained):
    model = load_checkpoint(find_checkpoint("run")).model
    samples = np.random.default_rng(1).normal(0, 0.1, 16_000 * 6).astype(np.float32)
    style = style_of(model, "happy", 1)
    whole = latent_motion(model, samples, 0, style)
    parts = latent_motion(model, samples, 0, style, window_s=2.0)
    assert parts.shape == whole.shape == (150, 8)
    assert (parts - whole).abs().mean() < 0.3 * whole.std()
    assert parts.diff(dim=0).abs().max() < 2 * whole.diff(dim=0).abs().max() + 1e-3


# Animation


def test_a_face_speaks_into_an_npy_file(trained, speech, tmp_path, capsys):
    out = tmp_path / "face.npy"
    assert animate.main(["--audio", str(speech), "--emotion", "angry", "--intensity", "0.3", "--out", str(out)]) == 0
    assert np.load(out).shape == (13, 3 * V)  # 0.5 s is 12.5 frames, rounded up
    assert "angry at 0.3, spoken as F1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rate", "channels", "seconds", "frames"),
    [(8_000, 1, 1.0, 25), (44_100, 2, 1.0, 25), (48_000, 6, 1.0, 25), (16_000, 1, 0.1, 3), (16_000, 1, 0.02, 1)],
)
def test_any_rate_number_of_channels_and_length_will_do(trained, tmp_path, rate, channels, seconds, frames):
    noise = np.random.default_rng(0).normal(0, 0.1, (round(rate * seconds), channels))
    soundfile.write(tmp_path / "a.wav", noise, rate)
    assert animate.main(["--audio", f"{tmp_path}/a.wav", "--emotion", "happy", "--out", f"{tmp_path}/a.npy"]) == 0
    assert len(np.load(tmp_path / "a.npy")) == frames


@pytest.mark.parametrize("samples", [np.zeros(16_000), np.sign(np.sin(np.arange(16_000)))], ids=["silent", "clipped"])
def test_silence_and_clipped_sound_move_the_face_somehow_but_finitely(trained, tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    assert animate.main(["--audio", f"{tmp_path}/a.wav", "--emotion", "happy", "--out", f"{tmp_path}/a.npy"]) == 0
    assert np.isfinite(np.load(tmp_path / "a.npy")).all()


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_other_formats_are_read(tmp_path, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", np.random.default_rng(0).normal(0, 0.1, 22_050), 22_050)
    assert len(read_recording(tmp_path / f"a.{suffix}")) == pytest.approx(16_000, rel=0.1)


def test_m4a_is_read_through_ffmpeg(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="no ffmpeg (pip install imageio-ffmpeg)")
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", f"{tmp_path}/a.wav", f"{tmp_path}/a.m4a"]
    subprocess.run(command, check=True)
    assert len(read_recording(tmp_path / "a.m4a")) == pytest.approx(16_000, rel=0.1)


def test_what_is_no_sound_is_refused(trained, tmp_path, capsys):
    (tmp_path / "a.wav").write_text("hello")
    with pytest.raises(UnreadableAudio, match="cannot be read as sound"):
        read_recording(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros(0), 16_000)
    with pytest.raises(UnreadableAudio, match="holds no sound"):
        read_recording(tmp_path / "b.wav")
    soundfile.write(tmp_path / "c.wav", np.zeros(100), 16_000)
    assert animate.main(["--audio", f"{tmp_path}/c.wav", "--emotion", "happy", "--out", f"{tmp_path}/c.npy"]) == 1
    assert "less than half a frame" in capsys.readouterr().err
    assert animate.main(["--audio", f"{tmp_path}/no.wav", "--emotion", "happy", "--out", f"{tmp_path}/c.npy"]) == 1
    assert "no such file" in capsys.readouterr().err


def test_a_face_may_be_an_unseen_subjects_or_a_file(trained, speech, tmp_path, capsys):
    np.save(tmp_path / "own.npy", template(2))
    common = ["--audio", str(speech), "--emotion", "sadness"]
    assert animate.main([*common, "--face", "M2", "--out", f"{tmp_path}/a.npy"]) == 0
    assert animate.main([*common, "--face", f"{tmp_path}/own.npy", "--out", f"{tmp_path}/b.npy"]) == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert animate.main([*common, "--face", "Nobody", "--out", f"{tmp_path}/c.npy"]) == 1
    assert "neither a subject of corpus tiny nor a .npy file" in capsys.readouterr().err


def test_a_glb_file_holds_the_same_motion(trained, speech, tmp_path):
    common = ["--audio", str(speech), "--emotion", "happy", "--out"]
    assert animate.main([*common, f"{tmp_path}/face.glb"]) == 0
    assert animate.main([*common, f"{tmp_path}/face.npy"]) == 0
    expected = np.load(tmp_path / "face.npy").reshape(-1, V, 3)
    document, arrays = read_glb((tmp_path / "face.glb").read_bytes())
    primitive = document["meshes"][0]["primitives"][0]
    rest = arrays[primitive["attributes"]["POSITION"]]
    targets = np.stack([arrays[target["POSITION"]] for target in primitive["targets"]])
    sampler = document["animations"][0]["samplers"][0]
    weights = arrays[sampler["output"]].reshape(-1, len(targets))
    assert np.allclose(arrays[sampler["input"]].ravel(), np.arange(len(expected)) / 25)
    assert np.abs(weights).max() <= 1.000001
    moved = rest + np.einsum("tk,kvc->tvc", weights, targets)
    assert np.abs(moved - expected).max() < 1e-3 * np.ptp(rest[:, 1])
    assert arrays[primitive["indices"]].ravel().tolist() == [0, 1, 2, 3, 4, 5]


def read_glb(data: bytes) -> tuple[dict, list[np.ndarray]]:
    """The document and each accessor's array; fails where the container breaks the specification."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    binary_size, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0"
    binary = data[28 + size :]
    assert len(binary) == binary_size
    arrays = []
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        dtype = {5126: "<f4", 5125: "<u4", 5121: "u1"}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        array = np.frombuffer(binary, dtype, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
        if "min" in accessor:
            assert np.allclose(array.min(axis=0), accessor["min"])
            assert np.allclose(array.max(axis=0), accessor["max"])
        arrays.append(array)
    return document, arrays


def test_few_targets_are_enough_for_a_motion_of_few_dimensions():
    rng = np.random.default_rng(0)
    latent, spread = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 16)), rng.normal(size=(90, 16))
    morphs = factored(latent, spread, np.zeros(90), height=10.0)
    assert len(morphs.targets) == 2
    rebuilt = np.einsum("tk,kvc->tvc", morphs.weights, morphs.targets).reshape(60, 90)
    assert np.allclose(rebuilt, latent @ spread.T, atol=1e-2)


def test_a_face_that_does_not_move_still_makes_a_file():
    morphs = factored(np.zeros((5, 4)), np.zeros((9, 4)), np.zeros(9), height=1.0)
    assert morphs.weights.shape == (5, 1)
    assert not morphs.targets.any()


def test_a_film_with_sound(trained, speech, tmp_path):
    pytest.importorskip("pyvista", reason="pyvista is not installed")
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    out = tmp_path / "face.mp4"
    assert animate.main(["--audio", str(speech), "--emotion", "happy", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000
    assert b"ftyp" in out.read_bytes()[:16]
    assert len(read_recording(out)) == pytest.approx(8000, rel=0.2)


def test_the_face_in_a_film_moves(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    pytest.importorskip("pyvista", reason="pyvista is not installed")
    rest = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]], np.float32)
    vertices = np.stack([rest * scale for scale in (1.0, 1.0, 0.2)])
    np.save(tmp_path / "vertices.npy", vertices.reshape(3, -1))
    np.save(tmp_path / "triangles.npy", np.array([[0, 1, 2]]))
    soundfile.write(tmp_path / "sound.wav", np.zeros(1920), 16_000)
    command = [sys.executable, "-m", "eavanet.film", str(tmp_path), "25", str(tmp_path / "out.mp4")]
    subprocess.run(command, check=True)
    frames = imageio_ffmpeg.read_frames(str(tmp_path / "out.mp4"))
    next(frames)
    dark = [(np.frombuffer(frame, np.uint8) < 250).mean() for frame in frames]
    assert dark[-1] < 0.5 * dark[0]


def test_without_graphics_a_film_is_refused_with_the_reason(trained, speech, tmp_path, monkeypatch, capsys):
    (tmp_path / "pyvista.py").write_text("raise ImportError(name='pyvista')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert animate.main(["--audio", str(speech), "--emotion", "happy", "--out", f"{tmp_path}/face.mp4"]) == 1
    assert "pyvista is not installed" in capsys.readouterr().err
    assert not (tmp_path / "face.mp4").exists()


# Speed


def test_speed_reports_the_real_time_factor_of_each_system_and_decoder(data_root, capsys):
    flags = ["--systems", "eavanet,faceformer", "--encoder", "random-small", "--vertices", "100", "--runs", "3",
             "--faithful-runs", "2", "--warm-up", "1", "--seconds", "1", "--device", "cpu"]  # fmt: skip
    assert speed.main([*flags, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 25
    assert [(row["title"], row["decoder"], row["runs"]) for row in report["systems"]] == [
        ("EavaNet", "", 3), ("FaceFormer", "cached", 3), ("FaceFormer", "faithful", 2),
    ]  # fmt: skip
    for row in report["systems"]:
        assert 0 < row["rtf"]["p5"] <= row["rtf"]["median"] <= row["rtf"]["p95"]
    assert report["ratio_to_audio_encoder"] > 0.5
    assert report["environment"]["packages"]["torch"] == torch.__version__
    assert json.loads((data_root / "speed" / "100-vertices.json").read_text()) == report


def test_speed_of_trained_runs_is_told_in_words(trained, capsys):
    capsys.readouterr()
    flags = ["--checkpoint", "run", "--runs", "2", "--warm-up", "0", "--seconds", "1", "--device", "cpu"]
    assert speed.main(flags) == 0
    told = capsys.readouterr().out
    assert "EavaNet: RTF" in told and "published 0.0097 (Table IV, RTX 3090)" in told
    assert (trained / "speed" / "run.json").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_predicts_what_the_processor_predicts(trained):
    on_cpu, on_gpu = (load_checkpoint(find_checkpoint("run"), device).model for device in ("cpu", "cuda"))
    samples = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    results = [latent_motion(m, samples, 0, style_of(m, "happy", 1)).cpu() for m in (on_cpu, on_gpu)]
    torch.testing.assert_close(*results, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("main", [train, predict.main, animate.main, speed.main])
def test_each_command_prints_help(main, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "usage: python -m eavanet." in capsys.readouterr().out


def test_a_command_runs_as_a_module():
    run = subprocess.run([sys.executable, "-m", "eavanet.train", "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert "lambda_CE of Eq. (7)" in run.stdout

"""Samples of a validation clip that a training leaves behind: which, how many, and what they show."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from db.playback import decode_playback
from eavanet.run import Run
from eavanet.samples import KEPT, SampleWriter, sample_path, sampled_clip, sampled_epochs, telling_clip, thinned
from eavanet.train_command import main
from tests.eavanet_world import V, make_world, template
from tests.training_world import TINY

torch.set_num_threads(1)


def face(shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (5, V, 3)).astype(np.float32) + np.float32(shift)


def lip_error(vertices: np.ndarray, truth: np.ndarray) -> float:
    return float(np.square(vertices - truth)[..., :4, :].sum(axis=-1).max(axis=-1).mean())  # the world's lips are 0..3


def test_a_training_leaves_samples_that_come_closer_to_the_truth(sqlite_engine, data_root):
    make_world(sqlite_engine)
    assert main([*TINY, "--epochs", "6", "--name", "run", "--learning-rate", "0.0003"]) == 0
    folder = Run("run").folder
    about, epochs = sampled_clip(folder), sampled_epochs(folder)
    assert about["clip"] in ("F1_e06", "F3_e06")
    assert about["style"].split("_")[0] != about["clip"].split("_")[0]
    truth = np.load(data_root / f"corpora/tiny/vertices/{about['clip']}.npy")
    errors = []
    for epoch in (epochs[0], epochs[-1]):
        vertices, fps = decode_playback(sample_path(folder, epoch).read_bytes())
        assert vertices.shape == truth.shape
        assert fps == 25
        errors.append(lip_error(vertices, truth))
    still = lip_error(template(("F1", "F3").index(about["clip"][:2])), truth)
    assert errors[1] < errors[0] < still


def test_samples_leave_the_training_as_it_would_be_without_them(sqlite_engine, monkeypatch):
    make_world(sqlite_engine)
    assert main([*TINY, "--epochs", "3", "--name", "with", "--regularise-encoder"]) == 0
    monkeypatch.setattr(SampleWriter, "due", lambda self: False)
    assert main([*TINY, "--epochs", "3", "--name", "without", "--regularise-encoder"]) == 0
    assert sampled_epochs(Run("without").folder) == []
    one, two = (Run(name).metrics()[-1] for name in ("with", "without"))
    assert one["train/total"] == two["train/total"]


def test_a_sample_that_cannot_be_written_does_not_end_the_training(sqlite_engine, monkeypatch, capsys):
    make_world(sqlite_engine)
    run = Run("full")
    run.folder.mkdir(parents=True)
    (run.folder / "samples").write_text("a file where the folder should be")
    assert main([*TINY, "--epochs", "2", "--name", "full"]) == 0
    assert "training goes on" in capsys.readouterr().out
    assert run.checkpoint("best").name == "epoch-0002"


def test_samples_take_a_fiftieth_of_the_time_at_most(tmp_path, monkeypatch):
    clock = iter([0.0, 0.0, 1.0, 49.0, 51.5])
    monkeypatch.setattr("eavanet.samples.time.monotonic", lambda: next(clock))
    writer = SampleWriter(tmp_path)
    assert writer.due()
    writer.write(1, face(), 25.0, {"clip": "F1_e01"})  # took a second
    assert not writer.due()
    assert writer.due()


def test_the_first_and_the_newest_samples_stay(tmp_path):
    writer = SampleWriter(tmp_path)
    for epoch in range(1, 61):
        writer.write(epoch, face(), 25.0, {"clip": "F1_e01"})
    kept = sampled_epochs(tmp_path)
    assert (len(kept), kept[0], kept[-1]) == (KEPT, 1, 60)


@given(st.sets(st.integers(1, 10_000), max_size=80).map(sorted), st.integers(2, 30))
def test_thinning_keeps_the_ends_and_the_order_and_at_most_so_many(epochs, kept):
    left = thinned(epochs, kept)
    assert len(left) == min(len(epochs), kept)
    assert left == sorted(set(left) & set(epochs))
    assert not epochs or (left[0], left[-1]) == (epochs[0], epochs[-1])


def test_doublings_are_what_is_left_of_many_epochs():
    assert thinned(range(1, 257), 9) == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256], rel=0.6)


def test_the_clip_that_is_shown_has_an_emotion_and_lasts_about_four_seconds():
    def clip(name, emotion, seconds):
        return type("Clip", (), {"name": name, "emotion": emotion, "n_frames": 25 * seconds})

    clips = [clip("a", "neutral", 4), clip("b", "angry", 9), clip("c", "happy", 5)]
    assert telling_clip(clips, 25.0) == 2
    assert telling_clip(clips[:1], 25.0) == 0


def test_a_folder_without_samples_has_none(tmp_path):
    assert sampled_epochs(tmp_path) == []
    assert sampled_clip(tmp_path) is None

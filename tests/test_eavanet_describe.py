"""What `python -m eavanet.describe` writes of a trained checkpoint, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from sqlalchemy import select

from db.models import Split
from db.session import reading, writing
from eavanet import describe
from eavanet.checkpoint import load_checkpoint
from eavanet.run import find_checkpoint
from eavanet.split import load_split
from eavanet.train_command import main as train
from evaluation.description import NoDescription, read_description
from tests.eavanet_world import make_world

torch.set_num_threads(1)
TINY = [
    "--preset", "demo", "--device", "cpu", "--set", "model.width=16", "--set", "model.style.width=16",
    "--set", "model.lstm_units=8", "--set", "model.gau_channels=16", "--set", "model.projection_units=8",
    "--learning-rate", "0.003", "--threads", "1", "--epochs", "2", "--name", "run",
]  # fmt: skip


@pytest.fixture
def trained(sqlite_engine, data_root):
    """A data root with a trained run on 18 clips: ten for training."""
    make_world(sqlite_engine)
    assert train(TINY) == 0
    return data_root


def test_every_clip_of_the_split_is_described_and_the_same_again(trained, capsys):
    assert describe.main(["--checkpoint", "run", "--device", "cpu", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    folder = trained / "runs/run/description"
    assert summary["folder"] == str(folder) and summary["clips"] == 18 and summary["run"] == "run"
    assert summary["parts"] == {"train": 10, "validation": 2, "biwi-a": 0, "biwi-b": 6}
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert describe.main(["--device", "cpu"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    found = read_description(folder)
    assert found.embedding.shape == found.untrained.shape == (18, 16) and found.scores.shape == (18, 4, 10)
    assert found.source["checkpoint_sha256"] == load_checkpoint(find_checkpoint("run")).manifest["files"][
        "model.safetensors"
    ]  # fmt: skip
    assert list(found.part) == ["train"] * 10 + ["validation"] * 2 + ["biwi-b"] * 6
    assert not np.allclose(found.embedding, found.untrained)


def test_the_training_clips_centroids_are_the_lookup_table(trained, sqlite_engine):
    checkpoint = load_checkpoint(find_checkpoint("run"))
    with reading(sqlite_engine) as session:
        found = describe.describe(checkpoint, load_split(session))
    model, training = checkpoint.model, found["part"] == "train"
    for emotion, centroid in zip(model.config.emotions, model.emotion_embeddings, strict=True):
        mean = found["embedding"][training & (found["emotion"] == emotion)].mean(axis=0)
        np.testing.assert_allclose(mean, centroid.numpy(), atol=1e-5)
    np.testing.assert_allclose(found["scores"].sum(axis=2), 1, atol=1e-5)


def test_the_untrained_encoder_is_another_with_the_same_unit_of_motion_and_disturbs_no_random_numbers(trained):
    model = load_checkpoint(find_checkpoint("run")).model
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = (describe.untrained_encoder(model, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [encoder.extractor.project.weight for encoder in (first, second, other, model.style_encoder)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    for name, buffer in model.style_encoder.named_buffers():
        assert torch.equal(first.get_buffer(name), buffer)


def test_data_that_have_changed_since_the_training_are_refused(trained, sqlite_engine, capsys):
    with writing(sqlite_engine) as session:
        session.scalar(select(Split)).sha256 = "9" * 64
    assert describe.main([]) == 1
    assert "error: split split has changed since the model was trained" in capsys.readouterr().err


def test_a_folder_with_something_else_in_it_is_left_alone(trained, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert describe.main(["--out", str(tmp_path / "mine")]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_run_that_does_not_exist_is_refused(data_root, capsys):
    assert describe.main(["--checkpoint", "nobody"]) == 1
    assert "run nobody has no checkpoint yet" in capsys.readouterr().err


def test_help_is_printed(capsys):
    with pytest.raises(SystemExit):
        describe.main(["--help"])
    assert "--checkpoint" in capsys.readouterr().out


def test_a_damaged_description_is_refused(trained):
    assert describe.main(["--device", "cpu"]) == 0
    folder = trained / "runs/run/description"
    whole = (folder / "attention.npz").read_bytes()
    (folder / "attention.npz").write_bytes(whole[:100])
    with pytest.raises(NoDescription, match="damaged"):
        read_description(folder)
    (folder / "attention.npz").unlink()
    with pytest.raises(NoDescription, match="no attention.npz; run python -m eavanet.describe first"):
        read_description(folder)

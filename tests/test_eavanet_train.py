"""Training: what a run leaves, that it can be resumed exactly, and what happens when something goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from db.clips import load_template, load_vertices
from db.models import Corpus
from db.session import reading, writing
from eavanet.checkpoint import load_checkpoint
from eavanet.data import load_split
from eavanet.run import Run
from eavanet.sampling import IntercrossSampler
from eavanet.train import TrainConfig, set_learning_rate
from eavanet.train_command import main
from tests.eavanet_world import make_world

torch.set_num_threads(1)
TINY = [
    "--preset", "demo", "--device", "cpu", "--set", "model.width=16", "--set", "model.style.width=16",
    "--set", "model.lstm_units=8", "--set", "model.gau_channels=16", "--set", "model.projection_units=8",
    "--learning-rate", "0.003", "--batch-size", "2", "--regularise-encoder", "--threads", "1",
]  # fmt: skip


@pytest.fixture
def world(sqlite_engine):
    make_world(sqlite_engine)
    return sqlite_engine


def weights(run: str, which: str = "last") -> dict[str, torch.Tensor]:
    return load_file(Run(run).checkpoint(which) / "model.safetensors")


def assert_same_run(first: str, second: str) -> None:
    a, b = weights(first), weights(second)
    assert all(torch.equal(a[key], b[key]) for key in a)
    for one, two in zip(Run(first).metrics(), Run(second).metrics(), strict=True):
        timings = {"seconds", "epoch_seconds", "waiting_for_data", "memory_mb"}
        assert {k: v for k, v in one.items() if k not in timings} == {k: v for k, v in two.items() if k not in timings}


def test_a_run_learns_and_leaves_what_the_design_lists(world, capsys):
    assert main([*TINY, "--epochs", "6", "--name", "first"]) == 0
    run = Run("first")
    first, *_, end = run.metrics()
    assert end["train/vertex"] < first["train/vertex"]
    assert end["validation/lip_vertex_error"] < 0.5 * end["validation/lip_vertex_error_of_template"]
    last = run.checkpoint("last")
    assert {path.name for path in last.iterdir()} == {
        "model.safetensors", "face.safetensors", "config.json", "state.pt", "manifest.json", "metrics.jsonl",
    }  # fmt: skip
    manifest = json.loads((last / "manifest.json").read_text())
    assert manifest["corpus"] == {"name": "tiny", "sha256": "c" * 64, "synthetic": True}
    assert manifest["release"]["simulated"] is True
    assert manifest["encoder"]["random"] is True
    assert manifest["seed"] == 0
    assert manifest["environment"]["packages"]["torch"]
    assert list((run.folder / "tensorboard").glob("events.out.tfevents.*"))
    assert "simulated labels, random audio encoder" in capsys.readouterr().out


def test_the_lookup_table_has_the_centroids_of_the_training_clips(world):
    assert main([*TINY, "--epochs", "1", "--name", "table"]) == 0
    table = weights("table")["emotion_embeddings"]
    assert table.shape == (4, 16)
    assert torch.isfinite(table).all()
    assert len(torch.unique(table, dim=0)) == 4


def test_the_style_encoder_sees_motion_in_units_of_the_training_clips(world):
    assert main([*TINY, "--epochs", "1", "--name", "units"]) == 0
    with reading(world) as session:
        clips = load_split(session).parts["train"]
    motions = [load_vertices(clip.row) - load_template(clip.row.subject) for clip in clips]
    expected = np.sqrt(np.square(np.concatenate(motions)).mean())
    assert weights("units")["style_encoder.extractor.motion_unit"].item() == pytest.approx(expected, rel=1e-5)
    assert main([*TINY, "--epochs", "1", "--name", "raw", "--set", "model.style.standardise=false"]) == 0
    assert weights("raw")["style_encoder.extractor.motion_unit"].item() == 1


def test_the_best_checkpoint_has_the_lowest_validation_loss(world):
    assert main([*TINY, "--epochs", "5", "--name", "best", "--learning-rate", "0.03"]) == 0
    losses = [entry["validation/total"] for entry in Run("best").metrics()]
    assert Run("best").checkpoint("best").name == f"epoch-{1 + int(np.argmin(losses)):04d}"
    assert len(list(Run("best").folder.glob("epoch-*"))) <= 2


def test_a_resumed_run_ends_bit_for_bit_where_an_unbroken_one_ends(world):
    assert main([*TINY, "--epochs", "4", "--name", "whole"]) == 0
    assert main([*TINY, "--epochs", "2", "--name", "halves"]) == 0
    assert main(["--resume", "--name", "halves", "--epochs", "4", "--device", "cpu"]) == 0
    assert_same_run("whole", "halves")


def test_a_run_killed_with_9_resumes_exactly(world):
    assert main([*TINY, "--epochs", "6", "--name", "whole"]) == 0
    command = [sys.executable, "-m", "eavanet.train", *TINY, "--epochs", "6", "--name", "killed"]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=unbuffered)
    for line in process.stdout:
        if line.startswith(b"epoch 2/"):
            time.sleep(0.1)  # somewhere within the third
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(Run("killed").metrics()) < 6
    assert main(["--resume", "--name", "killed", "--device", "cpu"]) == 0
    assert_same_run("whole", "killed")


def test_a_run_is_never_begun_anew(world, capsys):
    assert main([*TINY, "--epochs", "1", "--name", "once"]) == 0
    assert main([*TINY, "--epochs", "1", "--name", "once"]) == 1
    assert "run once exists; go on with it by --resume" in capsys.readouterr().err


def test_resuming_with_other_data_or_settings_is_refused(world, capsys):
    assert main([*TINY, "--epochs", "1", "--name", "run"]) == 0
    assert main(["--resume", "--name", "run", "--batch-size", "7"]) == 1
    assert "--batch-size 7: the run was begun with 2" in capsys.readouterr().err
    with writing(world) as session:
        session.query(Corpus).one().sha256 = "9" * 64
    assert main(["--resume", "--name", "run", "--epochs", "2"]) == 1
    assert "corpus tiny has changed since the run was begun" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_at_the_clip_and_keeps_the_last_good_checkpoint(world, capsys, data_root):
    assert main([*TINY, "--epochs", "2", "--name", "nan"]) == 0
    good = weights("nan")
    path = data_root / "corpora/tiny/vertices/F1_e01.npy"
    motion = np.load(path)
    motion[3] = np.nan
    np.save(path, motion)
    assert main(["--resume", "--name", "nan", "--epochs", "4", "--device", "cpu"]) == 1
    message = capsys.readouterr().err
    assert "the loss became nan in epoch 3 at" in message
    assert "the checkpoint after epoch 2 is kept" in message
    assert all(torch.equal(good[key], value) for key, value in weights("nan").items())


def test_a_full_disk_in_between_is_reported_and_training_goes_on(world, capsys, monkeypatch):
    import shutil

    usage = shutil.disk_usage("/")
    full = iter([False, True, False])
    monkeypatch.setattr(
        "eavanet.checkpoint.shutil.disk_usage", lambda _: usage._replace(free=0) if next(full) else usage
    )
    assert main([*TINY, "--epochs", "3", "--name", "space"]) == 0
    assert "no space left" in capsys.readouterr().out
    assert Run("space").checkpoint("last").name == "epoch-0003"
    assert (Run("space").checkpoint("best") / "model.safetensors").exists()


def test_a_disk_that_stays_full_ends_the_run_and_leaves_the_earlier_checkpoint(world, capsys, monkeypatch):
    import shutil

    assert main([*TINY, "--epochs", "1", "--name", "full"]) == 0
    before = weights("full")
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("eavanet.checkpoint.shutil.disk_usage", lambda _: usage._replace(free=0))
    assert main(["--resume", "--name", "full", "--epochs", "2", "--device", "cpu"]) == 1
    assert "earlier checkpoints are untouched" in capsys.readouterr().err
    assert Run("full").checkpoint("last").name == "epoch-0001"
    assert all(torch.equal(before[key], value) for key, value in weights("full").items())
    load_checkpoint(Run("full").checkpoint("last"))


def test_an_emotion_without_clips_is_announced_and_has_no_row_in_the_table(sqlite_engine, capsys):
    make_world(sqlite_engine, emotions=("happy", "neutral"))
    assert main([*TINY, "--epochs", "1", "--name", "two"]) == 0
    assert "no training clip is labelled angry" in capsys.readouterr().out
    assert torch.isfinite(weights("two")["emotion_embeddings"]).all(dim=1).tolist() == [True, False, False, True]


def test_bf16_and_torch_compile_train_too(world):
    assert main([*TINY, "--epochs", "1", "--name", "half", "--precision", "bf16"]) == 0
    assert Run("half").metrics()[0]["train/total"] > 0


def test_two_processes_learn_what_one_does_with_the_same_batches(world):
    plain = [*TINY, "--no-regularise-encoder", "--epochs", "2"]
    assert main([*plain, "--name", "one", "--batch-size", "2"]) == 0
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "eavanet.train",
        *plain, "--name", "two", "--batch-size", "1",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=240, capture_output=True)
    one, two = Run("one").metrics()[-1], Run("two").metrics()[-1]
    assert two["validation/total"] == pytest.approx(one["validation/total"], rel=1e-3)


def test_the_learning_rate_is_halved_every_40_epochs():
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    rates = {}
    for epoch in (0, 39, 40, 80, 199):
        set_learning_rate(optimizer, TrainConfig(), epoch)
        rates[epoch] = optimizer.param_groups[0]["lr"]
    assert rates == {0: 1e-4, 39: 1e-4, 40: 5e-5, 80: 2.5e-5, 199: 1e-4 / 16}


def test_the_app_gets_progress_as_lines_of_json(world, monkeypatch, capsys):
    monkeypatch.setenv("EAVANET_PROGRESS", "json")
    assert main([*TINY, "--epochs", "1", "--name", "json"]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert reports[-1]["progress"] == 1.0
    assert reports[-1]["message"].startswith("epoch 1/1, loss")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "epochs = 0: must be at least 1"),
        (["--vertex-loss", "l1"], "expected one of norm, mse"),
        (["--set", "model.depth=3"], "model.depth: there is no such setting"),
        (["--set", "model.n_vertices=3"], "follows from the corpus"),
        (["--set", "training.epochs='many'"], "training.epochs = 'many': expected int"),
        (["--corpus", "biwi"], "no corpus called biwi; there are: tiny"),
        (["--device", "cuda:99"], "usable GPUs"),
        (["--encoder", "/nowhere/wav2vec2"], "hf download"),
        (["--name", "../up"], "a name has letters"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(world, data_root, capsys, flags, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["--preset", "demo", *flags]) == 1
    assert message in capsys.readouterr().err
    assert not (data_root / "runs").exists()


def test_the_sampler_is_told_apart_by_emotion_in_the_tiny_world(world):
    from db.session import reading
    from eavanet.split import load_split

    with reading(world) as session:
        split = load_split(session)
    assert split.subjects == ("F1", "F3")
    assert {part: len(clips) for part, clips in split.parts.items()} == {
        "train": 10, "validation": 2, "biwi-a": 0, "biwi-b": 6,
    }  # fmt: skip
    assert IntercrossSampler(split.parts["train"], split.parts["train"]).usable

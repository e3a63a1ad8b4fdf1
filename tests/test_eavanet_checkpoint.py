"""Checkpoints: what goes in comes out, and what does not fit is refused with a reason."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from eavanet.audio import load_encoder
from eavanet.checkpoint import (
    CheckpointNotWritten,
    UnusableCheckpoint,
    check_topology,
    load_checkpoint,
    load_state,
    save_checkpoint,
)
from eavanet.data import Face
from eavanet.event_file import EventFile, crc32c
from eavanet.model import EavaNet, EavaNetConfig
from eavanet.style import StyleConfig

V = 7


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = EavaNetConfig(
        n_vertices=V, subjects=("F1", "M1"), width=16, gau_channels=8, lstm_units=8, projection_units=8,
        style=StyleConfig(width=16),
    )  # fmt: skip
    made = EavaNet(config, load_encoder("random-small")).eval()
    torch.nn.init.normal_(made.to_vertices.weight)
    made.emotion_embeddings.normal_()
    return made


@pytest.fixture
def saved(model, tmp_path):
    face = Face(torch.rand(2, V, 3), torch.tensor([[0, 1, 2]]), None)
    state = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-4}]}}
    save_checkpoint(
        tmp_path / "epoch-0003", model, face, {"seed": 5}, {"corpus": {"name": "demo"}}, state=state, metrics="{}\n"
    )
    return tmp_path / "epoch-0003"


def test_a_loaded_model_predicts_exactly_what_the_saved_one_does(model, saved):
    loaded = load_checkpoint(saved)
    assert loaded.model.config == model.config
    arguments = (torch.randn(1, 18, 64), torch.tensor([9]), torch.tensor([1]), model.emotion_embeddings[:1])
    assert torch.equal(loaded.model.decode(*arguments), model.decode(*arguments))
    assert torch.equal(loaded.model.emotion_embeddings, model.emotion_embeddings)
    assert loaded.face.templates.shape == (2, V, 3)
    assert loaded.training == {"seed": 5}
    assert load_state(saved)["epoch"] == 3


def test_a_file_that_would_run_code_is_not_loaded(saved):
    class Harmful:
        def __reduce__(self):
            return print, ("this must never be printed",)

    (saved / "state.pt").write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(UnusableCheckpoint, match="something else than tensors and numbers"):
        load_state(saved)


def test_weights_of_another_topology_are_refused(saved):
    tensors = load_file(saved / "model.safetensors")
    tensors["to_vertices.weight"] = torch.zeros(30, 8)
    tensors["to_vertices.bias"] = torch.zeros(30)
    save_file(tensors, saved / "model.safetensors")
    forget_hashes(saved)
    with pytest.raises(UnusableCheckpoint, match=r"to_vertices.weight: \(30, 8\), expected \(21, 8\)"):
        load_checkpoint(saved)


def test_weights_of_another_encoder_are_refused(saved):
    config = json.loads((saved / "config.json").read_text())
    config["encoder"]["wav2vec2"]["num_hidden_layers"] = 3
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnusableCheckpoint, match=r"layers.2.*missing.*with another encoder or topology"):
        load_checkpoint(saved)


def test_a_file_that_was_exchanged_is_noticed(saved):
    tensors = load_file(saved / "model.safetensors")
    tensors["to_vertices.bias"] += 1
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(UnusableCheckpoint, match=r"is not the file that manifest.json names"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"damaged", "damaged or no safetensors file"),
        ("config.json", b"{", "cannot be read"),
        ("config.json", b"[]", "expected a JSON object"),
        ("config.json", b'{"format": 99}', "checkpoint format 99, this program reads 1"),
        ("config.json", b'{"format": 1, "model": {"depth": 3}}', "describes no EavaNet"),
        ("model.safetensors", None, "has no model.safetensors"),
        ("manifest.json", None, "is no checkpoint, it has no manifest.json"),
    ],
)
def test_a_damaged_or_incomplete_folder_is_refused(saved, name, content, message):
    (saved / name).unlink()
    if content is not None:
        (saved / name).write_bytes(content)
    with pytest.raises(UnusableCheckpoint, match=message):
        load_checkpoint(saved)


def test_a_corpus_of_another_topology_does_not_fit(saved):
    checkpoint = load_checkpoint(saved)
    check_topology(checkpoint, V, "corpus demo")
    with pytest.raises(UnusableCheckpoint, match="makes faces of 7 vertices, corpus biwi has 23370; .* corpus demo"):
        check_topology(checkpoint, 23_370, "corpus biwi")


def test_a_checkpoint_without_state_cannot_be_resumed(saved):
    (saved / "state.pt").unlink()
    load_checkpoint(saved)
    with pytest.raises(UnusableCheckpoint, match="only from a run's last checkpoint"):
        load_state(saved)


def test_without_space_nothing_is_written_and_the_old_checkpoint_stays(model, saved, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("eavanet.checkpoint.shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CheckpointNotWritten, match="no space left: needs"):
        save_checkpoint(saved, model, Face(torch.rand(2, V, 3), torch.zeros(1, 3), None), {}, {})
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_a_disk_that_fills_while_writing_leaves_nothing_behind(model, saved, monkeypatch):
    def fail(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr("eavanet.checkpoint.torch.save", fail)
    face = Face(torch.rand(2, V, 3), torch.zeros(1, 3), None)
    with pytest.raises(CheckpointNotWritten, match="failed writing file"):
        save_checkpoint(saved.parent / "epoch-0004", model, face, {}, {}, state={})
    assert [path.name for path in saved.parent.iterdir()] == ["epoch-0003"]


def forget_hashes(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": {}}))


def test_the_checksum_of_event_files_is_crc32c():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the standard


def test_tensorboard_reads_the_event_file(tmp_path):
    EventFile(tmp_path).add({"train/total": 0.5, "validation/total": 0.25}, step=300)
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    events = reader.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/total")] == [(300, 0.5)]
    assert [(e.step, e.value) for e in events.Scalars("validation/total")] == [(300, 0.25)]

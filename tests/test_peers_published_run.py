"""A published file becomes a run that predicts like any other; what does not fit this corpus is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import select
from torch import nn

from db.clips import load_template
from db.models import Subject
from db.predictions import list_sets, load_prediction, predictions_of
from db.result_models import TrainingRun
from db.session import reading
from eavanet import predict
from eavanet.audio import load_encoder
from eavanet.checkpoint import load_checkpoint
from eavanet.peers.faceformer_system import _NAMES, FaceFormerSystem
from eavanet.peers.published_command import main
from eavanet.run import find_checkpoint
from tests.eavanet_world import V, make_world

torch.set_num_threads(1)
TINY = Path(__file__).resolve().parents[2] / "shared" / "peers" / "tiny"


def official_name(name: str) -> str:
    """Our name of a tensor as files of older versions have it."""
    for theirs, ours in _NAMES.items():
        if name.startswith(f"{ours}.") or name == ours:
            name = theirs + name.removeprefix(ours)
            break
    name = name.replace("audio_encoder.wav2vec2.", "audio_encoder.")
    for number, leaf in enumerate(("weight_g", "weight_v")):
        name = name.replace(f"parametrizations.weight.original{number}", leaf)
    return name


def write_official(path: Path, n_vertices: int = V, fps: float = 25.0) -> nn.Module:
    """A FaceFormer for F1 and F3 with random weights, in a file as its authors' code writes it."""
    system = FaceFormerSystem()
    torch.manual_seed(1)
    values = {"n_vertices": n_vertices, "subjects": ("F1", "F3"), "frames_per_second": fps, "width": 16}
    model = system.make_model(system.make_config(values), load_encoder("random-small")).eval()
    nn.init.normal_(model.to_vertices.weight, std=0.1)
    torch.save({official_name(key): value for key, value in model.state_dict().items()}, path)
    return model


@pytest.fixture
def world(sqlite_engine, data_root):
    make_world(sqlite_engine)
    return sqlite_engine


def take(path: Path, *more: str, subjects: str = "F1,F3", name: str = "theirs") -> int:
    return main([str(path), "--subjects", subjects, "--name", name, *more])


def test_a_published_file_becomes_a_run_that_predicts_what_its_authors_model_predicts(world, tmp_path, capsys):
    model = write_official(tmp_path / "biwi.pth")
    assert take(tmp_path / "biwi.pth", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["system"], summary["vertices"], summary["subjects"]) == ("FaceFormer", V, ["F1", "F3"])

    taken = load_checkpoint(find_checkpoint("theirs"))
    for key, value in model.state_dict().items():
        torch.testing.assert_close(taken.model.state_dict()[key], value)
    with reading(world) as session:
        row = session.scalar(select(TrainingRun))
        assert (row.name, row.system, row.status, row.release_id) == ("theirs", "faceformer", "finished", None)
        assert row.manifest["published"]["file"] == "biwi.pth"
        faces = session.scalars(select(Subject).where(Subject.name.in_(["F1", "F3"])).order_by(Subject.name)).all()
        np.testing.assert_array_equal(taken.face.templates, np.stack([load_template(face) for face in faces]))

    assert predict.main(["--checkpoint", "theirs", "--part", "biwi-b", "--conditions", "all", "--device", "cpu"]) == 0
    with reading(world) as session:
        (found,) = list_sets(session)
        assert (found.system, found.emotion, found.intensity) == ("FaceFormer", None, None)
        rows = predictions_of(session, found.id)
        assert {row.condition_subject.name for row in rows} == {"F1", "F3"}
        assert np.isfinite(load_prediction(rows[0])).all()


def test_what_the_command_line_leaves_open_is_asked_for(world, tmp_path, capsys):
    write_official(tmp_path / "biwi.pth")
    for flags, message in (
        ({"subjects": "F1"}, "1 condition subjects were given, the model was trained with 2"),
        ({"subjects": "F1,F9"}, "--subjects F9: corpus tiny has no such subject with a template; it has F1, F3, M2"),
    ):
        assert take(tmp_path / "biwi.pth", **flags) == 1
        assert message in capsys.readouterr().err
    assert take(tmp_path / "biwi.pth", "--corpus", "biwi") == 1
    assert "--corpus biwi: is not there; corpora: tiny" in capsys.readouterr().err
    assert take(tmp_path / "biwi.pth", "--system", "codetalker") == 1
    assert "is FaceFormer's, not CodeTalker's" in capsys.readouterr().err


def test_a_run_is_never_overwritten(world, tmp_path, capsys):
    write_official(tmp_path / "biwi.pth")
    assert take(tmp_path / "biwi.pth") == 0
    assert take(tmp_path / "biwi.pth") == 1
    assert "run theirs exists; take another --name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_vertices": V + 1}, f"makes faces of {V + 1} vertices, corpus tiny has {V}; it was trained on another"),
        ({"fps": 30.0}, "makes 30 frames per second, corpus tiny has 25; it was trained on another corpus"),
    ],
)
def test_another_corpus_checkpoint_is_refused(world, data_root, tmp_path, capsys, change, message):
    write_official(tmp_path / "vocaset.pth", **change)
    assert take(tmp_path / "vocaset.pth") == 1
    assert message in capsys.readouterr().err
    assert not (data_root / "runs" / "theirs" / "run.json").exists()


def test_a_truncated_file_one_with_code_and_one_of_another_model_are_refused(world, tmp_path, capsys):
    write_official(tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])

    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"state_dict": Attack()}, tmp_path / "code.pth")
    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pth")
    for name, message in (
        ("cut.pth", "truncated, or no torch file"),
        ("code.pth", "nothing of it was run"),
        ("other.pth", "neither FaceFormer's nor CodeTalker's"),
        ("missing.pth", "no such file"),
    ):
        assert take(tmp_path / name) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not TINY.exists(), reason="the official files are not in ../shared/peers")
def test_codetalker_is_recognised_by_its_codebook(world, capsys):
    settings = json.loads((TINY / "codetalker.json").read_text())
    assert take(TINY / "codetalker.pth") == 1
    told = capsys.readouterr().err
    assert "FaceFormer" not in told and ("condition subjects" in told or "vertices" in told), settings

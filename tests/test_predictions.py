"""Predictions of any system: recorded with their hashes, read again as they were, refused where they do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from db import predictions, store
from db.clips import MissingFile
from db.models import Clip, Corpus, Event
from db.prediction_command import main
from db.result_models import Prediction, PredictionSet
from db.session import reading, writing
from tests.eavanet_world import V, make_world


@pytest.fixture
def world(sqlite_engine):
    """A corpus with a split; its clips F1_e01.. have 10, 13, 16.. frames."""
    make_world(sqlite_engine)
    return sqlite_engine


@pytest.fixture
def folder(tmp_path) -> Path:
    """Predictions of the two validation clips by a system that is not conditioned."""
    return _written(tmp_path / "voca", {"F1_e06": 25, "F3_e06": 25})


def _written(folder: Path, frames: dict[str, int], n_vertices: int = V, flat: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    for number, (name, n_frames) in enumerate(frames.items()):
        motion = np.random.default_rng(number).normal(size=(n_frames, n_vertices, 3)).astype(np.float32)
        np.save(folder / f"{name}.npy", motion.reshape(n_frames, -1) if flat else motion)
    return folder


def _import(engine, folder: Path, **changes) -> tuple[PredictionSet, list[str]]:
    with writing(engine) as session:
        corpus = session.scalar(select(Corpus))
        options = {"system": "VOCA", "name": "voca"} | changes
        return predictions.import_folder(session, folder, corpus, **options)


def _rows(engine) -> list[Prediction]:
    with reading(engine) as session:
        return predictions.predictions_of(session, session.scalar(select(PredictionSet.id)))


def test_an_imported_folder_is_read_in_place_as_it_is(world, folder):
    row, notes = _import(world, folder)
    assert (row.system, row.run_id, row.synthetic, notes) == ("VOCA", None, True, [])
    for prediction in _rows(world):
        path = folder / f"{prediction.clip.name}.npy"
        assert store.stored_path(prediction.path) == path and prediction.condition_subject is None
        assert np.array_equal(predictions.load_prediction(prediction).reshape(25, -1), np.load(path))


def test_the_condition_subject_is_read_from_the_name(world, tmp_path):
    folder = _written(tmp_path / "p", {"M2_e01_condition_F1": 10, "M2_e01_condition_F3": 10}, flat=False)
    _import(world, folder)
    assert [row.condition_subject.name for row in _rows(world)] == ["F1", "F3"]


def test_longer_predictions_are_cut_to_the_clip(world, tmp_path):
    _import(world, _written(tmp_path / "p", {"F1_e01": 12}))
    (row,) = _rows(world)
    assert predictions.load_prediction(row).shape == (10, V, 3)


def test_predictions_from_the_untrimmed_sound_are_cut_where_the_clip_begins(world, tmp_path):
    with writing(world) as session:
        clip = session.scalar(select(Clip).where(Clip.name == "F1_e01"))
        clip.source_frames, clip.first_frame = 16, 4
    folder = _written(tmp_path / "p", {"F1_e01": 16})
    _import(world, folder)
    (row,) = _rows(world)
    whole = np.load(folder / "F1_e01.npy").reshape(16, V, 3)
    assert np.array_equal(predictions.load_prediction(row), whole[4:14])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ({"F1_e01": 9, "F1_e02": 13}, r"F1_e01.npy: 9 frames, F1_e01 needs 10"),
        ({"F9_e01": 10}, r"F9_e01.npy: corpus tiny has no clip F9_e01"),
        ({"F1_e01_condition_F9": 10}, r"corpus tiny has no subject F9"),
        ({"nonsense": 10}, r"nonsense"),
    ],
)
def test_files_that_do_not_fit_are_named_and_nothing_is_stored(world, tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        _import(world, _written(tmp_path / "p", frames))
    with reading(world) as session:
        assert session.scalar(select(func.count()).select_from(PredictionSet)) == 0


def test_another_topology_is_refused(world, tmp_path):
    with pytest.raises(ValueError, match=f"7 vertices, the corpus topology has {V}"):
        _import(world, _written(tmp_path / "p", {"F1_e01": 10}, n_vertices=7))


def test_an_empty_folder_and_a_missing_one_are_named(world, tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        _import(world, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no .npy file"):
        _import(world, tmp_path / "empty")


def test_clips_that_are_not_usable_are_passed_over_with_the_reason(world, folder):
    with writing(world) as session:
        clip = session.scalar(select(Clip).where(Clip.name == "F1_e06"))
        clip.status, clip.status_reason = "outlier", "all ratings are zero"
    _, notes = _import(world, folder)
    assert len(notes) == 1 and "F1_e06" in notes[0] and "all ratings are zero" in notes[0]
    assert [row.clip.name for row in _rows(world)] == ["F3_e06"]


def test_the_same_folder_again_is_the_same_set(world, folder):
    first, _ = _import(world, folder)
    again, _ = _import(world, folder)
    assert first.id == again.id
    with reading(world) as session:
        recorded = session.scalar(select(func.count()).where(Event.kind == "predictions.recorded"))
        assert (recorded, session.scalar(select(func.count()).select_from(Prediction))) == (1, 2)


def test_a_name_does_not_come_to_mean_other_predictions_unless_asked(world, folder):
    _import(world, folder)
    np.save(folder / "F1_e06.npy", np.zeros((25, 3 * V), np.float32))
    with pytest.raises(ValueError, match="take another name"):
        _import(world, folder)
    _import(world, folder, replace=True)
    assert not predictions.load_prediction(_rows(world)[0]).any()


def test_a_file_that_changed_or_vanished_is_noticed(world, folder):
    row, _ = _import(world, folder)
    np.save(folder / "F1_e06.npy", np.zeros((25, 3 * V), np.float32))
    np.save(folder / "F3_e06.npy", np.zeros((30, 3 * V), np.float32))
    with reading(world) as session:
        assert len(predictions.changed_files(session, session.get_one(PredictionSet, row.id))) == 2
    with pytest.raises(ValueError, match="30 frames, 25 when it was recorded"):
        predictions.load_prediction(_rows(world)[1])
    (folder / "F3_e06.npy").unlink()
    with pytest.raises(MissingFile, match="is gone"):
        predictions.load_prediction(_rows(world)[1])


# The command


def test_the_command_imports_lists_and_verifies(world, folder, capsys):
    arguments = ["import", str(folder), "--system", "VOCA", "--split", "split", "--part", "validation", "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["name"], report["clips"], report["part"]) == ("voca", 2, "validation")
    assert main(["list"]) == 0
    assert "voca: VOCA, 2 files of 2 clips (validation, synthetic)" in capsys.readouterr().out
    assert main(["verify", "voca"]) == 0
    (folder / "F1_e06.npy").write_bytes(b"")
    assert main(["verify", "voca"]) == 1
    assert "F1_e06.npy: is not the file that was recorded" in capsys.readouterr().out


def test_the_command_demands_the_whole_part(world, tmp_path, capsys):
    folder = _written(tmp_path / "p", {"F1_e06": 25})
    assert main(["import", str(folder), "--system", "VOCA", "--split", "split", "--part", "validation"]) == 1
    assert "no prediction for F3_e06" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "x", "--system", "VOCA", "--split", "split"], "--split and --part go together"),
        (["import", "x", "--system", "VOCA", "--corpus", "none"], "no corpus called none; there are: tiny"),
        (["verify", "none"], "no predictions called none"),
    ],
)
def test_the_command_says_what_is_wrong(world, arguments, message, capsys):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err

"""`python -m evaluation.metrics` on files in the peers' layout."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics import pool, score_clip
from evaluation.score_folders import main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folders(tmp_path):
    """Two subjects, two sentences, 6 vertices; predictions are one frame longer and flat, as the peers write them."""
    rng = np.random.default_rng(1)
    (tmp_path / "truth").mkdir()
    (tmp_path / "predicted").mkdir()
    templates = {subject: rng.normal(size=(6, 3)) for subject in ("F2", "M3")}
    clips = []
    for subject, template in templates.items():
        for sentence in ("e37", "e38"):
            truth = rng.normal(size=(4, 6, 3)).astype(np.float32)
            predicted = rng.normal(size=(5, 6, 3)).astype(np.float32)
            np.save(tmp_path / "truth" / f"{subject}_{sentence}.npy", truth)
            np.save(tmp_path / "predicted" / f"{subject}_{sentence}_condition_F2.npy", predicted.reshape(5, -1))
            clips.append(score_clip(predicted, truth, template, [0, 1], [4, 5]))
    (tmp_path / "templates.pkl").write_bytes(pickle.dumps({s: t.reshape(-1) for s, t in templates.items()}))
    (tmp_path / "lve.txt").write_text("0, 1")
    (tmp_path / "fdd.txt").write_text("4, 5")
    return tmp_path, pool(clips)


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--truth", f"{folder}/truth", "--prediction", f"{folder}/predicted", "--templates",
            f"{folder}/templates.pkl", "--lips", f"{folder}/lve.txt", "--upper-face", f"{folder}/fdd.txt", *more]


def test_the_command_prints_the_pooled_scores_as_json(folders):
    folder, expected = folders
    result = subprocess.run([sys.executable, "-m", "evaluation.metrics", *arguments(folder, "--json")],
                            cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed == pytest.approx(
        dict(frames=16, clips=4, vertex_error=expected.vertex_error, lip_vertex_error=expected.lip_vertex_error,
             fdd=expected.fdd, fdd_absolute=expected.fdd_absolute))


def test_clips_can_be_chosen(folders, capsys):
    assert main(arguments(folders[0], "--json", "--clips", "F2_e37,M3_e38")) == 0
    assert json.loads(capsys.readouterr().out)["clips"] == 2


def refused(capsys, folder, *more) -> str:
    assert main(arguments(folder, *more)) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.strip().splitlines()[-1].startswith("error: ")
    return output.err


def test_missing_predictions_are_named(folders, capsys):
    (folders[0] / "predicted" / "M3_e37_condition_F2.npy").unlink()
    assert "1 of 4 clips have no prediction: M3_e37" in refused(capsys, folders[0])


def test_a_shorter_prediction_is_named_with_both_lengths(folders, capsys):
    path = folders[0] / "predicted" / "M3_e37_condition_F2.npy"
    np.save(path, np.load(path)[:3])
    assert "M3_e37_condition_F2.npy: the prediction has 3 frames, the reference 4" in refused(capsys, folders[0])


def test_several_condition_subjects_need_a_choice(folders, capsys):
    folder = folders[0]
    for path in list((folder / "predicted").glob("*.npy")):
        np.save(path.with_name(path.name.replace("condition_F2", "condition_M3")), np.load(path))
    assert "say which to score with --condition" in refused(capsys, folder)
    assert main(arguments(folder, "--condition", "M3")) == 0


def test_nan_another_topology_and_an_unknown_subject_are_refused_by_name(folders, capsys):
    folder = folders[0]
    path = folder / "predicted" / "F2_e37_condition_F2.npy"
    good = np.load(path)
    np.save(path, np.where(np.arange(18) == 7, np.float32("nan"), good))
    assert "predicted/F2_e37_condition_F2.npy: has values that are no numbers" in refused(capsys, folder)
    np.save(path, good[:, :15])
    assert "5 vertices, the corpus topology has 6" in refused(capsys, folder)
    np.save(path, good)
    np.save(folder / "truth" / "M6_e01.npy", good)
    np.save(folder / "predicted" / "M6_e01.npy", good)
    assert "no template for M6" in refused(capsys, folder)


def test_an_empty_or_missing_folder_is_refused(folders, capsys, tmp_path):
    (tmp_path / "nothing").mkdir()
    assert "no .npy file" in refused(capsys, folders[0], "--truth", str(tmp_path / "nothing"))
    assert "no such folder" in refused(capsys, folders[0], "--prediction", str(tmp_path / "nowhere"))


def test_regions_of_another_topology_are_refused(folders, capsys):
    (folders[0] / "lve.txt").write_text("0, 6")
    assert "names vertex 6, the topology has 0..5" in refused(capsys, folders[0])

"""Scores that are kept, found again as long as they hold, and told by `python -m evaluation.scores`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from db import store
from db.clips import load_vertices
from db.models import Clip, Corpus, LabelRelease
from db.predictions import import_folder
from db.result_models import PredictionSet
from db.session import reading, writing
from evaluation import score_sets
from evaluation.score_sets import kept_scores, main, scores_of
from evaluation.scores import score_set
from tests.eavanet_world import make_world


@pytest.fixture
def world(sqlite_engine, tmp_path):
    """A corpus with predictions "voca" of two clips, a tenth of a unit off."""
    make_world(sqlite_engine)
    write(sqlite_engine, tmp_path / "voca", 0.1)
    return sqlite_engine


def write(engine, folder: Path, shift: float, replace: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    with writing(engine) as session:
        for clip in session.scalars(select(Clip).where(Clip.name.in_(["F1_e06", "F3_e06"]))):
            np.save(folder / f"{clip.name}.npy", np.array(load_vertices(clip)) + np.float32([shift, 0, 0]))
        import_folder(session, folder, session.scalar(select(Corpus)), system="VOCA", name=folder.name, replace=replace)


def the_set(session) -> PredictionSet:
    return session.scalar(select(PredictionSet))


def test_scores_are_computed_once_and_come_back_bit_by_bit(world, monkeypatch):
    with reading(world) as session:
        assert kept_scores(session, the_set(session)) is None
        computed = scores_of(session, the_set(session))
        assert computed.equals(score_set(session, the_set(session)))
        monkeypatch.setattr(score_sets, "score_set", None)  # whoever computes again fails
        kept = scores_of(session, the_set(session))
    assert kept.equals(computed) and kept.attrs == computed.attrs
    pd.testing.assert_frame_equal(kept, computed, check_exact=True)


def test_a_kept_table_no_longer_holds_when_something_it_rests_on_has_changed(world, tmp_path):
    def change_predictions():
        write(world, tmp_path / "voca", 0.2, replace=True)

    def change_a_region():
        (store.corpus_folder("tiny") / "regions" / "lve.txt").write_text("0, 1, 2")

    def release_other_labels():
        with writing(world) as session:
            session.add(LabelRelease(
                corpus_id=session.scalar(select(Corpus.id)), name="later", policy="paper", minimum_votes=3,
                allow_partial=False, threshold=3.0, ratings_sha256="0" * 64, n_ratings=0, n_ties=0, simulated=True,
                summary={}, sha256="9" * 64, created_by="tests",
            ))  # fmt: skip

    def damage_the_file():
        (store.data_root() / "scores" / "voca.json").write_text("{")

    for change in (change_predictions, change_a_region, release_other_labels, damage_the_file):
        with reading(world) as session:
            scores_of(session, the_set(session))
            assert kept_scores(session, the_set(session)) is not None
        change()
        with reading(world) as session:
            assert kept_scores(session, the_set(session)) is None, change.__name__
            assert scores_of(session, the_set(session)).equals(score_set(session, the_set(session)))


def test_the_command_tells_averages_and_writes_a_row_per_clip(world, tmp_path, capsys):
    assert main(["voca", "--json", "--csv", str(tmp_path / "clips.csv")]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["name"], told["system"], told["clips"], told["synthetic"]) == ("voca", "VOCA", 2, True)
    assert told["vertex_error"] == pytest.approx(0.01, rel=1e-5) and told["fdd"] is None
    assert pd.read_csv(tmp_path / "clips.csv")["clip"].tolist() == ["F1_e06", "F3_e06"]
    assert main(["--again"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("voca: VOCA, 2 predictions of 2 clips (synthetic corpus)")
    assert f"; the truth's is {told['jitter_of_truth']:.6e}\n" in text and told["jitter_of_truth"] > 0
    assert "Vertex error" in text and "note: corpus tiny has no upper-face region" in text and "FDD  " not in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["nobody"], "predictions nobody: there are none of that name; there are voca"),
     (["--corpus", "biwi"], "corpus biwi: there is none of that name")],
)  # fmt: skip
def test_what_is_not_there_is_refused(world, capsys, arguments, why):
    assert main(arguments) == 1
    assert why in capsys.readouterr().err


def test_without_predictions_the_command_says_how_to_make_some(sqlite_engine, capsys):
    make_world(sqlite_engine)
    assert main([]) == 1
    assert "there are no predictions yet; see python -m eavanet.predict" in capsys.readouterr().err


def test_the_command_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "evaluation.scores", "--help"], capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[1])  # fmt: skip
    assert done.returncode == 0 and "--csv" in done.stdout

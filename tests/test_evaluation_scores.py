"""Scores of prediction sets from the database: what they are, how they are averaged, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from db import store
from db.clips import load_template, load_vertices
from db.models import Clip, Corpus, LabelRelease, Split
from db.predictions import import_folder
from db.result_models import Prediction, PredictionSet
from db.session import reading, writing
from evaluation import face_errors, metrics, scores
from evaluation.clip_scores import score_motion
from evaluation.motion import jitter
from evaluation.score_table import METRICS, per_clip, pooled, summary
from tests.eavanet_world import V, make_world


@pytest.fixture
def world(sqlite_engine):
    """A corpus whose validation clips F1_e06 and F3_e06 have 25 frames; upper face: vertices 4 to 8."""
    make_world(sqlite_engine)
    (store.corpus_folder("tiny") / "regions" / "fdd.txt").write_text("4, 5, 6, 7, 8")
    return sqlite_engine


def predict(engine, folder: Path, by: dict[str, float], extra: int = 0, **changes) -> None:
    """Import predictions that are the truth, moved along x by so much, and `extra` frames longer."""
    folder.mkdir(exist_ok=True)
    with reading(engine) as session:
        clips = {clip.name: clip for clip in session.scalars(select(Clip))}
        for name, shift in by.items():
            motion = np.array(load_vertices(clips[name.partition("_condition_")[0]])) + np.float32([shift, 0, 0])
            np.save(folder / f"{name}.npy", np.concatenate([motion, motion[:extra]]))
    with writing(engine) as session:
        import_folder(session, folder, session.scalar(select(Corpus)), **{"system": "VOCA", "name": "voca"} | changes)


def score(engine, name: str = "voca", **options):
    with reading(engine) as session:
        return scores.score_set(session, _set(session, name), **options)


def _set(session, name: str) -> PredictionSet:
    return session.scalar(select(PredictionSet).where(PredictionSet.name == name))


def test_a_perfect_prediction_has_no_error_and_as_much_jitter_as_the_truth(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0, "F3_e06": 0})
    table = score(world)
    assert table[["clip", "subject", "condition", "n_frames"]].to_numpy().tolist() == [
        ["F1_e06", "F1", "", 25], ["F3_e06", "F3", "", 25],
    ]  # fmt: skip
    assert table["emotion"].tolist() == ["angry", "sadness"]
    for key in set(METRICS) - {"jitter", "mouth_opening_difference", "lip_dynamics", "distance_mm"}:
        assert (table[key] == 0).all(), key
    assert (table["jitter"] == table["jitter_of_truth"]).all() and (table["jitter"] > 0).all()


def test_a_face_that_is_everywhere_off_by_a_half_has_squared_errors_of_a_quarter(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0.5, "F3_e06": 0})
    table = score(world)
    for key in ("vertex_error", "lip_vertex_error", "upper_face_error", "emotional_vertex_error"):
        assert table[key].tolist() == pytest.approx([0.25, 0], abs=1e-7), key
        assert pooled(table, key) == pytest.approx(0.125)
    assert pooled(table, "distance") == pytest.approx(0.125**0.5)


def test_the_one_pass_over_a_clip_gives_what_each_metrics_own_function_gives(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0.3})
    with reading(world) as session:
        clip = session.scalar(select(Clip).where(Clip.name == "F1_e06"))
        truth, template = load_vertices(clip), load_template(clip.subject)
        predicted = np.random.default_rng(0).normal(size=truth.shape)
        measures = scores.measures_of(clip.corpus, clip.subject)
        found = score_motion(predicted, truth, template, measures)
    lips, upper = [0, 1, 2, 3], [4, 5, 6, 7, 8]
    expected = metrics.score_clip(predicted, truth, template, lips, upper)
    assert found["vertex_error"] == pytest.approx(expected.vertex_error.mean())
    assert found["lip_vertex_error"] == pytest.approx(expected.lip_vertex_error.mean())
    assert found["fdd"] == pytest.approx(expected.fdd) and found["fdd_absolute"] == abs(found["fdd"])
    assert found["upper_face_error"] == pytest.approx(
        face_errors.upper_face_vertex_error(predicted, truth, upper).mean()
    )
    assert found["emotional_vertex_error"] == pytest.approx(
        face_errors.emotional_vertex_error(predicted, truth, upper).mean()
    )
    assert found["distance"] == pytest.approx(face_errors.root_mean_square(expected.vertex_error))
    assert found["jitter"] == pytest.approx(jitter(predicted, 25))


def test_threads_and_extra_frames_change_nothing(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0.1, "F3_e06": 0.2})
    predict(world, tmp_path / "q", {"F1_e06": 0.1, "F3_e06": 0.2}, extra=3, name="longer")
    told = []
    plain = score(world, progress=lambda *step: told.append(step))
    assert plain.equals(score(world, workers=2)) and plain.equals(score(world, "longer"))
    assert told == [(1, 2, "F1_e06"), (2, 2, "F3_e06")]


def test_a_clip_under_several_conditions_is_one_clip_with_their_mean_error(world, tmp_path):
    predict(world, tmp_path / "p", {"M2_e01_condition_F1": 0.1, "M2_e01_condition_F3": 0.3, "M2_e02_condition_F1": 0})
    table = score(world)
    assert table["condition"].tolist() == ["F1", "F3", "F1"]
    clips = per_clip(table)
    assert clips[["clip", "conditions"]].to_numpy().tolist() == [["M2_e01", 2], ["M2_e02", 1]]
    assert clips["vertex_error"].tolist() == pytest.approx([0.05, 0], abs=1e-7)
    assert clips["distance"].tolist() == pytest.approx([0.05**0.5, 0], abs=1e-7)
    with reading(world) as session:
        apart = scores.diversity_of_set(session, _set(session, "voca"))
    assert apart[["clip", "subject", "conditions"]].to_numpy().tolist() == [["M2_e01", "M2", 2]]
    assert apart["diversity"].item() == pytest.approx(0.2, abs=1e-6)


def test_what_a_corpus_lacks_is_left_open_with_the_reason(world, tmp_path):
    for name in ("fdd", "lve"):
        (store.corpus_folder("tiny") / "regions" / f"{name}.txt").unlink()
    predict(world, tmp_path / "p", {"F1_e06": 0.5})
    table = score(world)
    assert table["vertex_error"].item() == pytest.approx(0.25)
    assert table[["lip_vertex_error", "fdd", "lip_dynamics", "distance_mm"]].isna().all(axis=None)
    assert np.isnan(summary(table)["fdd"])
    lips, upper = table.attrs["notes"]
    assert "no lip region (regions/lve.txt)" in lips and "no upper-face region (regions/fdd.txt)" in upper


def test_a_corpus_with_a_scale_has_millimetres(world, tmp_path):
    with writing(world) as session:
        session.scalar(select(Corpus)).mm_per_unit = 200.0
    predict(world, tmp_path / "p", {"F1_e06": 0.5})
    assert pooled(score(world), "distance_mm") == pytest.approx(100)


def test_the_region_of_eyes_and_forehead_is_used_where_there_is_one(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0.5})
    assert any("over the whole upper face" in note for note in score(world).attrs["notes"])
    (store.corpus_folder("tiny") / "regions" / "eve.txt").write_text("8")
    assert not any("over the whole upper face" in note for note in score(world).attrs["notes"])


def test_the_template_is_off_by_how_far_the_truth_moves(world):
    with reading(world) as session:
        split = session.scalar(select(Split))
        clips = scores.split_clips(session, split.id, "validation")
        table = scores.score_template(session, clips)
        moved = load_vertices(clips[0]) - load_template(clips[0].subject)
    assert table["clip"].tolist() == ["F1_e06", "F3_e06"]
    assert table["vertex_error"][0] == pytest.approx((moved**2).sum(axis=2).mean())
    assert table["jitter"].tolist() == [0, 0] and (table["fdd"] >= 0).all()


def test_the_mean_expression_is_better_than_the_template_on_its_own_clips(world):
    with reading(world) as session:
        split = session.scalar(select(Split))
        training = scores.split_clips(session, split.id, "train")
        mean = scores.mean_displacement(training)
        moved = [load_vertices(clip) - load_template(clip.subject) for clip in training]
        best = scores.score_mean_expression(session, training, training)
        still = scores.score_template(session, training, release=session.scalar(select(LabelRelease)))
    np.testing.assert_allclose(mean, np.concatenate(moved).mean(axis=0), atol=1e-7)
    assert pooled(best, "vertex_error") < pooled(still, "vertex_error")
    assert set(still["emotion"]) == {"happy", "angry", "sadness", "neutral"}


def test_a_file_that_has_become_another_is_refused_by_name(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0})
    path = tmp_path / "p" / "F1_e06.npy"
    whole = np.load(path)
    np.save(path, np.where(np.arange(25)[:, None, None] == 7, np.nan, whole))
    with pytest.raises(ValueError, match=r"F1_e06\.npy: has values that are no numbers"):
        score(world)
    np.save(path, whole[:20])
    with pytest.raises(ValueError, match=r"F1_e06\.npy: 20 frames, 25 when it was recorded"):
        score(world)
    with writing(world) as session:
        session.scalar(select(Prediction)).n_frames = 20
    with pytest.raises(ValueError, match=r"F1_e06\.npy: 20 frames, F1_e06 needs 25"):
        score(world)
    np.save(path, whole[:, :5])
    with pytest.raises(ValueError, match=rf"F1_e06\.npy: 5 vertices, the corpus topology has {V}"):
        score(world)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"F1_e06\.npy: this prediction of F1_e06 is gone"):
        score(world)


def test_truth_that_is_no_number_is_named_as_the_guilty_one(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0})
    with reading(world) as session:
        path = store.stored_path(session.scalar(select(Clip).where(Clip.name == "F1_e06")).vertices_path)
    np.save(path, np.full_like(np.load(path), np.inf))
    with pytest.raises(ValueError, match=r"vertices/F1_e06\.npy: has values that are no numbers"):
        score(world)


def test_a_region_of_another_topology_and_a_set_without_predictions_are_refused(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e06": 0})
    (store.corpus_folder("tiny") / "regions" / "lve.txt").write_text("1, 2, 5000")
    with pytest.raises(ValueError, match="5000"):
        score(world)
    with writing(world) as session:
        session.query(Prediction).delete()
    with pytest.raises(ValueError, match="voca: the set is empty"):
        score(world)


def test_a_training_clip_that_is_no_number_is_named(world):
    with reading(world) as session:
        training = scores.split_clips(session, session.scalar(select(Split.id)), "train")
        path = store.stored_path(training[3].vertices_path)
        np.save(path, np.full_like(np.load(path), np.nan))
        with pytest.raises(ValueError, match=rf"{training[3].name}\.npy: has values that are no numbers"):
            scores.mean_displacement(training)


def test_an_empty_part_of_a_split_is_refused(world):
    with reading(world) as session:
        assert scores.split_clips(session, session.scalar(select(Split.id)), "biwi-a") == []
        with pytest.raises(ValueError, match="no clip to score"):
            scores.score_template(session, [])
        with pytest.raises(ValueError, match="no clip to take the mean expression from"):
            scores.score_mean_expression(session, [], [])


def test_a_table_is_pooled_by_frames_or_by_clips(world, tmp_path):
    predict(world, tmp_path / "p", {"F1_e01": 0.1, "F1_e06": 0.4})  # 10 and 25 frames
    table = score(world)
    assert pooled(table, "vertex_error") == pytest.approx((10 * 0.01 + 25 * 0.16) / 35, rel=1e-5)
    assert pooled(table, "fdd") == pytest.approx(table["fdd"].mean())
    with pytest.raises(ValueError, match="expected one of vertex_error"):
        pooled(table, "beauty")
    with pytest.raises(ValueError, match="no clip to score"):
        pooled(table[:0], "fdd")


def test_the_documents_table_of_metrics_is_true():
    text = (Path(__file__).resolve().parents[1] / "docs" / "metrics.md").read_text("utf-8")
    text = text.replace("\\|", "\N{DIVIDES}")
    rows = [[cell.strip().replace("\N{DIVIDES}", "|") for cell in line.split("|")[1:-1]]
            for line in text.splitlines() if line.startswith("| ")][2:]  # fmt: skip
    units = {"squared": "squared units", "units": "units", "units/s^3": "units per second cubed"}
    good = {"lower": "lower", "zero": "zero", "truth": "the truth's"}
    told = [
        [metric.title, metric.about, units[metric.unit], good[metric.better], metric.pooling.replace("root", "frames")]
        for metric in METRICS.values() if metric.unit != "mm"
    ]  # fmt: skip
    assert [[*row[:2], row[2].partition(",")[0], *row[3:]] for row in rows] == told

"""The emotion classifier and the ablation of Eq. (8), on clips that are made so that the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db import store
from db.clips import load_template
from db.models import Clip, Corpus, Split
from db.predictions import import_folder
from db.result_models import PredictionSet
from db.session import reading, writing
from evaluation.ablation import ablate, trend, upper_face_displacement
from evaluation.classifier import (
    Features,
    clip_features,
    emotion_accuracy,
    judge_recorded,
    judge_set,
    labelled_features,
    recognised,
    train_judge,
)
from evaluation.emotions import in_order
from evaluation.scores import split_clips
from tests.eavanet_world import EMOTIONS, V, make_world


def features(per_emotion: int = 6, noise: float = 0.1, emotions: tuple[str, ...] = EMOTIONS, seed: int = 0) -> Features:
    """Clips of three subjects, whose first coordinates are as many steps away as their emotion's number."""
    rng = np.random.default_rng(seed)
    labels = [emotion for emotion in emotions for _ in range(per_emotion)]
    values = rng.normal(0, noise, (len(labels), 12))
    values[np.arange(len(labels)), [emotions.index(label) for label in labels]] += 1
    subjects = tuple(f"F{i % 3}" for i in range(len(labels)))
    return Features(values.astype(np.float32), tuple(f"c{i}" for i in range(len(labels))), subjects, tuple(labels))


# Features -------------------------------------------------------------------------------------------------------------


def test_features_are_where_a_coordinate_is_on_average_and_how_much_it_moves():
    vertices = np.zeros((2, 2, 3))
    vertices[:, 1, 2] = 1, 5
    found = clip_features(vertices, np.array([[0, 0, 0], [0, 0, 1.0]]))
    assert found.tolist() == [0, 0, 0, 0, 0, 2] + [0, 0, 0, 0, 0, 2]


@given(seed=st.integers(0, 99), frames=st.integers(1, 6), shift=st.floats(-2, 2))
def test_features_of_a_moved_head_change_only_if_its_template_stays(seed, frames, shift):
    rng = np.random.default_rng(seed)
    vertices, template = rng.normal(size=(frames, 5, 3)), rng.normal(size=(5, 3))
    found = clip_features(vertices, template)
    np.testing.assert_allclose(found[:15], (vertices - template).mean(axis=0).ravel(), atol=1e-5)
    np.testing.assert_allclose(found[15:], (vertices - template).std(axis=0).ravel(), atol=1e-5)
    np.testing.assert_allclose(clip_features(vertices + shift, template + shift), found, atol=1e-5)


def test_what_has_no_features_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 3\) with a template \(5, 3\)"):
        clip_features(np.zeros((2, 4, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="expected"):
        clip_features(np.zeros((0, 5, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="no numbers"):
        clip_features(np.full((2, 5, 3), np.nan), np.zeros((5, 3)))


# The judge ------------------------------------------------------------------------------------------------------------


def test_emotions_that_differ_are_told_apart_on_clips_and_subjects_not_seen():
    judge = train_judge(features())
    assert judge.seen.estimate == judge.unseen.estimate == 1 and judge.chance == 0.25
    assert judge.seen.low < 0.9 and "24 clips" in judge.seen.method and "3 subjects" in judge.unseen.method
    assert judge.emotions == EMOTIONS
    other = features(seed=1)
    seen = recognised(judge, other.values)
    assert tuple(seen["recognised"]) == other.emotions
    assert seen[list(EMOTIONS)].sum(axis=1).to_numpy() == pytest.approx(1)


def test_noise_is_recognised_no_better_than_by_chance():
    judge = train_judge(features(per_emotion=10, noise=1e3))
    assert judge.seen.low < 0.25 and judge.seen.estimate < 0.4


def test_the_same_clips_make_the_same_judge():
    first, second = (train_judge(features(noise=0.5)) for _ in range(2))
    values = features(seed=2).values
    assert first.seen == second.seen and recognised(first, values).equals(recognised(second, values))


def test_one_subject_says_nothing_of_others():
    clips = features()
    assert train_judge(Features(clips.values, clips.clips, ("F1",) * 24, clips.emotions)).unseen is None


@settings(max_examples=8)
@given(per_emotion=st.integers(2, 4), count=st.integers(2, 4))
def test_few_clips_and_emotions_are_enough(per_emotion, count):
    judge = train_judge(features(per_emotion, emotions=EMOTIONS[:count]))
    assert 0 <= judge.seen.estimate <= 1 and judge.chance == pytest.approx(1 / count)


@pytest.mark.parametrize("emotions", [(), ("angry", "angry"), ("angry", "angry", "happy")])
def test_too_few_recorded_clips_are_refused(emotions):
    clips = Features(np.zeros((len(emotions), 6), np.float32), emotions, emotions, emotions)
    with pytest.raises(ValueError, match="expected two or more of each of two or more"):
        train_judge(clips)


def test_emotions_stand_in_the_papers_order_and_others_behind():
    assert in_order(["neutral", "bored", "happy", "angry", "happy"]) == ["happy", "angry", "neutral", "bored"]


# From the database ----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(sqlite_engine):
    """A corpus whose upper face (vertices 4 to 8) is displaced along an axis that the emotion names."""
    make_world(sqlite_engine, sentences=9)
    (store.corpus_folder("tiny") / "regions" / "fdd.txt").write_text("4, 5, 6, 7, 8")
    return sqlite_engine


def predict(engine, folder, alpha: float | None, emotion: str | None = None, name: str | None = None, only: int = 9):
    """A set that shows alpha of the emotion's displacement on every clip of the unseen subject M2."""
    folder.mkdir()
    with writing(engine) as session:
        clips = session.scalars(select(Clip).where(Clip.name.startswith("M2")).order_by(Clip.name)).all()[:only]
        labels = dict(zip([clip.name for clip in clips], _labels(len(clips)), strict=True))
        for clip in clips:
            shown = EMOTIONS.index(emotion or labels[clip.name])
            motion = np.repeat(load_template(clip.subject)[None], clip.n_frames, axis=0)
            motion[:, 4:, shown % 3] += (1 if alpha is None else alpha) * 0.05 * (1 + shown)
            motion[:, :4, 1] -= 0.1 * (np.arange(clip.n_frames) % 2)[:, None]
            for condition in ("F1", "F3"):
                np.save(folder / f"{clip.name}_condition_{condition}.npy", motion)
        row, _ = import_folder(
            session, folder, session.scalar(select(Corpus)), system="EavaNet", name=name or f"set-{folder.name}"
        )
        row.intensity, row.emotion = alpha, emotion


def _labels(count: int) -> list[str]:
    return [EMOTIONS[(number + 2) % 4] for number in range(count)]


def sets(session) -> list[PredictionSet]:
    return list(session.scalars(select(PredictionSet).order_by(PredictionSet.id)))


def judge_of(session):
    return train_judge(labelled_features(session, split_clips(session, session.scalar(select(Split.id)), "train")))


def test_a_set_that_shows_its_emotions_is_recognised_and_one_that_shows_another_is_not(world, tmp_path):
    predict(world, tmp_path / "right", None)
    predict(world, tmp_path / "wrong", None, emotion="happy")
    with reading(world) as session:
        judge = judge_of(session)
        right, wrong = (judge_set(session, row, judge) for row in sets(session))
        recorded = judge_recorded(session, split_clips(session, session.scalar(select(Split.id)), "biwi-b"), judge)
    assert judge.seen.estimate == 1
    assert right["asked"].tolist() == [label for label in _labels(9) for _ in range(2)]
    assert emotion_accuracy(right).estimate == 1 and emotion_accuracy(right).groups == 9 and len(right) == 18
    assert set(wrong["asked"]) == {"happy"} and set(wrong["recognised"]) == {"happy"}
    assert emotion_accuracy(recorded).estimate == 1 and set(recorded["condition"]) == {""}
    with pytest.raises(ValueError, match="no prediction was judged"):
        emotion_accuracy(right[:0])


def test_a_corpus_without_labels_cannot_be_judged(world):
    with reading(world) as session:
        with pytest.raises(ValueError, match="make a label release first"):
            labelled_features(session, [])


def test_more_alpha_is_more_displacement_and_more_of_the_emotion(world, tmp_path):
    for number, alpha in enumerate((1.0, 0.0, 0.3)):
        predict(world, tmp_path / str(number), alpha)
    with reading(world) as session:
        found = ablate(session, sets(session), judge_of(session))
    assert "neutral" not in set(found.predictions["emotion"]) and len(found.predictions) == 3 * 2 * 7
    means = {alpha: interval.estimate for alpha, interval in found.intervals["displacement"].items()}
    assert list(means) == [0.0, 0.3, 1.0] and means[0.0] == pytest.approx(0, abs=1e-6)
    assert means[0.3] == pytest.approx(0.3 * means[1.0], rel=1e-4)
    assert found.intervals["displacement"][1.0].groups == 7
    assert found.intervals["recognised"][1.0].estimate == 1
    assert found.trend["displacement"] < 0.01 and found.trend["probability"] < 0.1
    with reading(world) as session:
        assert set(ablate(session, sets(session)[:2]).intervals) == {"displacement", "dynamics"}
        assert ablate(session, sets(session)[:2]).trend == {"displacement": None, "dynamics": None}


def test_sets_that_differ_in_more_than_alpha_are_refused(world, tmp_path):
    predict(world, tmp_path / "0", 0.0)
    predict(world, tmp_path / "1", 1.0, emotion="angry")
    predict(world, tmp_path / "2", None)
    predict(world, tmp_path / "3", 0.0)
    with reading(world) as session:
        none, angry, without, again = sets(session)
        for given_sets, why in (
            ([none], "needs two or more"), ([none, angry], "differ in more than alpha"),
            ([none, without], "made without an alpha"), ([none, again], "two have the same alpha"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=why):
                ablate(session, given_sets)
        (store.corpus_folder("tiny") / "regions" / "fdd.txt").unlink()
        again.intensity = 0.5
        with pytest.raises(ValueError, match="no upper-face region"):
            ablate(session, [none, again])


def test_a_trend_needs_three_steps_and_two_clips_and_is_none_where_nothing_differs(world, tmp_path):
    for number, alpha in enumerate((0.0, 0.5, 1.0)):
        predict(world, tmp_path / str(number), alpha, only=4)
    with reading(world) as session:
        table = ablate(session, sets(session)).predictions
    assert trend(table, "displacement") < 0.05
    assert trend(table.assign(displacement=1.0), "displacement") == 1
    assert trend(table[table["clip"] == table["clip"][0]], "displacement") is None


def test_an_upper_face_that_is_3_4_off_is_5_from_rest():
    vertices = np.zeros((2, V, 3))
    vertices[1, 4] = 3, 4, 0
    assert upper_face_displacement(vertices, np.zeros((V, 3)), [4, 5]).tolist() == [0, 2.5]
    with pytest.raises(ValueError, match="vertex 9"):
        upper_face_displacement(vertices, np.zeros((V, 3)), [9])
    with pytest.raises(ValueError, match="same topology"):
        upper_face_displacement(vertices, np.zeros((V + 1, 3)), [4])

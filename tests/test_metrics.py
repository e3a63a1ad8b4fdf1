"""What the metrics mean, in numbers worked by hand, and the official evaluation script's own figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import metrics

SHARED = Path(__file__).resolve().parents[2] / "shared"


def still(frames: int = 2, vertices: int = 4) -> np.ndarray:
    return np.zeros((frames, vertices, 3))


def test_identical_sequences_have_no_error_and_no_deviation():
    clip = np.random.default_rng(0).normal(size=(5, 6, 3))
    scores = metrics.pool([metrics.score_clip(clip, clip, np.zeros((6, 3)), [0, 1], [2, 3])])
    assert scores == metrics.Scores(5, 1, 0.0, 0.0, 0.0, 0.0)


def test_moving_one_lip_vertex_by_3_gives_a_lip_error_of_9():
    predicted = still()
    predicted[1, 2, 0] = 3
    assert metrics.lip_vertex_error(predicted, still(), [1, 2]).tolist() == [0, 9]


def test_a_vertex_outside_the_lips_does_not_count_for_the_lips():
    predicted = still()
    predicted[:, 0] = 100
    assert metrics.lip_vertex_error(predicted, still(), [1, 2]).tolist() == [0, 0]


def test_moving_one_of_four_vertices_by_1_2_2_gives_a_vertex_error_of_9_over_4():
    predicted = still()
    predicted[0, 3] = (1, 2, 2)
    assert metrics.vertex_error(predicted, still()).tolist() == [9 / 4, 0]


def test_dynamics_of_a_vertex_that_moves_between_0_and_2_are_the_deviation_of_0_and_4():
    vertices = still()
    vertices[1, 0, 1] = 2  # squared displacement 0, then 4: standard deviation 2; the other vertex rests
    assert metrics.upper_face_dynamics(vertices, np.zeros((4, 3)), [0, 1]) == 1.0


def test_fdd_is_positive_where_the_prediction_moves_too_little():
    truth = still()
    truth[1, 0, 1] = 2
    assert metrics.score_clip(still(), truth, np.zeros((4, 3)), [0], [0]).fdd == 2.0


def test_errors_pool_over_frames_and_fdd_over_clips():
    short = metrics.ClipScores(np.array([1.0]), np.array([2.0]), fdd=1.0)
    long = metrics.ClipScores(np.array([3.0, 3.0, 3.0]), np.array([4.0, 4.0, 4.0]), fdd=-2.0)
    assert metrics.pool([short, long]) == metrics.Scores(4, 2, 2.5, 3.5, -0.5, 1.5)


def test_a_longer_prediction_is_cut_and_a_shorter_one_is_refused():
    assert len(metrics.score_clip(still(5), still(3), np.zeros((4, 3)), [0], [1]).vertex_error) == 3
    with pytest.raises(ValueError, match="2 frames, the reference 3"):
        metrics.score_clip(still(2), still(3), np.zeros((4, 3)), [0], [1])


def test_what_cannot_be_scored_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"\(2, 4, 3\).*\(2, 5, 3\).*topology"):
        metrics.vertex_error(still(), still(vertices=5))
    with pytest.raises(ValueError, match=r"expected vertices \(T, V, 3\)"):
        metrics.vertex_error(np.zeros((2, 12)), np.zeros((2, 12)))
    with pytest.raises(ValueError, match=r"at least one frame"):
        metrics.vertex_error(still(0), still(0))
    with pytest.raises(ValueError, match=r"vertex 4, but the mesh has vertices 0\.\.3"):
        metrics.lip_vertex_error(still(), still(), [4])
    with pytest.raises(ValueError, match="region lips: expected a list"):
        metrics.lip_vertex_error(still(), still(), [])
    with pytest.raises(ValueError, match="no clip to score"):
        metrics.pool([])


@given(
    frames=st.integers(1, 9), block_frames=st.integers(1, 4), shift=st.floats(-2, 2), seed=st.integers(0, 99)
)
def test_walking_in_blocks_changes_nothing(frames, block_frames, shift, seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.normal(shift, 1, (2, frames, 5, 3))
    template = rng.normal(size=(5, 3))
    squared = ((truth - template) ** 2).sum(axis=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "BLOCK_BYTES", block_frames * 5 * 24)
        np.testing.assert_allclose(
            metrics.vertex_error(predicted, truth), ((predicted - truth) ** 2).sum(axis=2).mean(axis=1)
        )
        assert metrics.upper_face_dynamics(truth, template, range(5)) == pytest.approx(squared.std(axis=0).mean())


def test_lip_vertex_error_and_fdd_equal_the_official_script():
    fixture_file, biwi = SHARED / "peers" / "metric_fixture.json", SHARED / "biwi"
    if not fixture_file.exists():
        pytest.skip("the official script's figures are not beside this checkout")
    fixture = json.loads(fixture_file.read_text())
    lips, upper_face = (
        np.array([int(part) for part in (biwi / name).read_text().split(",")]) for name in ("lve.txt", "fdd.txt")
    )
    rng, shape = np.random.default_rng(fixture["seed"]), (fixture["vertices"], 3)
    templates = {s: rng.normal(0, 0.3, shape).astype(np.float32) for s in fixture["subjects"]}
    clips = []
    for template in templates.values():
        for n, extra in zip(fixture["lengths"], fixture["prediction_extra_frames"], strict=True):
            motion = rng.normal(0, 0.01, (n, *shape)).astype(np.float32)
            predicted = rng.normal(0, 0.01, (n + extra, *shape)).astype(np.float32)
            predicted[:n] = 0.7 * motion + 0.3 * predicted[:n]
            clips.append(metrics.score_clip(template + predicted, template + motion, template, lips, upper_face))
    scores = metrics.pool(clips)
    assert scores.frames == fixture["official"]["frames"]
    assert scores.lip_vertex_error == pytest.approx(fixture["official"]["lip_vertex_error"], rel=1e-5)
    assert scores.fdd == pytest.approx(fixture["official"]["fdd"], rel=1e-5)
    assert scores.vertex_error == pytest.approx(fixture["mean_squared_vertex_distance"], rel=1e-5)

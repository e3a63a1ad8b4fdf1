"""The further metrics, in numbers worked by hand and laws that hold for any motion."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.corpus.indices import read_indices
from db.corpus.ply import read_ply
from db.demo.appearance import regions_of
from db.demo.face import build_face
from evaluation import face_errors, metrics, motion, mouth

BIWI = Path(__file__).resolve().parents[2] / "shared" / "biwi"


def still(frames: int = 2, vertices: int = 4) -> np.ndarray:
    return np.zeros((frames, vertices, 3))


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# Errors ---------------------------------------------------------------------------------------------------------------


def test_squared_errors_of_9_and_16_are_typically_the_root_of_12_and_a_half():
    assert face_errors.root_mean_square([9, 16]) == pytest.approx(12.5**0.5)
    assert face_errors.root_mean_square([4], mm_per_unit=150) == 300
    with pytest.raises(ValueError, match="no squared distance"):
        face_errors.root_mean_square([])


def test_of_two_upper_face_vertices_one_is_off_by_3():
    predicted = still()
    predicted[1, 2, 0] = 3
    assert face_errors.upper_face_vertex_error(predicted, still(), [1, 2]).tolist() == [0, 4.5]
    assert face_errors.emotional_vertex_error(predicted, still(), [1, 2]).tolist() == [0, 9]
    assert face_errors.emotional_vertex_error(predicted, still(), [0, 1]).tolist() == [0, 0]


@given(seed=st.integers(0, 99), frames=st.integers(1, 5), factor=st.floats(0.1, 10))
def test_errors_grow_with_the_square_of_the_scale_and_the_mean_stays_below_the_largest(seed, frames, factor):
    truth, predicted = noise(seed, 2, frames, 6, 3)
    mean = face_errors.upper_face_vertex_error(predicted, truth, [1, 3, 4])
    largest = face_errors.emotional_vertex_error(predicted, truth, [1, 3, 4])
    assert (mean <= largest).all() and np.array_equal(largest, metrics.lip_vertex_error(predicted, truth, [1, 3, 4]))
    scaled = face_errors.upper_face_vertex_error(factor * predicted, factor * truth, [1, 3, 4])
    np.testing.assert_allclose(scaled, factor**2 * mean)


@pytest.mark.parametrize("error", [face_errors.upper_face_vertex_error, face_errors.emotional_vertex_error])
def test_identical_clips_have_no_error_and_what_does_not_fit_is_refused(error):
    clip = noise(0, 3, 4, 3)
    assert error(clip, clip, [0, 2]).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="topology"):
        error(still(), still(vertices=5), [1])
    with pytest.raises(ValueError, match="vertex 4, but the mesh"):
        error(still(), still(), [4])
    with pytest.raises(ValueError, match="expected vertices"):
        error(still(0), still(0), [1])
    with pytest.raises(ValueError, match="expected vertices"):
        error(np.zeros((2, 12)), np.zeros((2, 12)), [1])


# The mouth ------------------------------------------------------------------------------------------------------------


def slit_face(rows: int = 9, columns: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """A sheet with a slit across its middle: (V, 3) and triangles. Rows go up; the slit lies below row 5."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -2 : 2 : columns * 1j]
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    squares = [(r, c) for r in range(rows - 1) for c in range(columns - 1) if r != rows // 2 or not 3 < c < 16]
    corners = np.array([[r * columns + c, r * columns + c + 1, (r + 1) * columns + c] for r, c in squares])
    others = np.array([[(r + 1) * columns + c, r * columns + c + 1, (r + 1) * columns + c + 1] for r, c in squares])
    return vertices, np.concatenate([corners, others])


def opened(by: float) -> np.ndarray:
    """The sheet at rest, then with its lower half moved down."""
    vertices, _ = slit_face()
    moved = vertices - [0, by, 0] * (np.arange(len(vertices)) < 5 * 21)[:, None]
    return np.stack([vertices, moved])


def test_the_edges_of_the_lips_are_found_on_a_sheet_with_a_slit():
    vertices, triangles = slit_face()
    found = mouth.find_mouth(vertices, range(len(vertices)), triangles)
    assert set(vertices[found.upper, 1]) == {0.25} and set(vertices[found.lower, 1]) == {0.0}
    assert np.abs(vertices[found.upper, 0]).max() < 0.3
    assert mouth.mouth_opening(opened(0.5), found) == pytest.approx([0.25, 0.75])


def test_a_sheet_without_a_slit_is_no_mouth():
    vertices, triangles = slit_face()
    lower_half = np.flatnonzero(vertices[:, 1] < 0.1)
    with pytest.raises(ValueError, match="do not part into an upper and a lower lip"):
        mouth.find_mouth(vertices, lower_half, triangles)
    with pytest.raises(ValueError, match="region lips: vertex 999"):
        mouth.find_mouth(vertices, [999], triangles)


@pytest.mark.parametrize("size", ["small", "full"])
def test_the_demo_faces_mouth_is_found_on_both_topologies(size):
    face = build_face(size)
    lips = regions_of(face)["lve"]
    found = mouth.find_mouth(face.vertices, lips, face.faces)
    _assert_lips_meet(face.vertices, found, lips)


def test_the_real_topologys_mouth_is_found():
    if not BIWI.exists():
        pytest.skip("the real topology is not beside this checkout")
    mesh = read_ply(BIWI / "BIWI.ply")
    lips = read_indices(BIWI / "lve.txt", len(mesh.vertices))
    _assert_lips_meet(mesh.vertices, mouth.find_mouth(mesh.vertices, lips, mesh.faces), lips)


def _assert_lips_meet(vertices: np.ndarray, found: mouth.Mouth, lips: np.ndarray) -> None:
    """Both edges lie in the middle of the region, the upper above the lower, and close together."""
    width, height, _ = np.ptp(vertices[lips], axis=0)
    upper, lower = vertices[found.upper], vertices[found.lower]
    middle = (vertices[lips, 0].min() + vertices[lips, 0].max()) / 2
    assert np.abs(np.concatenate([upper, lower])[:, 0] - middle).max() < 0.1 * width
    assert upper[:, 1].mean() >= lower[:, 1].mean()
    assert mouth.mouth_opening(vertices[None], found)[0] < 0.05 * height


def test_the_opening_is_off_by_1_and_then_by_2():
    assert mouth.mouth_opening_difference([1, 5], [2, 3]).tolist() == [1, 2]
    with pytest.raises(ValueError, match="2 and 1 frames"):
        mouth.mouth_opening_difference([1, 5], [2])
    with pytest.raises(ValueError, match="at least one frame"):
        mouth.mouth_opening_difference([], [])
    with pytest.raises(ValueError, match="same topology"):
        mouth.mouth_opening(still(), mouth.Mouth(np.array([7]), np.array([1])))


def test_the_same_opening_a_little_later_costs_nothing_after_warping():
    curve = np.array([0, 0, 1, 3, 1, 0, 0, 0.0])
    late = np.array([0, 0, 0, 0, 1, 3, 1, 0.0])
    assert mouth.mouth_opening_difference(late, curve).mean() == 1.0
    assert mouth.lip_dynamics(late, curve) == 0
    assert mouth.lip_dynamics(np.zeros(2), np.ones(2)) == 1  # another shape stays another shape


@given(first=st.lists(st.floats(0, 1), min_size=1, max_size=12), second=st.lists(st.floats(0, 1), min_size=12,
                                                                                 max_size=12))  # fmt: skip
def test_warping_is_symmetric_and_never_dearer_than_frame_by_frame(first, second):
    first = np.resize(first, 12)
    warped = mouth.lip_dynamics(first, second)
    assert warped == pytest.approx(mouth.lip_dynamics(second, first))
    # The warped path is cheaper in total; being at least as long, in the mean as well.
    assert warped <= mouth.mouth_opening_difference(first, second).mean() + 1e-9
    assert mouth.lip_dynamics(first, first) == 0


# Motion ---------------------------------------------------------------------------------------------------------------


def test_a_cubic_motion_has_the_jerk_of_its_third_derivative():
    vertices = still(frames=9, vertices=2)
    vertices[:, 0, 1] = (np.arange(9) / 25) ** 3  # third derivative 6; the other vertex rests
    assert motion.jitter(vertices, 25) == pytest.approx(3)


@given(seed=st.integers(0, 99), frames=st.integers(1, 12), block_frames=st.integers(1, 5))
def test_even_acceleration_is_no_jitter_and_blocks_change_nothing(seed, frames, block_frames):
    time = np.arange(frames)[:, None, None] / 25
    start, speed, acceleration, wobble = noise(seed, 4, 1, 5, 3)
    smooth = start + speed * time + acceleration * time**2
    rough = smooth + noise(seed, frames, 5, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion, "BLOCK_BYTES", block_frames * 5 * 24)
        if frames < 4:
            assert np.isnan(motion.jitter(rough, 25))
        else:
            assert motion.jitter(smooth, 25) == pytest.approx(0, abs=1e-8)
            expected = np.linalg.norm(np.diff(rough, 3, axis=0), axis=2).mean() * 25**3
            assert motion.jitter(rough, 25) == pytest.approx(expected)


def test_three_conditions_that_lie_1_1_and_2_apart_have_a_diversity_of_4_thirds():
    clips = [still() + [0, 0, shift] for shift in (0, 1, 2)]
    assert motion.diversity(clips) == pytest.approx(4 / 3)
    assert motion.diversity([clips[0], clips[0]]) == 0


def test_motion_that_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="two or more conditions"):
        motion.diversity([still()])
    with pytest.raises(ValueError, match="topology"):
        motion.diversity([still(), still(vertices=5)])
    with pytest.raises(ValueError, match="expected vertices"):
        motion.jitter(np.zeros((5, 12)), 25)

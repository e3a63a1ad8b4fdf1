"""Clips packed for the player: what comes out is what went in, within the tolerance, whatever went in."""

import gzip
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from db.playback import (
    TOLERANCE,
    decode_playback,
    decode_topology,
    encode_playback,
    encode_topology,
    morton_order,
)
from tests.player_page import dome, speak

FACE, FACES = dome()


def largest_error(vertices: np.ndarray, packed: bytes) -> float:
    """Largest difference of a coordinate, as a share of the face's height."""
    height = float(np.ptp(vertices[0, :, 1].astype(np.float64)))
    return float(np.abs(decode_playback(packed)[0] - vertices.astype(np.float64)).max()) / height


@given(
    seed=st.integers(0, 2**32 - 1),
    n_frames=st.integers(1, 40),
    n_motions=st.integers(1, 40),
    noise=st.sampled_from([0.0, 1e-5, 1e-4, 3e-4, 3e-3, 0.1]),
    scale=st.sampled_from([1e-4, 1.0, 200.0, 1e6]),
    kind=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=60, deadline=None)
def test_no_coordinate_is_off_by_more_than_the_tolerance(seed, n_frames, n_motions, noise, scale, kind):
    vertices = (speak(FACE / 200, n_frames, n_motions, noise, seed) * scale).astype(kind)
    packed = encode_playback(vertices, 25.0)
    decoded, fps = decode_playback(packed)
    assert decoded.shape == vertices.shape and decoded.dtype == np.float32 and fps == 25.0
    assert largest_error(vertices, packed) <= TOLERANCE


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 5), st.integers(1, 9), st.just(3)),
        elements=st.integers(-100_000, 100_000).map(lambda value: value / 1000),
    )
)
@settings(max_examples=100, deadline=None)
def test_any_points_at_all_come_back_within_the_tolerance(vertices):
    extents = np.ptp(vertices[0], axis=0)
    assume(extents[1] > 1 and np.abs(vertices).max() < 1000 * extents[1])
    assert largest_error(vertices, encode_playback(vertices, 30.0)) <= TOLERANCE


def test_equal_clips_give_equal_bytes():
    vertices = speak(FACE, 30, noise=1e-4)
    assert encode_playback(vertices, 25.0) == encode_playback(vertices.copy(), 25.0)


def test_a_memory_map_and_any_memory_layout_give_the_same_bytes(tmp_path):
    vertices = speak(FACE, 30)
    np.save(tmp_path / "clip.npy", vertices.reshape(30, -1))
    mapped = np.load(tmp_path / "clip.npy", mmap_mode="r").reshape(30, -1, 3)
    assert encode_playback(mapped, 25.0) == encode_playback(vertices, 25.0)
    assert encode_playback(np.asfortranarray(vertices), 25.0) == encode_playback(vertices, 25.0)


def test_a_long_clip_is_packed_in_segments_and_comes_back_whole():
    vertices = speak(FACE, 700)
    packed = encode_playback(vertices, 60.0)
    assert decode_playback(packed)[1] == 60.0
    assert largest_error(vertices, packed) <= TOLERANCE


def test_one_frame_is_a_clip():
    vertices = FACE[None]
    assert largest_error(vertices, encode_playback(vertices, 29.97)) <= TOLERANCE


@pytest.mark.parametrize("points", [[[0, 0, 0]], [[5, 5, 5], [5, 5, 5]], [[0, 3, 0], [8, 3, 0], [0, 3, 4]]])
def test_points_without_height_are_kept_as_exactly_as_their_size_asks(points):
    vertices = np.array([points], np.float64)
    np.testing.assert_allclose(decode_playback(encode_playback(vertices, 25.0))[0], vertices, atol=8 * TOLERANCE)


def test_a_clip_that_does_not_move_costs_hardly_more_than_one_frame():
    still = np.repeat(FACE[None], 100, axis=0)
    assert len(encode_playback(still, 25.0)) < len(encode_playback(still[:1], 25.0)) + 500


def test_smooth_movement_takes_less_than_a_bit_and_a_half_per_coordinate():
    face, _ = dome(60, 60)
    vertices = speak(face, 100)
    assert len(encode_playback(vertices, 25.0)) < vertices.size * 1.5 / 8


def test_the_order_of_the_vertices_hardly_changes_the_size():
    face, _ = dome(40, 40)
    vertices = speak(face, 60)
    shuffled = vertices[:, np.random.default_rng(0).permutation(len(face))]
    # What remains is the resting shape, which is stored in the order that the corpus has.
    assert len(encode_playback(shuffled, 25.0)) < len(encode_playback(vertices, 25.0)) + 2 * face.size


def test_the_bytes_hold_no_time_and_no_name():
    packed = encode_playback(FACE[None], 25.0)
    assert packed[:4] == b"\x1f\x8b\x08\x00"  # gzip without a name
    assert packed[4:8] == b"\x00\x00\x00\x00"  # and without a time


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_not_numbers_are_refused_with_their_frame(bad):
    vertices = speak(FACE, 50)
    vertices[41, 7, 1] = bad
    with pytest.raises(ValueError, match="frame 41 holds coordinates that are not finite"):
        encode_playback(vertices, 25.0)


def test_a_frame_in_another_unit_is_refused():
    vertices = speak(FACE, 10)
    vertices[5] *= 10_000
    with pytest.raises(ValueError, match="is one frame in another unit"):
        encode_playback(vertices, 25.0)


@pytest.mark.parametrize("shape", [(10, 30), (0, 10, 3), (10, 0, 3), (10, 10, 2)])
def test_another_shape_is_refused_and_named(shape):
    with pytest.raises(ValueError, match=r"vertices have shape \("):
        encode_playback(np.zeros(shape, np.float32), 25.0)


@pytest.mark.parametrize("fps", [0.0, -25.0, np.nan, np.inf])
def test_a_frame_rate_that_is_no_frame_rate_is_refused(fps):
    with pytest.raises(ValueError, match="frame rate is"):
        encode_playback(FACE[None], fps)


def test_damaged_bytes_are_refused():
    packed = encode_playback(speak(FACE, 10), 25.0)
    topology = encode_topology(FACES, None)
    for damaged in (packed[:-20], b"", b"no clip", topology, gzip.compress(gzip.decompress(packed)[:-5])):
        with pytest.raises(ValueError, match=r"damaged|not a clip"):
            decode_playback(damaged)


def test_a_topology_comes_back_as_it_was():
    colours = np.random.default_rng(0).integers(0, 256, (len(FACE), 3), dtype=np.uint8)
    faces, found = decode_topology(encode_topology(FACES, colours))
    np.testing.assert_array_equal(faces, FACES)
    np.testing.assert_array_equal(found, colours)
    faces, found = decode_topology(encode_topology(FACES + 70_000, None))
    np.testing.assert_array_equal(faces, FACES + 70_000)
    assert found is None


@pytest.mark.parametrize(
    ("faces", "colours", "message"),
    [
        (np.zeros((3, 4), int), None, "faces have shape"),
        (np.zeros((0, 3), int), None, "faces have shape"),
        (np.array([[0, 1, -1]]), None, "vertex index -1"),
        (np.array([[0, 1, 2]]), np.zeros((2, 3), np.uint8), "refer to vertex 2, but there are 2 colours"),
        (np.array([[0, 1, 2]]), np.zeros((3, 3)), "expected uint8"),
    ],
)
def test_a_topology_that_is_none_is_refused(faces, colours, message):
    with pytest.raises(ValueError, match=message):
        encode_topology(faces, colours)


def test_neighbours_on_the_curve_are_neighbours_in_space():
    points = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), -1).reshape(-1, 3)
    shuffled = points[np.random.default_rng(1).permutation(len(points))]
    ordered = shuffled[morton_order(shuffled)]
    assert np.abs(np.diff(ordered, axis=0)).sum(axis=1).mean() < 2.5
    np.testing.assert_array_equal(ordered[:4], [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])


def test_a_clip_at_the_size_of_biwi_takes_little_time_and_memory():
    face, _ = dome(150, 156)
    vertices = speak(face, 117, noise=1e-4)
    tracemalloc.start()
    started = time.process_time()
    encode_playback(vertices, 25.0)
    seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * vertices.nbytes
    assert seconds < 5  # about 0.4 on a quiet machine; see benchmarks/player.py

"""The demo's face: topology, regions, actions and identities."""

import numpy as np
import pytest

from db.demo import action_units, appearance, identity
from db.demo.action_units import AU, displacement_fields, pose
from db.demo.face import SIZES, build_face
from db.demo.motion import EXPRESSIONS

BOTH = pytest.mark.parametrize("size", ["small", "full"])


def edges_of(faces):
    """Directed edges (3F, 2)."""
    return np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def signed_volume(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def lip_gap(size, actions):
    """Gap in mm between upper and lower lip in the middle of the mouth."""
    face = build_face(size)
    ring = face.skin.mouth
    middle = len(ring) // 4
    y = pose(size, actions)[:, 1]
    return y[ring[middle]] - y[ring[len(ring) - middle]]


def test_the_full_face_has_exactly_as_many_vertices_as_biwi():
    assert len(build_face("full").vertices) == 23_370


def test_the_small_face_has_about_two_thousand_vertices():
    assert len(build_face("small").vertices) == SIZES["small"].vertices == 1_800


def test_an_unknown_size_is_refused_by_name():
    with pytest.raises(ValueError, match="'medium'.*small or full"):
        build_face("medium")


@BOTH
def test_every_vertex_is_used_and_no_triangle_is_degenerate(size):
    face = build_face(size)
    assert np.unique(face.faces).tolist() == list(range(len(face.vertices)))
    a, b, c = (face.vertices[face.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    assert area.min() > 1e-5
    assert np.isfinite(face.vertices).all()


@BOTH
def test_neighbouring_triangles_agree_on_which_side_is_out(size):
    directed = edges_of(build_face(size).faces)
    assert len(np.unique(directed, axis=0)) == len(directed)


@BOTH
def test_only_neck_teeth_tongue_lids_behind_and_eyeballs_have_open_edges(size):
    face = build_face(size)
    directed = edges_of(face.faces)
    undirected, count = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert count.max() == 2
    open_vertices = np.unique(undirected[count == 1])
    on_skin = open_vertices[face.of("skin")[open_vertices]]
    assert set(on_skin) == set(face.skin.neck)
    assert not face.of("mouth")[open_vertices].any()


@BOTH
def test_normals_point_outward(size):
    face = build_face(size)
    for name in ("left eye", "right eye"):
        mine = face.faces[face.of(name)[face.faces].all(1)]
        centre = face.vertices[face.of(name)].mean(0)
        assert signed_volume(face.vertices - centre, mine) > 0
    skin = face.faces[face.of("skin")[face.faces].all(1)]
    a, b, c = (face.vertices[skin[:, k]] for k in range(3))
    forehead = (np.abs(a[:, 0]) < 20) & (a[:, 1] > 35) & (a[:, 1] < 55) & (a[:, 2] > 60)
    assert forehead.any()
    assert (np.cross(b - a, c - a)[forehead, 2] > 0).all()
    assert signed_volume(face.vertices, skin) > 1e6  # a head holds some litres


@BOTH
def test_the_face_is_its_own_mirror_image(size):
    face = build_face(size)
    np.testing.assert_allclose(face.vertices[face.mirror], face.vertices * [-1, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(face.mirror[face.mirror], np.arange(len(face.vertices)))


@BOTH
def test_every_action_but_the_sideways_glance_is_symmetric(size):
    face, fields = build_face(size), displacement_fields(size)
    for name, index in AU.items():
        if name != "gaze sideways":
            np.testing.assert_allclose(fields[index][face.mirror], fields[index] * [-1, 1, 1], atol=1e-5, err_msg=name)


def test_actions_add_up():
    rest = build_face("small").vertices
    together = pose("small", {"AU12": 0.7, "AU4": 0.4})
    apart = (pose("small", {"AU12": 0.7}) - rest) + (pose("small", {"AU4": 0.4}) - rest)
    np.testing.assert_allclose(together - rest, apart, atol=1e-9)
    np.testing.assert_allclose(
        pose("small", {"AU12": 2.0}) - rest, 2 * (pose("small", {"AU12": 1.0}) - rest), atol=1e-9
    )


def test_an_action_that_does_not_exist_is_refused():
    with pytest.raises(KeyError, match="AU99"):
        pose("small", {"AU99": 1.0})


@BOTH
def test_each_action_moves_something_and_nothing_moves_the_back_of_the_head(size):
    face, fields = build_face(size), displacement_fields(size)
    size_of = np.linalg.norm(fields, axis=2)
    assert (size_of.max(1) > 1.0).all()
    assert size_of.max() < 40
    assert size_of[:, face.vertices[:, 2] < -40].max() < 0.2


@BOTH
def test_lips_touch_at_rest_part_with_the_jaw_and_press_with_au24(size):
    assert 0 <= lip_gap(size, {}) < 0.2
    assert lip_gap(size, {"AU26": 1.0}) > 15
    assert lip_gap(size, {"AU24": 1.0}) < 0


@BOTH
def test_shut_lids_cover_the_pupils(size):
    face = build_face(size)
    shut = pose(size, {"AU43": 1.0})
    for ring in face.skin.eyes:
        upper = ring[: len(ring) // 2 + 1]
        lower = np.r_[ring[0], ring[len(ring) // 2 :][::-1]]
        middle = len(upper) // 2
        assert face.vertices[upper[middle], 1] - face.vertices[lower[middle], 1] > 8
        assert abs(shut[upper[middle], 1] - shut[lower[middle], 1]) < 2.0


def test_brows_change_their_angle_with_anger_and_sadness():
    points = build_face("small").vertices
    brow = appearance.brow_amount(points) > 0.5
    inner, outer = brow & (np.abs(points[:, 0]) < 20), brow & (np.abs(points[:, 0]) > 38)

    def tilt(emotion):
        y = pose("small", EXPRESSIONS[emotion])[:, 1] - points[:, 1]
        return y[outer].mean() - y[inner].mean()

    assert tilt("angry") > 4
    assert tilt("sadness") < -4


@BOTH
def test_regions_hold_lips_and_upper_face_and_do_not_overlap(size):
    face = build_face(size)
    regions = appearance.regions_of(face)
    lips, upper = regions["lve"], regions["fdd"]
    assert set(face.skin.mouth) <= set(lips)
    assert not set(lips) & set(upper)
    assert len(lips) > 0.05 * len(face.vertices)
    assert len(upper) > 0.08 * len(face.vertices)
    assert np.abs(face.vertices[lips, 1] + 69).max() < 24
    brows = np.flatnonzero(appearance.brow_amount(face.vertices) > 0.5)
    assert set(brows) <= set(upper)


@BOTH
def test_colours_show_dark_brows_white_eyes_and_a_dark_mouth(size):
    face = build_face(size)
    brightness = appearance.colours_of(face).astype(float).mean(1)
    forehead = (np.abs(face.vertices[:, 0]) < 20) & (np.abs(face.vertices[:, 1] - 45) < 8) & (face.vertices[:, 2] > 60)
    skin = brightness[forehead].mean()
    assert brightness[appearance.brow_amount(face.vertices) > 0.9].mean() < 0.5 * skin
    assert brightness[face.of("left eye") & (face.depth > 30) & (face.depth < 50)].mean() > skin
    assert brightness[face.of("mouth") & (face.depth > 2)].mean() < 0.35 * skin
    assert brightness[face.of("left eye") & (face.depth < 9)].mean() < 60


def test_subjects_differ_and_keep_lids_on_eyes_and_lips_closed():
    face = build_face("small")
    templates = {name: identity.template_of(face, name) for name in identity.SUBJECTS}
    assert list(templates) == [*(f"F{n}" for n in range(1, 9)), *(f"M{n}" for n in range(1, 7))]
    for name, template in templates.items():
        others = [np.abs(template - other).max() for key, other in templates.items() if key != name]
        assert min(others) > 2.0
        for side, ring in zip(("left eye", "right eye"), face.skin.eyes, strict=True):
            shift = (template - face.vertices)[np.r_[ring, np.flatnonzero(face.of(side))]]
            assert np.ptp(shift, axis=0).max() < 1.0
        ring = face.skin.mouth
        middle = len(ring) // 4
        assert -0.1 < template[ring[middle], 1] - template[ring[len(ring) - middle], 1] < 0.3


def test_action_names_are_unique_and_match_the_fields():
    assert len(AU) == len(action_units.NAMES) == len(displacement_fields("small"))

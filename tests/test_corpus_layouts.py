"""Both layouts as real folders: what is found in them, what is recognised and refused, how coordinates come out."""

import pickle
import shutil
import struct

import numpy as np
import pytest

from db.corpus.check import check_corpus
from db.corpus.errors import UnusableCorpus
from db.corpus.examine import open_corpus
from db.corpus.naming import parse_clip_name, sentence_renaming
from db.corpus.normalise import UPRIGHT, centre_and_scale, normalise, surface_area
from db.corpus.settings import ImportOptions
from db.corpus.write import write_ply
from tests.small_corpus import N_VERTICES, beside, face, four_clips, moving, sequence, triangles, write_small

CLIPS = ["F1_01", "F1_e01", "M2_01", "M2_e01"]


def kinds(folder, **options) -> dict[str, str]:
    """Kind -> message of every problem of a checked corpus."""
    return {problem.kind: problem.message for problem in check_corpus(folder, ImportOptions(**options)).problems}


# What is found


@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_a_whole_corpus_in_either_layout_has_no_problem(tmp_path, layout):
    report = check_corpus(write_small(tmp_path / "c", layout))
    assert report.problems == []
    assert (report.layout, report.name, report.synthetic) == (layout, "small", True)
    assert (report.n_clips, report.clips["usable"], report.n_subjects) == (4, 4, 2)
    assert (report.n_vertices, report.n_faces) == (N_VERTICES, len(triangles()))


def test_both_layouts_of_one_corpus_give_the_same_motion_and_templates(tmp_path):
    peers, raw = (open_corpus(write_small(tmp_path / name, name), ImportOptions()) for name in ("peers", "raw"))
    assert [clip.name for clip in peers.clips] == [clip.name for clip in raw.clips] == CLIPS
    for one, other in zip(peers.clips, raw.clips, strict=True):
        np.testing.assert_allclose(one.read(), other.read(), atol=1e-6)
    for subject in ("F1", "M2"):
        np.testing.assert_allclose(peers.templates[subject], raw.templates[subject], atol=1e-8)
    np.testing.assert_array_equal(peers.faces, raw.faces)


@pytest.mark.parametrize("packed", ["tar", "tgz"])
@pytest.mark.parametrize("count_bytes", [4, 8])
def test_a_packed_corpus_reads_as_the_unpacked_one(tmp_path, packed, count_bytes):
    from db.corpus.write import write_raw

    write_raw(tmp_path / "c", four_clips(), beside(), packed=packed, count_bytes=count_bytes)
    source = open_corpus(tmp_path / "c", ImportOptions())
    assert [clip.name for clip in source.clips] == CLIPS
    np.testing.assert_allclose(source.clips[0].read(), moving(30), atol=1e-6)
    assert check_corpus(tmp_path / "c").serious == []


def test_archives_named_by_subject_and_sentence_in_one_folder_are_found(tmp_path):
    from db.corpus.write import write_raw

    write_raw(tmp_path / "c", four_clips(), beside(), packed="tgz")
    for path in list((tmp_path / "c" / "faces").glob("*/*.tgz")):
        path.rename(tmp_path / "c" / "faces" / f"{path.parent.name}_{path.name.replace('tgz', 'tar.gz')}")
        shutil.rmtree(path.parent) if not any(path.parent.iterdir()) else None
    assert [clip.name for clip in open_corpus(tmp_path / "c", ImportOptions()).clips] == CLIPS


def test_the_ply_may_be_called_biwi_and_lie_in_templates(tmp_path):
    folder = write_small(tmp_path / "c")
    (folder / "templates").mkdir()
    (folder / "topology.ply").rename(folder / "templates" / "BIWI.ply")
    assert open_corpus(folder, ImportOptions()).n_vertices == N_VERTICES


def test_of_several_ply_files_none_is_guessed(tmp_path):
    folder = write_small(tmp_path / "c")
    (folder / "topology.ply").rename(folder / "BIWI.ply")
    shutil.copy(folder / "BIWI.ply", folder / "FLAME.ply")
    with pytest.raises(UnusableCorpus, match=r"several .ply files \(BIWI.ply, FLAME.ply\)"):
        open_corpus(folder, ImportOptions())


@pytest.mark.parametrize("shape", [(N_VERTICES, 3), (3 * N_VERTICES,), (1, 3 * N_VERTICES)])
def test_templates_are_read_in_the_shapes_that_copies_have(tmp_path, shape):
    folder = write_small(tmp_path / "c")
    templates = {b"F1": face().reshape(shape).astype(np.float32), "M2": face().reshape(shape)}
    (folder / "templates.pkl").write_bytes(pickle.dumps(templates))
    np.testing.assert_allclose(open_corpus(folder, ImportOptions()).templates["F1"], face(), atol=1e-6)


def test_regions_come_as_text_or_as_selftalks_pickle(tmp_path):
    folder = write_small(tmp_path / "c")
    assert {name: list(v) for name, v in open_corpus(folder, ImportOptions()).regions.items()} == {
        "lve": [1, 2, 3],
        "fdd": [30, 31],
    }
    (folder / "regions" / "lve.txt").unlink()
    (folder / "BIWI_lip.pkl").write_bytes(pickle.dumps([4, 5]))
    assert open_corpus(folder, ImportOptions()).regions["lve"].tolist() == [4, 5]


def test_files_that_macos_leaves_behind_are_no_clips(tmp_path):
    folder = write_small(tmp_path / "c")
    (folder / "vertices_npy" / "._F1_e01.npy").write_bytes(b"x")
    (folder / "wav" / "._F1_e01.wav").write_bytes(b"x")
    assert check_corpus(folder).problems == []


# What is wrong with single clips


@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_sequences_without_sound_and_sound_without_sequence_are_problems(tmp_path, layout):
    clips = [sequence("F1", "e01", speech=None), sequence("F1", "e02", vertices=None), sequence("M2", "e01")]
    report = check_corpus(write_small(tmp_path / "c", layout, clips))
    assert {(p.kind, p.clip) for p in report.serious} == {("missing_audio", "F1_e01"), ("missing_vertices", "F1_e02")}
    assert report.clips == {"broken": 2, "usable": 1}
    assert [p.message for p in report.notes] == ["M2: no e02, which other subjects have"]


@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_a_nan_in_one_frame_is_found_and_the_frame_named(tmp_path, layout):
    frames = moving(40)
    frames[23, 7, 1] = np.nan
    clips = [sequence("F1", "e01", 40, vertices=frames), sequence("M2", "e01")]
    report = check_corpus(write_small(tmp_path / "c", layout, clips))
    assert [p.kind for p in report.serious] == ["not_finite"]
    assert "F1_e01: frame 23 has coordinates that are NaN" in report.serious[0].message


@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_another_vertex_count_breaks_the_clip_and_not_the_corpus(tmp_path, layout):
    clips = [sequence("F1", "e01", vertices=moving(30)[:, :20]), sequence("M2", "e01")]
    report = check_corpus(write_small(tmp_path / "c", layout, clips))
    assert [(p.kind, p.clip) for p in report.serious] == [("vertex_count", "F1_e01")]
    assert "20 vertices, the" in report.serious[0].message
    assert report.clips == {"broken": 1, "usable": 1}


def test_lengths_within_the_tolerance_are_trimmed_and_noted_and_beyond_it_are_a_problem(tmp_path):
    clips = [
        sequence("F1", "e01", 40, vertices=moving(43)),
        sequence("F1", "e02", 40, vertices=moving(37)),
        sequence("M2", "e01", 40, vertices=moving(46)),
        sequence("M2", "e02", 40),
    ]
    folder = write_small(tmp_path / "c", sequences=clips)
    report = check_corpus(folder)
    assert [(p.kind, p.clip) for p in report.notes] == [("length_trimmed", "F1_e01"), ("length_trimmed", "F1_e02")]
    assert [(p.kind, p.clip) for p in report.serious] == [("length_mismatch", "M2_e01")]
    assert "46 frames of motion but sound for 40.0 frames at 25 per second" in report.serious[0].message
    assert check_corpus(folder, ImportOptions(tolerance_frames=6)).serious == []


def test_another_frame_rate_shows_as_another_length(tmp_path):
    folder = write_small(tmp_path / "c", settings={"name": "small", "normalisation": "none"})
    assert kinds(folder, frames_per_second=60.0).keys() == {"length_mismatch"}
    assert kinds(folder) == {}


def test_silent_and_truncated_sound_are_problems(tmp_path):
    clips = [sequence("F1", "e01", speech=np.zeros(19_200)), sequence("M2", "e01")]
    folder = write_small(tmp_path / "c", sequences=clips)
    path = folder / "wav" / "M2_e01.wav"
    path.write_bytes(path.read_bytes()[:1000])
    report = check_corpus(folder)
    assert {(p.kind, p.clip) for p in report.serious} == {("silent_audio", "F1_e01"), ("truncated", "M2_e01")}


def test_empty_foreign_and_missing_templates_are_problems_of_their_subjects(tmp_path):
    clips = [sequence(subject, "e01") for subject in ("F1", "F2", "F3", "F4")]
    folder = write_small(tmp_path / "c", sequences=clips, subjects=["F1"])
    templates = {"F1": face(), "F2": np.zeros((N_VERTICES, 3)), "F3": face()[:10]}
    (folder / "templates.pkl").write_bytes(pickle.dumps(templates))
    report = check_corpus(folder)
    assert [(p.kind, p.message.split(":")[0]) for p in report.serious] == [
        ("empty_template", "templates.pkl, subject F2"),
        ("vertex_count", "templates.pkl, subject F3"),
        ("missing_template", "subject F4"),
    ]
    assert report.clips["usable"] == 4


def test_files_that_are_no_clips_are_named(tmp_path):
    folder = write_small(tmp_path / "c")
    shutil.copy(folder / "vertices_npy" / "F1_e01.npy", folder / "vertices_npy" / "copy of F1_e01.npy")
    assert "no subject can be read from this name" in kinds(folder)["bad_name"]


def test_outliers_are_counted_apart_and_ratings_of_other_clips_noted(tmp_path):
    ratings = {
        ("F1", "e01"): {"sad": 0, "mad": 0},
        ("F1", "01"): {"sad": 0, "mad": 1},
        ("F9", "e01"): {"sad": 1, "mad": 1},
    }
    report = check_corpus(write_small(tmp_path / "c", original_ratings=ratings))
    assert report.clips == {"outlier": 1, "usable": 3}
    assert {p.kind: p.message for p in report.notes} == {
        "outlier": "F1_e01: all 2 original ratings are zero",
        "unknown_rating": "original_ratings.csv rates 1 clips that are not there: F9_e01",
    }


def test_without_original_ratings_a_note_explains_how_to_make_the_file(tmp_path):
    message = kinds(write_small(tmp_path / "c", original_ratings={}))["missing_ratings"]
    assert "outliers cannot be recognised" in message
    assert "`subject,sentence` and then one column per adjective" in message


# What is wrong with the whole


def edited(tmp_path, layout="peers"):
    return write_small(tmp_path / "c", layout)


@pytest.mark.parametrize(
    ("layout", "spoil", "message"),
    [
        ("peers", lambda c: (c / "templates.pkl").unlink(), "no templates.pkl; expected a pickled dict"),
        ("peers", lambda c: (c / "templates.pkl").write_bytes(pickle.dumps({})), "an empty dict"),
        ("peers", lambda c: (c / "templates.pkl").write_bytes(pickle.dumps([1])), "holds list"),
        ("peers", lambda c: (c / "templates.pkl").write_bytes(pickle.dumps(shutil.rmtree)), "which could run code"),
        ("peers", lambda c: (c / "templates.pkl").write_bytes(pickle.dumps({"F1": face()[:9]})), "no template fits"),
        ("peers", lambda c: (c / "topology.ply").unlink(), "no triangles; expected a .ply file"),
        ("peers", lambda c: (c / "topology.ply").write_bytes(b"ply\nformat"), "topology.ply: truncated"),
        ("peers", lambda c: shutil.rmtree(c / "vertices_npy"), "holds corpus.toml, .* expected either"),
        ("peers", lambda c: [p.unlink() for p in (c / "vertices_npy").iterdir()], "holds no .npy sequence"),
        ("peers", lambda c: (c / "original_ratings.csv").write_text("a,b\n"), "expected subject,sentence"),
        ("peers", lambda c: (c / "faces").mkdir(), "say which to read with --layout"),
        (
            "raw",
            lambda c: shutil.rmtree(c / "rigid_scans"),
            "no template, so no triangles; expected rigid_scans/F1.obj",
        ),
        ("raw", lambda c: [p.write_text("v 1") for p in (c / "rigid_scans").iterdir()], "none of the 2 templates"),
        ("raw", lambda c: [shutil.rmtree(p) for p in (c / "faces").iterdir()], "faces/ holds no sequence"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_with_what_is_expected(tmp_path, layout, spoil, message):
    folder = write_small(tmp_path / "c", layout)
    spoil(folder)
    with pytest.raises(UnusableCorpus, match=f"(?s){message}"):
        check_corpus(folder)


def test_the_kinect_head_pose_set_of_the_same_name_is_recognised(tmp_path):
    folder = tmp_path / "kinect_head_pose_db" / "01"
    folder.mkdir(parents=True)
    for name in ("frame_00003_rgb.png", "frame_00003_depth.bin", "frame_00003_pose.txt"):
        (folder / name).touch()
    for place in (folder, folder.parent, folder.parent.parent):
        with pytest.raises(UnusableCorpus, match="this is the Biwi Kinect Head Pose Database"):
            check_corpus(place)


def test_codetalkers_and_unitalkers_intermediate_files_are_recognised(tmp_path):
    (tmp_path / "a" / "data" / "F1" / "vert" / "e01").mkdir(parents=True)
    (tmp_path / "a" / "data" / "F1" / "vert" / "e01" / "frame_001.mat").touch()
    with pytest.raises(UnusableCorpus, match="CodeTalker's intermediate files"):
        check_corpus(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "id_template.npy").touch()
    with pytest.raises(UnusableCorpus, match="UniTalker's layout"):
        check_corpus(tmp_path / "b")


def test_a_folder_one_level_too_high_is_answered_with_the_right_one(tmp_path):
    write_small(tmp_path / "c")
    with pytest.raises(UnusableCorpus, match="Did you mean .*/c"):
        check_corpus(tmp_path)
    with pytest.raises(UnusableCorpus, match="does not exist"):
        check_corpus(tmp_path / "nowhere")


# Names


def test_the_last_underscore_divides_subject_and_sentence():
    assert parse_clip_name("F1_e01") == ("F1", "e01")
    assert parse_clip_name("FaceTalk_170725_TA_sentence01") == ("FaceTalk-170725-TA", "sentence01")


@pytest.mark.parametrize("stem", ["F1", "_e01", "F1_", "F1_e 01", "F1_../x", "..", "F1_é01"])
def test_a_name_that_cannot_be_divided_is_refused(stem):
    with pytest.raises(ValueError, match="expected <subject>_<sentence>"):
        parse_clip_name(stem)


def test_names_with_an_e_need_no_question():
    assert sentence_renaming({"e01", "01"}, None, None) == {"e01": "e01", "01": "01"}


def test_names_without_an_e_are_asked_about():
    with pytest.raises(UnusableCorpus, match="--sentences-are emotional or --sentences-are neutral"):
        sentence_renaming({"01", "02"}, None, None)
    assert sentence_renaming({"01", "02"}, "emotional", None) == {"01": "e01", "02": "e02"}
    assert sentence_renaming({"01", "02"}, "neutral", None) == {"01": "01", "02": "02"}


def test_facexhuberts_numbers_beyond_40_are_the_emotional_takes():
    with pytest.raises(UnusableCorpus, match="--numbering facexhubert"):
        sentence_renaming({"01", "41"}, None, None)
    assert sentence_renaming({"01", "40", "41", "80"}, None, "facexhubert") == {
        "01": "01", "40": "40", "41": "e01", "80": "e40"}  # fmt: skip
    with pytest.raises(UnusableCorpus, match="numbers sentences from 01 to 80"):
        sentence_renaming({"81"}, None, "facexhubert")


def test_numbered_clips_and_their_ratings_are_renamed_together(tmp_path):
    clips = [sequence("F1", "01"), sequence("F1", "41")]
    ratings = {("F1", "41"): {"sad": 0}, ("F1", "01"): {"sad": 1}}
    folder = write_small(tmp_path / "c", sequences=clips, original_ratings=ratings)
    source = open_corpus(folder, ImportOptions(numbering="facexhubert"))
    assert [clip.name for clip in source.clips] == ["F1_01", "F1_e01"]
    assert source.original_ratings == {"F1_e01": {"sad": 0}, "F1_01": {"sad": 1}}


# Normalisation


def test_the_surface_area_of_a_unit_square_is_1():
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    assert surface_area(square, np.array([[0, 1, 2], [0, 2, 3]], dtype=np.uint32)) == 1


def raw_frames(n: int = 4) -> np.ndarray:
    """Upside down, off centre, in millimetres, growing."""
    grow = np.linspace(1, 1.3, n)[:, None, None]
    return (moving(n) * 90 * grow + [5, -3, 100]) * UPRIGHT


def test_per_frame_every_frame_is_centred_and_has_an_area_of_1():
    for frame in normalise(raw_frames(), triangles(), "per-frame", None):
        centre, scale = centre_and_scale(frame, triangles())
        np.testing.assert_allclose(centre, 0, atol=1e-12)
        assert scale == pytest.approx(1)


def test_by_the_template_all_frames_share_its_centre_and_scale():
    template = raw_frames()[0]
    frames = normalise(raw_frames(), triangles(), "template", template)
    centre, scale = centre_and_scale(template * UPRIGHT, triangles())
    np.testing.assert_allclose(frames, (raw_frames() * UPRIGHT - centre) / scale)


def test_by_the_template_a_vertex_at_rest_stays_at_rest_and_per_frame_it_does_not():
    frames = np.repeat(raw_frames()[:1], 2, axis=0)
    frames[1, 30:] += [0, 20, 0]  # the jaw opens; vertex 0 rests
    per_frame = normalise(frames.copy(), triangles(), "per-frame", None)
    by_template = normalise(frames.copy(), triangles(), "template", frames[0])
    assert np.abs(by_template[1, 0] - by_template[0, 0]).max() == 0
    assert np.abs(per_frame[1, 0] - per_frame[0, 0]).max() > 0.01


def test_without_normalisation_the_face_is_only_turned_upright():
    np.testing.assert_array_equal(normalise(raw_frames(), triangles(), "none", None), raw_frames() * UPRIGHT)


def test_a_mesh_without_area_cannot_be_normalised():
    with pytest.raises(ValueError, match="no surface area"):
        normalise(np.zeros((1, N_VERTICES, 3)), triangles(), "per-frame", None)


@pytest.mark.parametrize("how", ["per-frame", "template", "none"])
def test_the_raw_layout_is_normalised_as_asked_and_the_report_says_so(tmp_path, how):
    folder = write_small(tmp_path / "c", "raw", settings={"name": "small"})
    options = ImportOptions(normalisation=how)
    source = open_corpus(folder, options)
    expected = normalise(moving(30) * UPRIGHT, triangles(), how, face() * UPRIGHT)
    np.testing.assert_allclose(source.clips[0].read(), expected, atol=1e-5)
    assert check_corpus(folder, options).normalisation == how


def test_per_frame_is_the_default_of_both_layouts_and_assumed_aloud_for_the_peers(tmp_path):
    for layout in ("peers", "raw"):
        report = check_corpus(write_small(tmp_path / layout, layout, settings={"name": "small"}))
        assert report.normalisation == "per-frame"
        assert [p.kind for p in report.problems] == (["assumed"] if layout == "peers" else [])


def test_in_the_peers_layout_a_normalisation_that_contradicts_corpus_toml_is_refused(tmp_path):
    folder = write_small(tmp_path / "c")
    with pytest.raises(UnusableCorpus, match="corpus.toml says the coordinates are normalised 'none'"):
        check_corpus(folder, ImportOptions(normalisation="template"))


def test_a_raw_subject_without_template_cannot_be_normalised_by_it(tmp_path):
    folder = write_small(tmp_path / "c", "raw")
    (folder / "rigid_scans" / "M2.obj").unlink()
    found = kinds(folder, normalisation="template")
    assert found.keys() == {"normalisation", "missing_template"}
    assert "needs the subject's template" in found["normalisation"]


def test_a_scan_of_another_topology_is_a_problem_of_its_subject(tmp_path):
    clips = [sequence(subject, "e01") for subject in ("F1", "F2", "M2")]
    folder = write_small(tmp_path / "c", "raw", clips, subjects=["F1", "F2", "M2"])
    (folder / "rigid_scans" / "F1.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    report = check_corpus(folder)
    assert [p.kind for p in report.serious] == ["vertex_count"]
    assert report.clips["usable"] == 3


def test_colours_of_the_topology_are_read(tmp_path):
    folder = write_small(tmp_path / "c")
    colours = np.full((N_VERTICES, 3), (200, 150, 120), dtype=np.uint8)
    write_ply(folder / "topology.ply", face(), triangles(), colours)
    np.testing.assert_array_equal(open_corpus(folder, ImportOptions()).colours, colours)


def test_a_frame_file_is_as_long_as_the_real_ones():
    from db.corpus.write import frame_bytes

    assert len(frame_bytes(np.zeros((23_370, 3)))) == 280_444
    assert struct.unpack("<I", frame_bytes(np.zeros((23_370, 3)))[:4]) == (23_370,)

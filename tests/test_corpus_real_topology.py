"""Sequences at the real BIWI topology, made from its public mesh, through both layouts; skipped where it is absent."""

import numpy as np
import pytest

from db import clips, playback, preprocess, store
from db.corpus.imitate import imitated_speech, moving_face
from db.corpus.importing import import_corpus
from db.corpus.indices import read_indices
from db.corpus.normalise import centre_and_scale
from db.corpus.ply import read_ply
from db.corpus.write import Beside, Sequence, write_peers, write_raw
from db.models import Clip
from db.session import reading
from tests.small_corpus import REAL_FACE

pytestmark = pytest.mark.skipif(not REAL_FACE.exists(), reason="the real BIWI mesh is not in ../shared/biwi")


@pytest.fixture(scope="module")
def mesh():
    return read_ply(REAL_FACE)


def test_the_public_mesh_is_read_as_its_readme_describes_it(mesh):
    assert mesh.vertices.shape == (23_370, 3)
    assert mesh.faces.shape == (46_068, 3)
    centre, scale = centre_and_scale(mesh.vertices, mesh.faces)
    np.testing.assert_allclose(centre, 0, atol=1e-6)
    assert scale == pytest.approx(1, abs=1e-6)


def test_the_public_regions_fit_the_mesh():
    assert len(read_indices(REAL_FACE.parent / "lve.txt", 23_370)) == 4_996
    assert len(read_indices(REAL_FACE.parent / "fdd.txt", 23_370)) == 7_784


def test_a_moving_face_is_smooth_in_time_and_rests_at_the_back(mesh):
    frames = moving_face(mesh.vertices, 30)
    height = np.ptp(mesh.vertices[:, 1])
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=2)
    assert 0.005 * height < steps.max() < 0.05 * height
    back = mesh.vertices[:, 2] < np.quantile(mesh.vertices[:, 2], 0.05)
    assert np.ptp(frames[:, back], axis=0).max() < 0.005 * height


@pytest.mark.parametrize("layout", ["peers", "raw", "tgz"])
def test_a_clip_at_the_real_topology_comes_through_each_layout(tmp_path, sqlite_engine, mesh, layout):
    moved = moving_face(mesh.vertices, 40)
    sequence = Sequence("F1", "e01", moved.astype(np.float64), imitated_speech(1.6, 44_100), 44_100)
    settings = {"name": "real", "normalisation": "per-frame"}
    beside = Beside({"F1": mesh.vertices}, mesh.faces, settings)
    if layout == "peers":
        write_peers(tmp_path / "c", [sequence], beside)
    else:
        write_raw(tmp_path / "c", [sequence], beside, packed=None if layout == "raw" else layout)
    report = import_corpus(sqlite_engine, tmp_path / "c")
    assert report.serious == []
    with reading(sqlite_engine) as session:
        clip = session.query(Clip).one()
        vertices, sound = clips.load_vertices(clip), clips.load_audio(clip)
    assert preprocess.count_frames(len(sound), 25) == len(vertices) == clip.n_frames
    expected = moved[clip.first_frame : clip.first_frame + clip.n_frames]
    if layout == "peers":
        np.testing.assert_allclose(vertices, expected, atol=1e-6)
    else:
        for frame, original in zip(vertices, expected, strict=True):
            centre, scale = centre_and_scale(original, mesh.faces)
            np.testing.assert_allclose(frame, (original - centre) / scale, atol=1e-6)
    frames, _ = playback.decode_playback(store.stored_path(clip.playback_path).read_bytes())
    assert np.abs(frames - vertices).max() <= 2.5e-4 * np.ptp(mesh.vertices[:, 1]) * 1.05

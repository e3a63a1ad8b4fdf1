"""Every file format of a corpus: what is read, and what is said of files that are damaged or of another kind."""

import io
import struct
import tarfile
import tomllib

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from db.corpus.errors import BadFile, UnusableCorpus
from db.corpus.indices import read_indices
from db.corpus.npy import read_vertices, write_array
from db.corpus.obj import read_obj
from db.corpus.original_ratings import is_outlier, read_original_ratings
from db.corpus.ply import read_ply
from db.corpus.settings import ImportOptions, read_toml
from db.corpus.vl import read_sequence
from db.corpus.wav import find_ffmpeg, read_audio, write_audio
from db.corpus.write import frame_bytes, write_obj, write_ply
from tests.small_corpus import N_VERTICES, face, moving, triangles

# .npy


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("flat", [True, False])
def test_sequences_are_read_flat_or_not_in_either_precision(tmp_path, dtype, flat):
    frames = moving(5).astype(dtype)
    np.save(tmp_path / "a.npy", frames.reshape(5, -1) if flat else frames)
    read = read_vertices(tmp_path / "a.npy", N_VERTICES)
    assert read.shape == (5, N_VERTICES, 3)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, frames)


def test_a_sequence_in_column_order_reads_the_same(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(moving(5)))
    np.testing.assert_array_equal(read_vertices(tmp_path / "a.npy", N_VERTICES), moving(5))


def test_a_sequence_is_a_memory_map_that_cannot_be_written_through(tmp_path):
    write_array(tmp_path / "a.npy", moving(5))
    read = read_vertices(tmp_path / "a.npy", N_VERTICES)
    assert isinstance(read, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        read[0] = 0


def test_what_we_write_numpy_reads(tmp_path):
    write_array(tmp_path / "a.npy", moving(5)[:, ::2])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), moving(5)[:, ::2])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (moving(5)[:, :20], r"x/a.npy: 20 vertices, the corpus topology has 42; is this clip from another corpus"),
        (moving(0), "holds no frame"),
        (face(), "is one single frame"),
        (moving(5)[..., :2], r"shape \(5, 42, 2\); expected"),
        (np.zeros((2, 3, 4, 5)), "shape"),
        (moving(5).astype(np.int16), "holds int16, expected float32 or float64"),
        (moving(5).astype(np.float16), "holds float16"),
        (np.array([{"a": 1}], dtype=object), "holds object"),
    ],
)
def test_an_array_that_is_no_sequence_of_the_topology_is_refused(tmp_path, array, message):
    (tmp_path / "x").mkdir()
    np.save(tmp_path / "x" / "a.npy", array, allow_pickle=True)
    with pytest.raises(BadFile, match=message):
        read_vertices(tmp_path / "x" / "a.npy", N_VERTICES)


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_truncated_sequence_is_refused_wherever_it_ends(share, tmp_path_factory):
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    write_array(path, moving(5))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BadFile, match=r"truncated, \d+ of \d+ bytes|no .npy header"):
        read_vertices(path, N_VERTICES)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadFile, match="a.npy: cannot be opened"):
        read_vertices(tmp_path / "a.npy")


# .wav


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
def test_sound_of_any_rate_and_channels_becomes_mono(tmp_path, subtype):
    stereo = np.stack([np.full(441, 0.5), np.full(441, 0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44_100, subtype=subtype)
    samples, rate = read_audio(tmp_path / "a.wav")
    assert rate == 44_100
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, 0.375, atol=0.01)


def test_sound_within_full_scale_is_written_in_16_bits_and_louder_sound_is_not_clipped(tmp_path):
    write_audio(tmp_path / "a.wav", np.linspace(-1, 1, 100), 16_000)
    write_audio(tmp_path / "b.wav", np.linspace(-2, 2, 100), 16_000)
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"
    np.testing.assert_allclose(read_audio(tmp_path / "b.wav")[0], np.linspace(-2, 2, 100), atol=1e-6)


@pytest.mark.parametrize("size", [0, 3, 11, 20, 44, 45, 200])
def test_truncated_sound_is_refused_though_libsndfile_would_play_it(tmp_path, size):
    write_audio(tmp_path / "a.wav", np.zeros(1000), 16_000)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:size])
    with pytest.raises(BadFile, match="truncated|no readable audio"):
        read_audio(tmp_path / "a.wav")


def test_sound_without_samples_or_with_nan_is_refused(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(0), 16_000)
    with pytest.raises(BadFile, match="has a header but no sound"):
        read_audio(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.array([0, np.nan]), 16_000, subtype="FLOAT")
    with pytest.raises(BadFile, match="NaN"):
        read_audio(tmp_path / "b.wav")


@pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg (pip install imageio-ffmpeg)")
def test_the_sound_of_an_flv_is_read_through_ffmpeg(tmp_path):
    import subprocess

    time = np.arange(22_050) / 22_050
    write_audio(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 22_050)
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", tmp_path / "a.wav", "-c:a", "pcm_s16le", tmp_path / "-F1.flv"],
                   check=True)  # fmt: skip
    samples, rate = read_audio(tmp_path / "-F1.flv")
    assert abs(len(samples) / rate - 1) < 0.05
    assert 0.4 < np.abs(samples).max() < 0.6
    (tmp_path / "b.flv").write_bytes(b"FLV nothing")
    with pytest.raises(BadFile, match="b.flv: no sound could be read"):
        read_audio(tmp_path / "b.flv")


def test_an_flv_without_ffmpeg_is_an_error_that_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("db.corpus.wav.find_ffmpeg", lambda: None)
    (tmp_path / "a.flv").write_bytes(b"FLV")
    with pytest.raises(BadFile, match="pip install imageio-ffmpeg"):
        read_audio(tmp_path / "a.flv")


# .ply


def ply_bytes(encoding: str, *, count: str = "uchar", index: str = "int", polygons=None, coordinate="double") -> bytes:
    """A mesh with an edge element that readers must pass over, written by plain means."""
    polygons = triangles().tolist() if polygons is None else polygons
    header = (
        f"ply\nformat {encoding} 1.0\ncomment made by hand\nelement vertex {N_VERTICES}\n"
        + "".join(f"property {coordinate} {axis}\n" for axis in "xyz")
        + "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        + f"element edge 1\nproperty int a\nproperty int b\nelement face {len(polygons)}\n"
        + f"property list {count} {index} vertex_indices\nend_header\n"
    ).encode()
    if encoding == "ascii":
        rows = [f"{x!r} {y!r} {z!r} 10 20 30" for x, y, z in face().tolist()] + ["0 1"]
        rows += [" ".join(map(str, [len(polygon), *polygon])) for polygon in polygons]
        return header + "\n".join(rows).encode() + b"\n"
    order = "<" if "little" in encoding else ">"
    code = {
        "uchar": "B",
        "int": "i",
        "ushort": "H",
        "uint": "I",
        "uint16": "H",
        "uint8": "B",
        "float": "f",
        "double": "d",
    }
    body = b"".join(struct.pack(f"{order}3{code[coordinate]}3B", *xyz, 10, 20, 30) for xyz in face().tolist())
    body += struct.pack(f"{order}2i", 0, 1)
    for polygon in polygons:
        body += struct.pack(f"{order}{code[count]}{len(polygon)}{code[index]}", len(polygon), *polygon)
    return header + body


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize(("count", "index"), [("uchar", "int"), ("uint8", "uint16"), ("int", "uint")])
def test_a_ply_is_read_in_each_of_its_encodings(tmp_path, encoding, count, index):
    (tmp_path / "a.ply").write_bytes(ply_bytes(encoding, count=count, index=index))
    mesh = read_ply(tmp_path / "a.ply")
    np.testing.assert_allclose(mesh.vertices, face())
    np.testing.assert_array_equal(mesh.faces, triangles())
    assert mesh.faces.dtype == np.uint32
    assert mesh.colours[0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_polygons_of_a_ply_become_triangles(tmp_path, encoding):
    (tmp_path / "a.ply").write_bytes(ply_bytes(encoding, polygons=[[0, 1, 2], [3, 4, 5, 6], [7, 8, 9]]))
    expected = [[0, 1, 2], [3, 4, 5], [3, 5, 6], [7, 8, 9]]
    assert read_ply(tmp_path / "a.ply").faces.tolist() == expected


def test_a_ply_that_we_wrote_reads_back(tmp_path):
    colours = np.arange(3 * N_VERTICES, dtype=np.uint8).reshape(-1, 3)
    write_ply(tmp_path / "a.ply", face(), triangles(), colours)
    mesh = read_ply(tmp_path / "a.ply")
    np.testing.assert_allclose(mesh.vertices, face(), atol=1e-7)
    np.testing.assert_array_equal(mesh.faces, triangles())
    np.testing.assert_array_equal(mesh.colours, colours)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999), encoding=st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]))
def test_a_truncated_ply_is_refused_wherever_it_ends(share, encoding, tmp_path_factory):
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    data = ply_bytes(encoding).rstrip(b"\n") if encoding == "ascii" else ply_bytes(encoding)
    # Text cut within its last number is a shorter number; only whole words can be missed.
    path.write_bytes(data[: int(share * len(data)) - (8 if encoding == "ascii" and share > 0.9 else 0)])
    with pytest.raises(BadFile, match="truncated|not a PLY file|names vertex"):
        read_ply(path)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_after_a_ply_header_end_in_a_mesh_or_a_clear_error(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    path.write_bytes(b"ply\nformat " + data)
    with pytest.raises(BadFile):
        read_ply(path)


def test_a_ply_whose_faces_point_nowhere_is_refused(tmp_path):
    (tmp_path / "a.ply").write_bytes(ply_bytes("binary_little_endian", polygons=[[0, 1, 42]]))
    with pytest.raises(BadFile, match="names vertex 42, but there are only 42"):
        read_ply(tmp_path / "a.ply")


def test_a_point_cloud_is_refused(tmp_path):
    (tmp_path / "a.ply").write_text("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
                                    "property float z\nend_header\n0 0 0\n")  # fmt: skip
    with pytest.raises(BadFile, match="has points but no faces"):
        read_ply(tmp_path / "a.ply")


# .obj


def test_an_obj_with_texture_normals_polygons_and_negative_indices_is_read(tmp_path):
    (tmp_path / "a.obj").write_text(
        "# comment\nmtllib x.mtl\nv 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 1 1 0\nvt 0 0\nvn 0 0 1\nv 0 1 0\n"
        "usemtl skin\nf 1/1/1 2/1/1 3/1/1 4/1/1\nf 1//1 2//1 \\\n3//1\nf -4 -3 -1\n"
    )
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 1, 3]]


@pytest.mark.parametrize("colours", [None, np.arange(3 * N_VERTICES, dtype=np.uint8).reshape(-1, 3)])
def test_an_obj_that_we_wrote_reads_back(tmp_path, colours):
    write_obj(tmp_path / "a.obj", face(), triangles(), colours)
    mesh = read_obj(tmp_path / "a.obj")
    np.testing.assert_array_equal(mesh.colours, colours)
    np.testing.assert_allclose(mesh.vertices, face(), rtol=1e-8)
    np.testing.assert_array_equal(mesh.faces, triangles())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v 0 0\n", "line 1: 'v 0 0' cannot be read"),
        ("v 0 0 0\nv 0 1 0\nv 1 0 0\nf 1 2 x\n", "line 4"),
        ("v 0 0 0\nv 0 1 0\nv 1 0 0\nf 1 2 0\n", "line 4"),
        ("v 0 0 0\nv 0 1 0\nv 1 0 0\nf 1 2\n", "a face with 2 corners"),
        ("v 0 0 0\nv 0 1 0\nf 1 2 3\n", "names vertex 2, but there are only 2"),
        ("v 0 0 0\nv 0 1 nan\nv 1 0 0\nf 1 2 3\n", "NaN"),
        ("", "0 vertices and 0 faces"),
    ],
)
def test_an_obj_that_is_wrong_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(BadFile, match=message):
        read_obj(tmp_path / "a.obj")


# .vl


def write_frames(folder, numbers, count_bytes=4, name="frame_{}.vl"):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / name.format(number)).write_bytes(frame_bytes(moving(20)[number], count_bytes))
    return folder


@pytest.mark.parametrize("count_bytes", [4, 8])
def test_frames_come_in_the_order_of_their_numbers_with_a_count_of_4_or_8_bytes(tmp_path, count_bytes):
    folder = write_frames(tmp_path / "e01", range(1, 13), count_bytes)
    np.testing.assert_array_equal(read_sequence(folder, N_VERTICES), moving(20)[1:13])


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.gz"])
def test_a_packed_sequence_reads_as_the_folder_does_whatever_the_order_inside(tmp_path, suffix):
    folder = write_frames(tmp_path / "e01", range(1, 13))
    path = tmp_path / f"e01{suffix}"
    with tarfile.open(path, "w:gz" if "gz" in suffix else "w") as archive:
        for number in (12, 3, 1, 2, *range(4, 12)):
            archive.add(folder / f"frame_{number}.vl", f"../../etc/x/frame_{number}.vl")
        archive.addfile(tarfile.TarInfo("readme.txt"))
    before = sorted(tmp_path.rglob("*"))
    np.testing.assert_array_equal(read_sequence(path, N_VERTICES), moving(20)[1:13])
    assert sorted(tmp_path.rglob("*")) == before


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.01, 0.99), packed=st.sampled_from(["w", "w:gz"]))
def test_a_truncated_archive_never_reads_as_a_shorter_sequence(share, packed, tmp_path_factory):
    folder = write_frames(tmp_path_factory.mktemp("tar") / "e01", range(1, 13))
    path = folder.parent / "e01.tar"
    with tarfile.open(path, packed) as archive:
        archive.add(folder, "e01")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    try:
        # The end of a .tar is padding, which nobody misses.
        assert len(read_sequence(path, N_VERTICES)) == 12
    except BadFile as error:
        assert error.kind == "truncated"  # noqa: PT017 (either outcome is right)


def test_a_link_in_an_archive_is_refused(tmp_path):
    with tarfile.open(tmp_path / "e01.tar", "w") as archive:
        link = tarfile.TarInfo("frame_001.vl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(BadFile, match="frame_001.vl is a link or a device"):
        read_sequence(tmp_path / "e01.tar", N_VERTICES)


def test_an_archive_member_that_would_fill_the_memory_is_refused_unread(tmp_path):
    with tarfile.open(tmp_path / "e01.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("frame_001.vl")
        member.size = 50_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    with pytest.raises(BadFile, match="unpacks to 50000000 bytes, expected 508"):
        read_sequence(tmp_path / "e01.tgz", N_VERTICES)


def test_missing_double_truncated_and_foreign_frames_are_named(tmp_path):
    folder = write_frames(tmp_path / "e01", [1, 2, 4, 5])
    with pytest.raises(BadFile, match=r"1 of 5 frames are missing \(first: 3\), so motion and sound would run apart"):
        read_sequence(folder, N_VERTICES)
    write_frames(folder, [3], name="frame_003.vl")
    write_frames(folder, [3])
    with pytest.raises(BadFile, match="frame 3 is there twice"):
        read_sequence(folder, N_VERTICES)
    (folder / "frame_3.vl").unlink()
    (folder / "frame_5.vl").write_bytes(frame_bytes(face())[:-4])
    with pytest.raises(BadFile, match=r"frame_5.vl: 504 bytes for 42 vertices, expected 508; the frame is truncated"):
        read_sequence(folder, N_VERTICES)
    (folder / "frame_5.vl").write_bytes(frame_bytes(face()[:20]))
    with pytest.raises(BadFile, match="20 vertices, the templates have 42"):
        read_sequence(folder, N_VERTICES)
    with pytest.raises(BadFile, match="begins with frame 4"):
        read_sequence(write_frames(tmp_path / "e02", [4, 5]), N_VERTICES)
    (tmp_path / "e03").mkdir()
    with pytest.raises(BadFile, match="holds no .vl frame"):
        read_sequence(tmp_path / "e03", N_VERTICES)


# Regions, original ratings, corpus.toml


@pytest.mark.parametrize("text", ["1, 2, 3", "1,2,3\n", "[1, 2, 3]", "1\n2\n3\n", "\ufeff1, 2, 3, "])
def test_a_region_is_read_however_its_indices_are_divided(tmp_path, text):
    (tmp_path / "lve.txt").write_text(text, encoding="utf-8")
    assert read_indices(tmp_path / "lve.txt", 10).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1, 2, 10", r"names vertex 10, the topology has 0..9; is the list made for another topology"),
        ("-1, 2", "names vertex -1"),
        ("1, two", "invalid literal.*expected vertex indices"),
        ("1, 1", "names a vertex twice"),
        ("", "names no vertex"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(tmp_path, text, message):
    (tmp_path / "lve.txt").write_text(text)
    with pytest.raises(BadFile, match=message):
        read_indices(tmp_path / "lve.txt", 10)


@pytest.mark.parametrize(
    "text",
    [
        "subject,sentence,sad,mad\nF1,e01,1.5,0\nF1,e02,0,0\n",
        "\ufeffSubject;Sentence;sad;mad\r\nF1;e01;1,5;0\r\n\r\nF1;e02;0;0\r\n",
        "subject\tsentence\tsad\tmad\nF1\te01\t1.5\t0\nF1\te02\t0\t0\n",
    ],
)
def test_original_ratings_are_read_from_any_usual_csv(tmp_path, text):
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    ratings = read_original_ratings(tmp_path / "r.csv")
    assert ratings == {"F1_e01": {"sad": 1.5, "mad": 0}, "F1_e02": {"sad": 0, "mad": 0}}
    assert [is_outlier(scores) for scores in ratings.values()] == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,sad\nF1_e01,1\n", r"expected subject,sentence,<adjectives>. Make it from the evaluation sheets"),
        ("", "expected subject,sentence"),
        ("subject,sentence\nF1,e01\n", "expected subject,sentence,<adjectives>"),
        ("subject,sentence,sad\nF1,e01\n", "line 2: 2 columns, the header has 3"),
        ("subject,sentence,sad\nF1,e01,x\n", "line 2: score 'x' is no number"),
        ("subject,sentence,sad\nF1,e01,6\n", "line 2: score 6 is outside 0..5"),
        ("subject,sentence,sad\nF1,e01,nan\n", "outside 0..5"),
        ("subject,sentence,sad\nF1,e01,1\nF1,e01,2\n", "line 3: F1_e01 is there twice"),
        ("subject,sentence,sad,sad\nF1,e01,1,1\n", "named twice"),
    ],
)
def test_original_ratings_that_are_wrong_are_refused_with_their_line(tmp_path, text, message):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(BadFile, match=message):
        read_original_ratings(tmp_path / "r.csv")


def test_a_clip_without_ratings_is_no_outlier():
    assert not is_outlier({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fps = 25\n", r"unknown key 'fps'; known are name, frames_per_second"),
        ("name = 'a/b'\n", "a name has letters, digits"),
        ("frames_per_second = 0\n", "expected 1 to 1000"),
        ("frames_per_second = 'x'\n", "expected a number"),
        ("frames_per_second = nan\n", "expected a number"),
        ("synthetic = 'yes'\n", "expected true or false"),
        ("normalisation = 'some'\n", "expected one of 'per-frame', 'template', 'per-axis', 'none'"),
        ("licence = 3\n", "expected text"),
        ("name = \n", "corpus.toml: Invalid value"),
    ],
)
def test_a_corpus_toml_that_is_wrong_is_refused(tmp_path, text, message):
    (tmp_path / "corpus.toml").write_text(text)
    with pytest.raises(UnusableCorpus, match=message):
        read_toml(tmp_path)


def test_options_that_cannot_be_are_refused_with_the_value():
    with pytest.raises(ValueError, match="loudness = 'loud': expected one of 'peak', 'rms'"):
        ImportOptions(loudness="loud")
    with pytest.raises(ValueError, match="top_db = -1"):
        ImportOptions(top_db=-1)
    with pytest.raises(ValueError, match="give one of them"):
        ImportOptions(numbering="facexhubert", sentences_are="neutral")


def test_the_settings_that_we_write_are_toml_whatever_they_say(tmp_path):
    from db.corpus.write import Beside, write_companions

    settings = {"name": "x", "description": 'He said "ü" \\ and\nleft', "synthetic": True, "mm_per_unit": 1.5}
    write_companions(tmp_path, Beside({}, triangles(), settings))
    assert tomllib.loads((tmp_path / "corpus.toml").read_text(encoding="utf-8")) == settings

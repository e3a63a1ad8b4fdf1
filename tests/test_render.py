"""Faces drawn off screen: the same camera for all, heat maps that show distance, films that tell nothing else."""

import shutil
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from sqlalchemy import select, update

from db.clips import load_vertices
from db.corpus.wav import write_audio
from db.models import Clip, Corpus, SplitMember
from db.predictions import import_folder
from db.session import writing
from evaluation import render
from evaluation.render import CannotRender, Look, Painter, check_graphics, distances, pad_to, write_film
from evaluation.render_command import main
from evaluation.render_sound import LOUDNESS
from evaluation.report import main as report
from tests.eavanet_world import make_world


def graphics() -> bool:
    try:
        check_graphics()
    except CannotRender:
        return False
    return True


needs_graphics = pytest.mark.skipif(not graphics(), reason=f"nothing can be drawn off screen here; {render.PACKAGES}")


@pytest.fixture(scope="module")
def plane() -> Look:
    """A sheet of 100 vertices, from -1 to 1, that looks to +z."""
    side = np.linspace(-1, 1, 10)
    x, y = np.meshgrid(side, side)
    template = np.stack([x.ravel(), y.ravel(), np.zeros(100)], axis=1)
    corner = np.array([10 * row + column for row in range(9) for column in range(9)])
    triangles = np.concatenate([np.stack([corner, corner + 1, corner + 10], 1),
                                np.stack([corner + 1, corner + 11, corner + 10], 1)])  # fmt: skip
    return Look(triangles, template, size=64)


def covered(picture: np.ndarray) -> np.ndarray:
    return picture.min(axis=2) < 250


@needs_graphics
def test_the_template_sets_the_camera_and_fills_the_picture_but_for_the_margin(plane):
    with Painter(plane) as painter:
        resting, moved = painter.draw(plane.template), painter.draw(plane.template + [0.2, 0, 0])
    rows = np.flatnonzero(covered(resting).any(axis=1))
    assert np.ptp(rows) + 1 == pytest.approx(64 / render.MARGIN, abs=2)
    columns = [np.flatnonzero(covered(picture).any(axis=0)).mean() for picture in (resting, moved)]
    assert columns[0] == pytest.approx(31.5, abs=1)
    assert columns[1] - columns[0] == pytest.approx(0.2 * 64 / (2 * render.MARGIN), abs=1.5)  # the camera stayed


@needs_graphics
def test_a_heat_map_grows_darker_and_redder_where_the_face_is_off(plane):
    off = np.zeros(100)
    off[plane.template[:, 0] > 0] = 1.0
    with Painter(Look(plane.triangles, plane.template, limit=1.0, size=64)) as painter:
        picture = painter.draw(plane.template, off).astype(int)
        none = painter.draw(plane.template, np.zeros(100)).astype(int)
    left, right = picture[32, 16], picture[32, 48]
    assert right.sum() < left.sum() - 100 and right[0] - right[2] > left[0] - left[2]
    np.testing.assert_array_equal(none[32, 16], none[32, 48])


def test_distances_are_euclidean():
    np.testing.assert_allclose(distances([[3.0, 4.0, 0.0]], [[0.0, 0.0, 0.0]]), [5.0])


def test_a_film_has_picture_and_sound_no_metadata_and_is_the_same_each_time(tmp_path):
    frames = [np.full((32, 48, 3), value, np.uint8) for value in (0, 80, 160, 240, 40)]
    write_audio(tmp_path / "s.wav", np.zeros(3_200, np.float32), 16_000)
    for name in ("a.mp4", "b.mp4"):
        assert write_film(tmp_path / name, iter(frames), 25.0, tmp_path / "s.wav") == 5
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "a.mp4"], capture_output=True, text=True)
    assert "h264" in told.stderr and "48x32" in told.stderr and "25 fps" in told.stderr and "aac" in told.stderr
    for tag in ("creation_time", "title", "comment", "Lavf"):  # the codec's name alone is told: the same for all
        assert tag not in told.stderr.partition("Input #0")[2]


def loudness(film) -> float:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", film, "-af", "ebur128=framelog=quiet", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True).stderr
    return float(told.rpartition("I:")[2].split()[0])


def test_loud_and_quiet_speakers_are_heard_alike_in_films(tmp_path):
    tone = np.sin(np.arange(32_000) / 8).astype(np.float32)
    for name, loud in (("loud", 0.9), ("quiet", 0.02)):
        write_audio(tmp_path / f"{name}.wav", loud * tone, 16_000)
        write_film(
            tmp_path / f"{name}.mp4", iter([np.zeros((16, 16, 3), np.uint8)] * 50), 25.0, tmp_path / f"{name}.wav"
        )
        assert loudness(tmp_path / f"{name}.mp4") == pytest.approx(LOUDNESS, abs=0.3)


def test_what_is_no_sound_or_no_whole_film_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "s.wav").write_text("hello")
    frames = [np.zeros((16, 16, 3), np.uint8)] * 3
    with pytest.raises(ValueError, match="no sound that can be read"):
        write_film(tmp_path / "a.mp4", iter(frames), 25.0, tmp_path / "s.wav")
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda _path: (2, 0.1))
    with pytest.raises(OSError, match="wrote 2 of 3 frames"):
        write_film(tmp_path / "a.mp4", iter(frames), 25.0)
    assert [path.name for path in tmp_path.iterdir()] == ["s.wav"]


def test_a_film_can_be_made_as_long_as_another_and_still_plays(tmp_path):
    write_film(tmp_path / "a.mp4", iter([np.zeros((16, 16, 3), np.uint8)] * 3), 25.0)
    size = (tmp_path / "a.mp4").stat().st_size
    pad_to(tmp_path / "a.mp4", size + 1_000)
    assert (tmp_path / "a.mp4").stat().st_size == size + 1_000
    run = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "a.mp4", "-f", "null", "-"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0 and not run.stderr
    with pytest.raises(ValueError, match="cannot become"):
        pad_to(tmp_path / "a.mp4", size)


def test_without_frames_there_is_no_film_and_no_file(tmp_path):
    with pytest.raises(ValueError, match="no frame to film"):
        write_film(tmp_path / "a.mp4", iter([]), 25.0)
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_drawn_the_packages_are_named(monkeypatch):
    monkeypatch.setattr(render, "_TRY", "import os; os.abort()")  # as VTK does without OpenGL
    check_graphics.cache_clear()
    try:
        with pytest.raises(CannotRender, match="libegl1 libgl1-mesa-dri"):
            check_graphics()
    finally:
        check_graphics.cache_clear()


@pytest.fixture
def world(sqlite_engine, data_root, tmp_path):
    """A corpus with EavaNet's predictions of its BIWI-A, a tenth of a unit off."""
    make_world(sqlite_engine)
    (tmp_path / "eavanet").mkdir()
    with writing(sqlite_engine) as session:
        session.execute(update(SplitMember).where(SplitMember.part == "validation").values(part="biwi-a"))
        for clip in session.scalars(select(Clip).where(Clip.name.in_(["F1_e06", "F3_e06"]))):
            np.save(tmp_path / "eavanet" / f"{clip.name}.npy", np.array(load_vertices(clip)) + np.float32([0.1, 0, 0]))
        import_folder(session, tmp_path / "eavanet", session.scalar(select(Corpus)), system="EavaNet", name="eavanet")
    return sqlite_engine


@needs_graphics
def test_films_of_truth_and_systems_side_by_side_and_fig_4_in_the_report(world, tmp_path, capsys):
    flags = ["--sets", "eavanet", "--clips", "F1_e06", "--heat", "truth", "--size", "32", "--workers", "1"]
    assert main([*flags, "--out", str(tmp_path / "films"), "--json"]) == 0
    assert '"frames": 25, "faces": 2' in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["F1_e06.mp4"]
    assert report(["--out", str(tmp_path / "report"), "--tables", "II", "--figures", "4"]) == 0
    shutil.rmtree(tmp_path / "films")
    assert {path.suffix for path in (tmp_path / "report" / "figures").iterdir()} == {".svg", ".pdf", ".png"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sets", "voca"], "--sets voca: corpus tiny has eavanet"),
        (["--sets", "eavanet", "--clips", "F9_e01"], "--clips F9_e01: not in eavanet"),
        (["--size", "33"], "--size 33: expected an even number"),
        (["--without-truth"], "--without-truth needs --sets"),
    ],
)
@needs_graphics
def test_bad_input_is_told(world, tmp_path, capsys, flags, message):
    assert main([*flags, "--out", str(tmp_path / "films")]) == 1
    assert message in capsys.readouterr().err


def test_the_command_prints_help():
    run = subprocess.run([sys.executable, "-m", "evaluation.render", "--help"], capture_output=True, text=True)
    assert run.returncode == 0 and "side by side" in run.stdout

"""Import: all or nothing, repeatable, never touching the source; and what is stored can be loaded again."""

import errno
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sqlalchemy import func, select

from db import clips, playback, preprocess, store
from db.corpus.__main__ import main
from db.corpus.errors import UnusableCorpus
from db.corpus.importing import DiskFull, SourceChanged, import_corpus
from db.corpus.settings import ImportOptions
from db.models import Clip, Corpus, Event, ImportProblem, OriginalRating, Subject
from db.session import reading
from tests.small_corpus import N_VERTICES, beside, face, four_clips, moving, sequence, triangles, write_small

RATINGS = {("F1", "e01"): {"sad": 0.0, "mad": 0.0}, ("M2", "e01"): {"sad": 2.5, "mad": 0.0}}


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of every file below `folder`."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stored(engine, name="small") -> dict[str, Clip]:
    """Every clip of a corpus by name, with what it refers to."""
    with reading(engine) as session:
        rows = session.scalars(select(Clip).join(Corpus).where(Corpus.name == name))
        return {clip.name: (clip, clip.corpus, clip.subject.corpus)[0] for clip in rows}


def corpora_folder() -> Path:
    return store.data_root() / "corpora"


@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_an_imported_clip_loads_as_it_was_trimmed_to_its_speech(tmp_path, engine, layout):
    folder = write_small(tmp_path / "c", layout, [sequence("F1", "e01", 60, rate=44_100), sequence("M2", "e01", 60)])
    report = import_corpus(engine, folder)
    assert (report.action, report.clips) == ("imported", {"usable": 2})
    for clip in stored(engine).values():
        # The imitated speech has 0.2 s of silence at both ends; librosa sees it in steps of 32 ms.
        assert 2 <= clip.first_frame <= 5
        assert 50 <= clip.n_frames <= 55
        expected = moving(60)[clip.first_frame : clip.first_frame + clip.n_frames]
        np.testing.assert_allclose(clips.load_vertices(clip), expected, atol=1e-6)
        np.testing.assert_allclose(clips.load_vertices(clip, trimmed=False), moving(60), atol=1e-6)
        sound = clips.load_audio(clip)
        assert preprocess.count_frames(len(sound), 25) == clip.n_frames
        assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-3, abs=0.01)
        np.testing.assert_allclose(clips.load_template(clip.subject), face(), atol=1e-6)
        faces, colours = clips.load_topology(clip.corpus)
        np.testing.assert_array_equal(faces, triangles())
        assert colours is None
        assert {name: list(v) for name, v in clips.regions(clip.corpus).items()} == {"lve": [1, 2, 3], "fdd": [30, 31]}


def test_trim_and_level_can_be_undone_from_what_is_stored(tmp_path, sqlite_engine):
    import_corpus(sqlite_engine, write_small(tmp_path / "c"))
    clip = stored(sqlite_engine)["F1_e01"]
    recorded = clips.load_audio(clip, trimmed=False)
    begin = preprocess.frame_start(clip.first_frame, 25)
    kept = preprocess.undo_level(clips.load_audio(clip), clip.gain_db)
    # 16 bits, and the gain between them.
    np.testing.assert_allclose(kept, recorded[begin : begin + len(kept)], atol=2e-4)


def test_what_the_app_serves_is_ready_made(tmp_path, sqlite_engine):
    colours = np.full((N_VERTICES, 3), 7, dtype=np.uint8)
    import_corpus(sqlite_engine, write_small(tmp_path / "c", colours=colours))
    clip = stored(sqlite_engine)["F1_e01"]
    frames, fps = playback.decode_playback(store.stored_path(clip.playback_path).read_bytes())
    assert fps == 25
    np.testing.assert_allclose(frames, clips.load_vertices(clip), atol=2.5e-4 * 2)
    assert soundfile.info(store.stored_path(clip.audio_path)).samplerate == 16_000
    np.testing.assert_array_equal(clips.load_topology(clip.corpus)[1], colours)


def test_the_peers_vertices_are_read_in_place_and_raw_ones_are_written(tmp_path, sqlite_engine):
    peers, raw = write_small(tmp_path / "p"), write_small(tmp_path / "r", "raw")
    import_corpus(sqlite_engine, peers)
    import_corpus(sqlite_engine, raw, ImportOptions(name="other"))
    one, other = stored(sqlite_engine)["F1_e01"], stored(sqlite_engine, "other")["F1_e01"]
    assert Path(one.vertices_path) == peers / "vertices_npy" / "F1_e01.npy"
    assert other.vertices_path == "corpora/other/vertices/F1_e01.npy"
    for clip in (one, other):
        assert hashlib.sha256(store.stored_path(clip.vertices_path).read_bytes()).hexdigest() == clip.vertices_sha256


def test_a_source_within_the_data_root_is_named_relative_to_it_so_that_both_can_move(tmp_path, sqlite_engine):
    folder = write_small(store.data_root() / "demo" / "c")
    import_corpus(sqlite_engine, folder)
    clip = stored(sqlite_engine)["F1_e01"]
    assert clip.vertices_path == "demo/c/vertices_npy/F1_e01.npy"
    assert clip.source_audio_path == "demo/c/wav/F1_e01.wav"
    folder.rename(tmp_path / "c")
    assert import_corpus(sqlite_engine, tmp_path / "c").action == "moved"
    assert stored(sqlite_engine)["F1_e01"].vertices_path == str(tmp_path / "c" / "vertices_npy" / "F1_e01.npy")


def test_everything_that_is_known_of_the_corpus_is_stored(tmp_path, engine):
    sequences = [*four_clips(), sequence("M2", "e02", speech=None), sequence("M2", "e03", vertices=moving(30)[:, :9])]
    settings = {
        "name": "small", "frames_per_second": 25, "synthetic": True, "normalisation": "template",
        "licence": "free", "mm_per_unit": 180.5, "description": "waves",
    }  # fmt: skip
    import_corpus(engine, write_small(tmp_path / "c", sequences=sequences, settings=settings, original_ratings=RATINGS))
    with reading(engine) as session:
        corpus = session.scalars(select(Corpus)).one()
        assert (corpus.name, corpus.layout, corpus.synthetic, corpus.licence) == ("small", "peers", True, "free")
        assert (corpus.normalisation, corpus.mm_per_unit, corpus.loudness) == ("template", 180.5, "peak")
        assert (corpus.n_vertices, corpus.n_faces, corpus.frames_per_second) == (N_VERTICES, len(triangles()), 25)
        assert [(s.name, s.template_row) for s in corpus.subjects] == [("F1", 0), ("M2", 1)]
        status = {clip.name: clip.status for clip in corpus.clips}
        assert status == {
            "F1_01": "usable", "F1_e01": "outlier", "M2_01": "usable", "M2_e01": "usable", "M2_e02": "broken",
            "M2_e03": "broken",
        }  # fmt: skip
        reasons = {clip.name: clip.status_reason for clip in corpus.clips if clip.status_reason}
        assert reasons["F1_e01"] == "all 2 original ratings are zero"
        assert "no sound" in reasons["M2_e02"]
        assert "9 vertices, the corpus topology has 42" in reasons["M2_e03"]
        rated = {(r.clip.name, r.adjective): r.score for r in session.scalars(select(OriginalRating))}
        assert rated == {(f"{s}_{e}", a): v for (s, e), scores in RATINGS.items() for a, v in scores.items()}
        kinds = {(p.kind, p.clip) for p in corpus.problems}
        assert {("missing_audio", "M2_e02"), ("vertex_count", "M2_e03"), ("outlier", "F1_e01")} <= kinds
        event = session.scalars(select(Event).where(Event.kind == "corpus.imported")).one()
        assert json.loads(event.payload)["clips"] == 6


def test_an_import_never_changes_the_source(tmp_path, sqlite_engine):
    for layout in ("peers", "raw"):
        folder = write_small(tmp_path / layout, layout)
        before = fingerprint(folder)
        import_corpus(sqlite_engine, folder, ImportOptions(name=layout))
        assert fingerprint(folder) == before


@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_importing_again_changes_nothing(tmp_path, engine, layout):
    folder = write_small(tmp_path / "c", layout, original_ratings=RATINGS)
    first = import_corpus(engine, folder)
    files, when = fingerprint(corpora_folder()), stored(engine)["F1_e01"].corpus.imported_at
    second = import_corpus(engine, folder)
    assert second.action == "unchanged"
    assert {**second.as_dict(), "action": ""} == {**first.as_dict(), "action": ""}
    assert fingerprint(corpora_folder()) == files
    assert stored(engine)["F1_e01"].corpus.imported_at == when
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(Clip)) == 4
        assert session.scalar(select(func.count()).select_from(Event)) == 1


def test_two_imports_of_one_corpus_are_byte_for_byte_the_same(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c", "raw")
    made = []
    for name in ("one", "two"):
        import_corpus(sqlite_engine, folder, ImportOptions(name=name))
        made.append({path: digest for path, (digest, _) in fingerprint(corpora_folder() / name).items()})
    assert made[0] == made[1]


def test_a_changed_source_is_named_and_taken_over_only_when_asked(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c")
    import_corpus(sqlite_engine, folder)
    before, files = stored(sqlite_engine), fingerprint(corpora_folder())
    np.save(folder / "vertices_npy" / "F1_e01.npy", moving(28))
    shutil.copy(folder / "vertices_npy" / "M2_e01.npy", folder / "vertices_npy" / "M2_e09.npy")
    (folder / "vertices_npy" / "M2_01.npy").unlink()
    (folder / "wav" / "M2_01.wav").unlink()
    with pytest.raises(SourceChanged) as caught:
        import_corpus(sqlite_engine, folder)
    for words in ("vertices_npy/F1_e01.npy changed", "M2_e09.npy is new", "wav/M2_01.wav is gone", "--update"):
        assert words in str(caught.value)
    assert fingerprint(corpora_folder()) == files
    assert import_corpus(sqlite_engine, folder, update=True).action == "updated"
    after = stored(sqlite_engine)
    assert {name: clip.id for name, clip in before.items()}.items() <= {n: c.id for n, c in after.items()}.items()
    assert after["F1_e01"].source_frames == 28
    assert after["M2_e09"].status == "broken"
    assert (after["M2_01"].status, after["M2_01"].playback_path) == ("broken", None)
    assert "no longer in the corpus folder" in after["M2_01"].status_reason
    assert import_corpus(sqlite_engine, folder).action == "unchanged"


def test_other_settings_are_a_change_too(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c")
    import_corpus(sqlite_engine, folder)
    with pytest.raises(SourceChanged, match="loudness is 'rms', was 'peak'"):
        import_corpus(sqlite_engine, folder, ImportOptions(loudness="rms", level_db=-20))
    import_corpus(sqlite_engine, folder, ImportOptions(loudness="rms", level_db=-20), update=True)
    assert stored(sqlite_engine)["F1_e01"].corpus.loudness == "rms"


def test_another_folder_under_the_same_name_is_refused(tmp_path, sqlite_engine):
    import_corpus(sqlite_engine, write_small(tmp_path / "c"))
    other = write_small(tmp_path / "d", sequences=[sequence("F1", "e05")])
    with pytest.raises(
        SourceChanged, match="was imported .* from another folder, .*/c; import this one under another name"
    ):
        import_corpus(sqlite_engine, other)


def test_a_corpus_that_moved_is_found_at_its_new_place(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c")
    import_corpus(sqlite_engine, folder)
    folder.rename(tmp_path / "d")
    with pytest.raises(clips.MissingFile, match="connect the disk that it lay on, or import the corpus again"):
        clips.load_vertices(stored(sqlite_engine)["F1_e01"])
    assert import_corpus(sqlite_engine, tmp_path / "d").action == "moved"
    clip = stored(sqlite_engine)["F1_e01"]
    assert clips.load_vertices(clip).shape[1] == N_VERTICES
    assert len(clips.load_audio(clip, trimmed=False))


def test_what_was_deleted_from_the_data_root_is_made_again(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c")
    import_corpus(sqlite_engine, folder)
    files = {path: digest for path, (digest, _) in fingerprint(corpora_folder()).items()}
    (corpora_folder() / "small" / "playback" / "F1_e01.bin").unlink()
    import_corpus(sqlite_engine, folder)
    assert {path: digest for path, (digest, _) in fingerprint(corpora_folder()).items()} == files


# All or nothing


def assert_nothing_kept(engine) -> None:
    assert [path for path in corpora_folder().rglob("*")] == [] if corpora_folder().exists() else True
    with reading(engine) as session:
        for table in (Corpus, Subject, Clip, ImportProblem, Event):
            assert session.scalar(select(func.count()).select_from(table)) == 0, table


@pytest.mark.parametrize("write", ["write_bytes", "commit", "rows"])
def test_a_full_disk_is_a_clear_error_and_nothing_is_left(tmp_path, sqlite_engine, monkeypatch, write):
    folder = write_small(tmp_path / "c", "raw")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    calls = 0

    def fails_later(original):
        def call(*arguments, **named):
            nonlocal calls
            calls += 1
            if calls > 3 or write != "write_bytes":
                raise full
            return original(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        if write == "write_bytes":
            patch.setattr(Path, "write_bytes", fails_later(Path.write_bytes))
        elif write == "rows":
            patch.setattr("db.corpus.rows._store_clips", fails_later(None))
        else:
            patch.setattr("sqlalchemy.orm.Session.commit", fails_later(None))
            patch.setattr("db.corpus.importing.writing", _writing_that_cannot_commit)
        with pytest.raises(DiskFull, match="the disk is full; nothing of this import was kept. Free some space"):
            import_corpus(sqlite_engine, folder)
    assert_nothing_kept(sqlite_engine)
    assert import_corpus(sqlite_engine, folder).action == "imported"


def _writing_that_cannot_commit(engine):
    import contextlib

    from sqlalchemy.exc import OperationalError

    from db.session import writing

    @contextlib.contextmanager
    def opened():
        with writing(engine) as session:
            yield session
            raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    return opened()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
@pytest.mark.parametrize("layout", ["peers", "raw"])
def test_on_a_disk_that_is_really_full_nothing_is_left(tmp_path, layout, monkeypatch):
    folder = write_small(tmp_path / "c", layout, [sequence("F1", f"e{i:02d}", 60) for i in range(1, 13)])
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        monkeypatch.setattr("db.corpus.importing._needed_bytes", lambda source: 0)
        monkeypatch.setenv("EAVANET_DATA", str(disk / "data"))
        from db.session import open_database

        engine = open_database(f"sqlite:///{tmp_path / 'db.sqlite'}")
        with pytest.raises(DiskFull, match="the disk is full"):
            import_corpus(engine, folder)
        assert_nothing_kept(engine)
        engine.dispose()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_cannot_fit_is_refused_before_it_begins(tmp_path, sqlite_engine, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1000))
    with pytest.raises(DiskFull, match=r"0.0 GB free, but the import needs about"):
        import_corpus(sqlite_engine, write_small(tmp_path / "c", "raw"))
    assert_nothing_kept(sqlite_engine)


def test_a_failed_update_leaves_the_import_before_it_as_it_was(tmp_path, sqlite_engine, monkeypatch):
    folder = write_small(tmp_path / "c")
    import_corpus(sqlite_engine, folder)
    files = fingerprint(corpora_folder())
    np.save(folder / "vertices_npy" / "F1_e01.npy", moving(28))
    monkeypatch.setattr("db.corpus.importing.writing", _writing_that_cannot_commit)
    with pytest.raises(DiskFull, match="the disk is full"):
        import_corpus(sqlite_engine, folder, update=True)
    assert fingerprint(corpora_folder()) == files
    assert stored(sqlite_engine)["F1_e01"].source_frames == 30


def test_an_interrupted_import_leaves_nothing(tmp_path, sqlite_engine):
    def interrupt(done, total, name):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_corpus(sqlite_engine, write_small(tmp_path / "c"), progress=interrupt)
    assert_nothing_kept(sqlite_engine)


def test_what_a_killed_import_left_is_cleared_away_by_a_later_one(tmp_path, sqlite_engine):
    old, fresh = (corpora_folder() / f".small.{name}.part" for name in ("old", "fresh"))
    for folder in (old, fresh):
        (folder / "audio").mkdir(parents=True)
    for path in (old / "audio", old):
        os.utime(path, (0, 0))
    import_corpus(sqlite_engine, write_small(tmp_path / "c"))
    assert not old.exists()
    assert fresh.exists()


def test_a_folder_that_cannot_be_used_leaves_nothing(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c")
    (folder / "templates.pkl").write_bytes(pickle.dumps(shutil.rmtree))
    with pytest.raises(UnusableCorpus, match="which could run code"):
        import_corpus(sqlite_engine, folder)
    assert_nothing_kept(sqlite_engine)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a" * 65])
def test_a_name_that_could_leave_the_data_root_is_refused(tmp_path, sqlite_engine, name):
    with pytest.raises(ValueError, match="a name has letters, digits"):
        import_corpus(sqlite_engine, write_small(tmp_path / "c"), ImportOptions(name=name))


def test_memory_does_not_grow_with_the_number_of_clips(tmp_path, sqlite_engine):
    def peak(n_clips: int) -> int:
        sequences = (sequence("F1", f"e{i:02d}", 200) for i in range(n_clips))
        folder = write_small(tmp_path / f"c{n_clips}", "raw", sequences)
        tracemalloc.start()
        import_corpus(sqlite_engine, folder, ImportOptions(name=f"c{n_clips}"))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)  # imports modules
    clip_bytes = 200 * N_VERTICES * 12
    assert peak(12) - peak(3) < 3 * clip_bytes


def test_a_file_that_changed_behind_the_imports_back_is_noticed_on_loading(tmp_path, sqlite_engine):
    folder = write_small(tmp_path / "c")
    import_corpus(sqlite_engine, folder)
    np.save(folder / "vertices_npy" / "F1_e01.npy", moving(10))
    with pytest.raises(ValueError, match="10 frames, 30 when it was imported"):
        clips.load_vertices(stored(sqlite_engine)["F1_e01"])


def test_a_subject_without_template_says_so_on_loading(tmp_path, sqlite_engine):
    import_corpus(sqlite_engine, write_small(tmp_path / "c", templates=beside(["F1"]).templates))
    clip = stored(sqlite_engine)["M2_e01"]
    with pytest.raises(clips.MissingFile, match="subject M2: the corpus has no usable template"):
        clips.load_template(clip.subject)


# The commands


def test_the_commands_check_and_import_and_report_as_text_and_json(tmp_path, data_root, capfd, monkeypatch):
    folder = write_small(tmp_path / "c", sequences=[*four_clips(), sequence("M2", "e02", speech=None)])
    assert main(["check", str(folder), "--json"]) == 1
    report = json.loads(capfd.readouterr().out)
    assert report["clips"] == {"usable": 4, "outlier": 0, "broken": 1}
    assert [problem["kind"] for problem in report["problems"]] == ["missing_audio"]
    assert not any(data_root.iterdir())
    monkeypatch.setenv("EAVANET_PROGRESS", "json")
    assert main(["import", str(folder), "--name", "mine"]) == 0
    out, err = capfd.readouterr()
    assert "corpus 'mine': imported (peers layout, synthetic)" in out
    assert "[missing_audio] M2_e02: there is motion but no sound" in out
    assert json.loads(err.splitlines()[-1])["progress"] == 1
    monkeypatch.delenv("EAVANET_PROGRESS")
    assert main(["import", str(folder), "--name", "mine"]) == 0
    out, err = capfd.readouterr()
    assert "corpus 'mine': unchanged" in out
    assert err == ""


@pytest.mark.parametrize("command", ["check", "import"])
def test_a_command_on_a_wrong_folder_ends_with_one_clear_message(tmp_path, data_root, capfd, command):
    assert main([command, str(tmp_path / "nowhere")]) == 1
    assert capfd.readouterr() == ("", f"error: {tmp_path}/nowhere: does not exist; expected the folder of a corpus\n")


def test_an_option_that_cannot_be_is_a_clear_message_too(tmp_path, data_root, capfd):
    assert main(["import", str(write_small(tmp_path / "c")), "--fps", "0"]) == 1
    assert "error: frames_per_second = 0.0: expected 1 to 1000" in capfd.readouterr().err


def test_the_demo_command_makes_and_imports_the_demo_corpus_in_either_layout(data_root, capfd):
    # Both are made with one sentence per subject; the second only as a folder, which `check` then finds in order.
    assert main(["demo", "--sentences", "1", "--json"]) == 0
    made = json.loads(capfd.readouterr().out)
    assert Path(made["made"]["folder"]) == data_root / "demo" / "peers-small-1-seed-0"
    assert (made["imported"]["name"], made["imported"]["action"]) == ("demo", "imported")
    assert made["imported"]["synthetic"] is True
    out = data_root / "elsewhere"
    assert main(["demo", "--sentences", "1", "--layout", "raw", "--out", str(out), "--no-import"]) == 0
    assert "demo corpus: " in capfd.readouterr().out
    main(["check", str(out), "--json"])
    report = json.loads(capfd.readouterr().out)
    assert report["layout"] == "raw"
    assert report["clips"] == made["imported"]["clips"]
    assert {problem["kind"] for problem in report["problems"]} == {"missing_audio"}


def test_a_cancelled_import_stops_at_once_and_leaves_nothing(tmp_path):
    folder = write_small(tmp_path / "c", "raw", [sequence("F1", f"e{i:02d}", 50) for i in range(1, 30)])
    data = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, "-m", "db.corpus", "import", str(folder)], cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "EAVANET_DATA": str(data), "EAVANET_PROGRESS": "json"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline().startswith('{"progress"')
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped; nothing of what was begun is kept" in said
    assert list((data / "corpora").iterdir()) == []

"""Choosing clips and files, drawing the films, freezing: everything or nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from db import store
from db.clips import load_vertices
from db.corpus.digest import sha256_of
from db.models import Clip, Corpus
from db.predictions import import_folder
from db.session import reading, writing
from db.study_models import Stimulus, Study, StudyItem, StudySlot
from evaluation.render import CannotRender, check_graphics
from evaluation.study import drafts, freezing
from evaluation.study.__main__ import main
from evaluation.study.choosing import choose
from evaluation.study.design import BadDesign, Catch, Clips, Design, System
from evaluation.study.freezing import films_of, folder, launch, missing_stimuli
from tests.eavanet_world import make_world
from tests.study_world import ab_design


def graphics() -> bool:
    try:
        check_graphics()
    except CannotRender:
        return False
    return True


needs_graphics = pytest.mark.skipif(not graphics(), reason="nothing can be drawn off screen here")


@pytest.fixture
def world(sqlite_engine: Engine, data_root: Path, tmp_path: Path) -> Engine:
    """A corpus with predictions of the six clips of BIWI-B, M2_e01 to M2_e06, under two condition subjects."""
    make_world(sqlite_engine)
    (tmp_path / "voca").mkdir()
    with writing(sqlite_engine) as session:
        for clip in session.scalars(select(Clip).where(Clip.name.like("M2_%"))):
            for number, subject in enumerate(("F1", "F3")):
                motion = np.array(load_vertices(clip)) + np.float32([0.1 * (number + 1), 0, 0])
                np.save(tmp_path / "voca" / f"{clip.name}_condition_{subject}.npy", motion)
        import_folder(session, tmp_path / "voca", session.scalar(select(Corpus)), system="VOCA", name="voca")
    return sqlite_engine


def a_design(**changes) -> Design:
    """GT against VOCA on four clips of BIWI-B, with practice and a catch trial."""
    settings = {
        "systems": (System("GT"), System("VOCA", "voca")), "comparisons": (("GT", "VOCA"),), "size": 128, "practice": 2,
        "clips": Clips(split="split", count=4), "catch": Catch("shifted", 1), "condition_subject": "F3",
    }  # fmt: skip
    return ab_design(**settings | changes)


def a_draft(engine: Engine, design: Design) -> Study:
    with writing(engine) as session:
        return drafts.create(session, "pilot", design, session.scalar(select(Corpus.id)), "researcher:1")


def chosen(engine: Engine, design: Design):
    with reading(engine) as session:
        return choose(session, design, session.scalar(select(Corpus)))


def test_clips_are_drawn_by_the_rule_with_practice_from_the_rest_and_the_files_of_one_condition_subject(world):
    choice = chosen(world, a_design())
    names = [clip.name for clip in (*choice.clips, *choice.practice)]
    assert len(choice.clips) == 4 and len(choice.practice) == 2 and len(set(names)) == 6
    assert all(name.startswith("M2_") for name in names)
    assert all(choice.sources[name, "VOCA"].path.name.endswith("_condition_F3.npy") for name in names)
    again = chosen(world, a_design())
    assert [clip.name for clip in (*again.clips, *again.practice)] == names
    drawn = chosen(world, a_design(condition_subject=None, clips=Clips(split="split", count=6), practice=0))
    assert len({source.path.name[-6:] for (_, system), source in drawn.sources.items() if system == "VOCA"}) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"systems": (System("GT"), System("VOCA", "nobody"))}, "prediction set 'nobody': corpus tiny has none"),
        ({"clips": Clips(split="nowhere")}, "no split 'nowhere'"),
        ({"clips": Clips(split="split", count=7)}, "7 are to be drawn from biwi-b .* have predicted 6"),
        ({"condition_subject": "M1"}, "4 are to be drawn .* predicted 0"),
        ({"clips": Clips(("M2_e01", "F1_e01", "F1_e02"))}, r"clip F1_e01: not predicted \(or too short\) by VOCA"),
        ({"clips": Clips(("M2_e01", "M2_e02", "M9_e01"))}, "clip M9_e01: the corpus has none that is usable"),
    ],
)
def test_what_a_launch_would_lack_is_told_beforehand(world, changes: dict, message: str):
    design = a_design(**changes)
    with pytest.raises(BadDesign, match=message):
        chosen(world, design)
    study = a_draft(world, design)
    with reading(world) as session:
        assert drafts.check(session, session.get_one(Study, study.id))
    with pytest.raises(BadDesign):
        launch(world, study.id, "command")
    with reading(world) as session:
        assert session.get_one(Study, study.id).launched_at is None


@needs_graphics
def test_a_launch_that_was_cut_off_goes_on_and_all_films_of_a_clip_have_one_size(world, monkeypatch):
    study = a_draft(world, a_design(clips=Clips(("M2_e01", "M2_e02")), practice=0, catch=Catch()))
    drawn: list[str] = []
    # In this process: a child would load VTK again for each test.
    shoot = freezing.shoot

    def draw(films, workers, progress):
        for film in films:
            if not film.shot.out.is_file():
                shoot(film.shot)
                drawn.append(film.path.name)
                if len(drawn) == 2:
                    raise KeyboardInterrupt

    monkeypatch.setattr(freezing, "draw", draw)
    with pytest.raises(KeyboardInterrupt):
        launch(world, study.id, "command")
    with reading(world) as session:
        assert session.get_one(Study, study.id).launched_at is None
        assert session.scalar(select(func.count()).select_from(Stimulus)) == 0
    launched = launch(world, study.id, "command")
    assert len(drawn) == len(set(drawn)) == 2 * 2
    with reading(world) as session:
        films = session.scalars(select(Stimulus)).all()
        assert {film.path.split("/")[-1] for film in films} == set(drawn)
        items = session.scalars(select(StudyItem.id)).all()
        sizes = {item: {film.n_bytes for film in films if film.item_id == item} for item in items}
        assert all(len(of_item) == 1 for of_item in sizes.values())
        assert session.scalar(select(func.count()).select_from(StudySlot)) == 4
        assert missing_stimuli(session, study.id) == []
        assert all(b"VOCA" not in store.stored_path(film.path).read_bytes() for film in films)
    assert launched.status == "running" and launched.design["clips"]["names"] == ["M2_e01", "M2_e02"]
    assert not (folder(launched) / "raw").exists()
    lost = store.stored_path(films[0].path)
    before = sha256_of(lost)
    lost.unlink()
    with reading(world) as session:
        assert "gone" in missing_stimuli(session, study.id)[0]
    launch(world, study.id, "command")
    assert sha256_of(lost) == before


def test_a_late_sound_is_silent_first_and_no_longer_than_it_was(world):
    design = a_design()
    study = a_draft(world, design)
    films = list(films_of(study, design, chosen(world, design)))
    late = [film for film in films if film.shift_ms]
    assert len(late) == 4 and {film.system for film in late} == {"GT"}
    plain = next(film for film in films if (film.clip, film.system, film.shift_ms) == (late[0].clip, "GT", 0))
    assert late[0].shot.sound != plain.shot.sound and late[0].shot.motions == plain.shot.motions
    assert abs(late[0].shot.sound.stat().st_size - plain.shot.sound.stat().st_size) < 200
    assert len({film.path for film in films}) == len(films)


def test_a_study_that_was_edited_while_its_films_were_drawn_is_not_launched(world):
    design = a_design()
    study = a_draft(world, design)
    choice = chosen(world, design)
    with writing(world) as session:
        drafts.edit(session, study.id, a_design(seed=5), "researcher:1")
    with pytest.raises(ValueError, match="edited or launched"), writing(world) as session:
        freezing.freeze(session, study.id, design, choice, {}, "command")


def test_an_edit_after_the_launch_needs_a_new_version(world):
    design = a_design()
    study = a_draft(world, design)
    with writing(world) as session:
        with pytest.raises(ValueError, match="is a draft; edit that one"):
            drafts.new_version(session, study.id, "researcher:1")
        freezing.freeze(session, study.id, design, chosen(world, design), {}, "command")
    with writing(world) as session:
        with pytest.raises(ValueError, match="is frozen; make a new version"):
            drafts.edit(session, study.id, design, "researcher:1")
        second = drafts.new_version(session, study.id, "researcher:1", a_design(seed=9))
        assert (second.name, second.version, second.status) == ("pilot", 2, "draft")
        assert drafts.by_name(session, "pilot").id == second.id
        with pytest.raises(ValueError, match="already; choose another name"):
            drafts.create(session, "pilot", design, second.corpus_id, "researcher:1")


def test_the_command_makes_a_draft_from_a_file_and_names_what_it_lacks(world, tmp_path, capsys):
    file = tmp_path / "study.json"
    file.write_text(json.dumps(a_design(clips=Clips(split="nowhere")).as_dict()))
    assert main(["design", "pilot", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == ["clips: corpus tiny has no split 'nowhere'"]
    assert main(["launch", "pilot"]) == 1
    assert "no split 'nowhere'" in capsys.readouterr().err
    assert main(["launch", "other"]) == 1
    assert "there is no such study; there are pilot" in capsys.readouterr().err
    assert main(["export", "pilot", str(tmp_path / "responses.csv")]) == 1
    assert "is blind" in capsys.readouterr().err


# Designs --------------------------------------------------------------------------------------------------------


def test_a_design_reads_back_as_it_was_written_and_its_hash_tells_any_change():
    design = a_design()
    assert Design.from_dict(json.loads(json.dumps(design.as_dict()))) == design
    assert Design.from_dict(design.as_dict()).sha256() == design.sha256()
    assert a_design(seed=1).sha256() != design.sha256()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "abx"}, "kind 'abx': expected one of ab, mos"),
        ({"comparisons": ()}, "needs one or more pairs"),
        ({"comparisons": (("GT", "GT"),)}, "two different systems"),
        ({"comparisons": (("GT", "MeshTalk"),)}, "systems are GT, VOCA"),
        ({"participants": 0}, "participants 0: expected 1 to"),
        ({"languages": ("en", "de")}, "title: no text in de"),
        ({"entry": "prolific"}, "completion_code: Prolific gives one"),
        ({"catch": Catch("shifted", 9)}, "9 catch trials among 4 that count"),
        ({"catch": Catch("shifted", 1, question="colour")}, "catch trials ask 'colour'"),
        ({"clips": Clips(split="split", count=600)}, "trials per participant: at most 400"),
    ],
)
def test_a_design_that_cannot_be_carried_out_is_refused(changes: dict, message: str):
    with pytest.raises(BadDesign, match=message):
        a_design(**changes)


def test_a_design_file_with_an_unknown_field_is_refused():
    with pytest.raises(BadDesign, match="colour"):
        Design.from_dict(a_design().as_dict() | {"colour": "red"})
    with pytest.raises(BadDesign, match="no 'systems'"):
        Design.from_dict({"kind": "ab"})

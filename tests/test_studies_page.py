"""The researchers' Studies page: a study designed, launched, watched blind, unblinded on record, and analysed."""

import numpy as np
import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from db.clips import load_vertices
from db.models import Clip, Corpus, Event, Job, SplitMember
from db.predictions import import_folder
from db.session import reading, writing
from db.study_models import Study, StudyParticipant
from evaluation.study import overseeing
from evaluation.study.simulated_participants import simulate
from tests.eavanet_world import make_world
from tests.study_world import ab_design, launched, mos_design


def app() -> None:
    from workbench.researcher import studies
    from workbench.session import Visitor

    studies.page(Visitor("researcher", 1))


def shown() -> AppTest:
    return AppTest.from_function(app, default_timeout=60).run()


def words(page: AppTest) -> str:
    found = [*page.markdown, *page.caption, *page.error, *page.warning]
    return "\n".join(str(element.value) for element in found)


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [button for button in page.button if button.label == label]
    return button.click().run()


@pytest.fixture
def predicted(sqlite_engine, data_root, tmp_path):
    """A corpus with predictions of two systems of the six clips of its BIWI-B."""
    make_world(sqlite_engine)
    with writing(sqlite_engine) as session:
        session.execute(update(SplitMember).where(SplitMember.part == "validation").values(part="biwi-a"))
    for system in ("EavaNet", "FaceFormer"):
        folder = tmp_path / system.lower()
        folder.mkdir()
        with writing(sqlite_engine) as session:
            for clip in session.scalars(select(Clip).where(Clip.name.startswith("M2"))):
                np.save(folder / f"{clip.name}.npy", np.array(load_vertices(clip)))
            import_folder(session, folder, session.scalar(select(Corpus)), system=system, name=folder.name)
    return sqlite_engine


def test_without_a_corpus_the_page_says_where_to_begin(sqlite_engine, data_root):
    assert "There is no corpus yet." in words(shown())


def test_the_papers_study_is_the_beginning_of_ones_own(predicted):
    page = shown()
    assert not page.exception
    (against,) = [one for one in page.multiselect if one.label == "Against"]
    assert against.value == ["GT", "faceformer"]
    (clips,) = [one for one in page.number_input if one.label == "Clips"]
    assert clips.value == 30
    clips.set_value(6)
    (name,) = [one for one in page.text_input if one.label == "Name of the study"]
    name.set_value("pilot").run()
    assert "17 trials for each: 12 that count" in words(page)
    press(page, "Make a draft")
    with reading(predicted) as session:
        study = session.scalar(select(Study))
        assert (study.name, study.status, study.design["clips"]["count"]) == ("pilot", "draft", 6)
        assert study.design["comparisons"] == [["EavaNet", "GT"], ["EavaNet", "FaceFormer"]]


def test_the_planner_says_what_the_design_will_find(predicted):
    page = press(shown(), "Plan")
    assert not page.exception
    assert "23 participants x 30 items give 95% intervals" in words(page)


def test_a_name_that_could_lead_out_of_the_data_root_is_refused(predicted):
    page = shown()
    (name,) = [one for one in page.text_input if one.label == "Name of the study"]
    name.set_value("../etc").run()
    page = press(page, "Make a draft")
    assert any("../etc" in error.value for error in page.error)
    with reading(predicted) as session:
        assert session.scalar(select(Study)) is None


def test_a_draft_is_launched_by_a_job(sqlite_engine, data_root, predicted):
    page = shown()
    (clips,) = [one for one in page.number_input if one.label == "Clips"]
    clips.set_value(6)
    (name,) = [one for one in page.text_input if one.label == "Name of the study"]
    name.set_value("pilot").run()
    page = press(page, "Make a draft")
    page = shown()
    assert not page.exception
    press(page, "Launch")
    with reading(predicted) as session:
        job = session.scalar(select(Job))
        assert job.command == ["evaluation.study.command_launch", "launch", "pilot", "--version", "1"]


def test_a_running_study_shows_counts_and_no_results_until_it_is_unblinded_on_record(sqlite_engine, data_root):
    study = launched(sqlite_engine, ab_design(participants=3))
    simulate(sqlite_engine, study.id, 3)
    page = shown()
    assert not page.exception
    assert [metric.value for metric in page.metric][0] == "3 of 3"
    assert "This study is blind." in words(page)
    assert not page.expander or not any("Table III" in one.label for one in page.expander)
    (reason,) = [one for one in page.text_input if one.label == "Why are results looked at now?"]
    reason.set_value("All took part").run()
    page = press(page, "Unblind")
    assert not page.exception
    with reading(sqlite_engine) as session:
        kinds = [event.kind for event in session.scalars(select(Event))]
        assert "study.unblinded" in kinds
    assert any("Table III" in one.label for one in page.expander)
    assert "48 of 48 answers" in words(page) and "program" in words(page)


def test_a_mos_study_shows_scores(sqlite_engine, data_root):
    study = launched(sqlite_engine, mos_design(participants=3))
    simulate(sqlite_engine, study.id, 3)
    with writing(sqlite_engine) as session:
        overseeing.unblind(session, study.id, "tests", "all took part")
    page = shown()
    assert not page.exception
    assert any("Table V" in one.label for one in page.expander)


def test_links_are_made_and_shown_once(sqlite_engine, data_root):
    launched(sqlite_engine, ab_design())
    page = press(shown(), "Walk through it myself")
    assert not page.exception
    assert any("/?participant=" in code.value for code in page.code)
    with reading(sqlite_engine) as session:
        assert session.scalar(select(StudyParticipant)).source == "test"

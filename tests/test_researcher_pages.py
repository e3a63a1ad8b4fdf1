"""What a researcher sees and does, page by page, without a browser; `test_researcher_in_browser.py` has the rest."""

import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from streamlit.testing.v1 import AppTest

from benchmarks.rating_world import World, make_world
from db import access, events
from db.corpus.write import write_peers
from db.models import Event, Job, LabelingRound, LabelRelease, Rater, Rating, ReleaseLabel, Split
from db.session import open_database, reading, writing
from labeling import assignment, releases
from labeling.emotions import EMOTIONS
from labeling.ratings import Answer, save_rating
from tests.small_corpus import beside, four_clips
from workbench import jobs
from workbench.researcher import links
from workbench.session import engine

PAGES = ("overview", "corpus", "imports", "raters", "labelling", "releases", "settings")
VIEWS = ("Progress", "Agreement", "Disagreements and ties", "Files")
JOB_PATIENCE_S = 60.0


def researcher_page(name: str) -> None:
    """One page, with all pages registered as `navigation` does; runs as a Streamlit script."""
    import importlib

    import streamlit as st

    from workbench.navigation import researcher_pages
    from workbench.session import Visitor

    who = Visitor("researcher", 1, "researcher")
    st.navigation(researcher_pages(who))
    importlib.import_module(f"workbench.researcher.{name}").page(who)


def opened(name: str, **state: object) -> AppTest:
    """A page after its first run."""
    page = AppTest.from_function(researcher_page, default_timeout=60, kwargs={"name": name})
    for key, value in state.items():
        page.session_state[key.replace("_", " ")] = value
    return checked(page.run())


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception[0].message
    return page


def press(page: AppTest, label: str) -> AppTest:
    """Click the button that says `label`."""
    return checked(next(button for button in page.button if button.label == label).click().run())


def field(elements, label: str):
    return next(element for element in elements if element.label == label)


def words(page: AppTest) -> str:
    """Everything that the page says in words."""
    kinds = (page.title, page.subheader, page.markdown, page.caption, page.info, page.warning, page.error, page.success)
    return "\n".join(str(element.value) for elements in kinds for element in elements)


def made_in(root: Path) -> World:
    """A synthetic corpus, five raters, and a round of 20 clips in which nobody has rated yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAVANET_DATA", "")
        root.mkdir()
        return make_world(root, n_raters=5, n_clips=20, repeat_share=0.1)


@pytest.fixture(scope="module")
def fresh_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """To copy from: quicker than making one for every test."""
    world = made_in(tmp_path_factory.mktemp("fresh") / "data")
    world.engine.dispose()
    return world


@pytest.fixture(scope="module")
def rated_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """To copy from: rated; most clips are clear, F1 and F2 are expressive, the first clip is a three-way tie."""
    world = made_in(tmp_path_factory.mktemp("rated") / "data")
    with writing(world.engine) as session:
        for rater_id in world.tokens:
            while (asked := assignment.next_assignment(session, rater_id)) is not None:
                save_rating(session, asked.id, rater_id, opinion(asked), f"test:{asked.id}")
    world.engine.dispose()
    return world


def copied(world: World, data_root: Path) -> World:
    """The same world in this test's data root."""
    shutil.copytree(world.root, data_root, dirs_exist_ok=True)
    return replace(world, root=data_root, engine=open_database())


@pytest.fixture
def world(fresh_world: World, data_root: Path) -> World:
    return copied(fresh_world, data_root)


@pytest.fixture
def rated(rated_world: World, data_root: Path) -> World:
    return copied(rated_world, data_root)


def opinion(asked) -> Answer:
    intensity = 5 if asked.clip.subject.name in ("F1", "F2") else 2
    emotion = EMOTIONS[asked.clip_id % 4]
    if asked.clip_id == 1 and asked.slot:
        emotion = EMOTIONS[asked.slot - 1]
    return Answer(emotion=emotion, intensity=intensity, plays=1, coverage=1.0, watched_s=2.0)


# All pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_an_empty_data_root_says_how_to_begin(name: str, sqlite_engine):
    page = opened(name)
    assert len(words(page)) > 60
    assert not page.error


@pytest.mark.parametrize("name", ["raters", "labelling", "releases"])
def test_a_page_works_while_a_round_waits_for_its_first_rating(name: str, world: World):
    assert not opened(name).error


@pytest.mark.parametrize("name", PAGES)
def test_a_page_works_on_a_rated_round(name: str, rated: World):
    assert not opened(name).error


@pytest.mark.parametrize("name", ["overview", "corpus", "labelling", "releases"])
def test_pages_with_numbers_of_a_synthetic_corpus_say_so(name: str, rated: World):
    assert "synthetic corpus: nobody was recorded" in words(opened(name))


def test_simulated_raters_are_named_as_such_beside_their_numbers(rated: World):
    with writing(rated.engine) as session:
        session.get_one(Rater, 2).simulated = True
    assert "one rater is simulated" in words(opened("labelling"))
    assert "one rater is simulated" in words(opened("releases"))


def test_the_overview_leads_from_an_empty_data_root_to_a_release(sqlite_engine, data_root):
    assert "Begin with a corpus" in words(opened("overview"))
    world = make_world(data_root, n_raters=3, n_clips=4, practice_clips=0)
    assert "**Next: ratings**  \nRaters rate through their links; 12 votes are missing." in words(opened("overview"))
    with writing(world.engine) as session:
        for rater_id in world.tokens:
            while (asked := assignment.next_assignment(session, rater_id)) is not None:
                save_rating(session, asked.id, rater_id, Answer(emotion="happy", intensity=4, plays=1), f"t{asked.id}")
    assert "**Next: a label release**" in words(opened("overview"))
    with writing(world.engine) as session:
        found = releases.preview(session, world.round_id)
        releases.make_release(session, found, name="labels-1", actor="test")
    assert "**Next: a split**" in words(opened("overview"))


# Import -------------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_no_corpus_is_refused_before_anything_starts(sqlite_engine, tmp_path: Path):
    page = opened("imports")
    field(page.text_input, "Folder of the corpus").set_value("corpora/BIWI")
    assert "give the whole path" in words(checked(page.run()))
    field(page.text_input, "Folder of the corpus").set_value(str(tmp_path / "absent"))
    assert "does not exist" in words(checked(page.run()))
    assert field(page.button, "Import").disabled


def test_a_corpus_is_checked_and_then_imported_from_the_page(sqlite_engine, tmp_path: Path):
    folder = tmp_path / "small"
    write_peers(folder, four_clips(), beside())
    (folder / "wav" / "F1_e01.wav").unlink()
    page = opened("imports")
    field(page.text_input, "Folder of the corpus").set_value(str(folder))
    assert "the peers' layout" in words(checked(page.run()))
    press(page, "Check")
    finished_job()
    checked(page.run())
    assert "4 clips of 2 subjects; 3 usable" in words(page)
    assert "Check small: **problems found**" in [expander.label.split(",")[0] for expander in page.expander]
    press(page, "Import it now")
    assert finished_job().status == "done"
    assert "small" in words(checked(page.run()))
    assert "F1_e01" in str(opened("corpus").dataframe[-1].value)


def finished_job() -> Job:
    """The newest job, once it has ended."""
    deadline = time.monotonic() + JOB_PATIENCE_S
    while time.monotonic() < deadline:
        jobs.refresh(engine())
        with reading(engine()) as session:
            job = jobs.list_jobs(session)[0]
        if job.status != "running":
            return job
        time.sleep(0.2)
    raise AssertionError(f"the job still runs after {JOB_PATIENCE_S} s: {job.message}")


# Raters and rounds --------------------------------------------------------------------------------------------------


def test_new_raters_get_links_that_let_them_in_and_are_not_stored(sqlite_engine):
    page = opened("raters")
    field(page.text_area, "Names, one per line").set_value("Kim\n  Lee \n\n")
    press(page, "Create and make their links")
    shown = [code.value for code in page.code]
    tokens = [link.partition("?rater=")[2] for link in shown]
    with reading(engine()) as session:
        assert [access.rater_by_token(session, token).name for token in tokens] == ["Kim", "Lee"]
        assert not session.scalars(select(Event).where(Event.payload.contains(tokens[0]))).all()
    press(page, "I have copied them")
    assert not page.code


def test_one_name_that_is_taken_creates_nobody(world: World):
    page = opened("raters")
    field(page.text_area, "Names, one per line").set_value("new-one\nrater-01")
    press(page, "Create and make their links")
    assert "there is a rater named 'rater-01' already" in words(page).lower()
    with reading(engine()) as session:
        assert session.scalar(select(func.count(Rater.id))) == 5


@pytest.mark.parametrize(
    ("page_url", "expected"),
    [
        ("http://localhost:8501/raters", "http://localhost:8501/"),
        ("https://lab.example/workbench/raters/", "https://lab.example/workbench/"),
        ("http://127.0.0.1:8501", "http://127.0.0.1:8501/"),
    ],
)
def test_links_begin_with_the_address_that_the_researcher_uses(page_url: str, expected: str):
    assert links.app_address(page_url, "raters") == expected
    assert links.personal_link(expected, "abc") == f"{expected}?rater=abc"


def test_a_round_is_started_with_the_load_known_beforehand(world: World):
    page = opened("raters")
    assert field(page.metric, "Votes").value == "60"  # 20 clips, 3 votes
    assert field(page.metric, "Clips per rater").value == "15"  # 12 votes, 1 repeat, 2 practice
    field(page.text_area, "Extra instructions for raters (optional)").set_value("Mind the eyes.")
    press(page, "Start the round")
    with reading(engine()) as session:
        made = session.scalars(select(LabelingRound).order_by(LabelingRound.id.desc())).first()
    assert (made.name, made.votes_per_clip, made.instructions) == ("bench-round-1", 3, "Mind the eyes.")


def test_a_round_with_fewer_raters_than_votes_cannot_be_started(world: World):
    page = opened("raters")
    field(page.number_input, "Votes per clip").set_value(6)
    checked(page.run())
    assert "Every clip is rated by 6 different people, but 5 are chosen" in words(page)
    assert field(page.button, "Start the round").disabled


# Progress and agreement ---------------------------------------------------------------------------------------------


def test_progress_counts_votes_clips_and_ties(rated: World):
    page = opened("labelling")
    assert field(page.metric, "Clips complete").value == "20 of 20"
    assert field(page.metric, "Ties to decide").value == "1"


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_a_round_opens(view: str, rated: World):
    page = opened("labelling", view=view)
    assert not page.error


def test_agreement_is_shown_with_its_interval(rated: World):
    page = opened("labelling", view="Agreement")
    assert 0.8 < float(field(page.metric, "Alpha, emotion").value) < 1
    assert re.search(r"0\.\d\d to 1\.00 \(95%\), 20 clips", words(page))


def test_asking_about_every_tie_gives_it_to_somebody_who_has_not_voted(rated: World):
    page = opened("labelling", view="Disagreements and ties")
    press(page, "Ask a further rater about every tie")
    with reading(engine()) as session:
        asked = [assignment.next_assignment(session, rater_id) for rater_id in rated.tokens]
    assert [found.kind for found in asked if found] == ["adjudication"]
    assert "No clip is tied at present" in words(page)


# Label releases -----------------------------------------------------------------------------------------------------


def test_a_release_is_previewed_made_and_shown(rated: World):
    page = opened("releases")
    assert "Selected: **F1**, **F2**" in words(page)
    assert "1 tied clips would have no label" in words(page)
    press(page, "Make the release")
    assert "A release never changes" in words(checked(page.run()))
    with reading(engine()) as session:
        release = session.scalars(select(LabelRelease)).one()
        labels = session.scalars(select(ReleaseLabel.label).where(ReleaseLabel.clip_id == 1)).all()
    assert (release.name, release.policy, release.created_by) == ("labels-1", "adjudicate", "researcher:1")
    assert labels == [None]


def test_a_release_without_all_votes_needs_a_word_of_consent(world: World):
    with writing(world.engine) as session:
        asked = assignment.next_assignment(session, 1)
        while asked.kind == "practice":
            save_rating(session, asked.id, 1, Answer(emotion="happy", intensity=4, plays=1), f"t{asked.id}")
            asked = assignment.next_assignment(session, 1)
        save_rating(session, asked.id, 1, Answer(emotion="happy", intensity=4, plays=1), f"t{asked.id}")
    page = opened("releases")
    assert "20 clips have fewer than 3 votes" in words(page)
    assert field(page.button, "Make the release").disabled
    page.checkbox[0].check()
    press(checked(page.run()), "Make the release")
    with reading(engine()) as session:
        assert session.scalars(select(LabelRelease)).one().allow_partial


def test_a_split_is_made_from_a_release(rated: World):
    with writing(rated.engine) as session:
        found = releases.preview(session, rated.round_id, "paper")
        releases.make_release(session, found, name="labels-1", actor="test")
    page = opened("releases", release_view="Splits")
    field(page.number_input, "Clips for BIWI-B").set_value(4)
    press(checked(page.run()), "Make the split")
    with reading(engine()) as session:
        assert session.scalars(select(Split.name)).all() == ["split-1"]
    assert "fingerprint" in words(checked(page.run()))


# Settings -----------------------------------------------------------------------------------------------------------


def test_two_different_passwords_set_none(sqlite_engine):
    page = opened("settings")
    field(page.text_input, "New password").set_value("a long enough phrase")
    field(page.text_input, "New password once more").set_value("another phrase here")
    press(page, "Set the password")
    assert "The two passwords differ" in words(page)
    with reading(engine()) as session:
        assert not access.has_password(session)


def test_a_password_is_set_and_a_backup_made_and_both_are_recorded(sqlite_engine, data_root: Path):
    page = opened("settings")
    for label in ("New password", "New password once more"):
        field(page.text_input, label).set_value("a long enough phrase")
    press(page, "Set the password")
    assert "All other browsers are signed out" in words(page)
    press(page, "Back up now")
    assert len(list((data_root / "backups").glob("*.sqlite"))) == 1
    with reading(engine()) as session:
        kinds = [event.kind for event in events.newest(session)]
    assert kinds == ["database.backed_up", "researcher.password_set"]


def test_the_record_is_verified_on_request(rated: World):
    page = opened("settings")
    press(page, "Verify the record")
    with reading(engine()) as session:
        count = session.scalar(select(func.count(Event.id)))
        assert session.scalar(select(func.count(Rating.id))) < count
    assert f"All {count:,} entries are as they were written." in words(page)

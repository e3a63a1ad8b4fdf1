"""What a rater sees and what becomes of an answer, without a browser; `test_rating_in_browser.py` has the rest."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError
from streamlit.testing.v1 import AppTest

from benchmarks.rating_world import World, make_world
from db import access, events
from db.models import Assignment, Clip, Event, Rater, Rating, now
from db.session import reading, writing
from labeling import assignment as assignments
from workbench import texts
from workbench.player import PlayerSource, default_texts
from workbench.rater import saving
from workbench.rater.desk import Desk, example_clip, look, previous
from workbench.rater.seal import seal, unseal
from workbench.session import engine

RATER = Path(saving.__file__).parent
ENGLISH = texts.load("en")
WATCHED = {"plays": 1, "coverage": 1.0, "watched_s": 2.0}


def rating_page() -> None:
    """What `navigation` shows behind a personal link; runs as a Streamlit script."""
    from workbench.rater import rate
    from workbench.session import visitor

    rate.page(visitor())


@pytest.fixture
def world(sqlite_engine, data_root) -> World:
    """Four raters, eight clips, three votes on each: six clips for every rater, after two to practise on."""
    return make_world(data_root, n_raters=4, n_clips=8, instructions_read=True)


def open_link(world: World, rater_id: int = 1) -> AppTest:
    """A browser tab behind a rater's link, after its first run."""
    page = AppTest.from_function(rating_page, default_timeout=30)
    page.query_params["rater"] = world.tokens[rater_id]
    return page.run()


def component(page: AppTest, name: str) -> dict | None:
    """What the page tells one of its browser components; None if it is not there."""
    for element in page.get("bidi_component"):
        if element.proto.component_name == name:
            return json.loads(element.proto.bytes or element.proto.json or element.proto.mixed.json)
    return None


def panel(page: AppTest) -> dict | None:
    return component(page, "eavanet_answer_panel")


def clip(page: AppTest) -> dict | None:
    return component(page, "eavanet_player")


def shown_text(page: AppTest) -> str:
    elements = [*page.markdown, *page.info, *page.title, *page.header, *page.warning]
    return "\n".join(element.value for element in elements)


def answer(key: str, emotion: str = "happy", intensity: int = 4, **changes) -> dict:
    """The browser's message for an answer to a clip that was watched once."""
    message = {"key": key, "emotion": emotion, "intensity": intensity, "reason": None, "words": "", "watched": WATCHED}
    return {**message, **changes}


def save(message: dict, rater_id: int = 1) -> saving.Outcome:
    return saving.save(engine(), rater_id, message, ENGLISH)


def rate_everything(rater_id: int = 1, count: int | None = None) -> None:
    """Answer what is open, or the next `count`, as the page would."""
    while count is None or count > 0:
        with reading(engine()) as session:
            open_one = assignments.next_assignment(session, rater_id)
        if open_one is None:
            return
        assert save(answer(seal(open_one.id, 1)), rater_id).saved
        count = None if count is None else count - 1


def stored() -> list[Rating]:
    with reading(engine()) as session:
        return list(session.scalars(select(Rating).order_by(Rating.id)))


# Texts --------------------------------------------------------------------------------------------------------


def test_all_languages_have_the_same_keys_and_placeholders():
    assert list(texts.languages())[0] == "en"
    assert {"en", "ko"} <= set(texts.languages())
    for code in texts.languages():
        other = texts.load(code)
        assert other.keys() == ENGLISH.keys(), code
        for key in sorted(ENGLISH.keys()):
            assert other.placeholders(key) == ENGLISH.placeholders(key), f"{code}: {key}"
            assert other(key).strip(), f"{code}: {key} is empty"


def test_every_text_that_the_pages_ask_for_exists():
    code = "\n".join(path.read_text("utf-8") for path in RATER.glob("*.py"))
    asked = {key for key in re.findall(r'\bt\("([a-z_]+\.[a-z_]+)"', code)}
    script = (RATER / "answer_panel.js").read_text("utf-8")
    asked |= {f"panel.{key}" for key in re.findall(r"\btexts\.([a-z_]+)", script)}
    asked -= {"panel.how_strongly", "panel.low", "panel.high"}  # handed over under these names
    assert asked - ENGLISH.keys() == set()
    assert {f"panel.{reason}" for reasons in saving.REASONS.values() for reason in reasons} <= ENGLISH.keys()


def test_the_player_speaks_every_language():
    assert ENGLISH.section("player") == dict(default_texts())


def test_an_unknown_language_is_english():
    assert texts.load("tlh").language == "en"
    assert texts.load("../../etc/passwd").language == "en"


# The way through the page ---------------------------------------------------------------------------------------


def test_a_rater_reads_the_instructions_once_and_then_practises(world):
    with writing(world.engine) as session:
        session.get_one(Rater, 1).instructions_read_at = None
    page = open_link(world)
    assert panel(page) is None
    assert clip(page) is not None  # the example
    assert page.button[0].disabled
    page.checkbox(key="heard").check().run()
    page.button[0].click().run()
    assert not page.exception
    assert panel(page)["key"]
    assert "Practice 1 of 2" in shown_text(page)
    assert panel(open_link(world)) is not None  # on another device: not again


def test_the_example_is_a_clip_that_the_rater_is_not_asked_to_rate(world):
    for rater_id in world.tokens:
        with reading(world.engine) as session:
            mine = set(session.scalars(select(Assignment.clip_id).where(
                Assignment.rater_id == rater_id, Assignment.kind != "practice")))  # fmt: skip
            assert example_clip(session, rater_id).id not in mine


def test_after_practice_the_page_says_that_answers_count_and_practice_is_not_in_the_progress(world):
    rate_everything(count=2)
    page = open_link(world)
    assert "Practice is over" in shown_text(page)
    with reading(world.engine) as session:
        assert assignments.progress(session, 1).done == 0


def test_closing_and_coming_back_resumes_at_the_same_clip(world):
    rate_everything(count=4)
    first, second = open_link(world), open_link(world)
    assert panel(first)["key"] == panel(second)["key"]
    assert clip(first)["source"]["id"] == clip(second)["source"]["id"]


def test_the_next_clip_is_the_one_that_was_fetched_ahead(world):
    page = open_link(world)
    upcoming = clip(page)["upcoming"]
    save(answer(panel(page)["key"]))
    page.run()
    assert clip(page)["source"] == upcoming  # the very same addresses: nothing is fetched again


def test_running_the_page_again_leaves_the_player_alone(world):
    page = open_link(world)
    before = clip(page)
    page.run()
    assert clip(page) == before


def test_at_the_end_there_are_thanks_and_the_number_of_clips(world):
    rate_everything()
    page = open_link(world)
    assert "Thank you" in shown_text(page)
    assert "6 clips" in shown_text(page)
    assert panel(page) is None


def test_the_end_page_counts_what_was_rated_in_rounds_that_are_closed(world):
    rate_everything(count=5)
    with writing(world.engine) as session:
        assignments.close_round(session, world.round_id, "researcher")
    assert "3 clips" in shown_text(open_link(world))


def test_a_rater_without_clips_is_told_to_come_back(world):
    with writing(world.engine) as session:
        rater, token = access.add_rater(session, "newcomer", actor="researcher")
        rater.instructions_read_at = now()
    world.tokens[rater.id] = token
    assert "Nothing to rate yet" in shown_text(open_link(world, rater.id))


def test_a_break_is_suggested_every_forty_clips(sqlite_engine, data_root):
    world = make_world(data_root, n_raters=3, n_clips=42, practice_clips=0, instructions_read=True)
    rate_everything(count=39)
    assert "break" not in shown_text(open_link(world))
    rate_everything(count=1)
    assert "40 clips" in shown_text(open_link(world))


def test_the_language_stays_chosen_on_every_device(world):
    with writing(world.engine) as session:
        session.get_one(Rater, 1).instructions_read_at = None
    page = open_link(world)
    page.get("button_group")[0].set_value("ko").run()
    assert not page.exception
    assert page.title[0].value == texts.load("ko")("instructions.title")
    assert open_link(world).title[0].value == texts.load("ko")("instructions.title")


def test_nothing_that_reaches_the_browser_names_a_clip_or_follows_the_order_of_the_corpus(world):
    page = open_link(world)
    with reading(world.engine) as session:
        rows = session.scalars(select(Clip)).all()
        names = {row.name for row in rows} | {row.sentence for row in rows if row.sentence.startswith("e")}
    sent = str(page._tree) + json.dumps(panel(page)) + json.dumps(clip(page))
    assert not [name for name in names if re.search(rf"\b{name}\b", sent)]
    for source in (clip(page)["source"], clip(page)["upcoming"]):
        assert len(source["id"]) >= 24
        assert not re.fullmatch(r"\d+", source["id"])


# What becomes of an answer ----------------------------------------------------------------------------------------


def test_an_answer_is_stored_as_it_was_given(world):
    page = open_link(world)
    outcome = save(answer(panel(page)["key"], "sadness", 2))
    assert (outcome.saved, outcome.settled, outcome.message) == (True, True, "")
    [rating] = stored()
    assert (rating.emotion, rating.intensity, rating.plays, rating.coverage) == ("sadness", 2, 1, 1.0)


def test_a_double_click_is_stored_once(world):
    message = answer(panel(open_link(world))["key"])
    assert save(message).saved
    assert save(message).saved
    assert len(stored()) == 1


def test_a_second_tab_with_another_answer_is_told_which_one_was_kept(world):
    key = panel(open_link(world))["key"]
    save(answer(key, "happy", 5))
    second = save(answer(key, "angry", 1))
    assert second.settled
    assert "Happy, 5" in second.message
    assert [rating.emotion for rating in stored()] == ["happy"]


def test_a_clip_that_was_not_watched_to_its_end_is_not_saved(world):
    outcome = save(answer(panel(open_link(world))["key"], watched=None))
    assert (outcome.saved, outcome.settled) == (False, False)
    assert outcome.message == ENGLISH("panel.watch_first")
    assert stored() == []


def test_a_broken_clip_can_be_reported_without_watching_it(world):
    key = panel(open_link(world))["key"]
    message = answer(key, None, None, reason="no_sound", words="  only\nnoise ", watched=None)
    assert save(message).saved
    [rating] = stored()
    assert (rating.problem, rating.reason, rating.emotion) == ("broken_clip", "no sound: only noise", None)


@pytest.mark.parametrize("reason", [reason for reasons in saving.REASONS.values() for reason in reasons])
def test_a_reason_comes_back_as_it_was_chosen(reason):
    given = saving.as_answer(answer("k", None, None, reason=reason, words="so: it is"))
    rating = Rating(problem=given.problem, reason=given.reason, emotion=None, intensity=None)
    assert saving.as_filled_in(rating) == {"reason": reason, "words": "so: it is"}


@pytest.mark.parametrize(
    "change",
    [{"emotion": "bored"}, {"intensity": 6}, {"intensity": None}, {"intensity": "3"}, {"reason": "tired"},
     {"key": "x"}, {"key": None}, {"watched": {"plays": "many"}}],
)  # fmt: skip
def test_an_impossible_answer_is_refused_and_nothing_is_stored(world, change):
    outcome = save({**answer(panel(open_link(world))["key"]), **change})
    assert not outcome.saved
    assert outcome.message
    assert stored() == []


def test_another_raters_answer_cannot_be_given(world):
    key = panel(open_link(world, 2))["key"]
    assert not save(answer(key), rater_id=1).saved
    assert stored() == []


def test_work_that_was_freed_in_the_meantime_is_explained_and_the_page_goes_on(world):
    page = open_link(world)
    before = panel(page)["key"]
    with writing(world.engine) as session:
        session.get_one(Assignment, unseal(before)[0]).freed_at = now()
    outcome = save(answer(before))
    assert (outcome.saved, outcome.settled, outcome.message) == (False, True, ENGLISH("problem.freed"))
    page.run()
    assert panel(page)["key"] != before


def test_a_link_that_is_withdrawn_in_mid_work_saves_nothing_more(world):
    key = panel(open_link(world))["key"]
    with writing(world.engine) as session:
        access.revoke_rater(session, 1, actor="researcher")
    assert save(answer(key)).message == ENGLISH("problem.revoked")
    assert stored() == []


def test_a_closed_round_takes_no_more_answers(world):
    key = panel(open_link(world))["key"]
    with writing(world.engine) as session:
        assignments.close_round(session, world.round_id, "researcher")
    assert save(answer(key)).message == ENGLISH("problem.closed")


def test_on_a_full_disk_the_rater_learns_that_nothing_was_saved_and_can_try_again(world):
    message = answer(panel(open_link(world))["key"])

    def no_more_pages(connection, _record):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(engine(), "connect", no_more_pages)
    engine().dispose()
    for size, at_once in ((4000, 20), (400, 5), (40, 1)):  # until no room is left in any page of the file
        _fill_up(size, at_once)
    outcome = save(message)
    assert (outcome.saved, outcome.settled) == (False, False)
    assert ENGLISH("problem.database_busy") in outcome.message
    assert stored() == []
    event.remove(engine(), "connect", no_more_pages)
    engine().dispose()
    assert save(message).saved


def _fill_up(size: int, at_once: int) -> None:
    def write_on() -> None:
        while True:
            with writing(engine()) as session:
                for _ in range(at_once):
                    events.record(session, "command", "test.filler", {"x": "y" * size})

    with pytest.raises(OperationalError, match="full"):
        write_on()


# Undo -----------------------------------------------------------------------------------------------------------


def test_undo_goes_back_answer_by_answer_and_no_further(world):
    page = open_link(world)
    assert not panel(page)["can_undo"]
    keys = []
    for _ in range(3):
        keys.append(unseal(panel(page)["key"])[0])
        save(answer(panel(page)["key"]))
        page.run()
    with reading(world.engine) as session:
        back = [unseal(panel(page)["key"])[0]]
        while (earlier := previous(session, 1, back[-1])) is not None:
            back.append(earlier)
    assert back[1:] == keys[::-1]


def test_a_changed_answer_is_a_new_revision_and_the_open_clip_comes_back(world):
    page = open_link(world)
    save(answer(panel(page)["key"], "happy", 3))
    page.run()
    open_key = panel(page)["key"]
    page.session_state["desk"].revising = unseal(open_key) and stored()[0].assignment_id
    page.run()
    assert panel(page)["answer"] == {"emotion": "happy", "intensity": 3}
    assert panel(page)["revising"]
    assert panel(page)["watching_optional"]  # it was watched when it was rated
    outcome = save(answer(panel(page)["key"], "neutral", 1, watched=None))
    page.session_state["desk"].revising = None
    page.run()
    assert outcome.saved
    assert panel(page)["key"] == open_key
    assert [(rating.revision, rating.emotion) for rating in stored()] == [(1, "happy"), (2, "neutral")]


def test_an_answer_that_was_freed_is_not_put_back_on_the_desk(world):
    desk = Desk(revising=10_000)
    with reading(world.engine) as session:
        seen = look(session, 1, desk)
    assert desk.revising is None
    assert seen.answer is None


# Names for answers ------------------------------------------------------------------------------------------------


def test_the_same_answer_has_the_same_name_and_others_have_others(world):
    assert seal(17, 1) == seal(17, 1)
    assert len({seal(17, 1), seal(17, 2), seal(18, 1)}) == 3
    assert unseal(seal(17, 2)) == (17, 2)


@pytest.mark.parametrize("forged", ["", "17", "AAAA", None, "%%%", seal.__name__ * 8])
def test_a_name_that_we_did_not_make_is_refused(world, forged):
    with pytest.raises(ValueError, match="belongs to no clip"):
        unseal(forged)


def test_a_clip_that_does_not_load_is_remembered_and_addresses_that_expired_are_renewed_once(world):
    desk = desk_with_a_clip(world)
    desk.note_error(5, {"id": "gone", "type": "error", "message": "network"})
    desk.note_error(5, {"id": "here", "type": "error", "message": "expired 403"})
    assert (desk.sources, desk.failed) == ({}, set())
    desk = desk_with_a_clip(world, desk)
    desk.note_error(5, {"id": "here", "type": "error", "message": "expired 403"})
    assert desk.failed == {5}


def desk_with_a_clip(world: World, desk: Desk | None = None) -> Desk:
    desk = desk or Desk()
    desk.sources[5] = PlayerSource("here", "a", "b", None, None, 25.0)
    return desk


def test_every_save_is_an_event(world):
    rate_everything(count=3)
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).where(Event.kind == "rating.saved")) == 3

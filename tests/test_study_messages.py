"""From a trial panel's message to what is stored: late, doubled, foreign and impossible ones; and all that is said."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from db.session import reading, writing
from db.study_models import StudyResponse, StudyWatching
from evaluation.study import joining, serving
from tests.study_world import ab_design, begin, launched, pass_time
from workbench import texts
from workbench.participant import saving, sound
from workbench.participant.saving import Tab, trial_key
from workbench.participant.trial_panel import panel_data

T = texts.load("en")
PARTICIPANT = Path(saving.__file__).parent
ONCE = {"plays": 1, "ended": 1, "watched_ms": 480, "stalls": 0, "hidden_ms": 0}


@pytest.fixture
def person(sqlite_engine: Engine) -> int:
    study = launched(sqlite_engine, ab_design())
    with writing(sqlite_engine) as session:
        invited = joining.invite(session, study.id, 1, "test")[0]
        begin(session, invited.participant_id)
        return invited.participant_id


def opened(engine: Engine, person: int, tab: Tab) -> dict:
    """The message of a tab in which both films were just played and the left one was chosen."""
    with writing(engine) as session:
        view = serving.open_trial(session, person, tab.name)
        pass_time(session)
    return {"key": trial_key(person, view.number), "tab": tab.name,
            "answers": {"lip_sync": "left", "expression": "left"},
            "played": {"left": ONCE, "right": ONCE}, "viewport": "390x844", "browser": "Firefox"}  # fmt: skip


def stored(engine: Engine, table) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table))


def test_a_message_that_comes_again_changes_nothing(sqlite_engine: Engine, person: int):
    tab = Tab()
    message = opened(sqlite_engine, person, tab)
    saving.note_watched(sqlite_engine, person, tab, message)
    saving.note_watched(sqlite_engine, person, tab, message)
    assert stored(sqlite_engine, StudyWatching) == 2
    saving.save(sqlite_engine, person, tab, message, T)
    assert tab.outcome.saved and tab.outcome.settled and not tab.outcome.message
    saving.save(sqlite_engine, person, tab, message, T)
    assert tab.outcome.saved and not tab.outcome.message
    assert (stored(sqlite_engine, StudyResponse), stored(sqlite_engine, StudyWatching)) == (2, 2)


def test_another_tab_learns_that_the_trial_was_answered_elsewhere(sqlite_engine: Engine, person: int):
    first, second = Tab(), Tab()
    message, late = opened(sqlite_engine, person, first), opened(sqlite_engine, person, second)
    saving.save(sqlite_engine, person, first, message, T)
    saving.save(sqlite_engine, person, second, late, T)
    assert second.outcome.saved and second.outcome.settled and second.outcome.message == T("refused.already")
    assert stored(sqlite_engine, StudyResponse) == 2


def test_who_did_not_watch_is_asked_to_and_keeps_the_answers(sqlite_engine: Engine, person: int):
    tab = Tab()
    message = opened(sqlite_engine, person, tab) | {"played": {"left": ONCE}}
    saving.save(sqlite_engine, person, tab, message, T)
    assert not tab.outcome.saved and tab.outcome.watch_again and not tab.outcome.settled
    assert stored(sqlite_engine, StudyResponse) == 0


@pytest.mark.parametrize(
    "change",
    [{"key": "nonsense"}, {"answers": None}, {"answers": {"lip_sync": "left"}},
     {"answers": {"lip_sync": 3, "expression": []}}, {"played": "everything"}, {"key": None}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(sqlite_engine: Engine, person: int, change: dict):
    tab = Tab()
    message = opened(sqlite_engine, person, tab)
    saving.save(sqlite_engine, person, tab, message | change, T)
    assert not tab.outcome.saved and tab.outcome.message
    assert stored(sqlite_engine, StudyResponse) == 0


def test_another_participants_trial_is_refused(sqlite_engine: Engine, person: int):
    tab = Tab()
    message = opened(sqlite_engine, person, tab) | {"key": trial_key(person + 1, 0)}
    saving.save(sqlite_engine, person, tab, message, T)
    assert not tab.outcome.saved and tab.outcome.settled and tab.outcome.message == T("refused.not_open")


def test_after_a_restart_what_was_played_under_the_old_name_waits_for_the_new_one(sqlite_engine: Engine, person: int):
    before = Tab()
    message = opened(sqlite_engine, person, before)
    after = Tab()  # the server was restarted: another session
    saving.note_watched(sqlite_engine, person, after, message)
    assert stored(sqlite_engine, StudyWatching) == 0
    saving.note_watched(sqlite_engine, person, after, message | {"tab": after.name})
    assert stored(sqlite_engine, StudyWatching) == 2


def test_the_browser_is_told_two_sides_and_random_names(sqlite_engine: Engine, person: int):
    with writing(sqlite_engine) as session:
        view = serving.open_trial(session, person, "tab-of-theirs")
    told = panel_data(T, view, key="k", tab="t", reported={}, outcome=None)
    assert set(told["films"]) == {"left", "right"} and len(told["ahead"]) == 2
    assert all(re.fullmatch(r"film/[0-9a-f]{32}", address) for address in [*told["films"].values(), *told["ahead"]])
    assert "FaceFormer" not in str(told) and "GT" not in str(told)


def test_every_text_that_the_pages_ask_for_exists():
    code = "\n".join(path.read_text("utf-8") for path in PARTICIPANT.glob("*.py"))
    asked = set(re.findall(r'"((?:study|refused|trial)\.[a-z_]+)"', code))
    script = "".join((PARTICIPANT / name).read_text("utf-8") for name in ("film.js", "trial_panel.js"))
    asked |= {f"trial.{key}" for key in re.findall(r"\btexts\.([a-z_]+)", script)}
    asked |= {f"trial.{key}" for key in re.findall(r'"(error_[a-z]+)"', script)}
    assert asked - T.keys() == set()


def test_the_next_sound_has_another_number_of_beeps():
    for number in range(sound.FEWEST, sound.MOST + 1):
        assert {sound.another_number(number) for _ in range(50)} == {2, 3, 4, 5} - {number}
    assert len(sound.beeps(3)) - len(sound.beeps(2)) == 2 * (0.2 + 0.35) * sound.RATE

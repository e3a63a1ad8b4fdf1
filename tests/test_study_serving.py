"""A participant's way through a study, on SQLite and PostgreSQL."""

import datetime
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.exc import DatabaseError

from db import access, events
from db.models import Event, now
from db.session import reading, writing
from db.study_models import Stimulus, Study, StudyParticipant, StudyResponse, StudySlot, StudyTrial, StudyView
from evaluation.study import joining, overseeing, serving
from evaluation.study.answering import Viewing, Watched, answer, watched
from evaluation.study.refusals import MissingStimulus, StillBlind, StudyRefused
from evaluation.study.simulated_participants import simulate
from tests.study_world import (
    TAB,
    ab_design,
    answer_all,
    answer_one,
    begin,
    launched,
    mos_design,
    pass_time,
    watch_all,
    with_catches,
)

ROOT = Path(__file__).resolve().parents[1]


def someone(engine: Engine, study: Study) -> int:
    """A participant with a personal link who has begun."""
    with writing(engine) as session:
        one = joining.invite(session, study.id, 1, "researcher:1")[0]
        begin(session, one.participant_id)
        return one.participant_id


def refused(reason: str):
    """Expect StudyRefused with this reason."""
    return pytest.raises(StudyRefused, check=lambda error: error.reason == reason)


def test_who_comes_by_a_personal_link_walks_to_the_end_and_gets_a_code_only_then(engine: Engine):
    study = launched(engine, with_catches(ab_design))
    with writing(engine) as session:
        invited = joining.invite(session, study.id, 1, "researcher:1")[0]
        who = joining.participant_by_token(session, invited.token)
        assert who is not None and who.id == invited.participant_id
        assert serving.place(session, who.id).step == "consent"
        with refused("too_early"):
            serving.sound_checked(session, who.id)
        begin(session, who.id)
        assert serving.place(session, who.id).step == "trials"
        assert serving.completion(session, who.id) is None
    assert answer_all(engine, who.id) == study.design["practice"] + 8 + 2
    with writing(engine) as session:
        done = serving.completion(session, who.id)
        assert done is not None and len(done.code) == 10 and done.url is None
        assert serving.open_trial(session, who.id, TAB) is None
        assert events.verify(session) is None
        assert session.scalar(select(func.count()).select_from(StudyResponse)) == 2 * (2 + 8 + 2)


def test_an_answer_counts_only_when_both_films_were_played_to_their_end_by_the_servers_clock(engine: Engine):
    who = someone(engine, launched(engine, ab_design()))
    both = {"lip_sync": "left", "expression": "right"}
    with writing(engine) as session:
        view = serving.open_trial(session, who, TAB)
        assert view is not None and not view.may_answer
        with refused("not_watched"):
            answer(session, who, 0, TAB, both)
        assert not watched(session, who, 0, TAB, "left", Watched(1, 1, 480))
        assert not watched(session, who, 0, TAB, "right", Watched(1, 1, 480)), "no time has passed on the server"
        with refused("not_watched"):
            answer(session, who, 0, TAB, both)
        pass_time(session)
        assert serving.open_trial(session, who, TAB).may_answer
        assert not answer(session, who, 0, TAB, both).duplicate


def test_a_film_that_was_skipped_through_was_not_watched(engine: Engine):
    who = someone(engine, launched(engine, ab_design()))
    with writing(engine) as session:
        serving.open_trial(session, who, TAB)
        pass_time(session)
        watched(session, who, 0, TAB, "left", Watched(1, 1, 480))
        assert not watched(session, who, 0, TAB, "right", Watched(1, 1, 100))
        assert not watched(session, who, 0, TAB, "right", Watched(1, 0, 300))
        assert watched(session, who, 0, TAB, "right", Watched(1, 1, 480, stalls=1, hidden_ms=20))
        answer(session, who, 0, TAB, {"lip_sync": "left", "expression": "left"}, Viewing("800x600", "a\nbrowser"))
        row = session.scalars(select(StudyResponse)).first()
        assert (row.plays_left, row.plays_right, row.replays, row.stalls, row.hidden_ms) == (1, 3, 2, 1, 20)
        assert (row.watched_ms, row.viewport, row.browser) == (480 + 880, "800x600", "abrowser")
        assert row.answer_ms >= 60_000


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"lip_sync": "left"}, "incomplete"),
        ({"lip_sync": "left", "expression": "none"}, "bad_answer"),
        ({"lip_sync": "left", "expression": 3}, "bad_answer"),
        ({"lip_sync": "left", "expression": "left", "other": "left"}, "bad_answer"),
    ],
)
def test_an_answer_that_is_none_is_refused(sqlite_engine: Engine, said: dict, reason: str):
    who = someone(sqlite_engine, launched(sqlite_engine, ab_design()))
    with writing(sqlite_engine) as session:
        watch_all(session, who)
        with refused(reason):
            answer(session, who, 0, TAB, said)


@pytest.mark.parametrize("score", [0, 6, True, 3.0, "3"])
def test_a_score_off_the_scale_is_refused(sqlite_engine: Engine, score):
    who = someone(sqlite_engine, launched(sqlite_engine, mos_design()))
    with writing(sqlite_engine) as session:
        watch_all(session, who)
        with refused("bad_answer"):
            answer(session, who, 0, TAB, {"expressiveness": score})


def test_a_double_submit_and_a_second_tab_give_one_row_and_the_first_answer_stays(engine: Engine):
    who = someone(engine, launched(engine, ab_design()))
    with writing(engine) as session:
        first = watch_all(session, who)
        second = serving.open_trial(session, who, "another-tab")
        assert {first.left, first.right}.isdisjoint({second.left, second.right})
    ends, lock = [], threading.Barrier(4)

    def send(tab: str, value: str) -> None:
        lock.wait()
        with writing(engine) as session:
            ends.append(answer(session, who, 0, tab, {"lip_sync": value, "expression": value}).duplicate)

    senders = [threading.Thread(target=send, args=args) for args in [(TAB, "left"), ("another-tab", "right")] * 2]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(ends) == [False, True, True, True]
    with writing(engine) as session:
        rows = session.scalars(select(StudyResponse)).all()
        assert len(rows) == 2 and len({row.preferred for row in rows}) == 1
        with refused("not_open"):
            answer(session, who, 5, TAB, {"lip_sync": "left", "expression": "left"})
        with refused("not_open"):
            answer(session, who, 99, TAB, {"lip_sync": "left", "expression": "left"})


def test_answers_and_launched_designs_cannot_be_changed_in_the_database(engine: Engine):
    study = launched(engine, ab_design())
    who = someone(engine, study)
    answer_one(engine, who)
    for statement in (
        "UPDATE study_responses SET preferred = 'right'", "DELETE FROM study_responses", "DELETE FROM study_watching",
        "UPDATE studies SET design = '{}'", "DELETE FROM studies",
    ):  # fmt: skip
        with pytest.raises(DatabaseError, match="append-only|frozen"), writing(engine) as session:
            session.execute(text(statement))


def test_films_have_random_names_that_are_good_only_while_their_trial_is_open_or_next(engine: Engine):
    study = launched(engine, ab_design())
    who, other = someone(engine, study), someone(engine, study)
    with writing(engine) as session:
        view = serving.open_trial(session, who, TAB)
        assert serving.open_trial(session, who, TAB).left == view.left, "a page that is drawn again keeps its films"
        names = [view.left, view.right, *view.ahead]
        assert len(set(names)) == 4 and all(len(bytes.fromhex(name)) == 16 for name in names)
        assert all(serving.film(session, name, who) for name in names)
        assert serving.film(session, view.left, other) is None
        assert serving.film(session, "f" * 32) is None
    answer_one(engine, who)
    with writing(engine) as session:
        assert serving.film(session, view.left) is None
        after = serving.open_trial(session, who, TAB)
        assert (after.left, after.right) == view.ahead
        serving.film(session, after.left).unlink()
        with pytest.raises(MissingStimulus, match="launch the study again"):
            serving.film(session, after.left)


def test_no_name_of_a_film_is_ever_used_twice(sqlite_engine: Engine):
    study = launched(sqlite_engine, ab_design())
    people = [someone(sqlite_engine, study) for _ in range(2)]
    for who in people:
        answer_one(sqlite_engine, who)
        answer_one(sqlite_engine, who, "another-tab")
    with reading(sqlite_engine) as session:
        names = [name for view in session.scalars(select(StudyView)) for name in (view.left_token, view.right_token)]
    assert len(names) == len(set(names))


def test_catch_trials_look_like_any_other(sqlite_engine: Engine):
    study = launched(sqlite_engine, with_catches(ab_design))
    who = someone(sqlite_engine, study)
    roles = []
    for _ in range(12):
        with writing(sqlite_engine) as session:
            roles.append(serving.open_trial(session, who, TAB).role)
        answer_one(sqlite_engine, who)
    assert roles == ["practice"] * 2 + ["counts"] * 10


# Places ---------------------------------------------------------------------------------------------------------


def test_places_go_to_the_least_completed_row_and_a_full_study_says_so(engine: Engine):
    study = launched(engine, ab_design(participants=4))
    people = [someone(engine, study) for _ in range(4)]
    with writing(engine) as session:
        rows = Counter(session.scalars(select(StudySlot.row).where(StudySlot.participant_id.in_(people))))
        assert set(rows.values()) == {2}
        late = joining.invite(session, study.id, 1, "researcher:1")[0].participant_id
        serving.consent(session, late)
        serving.sound_checked(session, late)
        with refused("full"):
            serving.instructions_read(session, late)
        serving.leave(session, people[1])
        serving.instructions_read(session, late)
        mine = session.scalar(select(StudySlot).where(StudySlot.participant_id == late))
        assert mine.number == 1
        with refused("left"):
            serving.open_trial(session, people[1], TAB)


def test_a_lease_that_ended_gives_the_place_away_and_who_comes_back_late_still_goes_on(engine: Engine):
    study = launched(engine, ab_design(participants=1))
    first = someone(engine, study)
    answer_one(engine, first)
    with writing(engine) as session:
        session.execute(update(StudySlot).values(lease_ends_at=now() - datetime.timedelta(seconds=1)))
    second = someone(engine, study)
    with reading(engine) as session:
        assert session.scalar(select(StudySlot.participant_id)) == second
    assert answer_all(engine, first) == 7
    assert answer_all(engine, second) == 8
    with reading(engine) as session:
        slots = session.scalars(select(StudySlot).order_by(StudySlot.number)).all()
        assert [slot.participant_id for slot in slots] == [second, first]
        assert all(slot.completed_at for slot in slots)


def test_two_who_come_at_once_never_get_the_same_place(engine: Engine):
    study = launched(engine, ab_design(participants=3))
    with writing(engine) as session:
        people = [one.participant_id for one in joining.invite(session, study.id, 6, "researcher:1")]
        for who in people:
            serving.consent(session, who)
            serving.sound_checked(session, who)
    ends, lock = [], threading.Barrier(6)

    def come(who: int) -> None:
        lock.wait()
        try:
            with writing(engine) as session:
                serving.instructions_read(session, who)
            ends.append("in")
        except StudyRefused as refusal:
            ends.append(refusal.reason)

    comers = [threading.Thread(target=come, args=(who,)) for who in people]
    for comer in comers:
        comer.start()
    for comer in comers:
        comer.join()
    assert Counter(ends) == {"in": 3, "full": 3}
    with reading(engine) as session:
        assert len(set(session.scalars(select(StudySlot.participant_id)))) == 3


def test_who_comes_from_prolific_twice_is_the_same_participant_and_no_id_is_stored(engine: Engine):
    study = launched(engine, ab_design(entry="prolific", completion_code="C0FFEE"))
    pid = "5f3c9d1e2b4a6c8d0e1f2a3b"
    with writing(engine) as session:
        one, first = joining.join_prolific(session, study.id, pid, "s1")
        again, second = joining.join_prolific(session, study.id, pid, "s2")
        assert again.id == one.id and first != second
        assert joining.participant_by_token(session, first) is None
        assert joining.participant_by_token(session, second).id == one.id
        with refused("bad_link"):
            joining.join_prolific(session, study.id, "{{%PROLIFIC_PID%}}", "s1")
        begin(session, one.id)
    answer_all(engine, one.id)
    with reading(engine) as session:
        assert serving.completion(session, one.id).url.endswith("cc=C0FFEE")
        stored = " ".join(str(value) for row in session.execute(select(StudyParticipant.__table__)) for value in row)
        stored += " ".join(session.scalars(select(Event.payload)))
        assert pid not in stored and second not in stored


def test_the_link_for_everybody_can_be_replaced_and_closed_and_who_joined_goes_on(engine: Engine):
    study = launched(engine, ab_design())
    with writing(engine) as session:
        old = joining.open_link(session, study.id, "researcher:1")
        one, token = joining.join_open(session, joining.study_by_open_token(session, old).id, "ko")
        assert one.language == "ko"
        new = joining.open_link(session, study.id, "researcher:1")
        assert joining.study_by_open_token(session, old) is None
        joining.close_open_link(session, study.id, "researcher:1")
        assert joining.study_by_open_token(session, new) is None
        assert joining.participant_by_token(session, token).id == one.id
        joining.withdraw(session, one.id, "researcher:1")
        assert joining.participant_by_token(session, token) is None
        assert joining.participant_by_token(session, access.new_token()) is None


def test_a_break_stops_the_trials_and_ends_when_the_participant_says_so(engine: Engine):
    who = someone(engine, launched(engine, ab_design()))
    with writing(engine) as session:
        serving.pause(session, who)
        assert serving.place(session, who).step == "paused"
        with refused("too_early"):
            serving.open_trial(session, who, TAB)
        serving.resume(session, who)
        assert serving.open_trial(session, who, TAB).number == 0


def test_a_paused_study_lets_nobody_go_on_but_test_walks_and_a_closed_one_nobody(engine: Engine):
    study = launched(engine, ab_design())
    who = someone(engine, study)
    with writing(engine) as session:
        walker = joining.join_test(session, study.id, "researcher:1")[0].id
        begin(session, walker)
        view = serving.open_trial(session, who, TAB)
        overseeing.pause_study(session, study.id, "researcher:1")
    with writing(engine) as session:
        with refused("paused"):
            serving.open_trial(session, who, TAB)
        assert serving.film(session, view.left) is None
        assert serving.open_trial(session, walker, TAB) is not None
        overseeing.close_study(session, study.id, "researcher:1")
        with refused("closed"):
            serving.open_trial(session, walker, TAB)


def test_an_answer_that_was_stored_is_acknowledged_again_even_after_the_study_was_closed(engine: Engine):
    study = launched(engine, ab_design())
    who = someone(engine, study)
    answer_one(engine, who)
    with writing(engine) as session:
        overseeing.close_study(session, study.id, "researcher:1")
    with writing(engine) as session:
        said = {"lip_sync": "right", "expression": "right"}
        assert answer(session, who, 0, TAB, said).duplicate
        with refused("closed"):
            answer(session, who, 1, TAB, said)


# Results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design_of", [ab_design, mos_design])
def test_simulated_participants_answer_through_the_same_calls_and_the_export_can_be_analysed(engine: Engine, design_of):
    design = with_catches(design_of, participants=2)
    study = launched(engine, design)
    assert len(simulate(engine, study.id, 2, seed=1)) == 2
    with writing(engine) as session:
        walker = joining.join_test(session, study.id, "researcher:1")[0].id
        begin(session, walker)
    answer_one(engine, walker)
    answer_one(engine, walker)
    answer_one(engine, walker)
    with writing(engine) as session:
        seen = overseeing.watch(session, study.id)
        assert (seen.completed, seen.simulated, seen.test, seen.places_free, seen.joined) == (2, 2, 1, 0, 2)
        assert seen.answers == seen.expected_answers == 2 * design.n_main * len(design.questions)
        assert [one.catch_seen for one in seen.people] == [2, 2, 0]
        with pytest.raises(StillBlind):
            overseeing.responses(session, study.id, "researcher:1")
        with pytest.raises(ValueError, match="goes on record"):
            overseeing.unblind(session, study.id, "researcher:1", " ")
        overseeing.unblind(session, study.id, "researcher:1", "all have answered")
        table = overseeing.responses(session, study.id, "researcher:1")
        assert [event.actor for event in events.newest(session, kind="study.unblinded")] == ["researcher:1"]
    counted = table[~table["test"] & ~table["catch"]]
    assert len(counted) == seen.answers and counted["simulated"].all()
    assert table["catch"].sum() == 4 and table["test"].sum() == len(design.questions)
    if design.kind == "ab":
        assert set(counted["comparison"]) == {"EavaNet vs GT", "EavaNet vs FaceFormer"}
        with reading(engine) as session:
            assert all(abs(left - right) <= 1 for *_, left, right in overseeing.side_balance(session, study.id))
    else:
        assert set(counted["condition"]) == {"Neutral", "Emotion"}


def test_a_launched_study_has_the_hash_of_its_design_and_films(sqlite_engine: Engine):
    study = launched(sqlite_engine, ab_design())
    other = launched(sqlite_engine, ab_design(seed=1), "second")
    assert len(study.design_sha256) == 64 and study.design_sha256 != other.design_sha256
    with reading(sqlite_engine) as session:
        assert session.scalar(select(func.count()).select_from(Stimulus).where(Stimulus.study_id == study.id)) == 12
        assert session.scalar(select(func.count()).select_from(StudyTrial)) == 0


# Durability -----------------------------------------------------------------------------------------------------

ANSWERING = """
import sys
from db.session import open_database
from tests.study_world import answer_one
engine = open_database()
while not answer_one(engine, int(sys.argv[1])).finished:
    print("stored", flush=True)
"""


def test_no_answer_that_was_acknowledged_is_lost_or_doubled_when_the_server_is_killed(sqlite_engine: Engine):
    who = someone(sqlite_engine, launched(sqlite_engine, ab_design(n_clips=30)))
    acknowledged = 0
    for after in (3, 7):
        command = [sys.executable, "-c", ANSWERING, str(who)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
            for _ in range(after):
                assert server.stdout.readline() == b"stored\n"
            server.kill()
            acknowledged += after + server.stdout.read().count(b"stored")
    with reading(sqlite_engine) as session:
        trials = session.scalars(select(StudyTrial.number).where(StudyTrial.answered_at.is_not(None))).all()
        rows = Counter(session.scalars(select(StudyTrial.number).join(StudyResponse.trial)))
        # One may be stored at each kill that could not be acknowledged any more.
        assert acknowledged <= len(trials) <= acknowledged + 2
        assert sorted(trials) == list(range(len(trials)))
        assert set(rows) == set(trials) and set(rows.values()) == {2}
        assert events.verify(session) is None

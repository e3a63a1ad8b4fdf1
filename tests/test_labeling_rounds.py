"""A round in the database, as raters and researchers live through it; on SQLite and on PostgreSQL."""

import pytest
from sqlalchemy import select

from db import access, events
from db.models import Assignment, LabelingRound, Rating
from db.session import reading, writing
from labeling import assignment, followups, ratings, votes
from labeling.ratings import Answer, save_rating
from tests.rating_world import new_world


@pytest.fixture
def world(engine):
    """Ten clips, five raters, three votes per clip, two practice clips, a fifth of repeats."""
    corpus_id, rater_ids = new_world(engine)
    with writing(engine) as session:
        started = assignment.create_round(session, corpus_id=corpus_id, name="first", rater_ids=rater_ids,
                                          repeat_share=0.2, seed=3, actor="researcher:1")  # fmt: skip
        return engine, started.id, rater_ids


def answer_next(engine, rater_id: int, answer: Answer | None = None) -> Assignment | None:
    """Rate what comes next, as the page does; returns the assignment, or None at the end."""
    with writing(engine) as session:
        given = assignment.next_assignment(session, rater_id)
        if given is not None:
            save_rating(session, given.id, rater_id, answer or Answer("happy", 4, plays=1), f"page:{given.id}:1")
        return given


def answer_all(engine, rater_ids, answer_of=lambda given: None) -> None:
    for rater_id in rater_ids:
        while True:
            with reading(engine) as session:
                given = assignment.next_assignment(session, rater_id)
            if given is None:
                break
            answer_next(engine, rater_id, answer_of(given))


def by_kind(engine, round_id: int, rater_id: int | None = None) -> dict[str, int]:
    with reading(engine) as session:
        rows = session.scalars(select(Assignment).where(Assignment.round_id == round_id, Assignment.freed_at.is_(None)))
        kinds = [row.kind for row in rows if rater_id in (None, row.rater_id)]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def test_every_clip_gets_three_votes_and_every_rater_two_practice_clips_and_repeats(world):
    engine, round_id, rater_ids = world
    assert by_kind(engine, round_id) == {"practice": 10, "repeat": 5, "vote": 30}
    assert by_kind(engine, round_id, rater_ids[0]) == {"practice": 2, "repeat": 1, "vote": 6}


def test_practice_comes_first_and_the_next_clip_is_known_in_advance(world):
    engine, _, (rater_id, *_) = world
    with reading(engine) as session:
        expected = assignment.peek_next(session, rater_id).id
    assert answer_next(engine, rater_id).kind == "practice"
    second = answer_next(engine, rater_id)
    assert (second.id, second.kind) == (expected, "practice")
    assert answer_next(engine, rater_id).kind == "vote"
    with reading(engine) as session:
        assert assignment.progress(session, rater_id) == assignment.Progress(1, 7, 2, 2)


def test_the_same_answer_sent_twice_is_stored_once(world):
    engine, _, (rater_id, *_) = world
    with writing(engine) as session:
        given = assignment.next_assignment(session, rater_id)
        first = save_rating(session, given.id, rater_id, Answer("happy", 4), "key")
    with writing(engine) as session:
        again = save_rating(session, given.id, rater_id, Answer("angry", 1), "key")
    assert (first.duplicate, again.duplicate) == (False, True)
    assert (again.rating.id, again.rating.emotion) == (first.rating.id, "happy")
    with reading(engine) as session:
        assert len(session.scalars(select(Rating)).all()) == 1


def test_a_correction_is_a_new_revision_and_the_newest_counts(world):
    engine, round_id, (rater_id, *_) = world
    for _ in range(2):
        answer_next(engine, rater_id)
    given = answer_next(engine, rater_id, Answer("happy", 4))
    with writing(engine) as session:
        assert save_rating(session, given.id, rater_id, Answer("angry", 2), "correction").rating.revision == 2
    with reading(engine) as session:
        newest = votes.votes(votes.answers(session, round_id))
        everything = votes.answers(session, round_id, revisions="all")
    assert newest[["emotion", "intensity"]].values.tolist() == [["angry", 2]]
    assert everything[everything["assignment_id"] == given.id]["emotion"].tolist() == ["happy", "angry"]


def test_foreign_freed_revoked_and_closed_assignments_take_no_rating(world):
    engine, round_id, (first, second, *_) = world
    with reading(engine) as session:
        given = assignment.next_assignment(session, first)
        other = assignment.next_assignment(session, second)
    with writing(engine) as session, pytest.raises(ratings.NotYours):
        save_rating(session, given.id, second, Answer("happy", 4), "a")
    with writing(engine) as session:
        assignment.release_rater(session, first, actor="researcher:1")
    with writing(engine) as session, pytest.raises(ratings.Freed, match="taken back"):
        save_rating(session, given.id, first, Answer("happy", 4), "b")
    with writing(engine) as session:
        assignment.close_round(session, round_id, actor="researcher:1")
    with writing(engine) as session, pytest.raises(ratings.RoundClosed):
        save_rating(session, other.id, second, Answer("happy", 4), "c")
    with writing(engine) as session:
        access.revoke_rater(session, second, actor="researcher:1")
    with writing(engine) as session, pytest.raises(ratings.Revoked):
        save_rating(session, other.id, second, Answer("happy", 4), "d")
    with reading(engine) as session:
        assert session.scalars(select(Rating)).all() == []


def test_impossible_answers_cannot_be_made():
    for wrong, says in [
        (dict(emotion="bored", intensity=3), "emotion 'bored'"), (dict(emotion="happy", intensity=6), "1 to 5"),
        (dict(emotion="happy", intensity=2.5), "1 to 5"), (dict(emotion="happy", intensity=True), "1 to 5"),
        (dict(emotion="happy"), "1 to 5"), (dict(), "emotion None"), (dict(problem="bored"), "problem"),
        (dict(problem="cannot_tell"), "say in a few words"),
        (dict(problem="cannot_tell", reason="x", emotion="happy", intensity=1), "not both"),
        (dict(emotion="happy", intensity=1, coverage=1.5), "impossible"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=says):
            Answer(**wrong)


def test_a_rater_who_leaves_frees_only_open_clips_and_others_take_them_over(world):
    engine, round_id, rater_ids = world
    leaver = rater_ids[0]
    for _ in range(4):
        answer_next(engine, leaver)
    with writing(engine) as session:
        assert assignment.release_rater(session, leaver, actor="researcher:1") == 5  # 4 votes and a repeat
    assert by_kind(engine, round_id, leaver) == {"practice": 2, "vote": 2}
    answer_all(engine, rater_ids[1:])
    with reading(engine) as session:
        progress = votes.clip_progress(session, round_id)
    assert progress["complete"].all() and (progress["slots"] == 3).all() and (progress["waiting"] == 0).all()


def test_slots_wait_when_nobody_may_take_them_and_a_new_rater_gets_them(engine):
    corpus_id, rater_ids = new_world(engine, n_raters=3)
    with writing(engine) as session:
        round_id = assignment.create_round(session, corpus_id=corpus_id, name="first", rater_ids=rater_ids,
                                           repeat_share=0, actor="x").id  # fmt: skip
    with writing(engine) as session:
        assignment.release_rater(session, rater_ids[0], actor="x")
    with reading(engine) as session:
        assert votes.clip_progress(session, round_id)["waiting"].sum() == 10
    with writing(engine) as session:
        late, _ = access.add_rater(session, "late", actor="x")
        session.flush()
        assert assignment.add_rater(session, round_id, late.id, actor="x") == 10
    answer_all(engine, [*rater_ids[1:], late.id])
    with reading(engine) as session:
        assert votes.clip_progress(session, round_id)["complete"].all()


def test_a_rater_who_joins_late_shares_the_open_work(world):
    engine, round_id, rater_ids = world
    with writing(engine) as session:
        late, _ = access.add_rater(session, "late", actor="x")
        session.flush()
        assert 3 <= assignment.add_rater(session, round_id, late.id, actor="x") <= 6
    with reading(engine) as session:
        progress = votes.rater_progress(session, round_id).set_index("rater_id")
    assert progress["votes"].sum() == 30
    assert progress["votes"].max() - progress["votes"].min() <= 2
    with writing(engine) as session, pytest.raises(ValueError, match="in the round 'first' already"):
        assignment.add_rater(session, round_id, late.id, actor="x")


def test_cannot_tell_asks_a_further_rater_and_a_correction_takes_that_back(world):
    engine, round_id, (rater_id, *_) = world
    for _ in range(2):
        answer_next(engine, rater_id)
    given = answer_next(engine, rater_id, Answer(problem="cannot_tell", reason="too dark"))
    assert by_kind(engine, round_id)["adjudication"] == 1
    with reading(engine) as session:
        asked = session.scalar(select(Assignment).where(Assignment.kind == "adjudication"))
        assert (asked.clip_id, asked.slot) == (given.clip_id, 4) and asked.rater_id != rater_id
    with writing(engine) as session:
        save_rating(session, given.id, rater_id, Answer("sadness", 2), "changed my mind")
    assert "adjudication" not in by_kind(engine, round_id)


def test_a_clip_that_two_raters_call_broken_is_excluded_and_nobody_else_is_asked(world):
    engine, round_id, rater_ids = world
    with reading(engine) as session:
        clip_id = session.scalar(select(Assignment.clip_id).where(Assignment.kind == "vote").limit(1))

    def answer(given):
        broken = given.clip_id == clip_id and given.kind in assignment.VOTES and given.slot <= 2
        return Answer(problem="broken_clip", reason="no sound") if broken else None

    answer_all(engine, rater_ids, answer)
    with reading(engine) as session:
        found = votes.answers(session, round_id)
        assert list(votes.broken_clips(found).values()) == ["no sound"]
        assert clip_id not in set(votes.votes(found)["clip_id"])
        assert followups.clip_votes(session, round_id, clip_id).open == []


def test_a_tied_clip_is_adjudicated_by_a_rater_who_has_not_voted_on_it(world):
    engine, round_id, rater_ids = world
    with reading(engine) as session:
        clip_id = session.scalar(select(Assignment.clip_id).where(Assignment.kind == "vote").limit(1))
    answer_all(engine, rater_ids, lambda given: Answer(
        ("happy", "angry", "sadness")[given.slot - 1] if given.clip_id == clip_id and given.slot else "neutral", 2))
    with writing(engine) as session:
        assert votes.tied_clips(session, round_id) == [clip_id]
        voted = set(session.scalars(select(Assignment.rater_id).where(
            Assignment.clip_id == clip_id, Assignment.kind == "vote")))  # fmt: skip
        with pytest.raises(ValueError, match="voted on the clip already"):
            followups.adjudicate(session, round_id, clip_id, "x", rater_id=voted.pop())
    with writing(engine) as session:
        assert followups.adjudicate_all(session, round_id, "x") == 1
    with writing(engine) as session, pytest.raises(ValueError, match="still waits for an answer"):
        followups.adjudicate(session, round_id, clip_id, "x")
    answer_all(engine, rater_ids, lambda given: Answer("angry", 5))
    with reading(engine) as session:
        assert votes.tied_clips(session, round_id) == []
        assert followups.clip_votes(session, round_id, clip_id).emotions["angry"] == 2


def test_an_untied_clip_is_not_adjudicated(world):
    engine, round_id, rater_ids = world
    answer_all(engine, rater_ids)
    with reading(engine) as session:
        clip_id = session.scalar(select(Assignment.clip_id))
    with writing(engine) as session, pytest.raises(ValueError, match="not tied"):
        followups.adjudicate(session, round_id, clip_id, "x")


def test_a_round_is_refused_with_the_reason(engine):
    corpus_id, rater_ids = new_world(engine, n_raters=3)

    def create(**changes):
        with writing(engine) as session:
            assignment.create_round(session, **({"corpus_id": corpus_id, "name": "r", "rater_ids": rater_ids,
                                                 "actor": "x"} | changes))  # fmt: skip

    with pytest.raises(ValueError, match="no rater with number 999"):
        create(rater_ids=[*rater_ids, 999])
    with pytest.raises(ValueError, match="2 raters, but every clip needs 3"):
        create(rater_ids=rater_ids[:2])
    with pytest.raises(ValueError, match="needs a name"):
        create(name=" ")
    with pytest.raises(ValueError, match="no clip that can be shown"):
        create(corpus_id=corpus_id + 1)
    create()
    with pytest.raises(ValueError, match="a round named 'r' already"):
        create()
    with reading(engine) as session:
        assert len(session.scalars(select(LabelingRound)).all()) == 1


def test_what_happened_is_in_the_audit_log_and_the_log_holds(world):
    engine, _, (rater_id, *_) = world
    answer_next(engine, rater_id)
    with writing(engine) as session:
        add_raters_again = access.add_rater(session, "another", actor="x")
        assert add_raters_again
    with reading(engine) as session:
        from db.models import Event

        kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
        assert kinds.index("round.created") < kinds.index("rating.saved")
        assert events.verify(session) is None


def test_two_tabs_that_answer_at_the_same_moment_store_two_revisions_or_one_answer(world):
    import concurrent.futures

    engine, _, (rater_id, *_) = world
    with reading(engine) as session:
        given = assignment.next_assignment(session, rater_id)

    def tab(number: int) -> bool:
        with writing(engine) as session:
            return save_rating(session, given.id, rater_id, Answer("happy", 4), "the same key").duplicate

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        duplicates = list(pool.map(tab, range(8)))
    assert sorted(duplicates) == [False] + [True] * 7
    with reading(engine) as session:
        assert len(session.scalars(select(Rating)).all()) == 1

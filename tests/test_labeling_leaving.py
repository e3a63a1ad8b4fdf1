"""Raters come and go: whatever happens, no clip loses a vote, gets one too many, or two from the same rater."""

import contextlib
import functools
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from db import access
from db.migrations import upgrade
from db.models import Assignment, Event
from db.session import connect, reading, writing
from labeling import assignment, followups, votes
from labeling.emotions import EMOTIONS
from labeling.ratings import Answer, save_rating
from tests.rating_world import new_world

M = 3  # votes per clip


def make(engine, n_raters: int = 4) -> tuple[int, list[int]]:
    corpus_id, rater_ids = new_world(engine, n_raters=n_raters, n_subjects=2, n_clips=3)
    with writing(engine) as session:
        made = assignment.create_round(session, corpus_id=corpus_id, name="r", rater_ids=rater_ids, actor="test",
                                       votes_per_clip=M, repeat_share=0.3, practice_clips=1)  # fmt: skip
        return made.id, rater_ids


def rate_one(session, rater_id: int, answer: Answer | None = None) -> bool:
    given = assignment.next_assignment(session, rater_id)
    if given is not None:
        save_rating(session, given.id, rater_id, answer or Answer("happy", 4), f"key:{given.id}")
    return given is not None


def held(session, round_id: int) -> list[Assignment]:
    """The votes that are somebody's or wait, done or not."""
    kept = select(Assignment).where(Assignment.round_id == round_id, Assignment.freed_at.is_(None))
    return list(session.scalars(kept.where(Assignment.kind.in_(assignment.VOTES)).order_by(Assignment.id)))


def test_freed_clips_never_go_back_to_the_rater_who_leaves(sqlite_engine):
    round_id, (leaver, *_) = make(sqlite_engine)
    with writing(sqlite_engine) as session:  # in the order of the page: released first, withdrawn after
        assert assignment.release_rater(session, leaver, "test") > 0
        access.revoke_rater(session, leaver, "test")
    with reading(sqlite_engine) as session:
        rows = held(session, round_id)
        assert leaver not in {row.rater_id for row in rows}
        assert Counter(row.clip_id for row in rows) == dict.fromkeys({row.clip_id for row in rows}, M)


def test_a_rater_who_left_can_come_back_without_practice_and_without_a_second_vote(sqlite_engine):
    round_id, (leaver, *others) = make(sqlite_engine)
    with writing(sqlite_engine) as session:
        for _ in range(3):  # practice and two clips
            rate_one(session, leaver)
        assignment.release_rater(session, leaver, "test")
        before = {row.clip_id for row in held(session, round_id) if row.rater_id == leaver}
        assert len(before) == 2
        assert assignment.add_rater(session, round_id, leaver, "test") > 0
    with reading(sqlite_engine) as session:
        mine = [row for row in held(session, round_id) if row.rater_id == leaver]
        assert len({row.clip_id for row in mine}) == len(mine) > 2
        assert assignment.next_assignment(session, leaver).kind == "vote"
        practice = select(Assignment).where(Assignment.rater_id == leaver, Assignment.kind == "practice")
        assert len(session.scalars(practice).all()) == 1


def test_once_two_raters_call_a_clip_broken_it_leaves_the_others_desks(engine):
    round_id, _ = make(engine)
    with writing(engine) as session:
        first = session.scalar(select(Assignment).where(Assignment.slot == 1))
        for slot in (1, 2):
            of_clip = select(Assignment).where(Assignment.clip_id == first.clip_id, Assignment.slot == slot)
            asked = session.scalar(of_clip)
            save_rating(session, asked.id, asked.rater_id, Answer(problem="broken_clip", reason="no sound"), f"b{slot}")
        left = session.scalars(select(Assignment).where(
            Assignment.clip_id == first.clip_id, Assignment.done_at.is_(None), Assignment.freed_at.is_(None),
            Assignment.kind != "practice")).all()  # fmt: skip
        assert left == []
        assert followups.clip_votes(session, round_id, first.clip_id).broken == 2
        # One of them looked again: the clip is asked about anew, by two who have not answered it.
        save_rating(session, first.id, first.rater_id, Answer("happy", 3), "again")
        standing = followups.clip_votes(session, round_id, first.clip_id)
        assert (standing.broken, standing.n_votes, len(standing.open)) == (1, 1, 2)


def test_a_further_vote_on_a_tie_stays_when_an_earlier_answer_is_merely_corrected(sqlite_engine):
    round_id, rater_ids = make(sqlite_engine, n_raters=5)
    with writing(sqlite_engine) as session:
        clip_id = held(session, round_id)[0].clip_id
        asked = [row for row in held(session, round_id) if row.clip_id == clip_id]
        for row, emotion in zip(asked, EMOTIONS, strict=False):
            save_rating(session, row.id, row.rater_id, Answer(emotion, 3), f"first:{row.id}")
        for _ in range(2):  # the fourth says the fourth emotion: tied still, and a fifth is asked
            further = followups.adjudicate(session, round_id, clip_id, "test")
            if further.slot == 4:
                save_rating(session, further.id, further.rater_id, Answer("neutral", 3), "fourth")
        save_rating(session, asked[0].id, asked[0].rater_id, Answer(EMOTIONS[0], 5), "stronger")
        assert [row.id for row in followups.clip_votes(session, round_id, clip_id).open] == [further.id]
        save_rating(session, asked[0].id, asked[0].rater_id, Answer(EMOTIONS[1], 5), "resolved")
        assert followups.clip_votes(session, round_id, clip_id).open == []


def test_who_joins_a_closed_round_or_one_they_are_in_is_refused(sqlite_engine):
    round_id, (rater_id, *_) = make(sqlite_engine)
    with writing(sqlite_engine) as session, pytest.raises(ValueError, match="is in the round 'r' already"):
        assignment.add_rater(session, round_id, rater_id, "test")
    with writing(sqlite_engine) as session:
        assignment.close_round(session, round_id, "test")
        assignment.close_round(session, round_id, "test")  # twice is once
        assert len(session.scalars(select(Event).where(Event.kind == "round.closed")).all()) == 1
    for refused in (assignment.add_rater, lambda *given: assignment.take_over(given[0], given[1], [given[2]], "test")):
        with writing(sqlite_engine) as session, pytest.raises(ValueError, match="is closed"):
            refused(session, round_id, rater_id, "test")


@functools.cache
def empty_database() -> bytes:
    """An SQLite database with all tables, made once: migrating takes longer than a whole story."""
    engine = connect("sqlite://")
    upgrade(engine)
    with contextlib.closing(engine.raw_connection()) as connection:
        return connection.driver_connection.serialize()


class Round(RuleBasedStateMachine):
    """Anything that may happen to a round, in any order."""

    @initialize()
    def start(self):
        self.engine = connect("sqlite://")
        with contextlib.closing(self.engine.raw_connection()) as connection:
            connection.driver_connection.deserialize(empty_database())
        self.round_id, self.rater_ids = make(self.engine)
        self.saved: dict[int, int] = {}  # assignment -> answers that were acknowledged

    def teardown(self):
        if hasattr(self, "engine"):
            self.engine.dispose()

    raters = st.integers(0, 6)
    answers = st.sampled_from([
        *(Answer(emotion, 3) for emotion in EMOTIONS), Answer(problem="cannot_tell", reason="x"),
        Answer(problem="broken_clip", reason="x"),
    ])  # fmt: skip

    def rater(self, number: int) -> int:
        return self.rater_ids[number % len(self.rater_ids)]

    @rule(number=raters, answer=answers, times=st.integers(1, 4))
    def rate(self, number, answer, times):
        for _ in range(times):
            with writing(self.engine) as session:
                given = assignment.next_assignment(session, self.rater(number))
                if given is None:
                    return
                key = f"{given.id}:1"
                assert not save_rating(session, given.id, self.rater(number), answer, key).duplicate
                assert save_rating(session, given.id, self.rater(number), answer, key).duplicate
            self.saved[given.id] = 1

    @precondition(lambda self: self.saved)
    @rule(which=st.integers(0, 99), answer=answers)
    def correct(self, which, answer):
        chosen = sorted(self.saved)[which % len(self.saved)]
        with writing(self.engine) as session:
            row = session.get_one(Assignment, chosen)
            self.saved[chosen] += 1
            stored = save_rating(session, chosen, row.rater_id, answer, f"{chosen}:{self.saved[chosen]}").rating
            assert stored.revision == self.saved[chosen]

    @rule(number=raters)
    def leave(self, number):
        with writing(self.engine) as session:
            assignment.release_rater(session, self.rater(number), "test")

    @rule(number=raters)
    def come_back(self, number):
        with writing(self.engine) as session:
            if assignment.next_assignment(session, self.rater(number)) is None:
                assignment.add_rater(session, self.round_id, self.rater(number), "test")

    @precondition(lambda self: len(self.rater_ids) < 7)
    @rule()
    def join(self):
        with writing(self.engine) as session:
            rater, _ = access.add_rater(session, f"late-{len(self.rater_ids)}")
            self.rater_ids.append(rater.id)
            assignment.add_rater(session, self.round_id, rater.id, "test")

    @rule()
    def ask_about_ties(self):
        with writing(self.engine) as session:
            followups.adjudicate_all(session, self.round_id, "test")
            assert votes.tied_clips(session, self.round_id) == []

    @invariant()
    def every_clip_can_still_get_its_votes_and_nobody_votes_twice(self):
        if not hasattr(self, "round_id"):
            return
        with reading(self.engine) as session:
            rows = held(session, self.round_id)
            pairs = [(row.clip_id, row.rater_id) for row in rows if row.rater_id is not None]
            assert len(pairs) == len(set(pairs))
            assert len({(row.clip_id, row.slot) for row in rows}) == len(rows)
            clips = set(session.scalars(select(Assignment.clip_id).where(Assignment.kind == "vote")))
            for clip_id in clips:
                standing = followups.clip_votes(session, self.round_id, clip_id)
                if standing.broken >= assignment.BROKEN_BY:
                    assert standing.open == []
                else:
                    assert standing.n_votes + len(standing.open) >= M
                    assert len(standing.open) <= max(M - standing.n_votes, int(standing.tied))
            newest = votes.answers(session, self.round_id)
            assert set(newest["assignment_id"]) == set(self.saved)
            assert len(votes.answers(session, self.round_id, "all")) == sum(self.saved.values())


Round.TestCase.settings = settings(max_examples=6, stateful_step_count=20, deadline=None,
                                   suppress_health_check=list(HealthCheck))  # fmt: skip
TestAnythingThatMayHappenToARound = Round.TestCase

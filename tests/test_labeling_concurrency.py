"""Raters who answer at the same moment, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from db import events
from db.models import Assignment, Rating
from db.session import reading, writing
from labeling import assignment, followups
from labeling.ratings import Answer, save_rating
from tests.rating_world import new_world


@pytest.fixture
def same_clip(engine):
    """One clip that three of six raters are asked about at the same time."""
    corpus_id, rater_ids = new_world(engine, n_raters=6, n_subjects=1, n_clips=1)
    with writing(engine) as session:
        round_id = assignment.create_round(
            session, corpus_id=corpus_id, name="r", rater_ids=rater_ids, practice_clips=1, actor="test"
        ).id
        asked = session.scalars(select(Assignment).where(Assignment.kind == "vote")).all()
        return engine, round_id, [(row.id, row.rater_id) for row in asked]


def all_at_once(engine, jobs: list[tuple[int, int, Answer, str]]) -> None:
    """Save these (assignment, rater, answer, key), each in a thread of its own that waits for the others."""
    start = threading.Barrier(len(jobs))

    def save(job: tuple[int, int, Answer, str]) -> None:
        start.wait(timeout=30)
        with writing(engine) as session:
            save_rating(session, *job)

    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(save, job) for job in jobs]:
            done.result()


def test_three_cannot_tells_at_once_ask_three_further_raters(same_clip):
    engine, round_id, asked = same_clip
    answer = Answer(problem="cannot_tell", reason="unclear")
    all_at_once(engine, [(row, rater, answer, f"k{row}") for row, rater in asked])
    with reading(engine) as session:
        further = session.scalars(select(Assignment).where(Assignment.kind == "adjudication")).all()
        assert sorted(row.slot for row in further) == [4, 5, 6]
        assert len({row.rater_id for row in further} | {rater for _, rater in asked}) == 6
        assert events.verify(session) is None


def test_two_who_call_a_clip_broken_at_once_exclude_it(same_clip):
    engine, round_id, asked = same_clip
    answer = Answer(problem="broken_clip", reason="no sound")
    all_at_once(engine, [(row, rater, answer, f"k{row}") for row, rater in asked[:2]])
    with reading(engine) as session:
        clip_id = session.scalar(select(Assignment.clip_id))
        standing = followups.clip_votes(session, round_id, clip_id)
        assert (standing.broken, standing.open) == (2, [])


def test_the_same_answer_from_many_tabs_is_stored_once_and_others_are_not_disturbed(same_clip):
    engine, _, asked = same_clip
    (mine, me), (theirs, them) = asked[:2]
    jobs = [(mine, me, Answer("happy", 4), "mine"), (theirs, them, Answer("angry", 2), "theirs")]
    all_at_once(engine, jobs * 6)
    with reading(engine) as session:
        stored = session.scalars(select(Rating).order_by(Rating.emotion)).all()
        assert [(row.emotion, row.revision) for row in stored] == [("angry", 1), ("happy", 1)]


def test_different_answers_from_two_tabs_become_two_revisions(same_clip):
    engine, _, asked = same_clip
    mine, me = asked[0]
    all_at_once(engine, [(mine, me, Answer("happy", n), f"tab {n}") for n in (1, 2, 3, 4)])
    with reading(engine) as session:
        stored = session.scalars(select(Rating).order_by(Rating.revision)).all()
        assert [row.revision for row in stored] == [1, 2, 3, 4]
        assert {row.intensity for row in stored} == {1, 2, 3, 4}


def test_a_key_that_belongs_to_another_answer_is_refused(same_clip):
    engine, _, asked = same_clip
    (mine, me), (theirs, them) = asked[:2]
    with writing(engine) as session:
        save_rating(session, mine, me, Answer("happy", 4), "key")
    with writing(engine) as session, pytest.raises(ValueError, match="'key' belongs to another answer"):
        save_rating(session, theirs, them, Answer("happy", 4), "key")

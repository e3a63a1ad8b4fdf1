"""Ratings that were collected elsewhere become votes like any other, marked as imported."""

import pandas as pd
import pytest
from sqlalchemy import select

from db import access
from db.models import Assignment, Clip, Event, Rater, Rating
from db.session import reading, writing
from labeling import assignment, followups, imported, votes
from labeling.exchange import BadRatings, parse_ratings
from labeling.ratings import Answer, save_rating
from tests.rating_world import new_world

HEADER = "subject,clip,rater,emotion,intensity\n"


def ratings(*lines: str) -> pd.DataFrame:
    """What is read from a file with these lines below the first."""
    return parse_ratings((HEADER + "\n".join(lines)).encode(), "votes.csv")


THREE = ("F1,F1_e01,ann,happy,4", "F1,F1_e01,bob,happy,5", "F1,F1_e01,cid,angry,2")


def bring_in(engine, corpus_id: int, *lines: str, name: str = "elsewhere") -> int:
    with writing(engine) as session:
        return imported.import_ratings(session, corpus_id, name, ratings(*lines), "test", file_name="votes.csv").id


def test_imported_ratings_are_votes_of_raters_marked_as_imported(engine):
    corpus_id, _ = new_world(engine)
    round_id = bring_in(engine, corpus_id, *THREE)
    with reading(engine) as session:
        counted = votes.votes(votes.answers(session, round_id))
        assert counted[["clip", "rater", "emotion", "intensity"]].values.tolist() == [
            ["F1_e01", "ann", "happy", 4], ["F1_e01", "bob", "happy", 5], ["F1_e01", "cid", "angry", 2]]  # fmt: skip
        assert counted["imported"].all() and not counted["simulated"].any()
        assert votes.clip_progress(session, round_id)[["slots", "answered"]].values.tolist() == [[3, 3]]
        raters = session.scalars(select(Rater).where(Rater.imported)).all()
        assert [rater.token_sha256 for rater in raters] == [None] * 3  # nobody can sign in as them
        assert session.scalar(select(Event.kind).order_by(Event.id.desc())) == "ratings.imported"


def test_a_clip_may_be_named_by_its_sentence(sqlite_engine):
    corpus_id, _ = new_world(sqlite_engine)
    round_id = bring_in(sqlite_engine, corpus_id, "F2,e03,ann,neutral,1")
    with reading(sqlite_engine) as session:
        assert votes.answers(session, round_id)["clip"].tolist() == ["F2_e03"]


def test_missing_votes_wait_for_a_rater_who_joins(sqlite_engine):
    corpus_id, (rater_id, *_) = new_world(sqlite_engine)
    round_id = bring_in(sqlite_engine, corpus_id, *THREE, "F1,F1_e02,ann,happy,4", "F1,F1_e02,bob,happy,5")
    with writing(sqlite_engine) as session:
        assert votes.clip_progress(session, round_id)["waiting"].tolist() == [0, 1]
        assert assignment.add_rater(session, round_id, rater_id, "test") == 1
        given = assignment.next_assignment(session, rater_id)
        save_rating(session, given.id, rater_id, Answer("happy", 3), "k")
    with reading(sqlite_engine) as session:
        assert votes.clip_progress(session, round_id)["complete"].all()


def test_a_tie_among_imported_votes_can_be_adjudicated(sqlite_engine):
    corpus_id, (rater_id, *_) = new_world(sqlite_engine)
    lines = ("F1,F1_e01,ann,happy,4", "F1,F1_e01,bob,angry,5", "F1,F1_e01,cid,neutral,2")
    round_id = bring_in(sqlite_engine, corpus_id, *lines)
    with writing(sqlite_engine) as session:
        (clip_id,) = votes.tied_clips(session, round_id)
        asked = followups.adjudicate(session, round_id, clip_id, "test")
        assert asked.rater_id is None  # nobody asks an imported rater
        assert assignment.add_rater(session, round_id, rater_id, "test") == 1
        given = assignment.next_assignment(session, rater_id)
        assert (given.kind, given.slot) == ("adjudication", 4)


def test_the_same_rater_may_appear_in_a_second_file(sqlite_engine):
    corpus_id, _ = new_world(sqlite_engine)
    bring_in(sqlite_engine, corpus_id, *THREE)
    bring_in(sqlite_engine, corpus_id, *THREE, name="again")
    with reading(sqlite_engine) as session:
        assert len(session.scalars(select(Rater).where(Rater.imported)).all()) == 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("F9,F9_e01,ann,happy,4", r"line 3: this corpus has no subject 'F9'; it has F1, F2"),
        ("F1,F1_E02,ann,happy,4", r"line 3: F1 has no clip 'F1_E02'; did you mean 'F1_e02'\?"),
        ("F1,F2_e01,ann,happy,4", r"line 3: F1 has no clip 'F2_e01'"),
        ("F1,F1_e05,ann,happy,4", r"line 3: F1_e05 is excluded from the corpus \(all ratings zero\)"),
        ("F1,F1_e02,rater-1,happy,4", r"line 3: rater-1 is a rater here, who rates through a link; rename"),
        (f"F1,F1_e02,{'x' * 65},happy,4", r"line 3: rater 'x{40}': a name has at most 64 printable"),
        ("F1,e01,ann,angry,1", r"line 3: ann voted on clip e01 of F1 already"),  # F1_e01 by another name
    ],
)
def test_what_does_not_fit_the_corpus_is_refused_with_its_line_and_nothing_is_stored(sqlite_engine, line, says):
    corpus_id, _ = new_world(sqlite_engine)
    with writing(sqlite_engine) as session:
        clip = session.scalar(select(Clip).where(Clip.name == "F1_e05"))
        clip.status, clip.status_reason = "outlier", "all ratings zero"
    with pytest.raises(BadRatings, match=f"(?s)votes.csv: 1 of 2 rows cannot be used.*{says}"):
        bring_in(sqlite_engine, corpus_id, "F1,F1_e01,ann,happy,4", line)
    with reading(sqlite_engine) as session:
        assert session.scalars(select(Assignment)).all() == []
        assert session.scalars(select(Rater).where(Rater.imported)).all() == []


def test_a_round_needs_a_free_name(sqlite_engine):
    corpus_id, _ = new_world(sqlite_engine)
    bring_in(sqlite_engine, corpus_id, *THREE)
    for name, says in (("elsewhere", "a round named 'elsewhere' already"), (" ", "needs a name")):
        with pytest.raises(ValueError, match=says):
            bring_in(sqlite_engine, corpus_id, *THREE, name=name)


# Into a running round -------------------------------------------------------------------------------------------


@pytest.fixture
def running(sqlite_engine) -> tuple:
    """A round of three raters, three votes on each of two clips, in which the first rater has answered all."""
    corpus_id, rater_ids = new_world(sqlite_engine, n_raters=3, n_subjects=1, n_clips=2)
    with writing(sqlite_engine) as session:
        round_id = assignment.create_round(session, corpus_id=corpus_id, name="here", rater_ids=rater_ids,
                                           repeat_share=0, practice_clips=0, actor="test").id  # fmt: skip
        while (given := assignment.next_assignment(session, rater_ids[0])) is not None:
            save_rating(session, given.id, rater_ids[0], Answer("happy", 4), f"{given.id}")
    return sqlite_engine, round_id, rater_ids


def into(engine, round_id: int, *lines: str) -> None:
    with writing(engine) as session:
        imported.import_into(session, round_id, ratings(*lines), "test", "votes.csv")


def test_an_imported_vote_takes_an_open_slot_so_that_a_clip_keeps_its_three_votes(running):
    engine, round_id, rater_ids = running
    into(engine, round_id, "F1,F1_e01,ann,sadness,2")
    with reading(engine) as session:
        progress = votes.clip_progress(session, round_id).set_index("clip")
        assert progress.loc["F1_e01", ["slots", "answered"]].tolist() == [3, 2]
        assert progress.loc["F1_e02", ["slots", "answered"]].tolist() == [3, 1]
        open_work = [assignment.progress(session, rater_id) for rater_id in rater_ids[1:]]
    assert sorted(progress.total - progress.done for progress in open_work) == [1, 2]


def test_a_waiting_slot_is_taken_before_somebodys_work(running):
    engine, round_id, rater_ids = running
    with writing(engine) as session:
        assignment.release_rater(session, rater_ids[1], "test")  # the others have voted or will: two slots wait
        assert votes.clip_progress(session, round_id)["waiting"].tolist() == [1, 1]
    into(engine, round_id, "F1,F1_e01,ann,sadness,2")
    with reading(engine) as session:
        assert votes.clip_progress(session, round_id)["waiting"].tolist() == [0, 1]
        assert assignment.progress(session, rater_ids[2]).total == 2


def test_more_votes_than_a_clip_needs_and_second_votes_are_refused(running):
    engine, round_id, _ = running
    with pytest.raises(BadRatings, match=r"line 4: clip F1_e01 of F1 has all its votes in this round"):
        into(engine, round_id, *(f"F1,F1_e01,{name},happy,3" for name in ("ann", "bob", "cid")))
    into(engine, round_id, "F1,F1_e01,ann,sadness,2")
    with pytest.raises(BadRatings, match=r"line 2: ann voted on clip F1_e01 in this round already"):
        into(engine, round_id, "F1,F1_e01,ann,sadness,2")
    with reading(engine) as session:
        assert len(session.scalars(select(Rating)).all()) == 3


def test_a_closed_round_takes_no_imported_votes(running):
    engine, round_id, _ = running
    with writing(engine) as session:
        assignment.close_round(session, round_id, "test")
    with pytest.raises(ValueError, match="is closed"):
        into(engine, round_id, "F1,F1_e01,ann,sadness,2")


def test_a_rater_who_rates_here_later_may_not_share_a_name_with_an_imported_one(sqlite_engine):
    corpus_id, _ = new_world(sqlite_engine)
    bring_in(sqlite_engine, corpus_id, *THREE)
    with writing(sqlite_engine) as session, pytest.raises(ValueError, match="named 'ann' already"):
        access.add_rater(session, "ann")

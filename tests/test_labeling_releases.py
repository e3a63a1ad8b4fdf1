"""A label release says what it rests on, and never changes."""

import json

import pandas as pd
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from db.models import Clip, Event, LabelRelease, OriginalRating
from db.session import reading, writing
from labeling import assignment, imported, releases
from labeling.algorithm1 import TooFewVotes
from labeling.exchange import as_csv, parse_ratings
from labeling.ratings import Answer, save_rating
from tests.rating_world import new_world

EMOTION = {"h": "happy", "a": "angry", "s": "sadness", "n": "neutral"}
# F1 is selected (mean 4), F2 is not (exactly 3); F1_e02 is tied.
VOTES = {"F1_e01": "h4 h5 a3", "F1_e02": "a4 s4 n4", "F2_e01": "n3 n3 h3"}


def votes_of(clips: dict[str, str]) -> pd.DataFrame:
    """Votes such as {"F1_e01": "h4 h5 a2"} by raters ann, bob, cid, as if read from a file."""
    lines = [f"{clip[:2]},{clip},{rater},{EMOTION[vote[0]]},{vote[1:]}"
             for clip, votes in clips.items()
             for rater, vote in zip(("ann", "bob", "cid"), votes.split(), strict=False)]  # fmt: skip
    return parse_ratings("\n".join(["subject,clip,rater,emotion,intensity", *lines]).encode(), "votes.csv")


def rated(engine, clips: dict[str, str] = VOTES, name: str = "round") -> int:
    corpus_id, _ = new_world(engine)
    with writing(engine) as session:
        return imported.import_ratings(session, corpus_id, name, votes_of(clips), "test").id


def release(engine, round_id: int, name: str = "labels-1", policy: str = "adjudicate", **flags) -> LabelRelease:
    with reading(engine) as session:
        found = releases.preview(session, round_id, policy)
    with writing(engine) as session:
        return releases.make_release(session, found, name=name, actor="researcher:1", **flags)


def test_a_release_has_the_labels_and_subjects_of_algorithm_1(engine):
    made = release(engine, rated(engine))
    with reading(engine) as session:
        labels = releases.release_labels(session, made.id)
        subjects = releases.release_subjects(session, made.id)
    assert as_csv(labels).splitlines() == [
        "subject,clip,label,tie,n_votes,happy,angry,sadness,neutral,mean_intensity",
        "F1,F1_e01,happy,false,3,2,1,0,0,4", "F1,F1_e02,,true,3,0,1,1,1,4", "F2,F2_e01,neutral,false,3,1,0,0,2,3",
    ]  # fmt: skip
    assert subjects[["subject", "score", "n_ratings", "selected"]].values.tolist() == [
        ["F1", 4.0, 6, True], ["F2", 3.0, 3, False]]  # fmt: skip
    f1 = subjects.iloc[0]
    assert f1["score_low"] < 4 < f1["score_high"]
    assert pd.isna(subjects["score_low"].iloc[1])  # one clip: no interval


def test_a_release_says_what_it_rests_on(engine):
    made = release(engine, rated(engine))
    assert (made.policy, made.minimum_votes, made.threshold) == ("adjudicate", 3, 3.0)
    assert (made.n_ratings, made.n_ties) == (9, 1)
    assert made.simulated is False
    summary = made.summary
    assert summary["labels"] == {"happy": 1, "angry": 0, "sadness": 0, "neutral": 1}
    assert summary["votes"] == {"happy": 3, "angry": 2, "sadness": 1, "neutral": 3}
    assert summary["selected"] == ["F1"]
    assert summary["imported_raters"] == ["ann", "bob", "cid"]
    assert summary["missing"] == [] and summary["excluded"] == {}
    assert [row["rater"] for row in summary["without_each_rater"]] == ["ann", "bob", "cid"]
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    with reading(engine) as session:
        last = session.scalar(select(Event).order_by(Event.id.desc()))
    assert last.kind == "release.made"
    assert json.loads(last.payload)["sha256"] == made.sha256


def test_the_policy_paper_labels_ties_and_still_counts_them(sqlite_engine):
    made = release(sqlite_engine, rated(sqlite_engine), policy="paper")
    assert (made.n_ties, made.summary["labels"]["angry"]) == (1, 1)


def test_the_database_itself_refuses_to_change_a_release(engine):
    made = release(engine, rated(engine))
    with reading(engine) as session:
        assert releases.unchanged(session, session.get_one(LabelRelease, made.id))
    for statement in ("UPDATE release_labels SET label = 'happy'", "DELETE FROM label_releases",
                      "UPDATE release_subjects SET selected = NOT selected"):  # fmt: skip
        with pytest.raises(DatabaseError, match="append-only"), writing(engine) as session:
            session.execute(text(statement))


def test_a_change_behind_the_databases_back_shows(sqlite_engine):
    made = release(sqlite_engine, rated(sqlite_engine))
    with writing(sqlite_engine) as session:
        session.execute(text("DROP TRIGGER release_labels_refuse_update"))
        session.execute(text("UPDATE release_labels SET label = 'angry' WHERE label = 'happy'"))
    with reading(sqlite_engine) as session:
        assert not releases.unchanged(session, session.get_one(LabelRelease, made.id))


def test_the_hash_of_the_ratings_is_the_same_for_the_same_votes_only():
    votes = votes_of(VOTES).astype(object)
    assert releases.ratings_digest(votes) == releases.ratings_digest(votes.sample(frac=1, random_state=1))
    for change in ({"intensity": 1}, {"emotion": "angry"}, {"rater": "dan"}, {"clip": "F1_e03"}):
        changed = votes.copy()
        for column, value in change.items():
            changed.loc[changed.index[0], column] = value
        assert releases.ratings_digest(changed) != releases.ratings_digest(votes)


def test_clips_without_their_votes_are_named_and_refused_unless_partial_is_allowed(sqlite_engine):
    round_id = rated(sqlite_engine, VOTES | {"F2_e02": "h1 h1"})
    with pytest.raises(TooFewVotes, match="1 clips have fewer than 3 votes: F2_e02") as refused:
        release(sqlite_engine, round_id)
    assert refused.value.clips == ["F2_e02"]
    with reading(sqlite_engine) as session:
        assert session.scalars(select(LabelRelease)).all() == []
    made = release(sqlite_engine, round_id, allow_partial=True)
    assert made.summary["missing"] == ["F2_e02"]
    with reading(sqlite_engine) as session:
        labels = releases.release_labels(session, made.id).set_index("clip")
    assert labels.loc["F2_e02", "label"] is None
    assert labels.loc["F2_e02", "n_votes"] == 2


def test_a_clip_that_nobody_has_rated_is_missing_too(sqlite_engine):
    corpus_id, rater_ids = new_world(sqlite_engine, n_subjects=1, n_clips=2, n_raters=3)
    with writing(sqlite_engine) as session:
        round_id = assignment.create_round(session, corpus_id=corpus_id, name="r", rater_ids=rater_ids, actor="test",
                                           repeat_share=0, practice_clips=0).id  # fmt: skip
    with reading(sqlite_engine) as session, pytest.raises(ValueError, match="the round 'r' has no vote yet"):
        releases.preview(session, round_id)
    with writing(sqlite_engine) as session:
        given = assignment.next_assignment(session, rater_ids[0])
        rated_clip = given.clip.name
        save_rating(session, given.id, rater_ids[0], Answer("happy", 5), "k")
    with reading(sqlite_engine) as session:
        found = releases.preview(session, round_id)
    assert found.missing == ["F1_e01", "F1_e02"]
    assert found.result.labels["clip"].tolist() == [rated_clip]


def test_ratings_that_came_in_since_the_preview_refuse_the_release(sqlite_engine):
    corpus_id, rater_ids = new_world(sqlite_engine, n_raters=3)
    with writing(sqlite_engine) as session:
        round_id = assignment.create_round(session, corpus_id=corpus_id, name="r", rater_ids=rater_ids, actor="test",
                                           practice_clips=0).id  # fmt: skip
        first = assignment.next_assignment(session, rater_ids[0])
        save_rating(session, first.id, rater_ids[0], Answer("happy", 5), "k")
    with reading(sqlite_engine) as session:
        found = releases.preview(session, round_id)
    with writing(sqlite_engine) as session:
        save_rating(session, first.id, rater_ids[0], Answer("angry", 5), "corrected")
    with pytest.raises(ValueError, match="raters have rated since"), writing(sqlite_engine) as session:
        releases.make_release(session, found, name="x", allow_partial=True, actor="test")


def test_the_votes_of_a_release_can_be_told_after_raters_corrected_them(engine):
    corpus_id, rater_ids = new_world(engine, n_raters=3)
    with writing(engine) as session:
        round_id = assignment.create_round(session, corpus_id=corpus_id, name="r", rater_ids=rater_ids, actor="test",
                                           practice_clips=0).id  # fmt: skip
        first = assignment.next_assignment(session, rater_ids[0])
        save_rating(session, first.id, rater_ids[0], Answer("happy", 5), "k")
    made = release(engine, round_id, allow_partial=True)
    with writing(engine) as session:
        save_rating(session, first.id, rater_ids[0], Answer("angry", 2), "corrected")
    with reading(engine) as session:
        votes = releases.release_votes(session, session.get_one(LabelRelease, made.id))
    assert votes[["emotion", "intensity", "revision"]].values.tolist() == [["happy", 5, 1]]


def test_votes_that_are_not_those_of_the_release_are_not_passed_off_as_them(sqlite_engine):
    made = release(sqlite_engine, rated(sqlite_engine))
    made.ratings_sha256 = "0" * 64
    with reading(sqlite_engine) as session, pytest.raises(ValueError, match="not those that its hash was taken of"):
        releases.release_votes(session, made)


def test_names_are_checked_and_never_used_twice(sqlite_engine):
    round_id = rated(sqlite_engine)
    made = release(sqlite_engine, round_id)
    with reading(sqlite_engine) as session:
        assert releases.next_name(session, made.corpus_id) == "labels-2"
    with pytest.raises(ValueError, match="a release named 'labels-1' already; releases never change"):
        release(sqlite_engine, round_id)
    with pytest.raises(ValueError, match="release '../labels'"):
        release(sqlite_engine, round_id, name="../labels")


def test_the_categories_before_are_the_adjectives_rated_highest(sqlite_engine):
    round_id = rated(sqlite_engine)
    with writing(sqlite_engine) as session:
        clips = session.scalars(select(Clip).order_by(Clip.name)).all()
        for clip, scores in zip(clips, ((3, 1), (2, 4), (2, 2), (5, 0)), strict=False):
            session.add_all(OriginalRating(clip_id=clip.id, adjective=word, score=score)
                            for word, score in zip(("sad", "tense"), scores, strict=True))  # fmt: skip
        clips[3].status = "outlier"  # not one of those that are relabelled
        corpus_id = clips[0].corpus_id
    with reading(sqlite_engine) as session:
        assert releases.original_counts(session, corpus_id) == {"sad": 1, "tense": 1, "several": 1}
    assert release(sqlite_engine, round_id).summary["original"] == {"sad": 1, "tense": 1, "several": 1}


def test_labels_of_a_synthetic_corpus_are_called_simulated(sqlite_engine):
    corpus_id, _ = new_world(sqlite_engine, synthetic=True)
    with writing(sqlite_engine) as session:
        round_id = imported.import_ratings(session, corpus_id, "r", votes_of(VOTES), "test").id
    assert release(sqlite_engine, round_id).simulated is True

"""Raters that a program plays: marked everywhere, the same for the same seed, never a person's."""

import random
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from db import events
from db.models import Corpus, LabelingRound, Rater, Rating
from db.session import reading, writing
from labeling import agreement, assignment, releases, simulate, votes
from labeling.emotions import EMOTIONS
from labeling.ratings import Answer, save_rating
from labeling.simulate import Manner, Truth, answer_of, main
from tests.rating_world import new_world

CLIPS = [f"F{subject}_e{number:02d}" for subject in (1, 2, 3) for number in range(1, 9)]


@pytest.fixture
def corpus_id(sqlite_engine, tmp_path: Path) -> int:
    """A synthetic corpus of 24 clips with its truth: F1 at intensity 4.5, F2 at 3, F3 at 1.5."""
    corpus_id, _ = new_world(sqlite_engine, n_subjects=3, n_clips=8, name="demo", synthetic=True)
    rows = [f"{clip},{EMOTIONS[n % 4]},{ {'1': 4.5, '2': 3, '3': 1.5}[clip[1]] }\n" for n, clip in enumerate(CLIPS)]
    (tmp_path / "truth.csv").write_text("clip,emotion,intensity\n" + "".join(rows))
    with writing(sqlite_engine) as session:
        session.get_one(Corpus, corpus_id).source = str(tmp_path)
    return corpus_id


def round_of(engine, name: str) -> LabelingRound:
    with reading(engine) as session:
        return session.scalar(select(LabelingRound).where(LabelingRound.name == name))


def answers_of(engine, name: str):
    with reading(engine) as session:
        return votes.answers(session, round_of(engine, name).id)


def test_the_command_makes_a_round_and_answers_all_of_it(sqlite_engine, corpus_id, capsys):
    assert main(["--round", "r"]) == 0
    assert capsys.readouterr().out.endswith("simulated answers in the round 'r'\n")
    found = answers_of(sqlite_engine, "r")
    assert found["simulated"].all()
    with reading(sqlite_engine) as session:
        round_id = round_of(sqlite_engine, "r").id
        assert votes.clip_progress(session, round_id)["complete"].all()
        assert len(votes.votes(found)) >= 3 * len(CLIPS)
        assert set(found["kind"]) >= {"vote", "practice", "repeat"}
        simulated = session.scalars(select(Rater).where(Rater.simulated)).all()
        assert [(rater.name, rater.token_sha256) for rater in simulated] == [
            (f"simulated-{number}", None) for number in range(1, 6)]  # fmt: skip
        assert events.verify(session) is None


def test_their_release_finds_the_expressive_subject_and_is_called_simulated(sqlite_engine, corpus_id):
    assert main(["--round", "r"]) == 0
    with reading(sqlite_engine) as session:
        found = releases.preview(session, round_of(sqlite_engine, "r").id)
        alpha = agreement.krippendorff_alpha(found.votes, "emotion", resamples=20)
    assert found.simulated
    assert "F1" in found.result.selected and "F3" not in found.result.selected
    assert len(found.summary["simulated_raters"]) == 5
    assert alpha.value > 0.4
    truth = {clip: EMOTIONS[n % 4] for n, clip in enumerate(CLIPS)}
    labels = found.result.labels.dropna(subset="label")
    assert (labels["label"] == labels["clip"].map(truth)).mean() > 0.8


def test_the_same_seed_gives_the_same_answers(sqlite_engine, corpus_id):
    rng = [random.Random(5), random.Random(5), random.Random(6)]
    manner = Manner(0.8, 0, 0.6, 0.05)
    told = [[answer_of(Truth("angry", 3), manner, chance) for _ in range(30)] for chance in rng]
    assert told[0] == told[1] != told[2]


def test_simulated_raters_err_as_their_manner_says():
    chance = random.Random(0)
    careful, sloppy = (Counter(answer_of(Truth("happy", 4), Manner(accuracy, 0, 0.5, 0), chance).emotion
                               for _ in range(2000)) for accuracy in (0.95, 0.6))  # fmt: skip
    assert careful["happy"] > 1850 > sloppy["happy"] > 1000
    assert sloppy["neutral"] > sloppy["angry"]  # what is not clear looks like nothing
    weak = Counter(answer_of(Truth("happy", 1), Manner(0.8, 0, 0.5, 0), chance).emotion for _ in range(2000))
    strong = Counter(answer_of(Truth("happy", 5), Manner(0.8, 0, 0.5, 0), chance).emotion for _ in range(2000))
    assert weak["happy"] < strong["happy"]
    assert all(answer_of(Truth("happy", 3), Manner(1, 0, 0, 1), chance).problem == "cannot_tell" for _ in range(20))


def test_a_share_leaves_the_rest_open_and_a_second_run_answers_it(sqlite_engine, corpus_id):
    assert main(["--round", "r", "--share", "0.5"]) == 0
    half = len(answers_of(sqlite_engine, "r"))
    assert main(["--round", "r"]) == 0
    whole = len(answers_of(sqlite_engine, "r"))
    assert 0.4 * whole < half < 0.6 * whole
    assert main(["--round", "r"]) == 0  # nothing is left: nothing happens
    assert len(answers_of(sqlite_engine, "r")) == whole


def test_simulated_raters_fill_in_what_people_left_open_and_touch_nothing_else(sqlite_engine, corpus_id):
    with writing(sqlite_engine) as session:
        people = list(session.scalars(select(Rater.id)))
        round_id = assignment.create_round(session, corpus_id=corpus_id, name="r", rater_ids=people, actor="test").id
        for _ in range(6):
            given = assignment.next_assignment(session, people[0])
            save_rating(session, given.id, people[0], Answer("sadness", 2), f"k{given.id}")
    assert main(["--round", "r", "--raters", "3", "--fill-in"]) == 0
    found = answers_of(sqlite_engine, "r")
    mine = found[found["rater_id"] == people[0]]
    assert len(mine) == 6 and set(mine["emotion"]) == {"sadness"}
    assert set(found["rater_id"]) & set(people) == {people[0]}
    with reading(sqlite_engine) as session:
        progress = votes.clip_progress(session, round_id)
        assert progress["complete"].all()
        counted = votes.votes(found)
        assert counted.groupby("clip")["rater"].nunique().tolist() == counted.groupby("clip").size().tolist()
        assert counted.groupby("clip").size().min() == 3
        assert [assignment.next_assignment(session, person) for person in people] == [None] * 5


def test_a_round_without_simulated_raters_is_refused_with_the_way_out(sqlite_engine, corpus_id, capsys):
    with writing(sqlite_engine) as session:
        people = list(session.scalars(select(Rater.id)))
        assignment.create_round(session, corpus_id=corpus_id, name="r", rater_ids=people, actor="test")
    assert main(["--round", "r"]) == 1
    assert "no simulated rater; let some fill it in (--fill-in)" in capsys.readouterr().err
    assert main(["--round", "r", "--raters", "2", "--fill-in"]) == 1
    assert "2 simulated raters, but a clip needs 3 votes" in capsys.readouterr().err
    with reading(sqlite_engine) as session:
        assert session.scalars(select(Rating)).all() == []
        assert session.scalars(select(Rater).where(Rater.simulated)).all() == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--corpus", "biwi"), "no corpus named 'biwi'"),
        (("--share", "0"), "--share 0.0: expected more than 0"),
        (("--raters", "0"), "--raters 0: at least one"),
        (("--raters", "2"), "2 raters, but every clip needs 3"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_made(sqlite_engine, corpus_id, capsys, flags, says):
    assert main(["--round", "r", *flags]) == 1
    assert says in capsys.readouterr().err
    with reading(sqlite_engine) as session:
        assert session.scalars(select(LabelingRound)).all() == []
        assert session.scalars(select(Rater).where(Rater.simulated)).all() == []


def test_only_a_synthetic_corpus_with_its_truth_can_be_rated_by_a_program(sqlite_engine, corpus_id, tmp_path, capsys):
    (tmp_path / "truth.csv").unlink()
    assert main([]) == 1
    assert "truth.csv: not there" in capsys.readouterr().err
    with writing(sqlite_engine) as session:
        session.get_one(Corpus, corpus_id).synthetic = False
    assert main([]) == 1
    assert "not a synthetic corpus; only people can rate it" in capsys.readouterr().err


def test_a_clip_without_truth_is_named(sqlite_engine, corpus_id, tmp_path, capsys):
    (tmp_path / "truth.csv").write_text("clip,emotion,intensity\nF1_e01,happy,3\n")
    assert simulate.main([]) == 1
    assert "not in truth.csv; is the corpus folder another one" in capsys.readouterr().err

"""Raters that a program plays, for the demo corpus and for tests; marked as simulated wherever their answers count.

A simulated rater knows what each clip was made to show (`truth.csv` of a synthetic corpus) and errs like a person: a
personal share of clips is heard as another emotion, weak emotions more often as neutral, and intensities scatter around
the truth with a personal bias. They go through `save_rating`, as everybody does.

    python -m labeling.simulate --corpus demo --raters 5 --round first-round
    python -m labeling.simulate --corpus demo --raters 5 --round with-people --fill-in
"""

import argparse
import csv
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session, joinedload

from db import access
from db.models import Assignment, Corpus, LabelingRound, Rater
from db.progress import show_progress
from db.session import DatabaseUnusable, open_database, reading, writing
from labeling.assignment import create_round, take_over
from labeling.emotions import EMOTIONS
from labeling.ratings import Answer, save_rating

AT_ONCE = 20  # answers in one transaction


@dataclass(frozen=True)
class Truth:
    """What a clip was made to show."""

    emotion: str
    intensity: float  # 1..5


@dataclass(frozen=True)
class Manner:
    """How one simulated rater errs."""

    accuracy: float  # probability of hearing a clearly expressed emotion as what it is
    bias: float  # added to every intensity
    scatter: float  # standard deviation of intensities
    cannot_tell: float  # probability of giving no answer


def manner_of(chance: random.Random) -> Manner:
    """A rater's manner, drawn once."""
    return Manner(chance.uniform(0.78, 0.92), chance.uniform(-0.25, 0.25), chance.uniform(0.4, 0.7), 0.01)


def answer_of(truth: Truth, manner: Manner, chance: random.Random) -> Answer:
    """What a rater with this manner says to a clip."""
    watched = {"plays": 1, "coverage": 1.0, "watched_s": chance.uniform(4, 9)}
    if chance.random() < manner.cannot_tell:
        return Answer(problem="cannot_tell", reason="too little to see or hear (simulated)", **watched)
    # What is expressed at 2 is missed about twice as often as what is expressed at 4.
    missed = (1 - manner.accuracy) * (1.6 - 0.2 * truth.intensity) * (0.5 if truth.emotion == "neutral" else 1)
    emotion = truth.emotion
    if chance.random() < missed:
        others = [other for other in EMOTIONS if other != truth.emotion]
        emotion = chance.choices(others, [3 if other == "neutral" else 1 for other in others])[0]
    intensity = round(chance.gauss(truth.intensity + manner.bias, manner.scatter))
    return Answer(emotion=emotion, intensity=min(5, max(1, intensity)), **watched)


def read_truth(corpus: Corpus) -> dict[str, Truth]:
    """clip -> truth of a synthetic corpus. Raises ValueError if the corpus is real, or has no truth.csv."""
    if not corpus.synthetic:
        raise ValueError(f"{corpus.name} is not a synthetic corpus; only people can rate it")
    path = Path(corpus.source) / "truth.csv"
    if not path.is_file():
        raise ValueError(f"{path}: not there; simulated raters need the truth that a demo corpus is written with")
    with path.open(newline="", encoding="utf-8") as file:
        return {row["clip"]: Truth(row["emotion"], float(row["intensity"])) for row in csv.DictReader(file)}


def add_simulated_raters(session: Session, n: int, actor: str) -> list[Rater]:
    """`n` new raters that nobody can sign in as."""
    raters = []
    taken = set(session.scalars(select(Rater.name)))
    names = (f"simulated-{number}" for number in range(1, len(taken) + n + 1))
    for name in [name for name in names if name not in taken][:n]:
        rater, _ = access.add_rater(session, name, actor=actor)
        rater.simulated, rater.token_sha256 = True, None
        raters.append(rater)
    session.flush()
    return raters


def fill_in(session: Session, round_id: int, n: int, actor: str) -> list[Rater]:
    """`n` simulated raters take over all that is open for people in a round; what people rated stays and counts.

    Raises ValueError if the round is closed, or there are fewer raters than votes per clip.
    """
    votes_per_clip = session.get_one(LabelingRound, round_id).votes_per_clip
    if n < votes_per_clip:
        raise ValueError(f"{n} simulated raters, but a clip needs {votes_per_clip} votes of different ones")
    raters = add_simulated_raters(session, n, actor)
    take_over(session, round_id, [rater.id for rater in raters], actor)
    return raters


def answer_all(engine: Engine, round_id: int, seed: int = 0, share: float = 1.0) -> int:
    """Let the simulated raters of a round answer what is open for them, or a share of it; returns how many answers.

    Follow-ups (a further rater for "cannot tell") are answered as they come up, while share is 1.
    Raises ValueError for a corpus that is not synthetic, and a round without a simulated rater.
    """
    with reading(engine) as session:
        truth = read_truth(session.get_one(LabelingRound, round_id).corpus)
        raters = session.scalars(
            select(Rater).join(Assignment, Assignment.rater_id == Rater.id)
            .where(Assignment.round_id == round_id, Rater.simulated, Rater.revoked_at.is_(None))
            .order_by(Rater.id).distinct()
        ).all()  # fmt: skip
        waiting = {rater.id: len(session.scalars(_open(round_id, rater.id)).all()) for rater in raters}
    if not raters:
        raise ValueError("the round has no simulated rater; let some fill it in (--fill-in)")
    total, done = sum(round(share * n) for n in waiting.values()), 0
    left = {rater_id: math.inf if share >= 1 else round(share * n) for rater_id, n in waiting.items()}
    with show_progress("simulated answers") as progress:
        answered = 1
        while answered:
            answered = 0
            for rater in raters:
                while n := _answer_some(engine, rater, round_id, truth, seed, min(AT_ONCE, left[rater.id])):
                    left[rater.id] -= n
                    answered += n
                    progress(done + answered, max(total, done + answered), rater.name)
            done += answered
    return done


def _open(round_id: int, rater_id: int) -> Select:
    return (
        select(Assignment)
        .where(Assignment.round_id == round_id, Assignment.rater_id == rater_id, Assignment.done_at.is_(None),
               Assignment.freed_at.is_(None))
        .order_by(Assignment.position, Assignment.id)
    )  # fmt: skip


def _answer_some(
    engine: Engine, rater: Rater, round_id: int, truth: dict[str, Truth], seed: int, at_most: int
) -> int:
    """Answer the rater's next clips, a few in one transaction so that people wait for none of it; how many."""
    manner = manner_of(random.Random(f"{seed}/{rater.name}"))
    with writing(engine) as session:
        wanted = _open(round_id, rater.id).limit(at_most)
        given = session.scalars(wanted.options(joinedload(Assignment.clip))).all()
        for assignment in given:
            clip = assignment.clip.name
            if clip not in truth:
                raise ValueError(f"{clip}: not in truth.csv; is the corpus folder another one than was imported?")
            chance = random.Random(f"{seed}/{rater.name}/{clip}/{assignment.kind}")
            answer = answer_of(truth[clip], manner, chance)
            save_rating(session, assignment.id, rater.id, answer, f"simulated:{assignment.id}")
    return len(given)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m labeling.simulate",
        description="Let simulated raters label a synthetic corpus. They are marked as simulated everywhere.",
    )
    parser.add_argument("--corpus", default="demo", help="name of an imported synthetic corpus (demo)")
    parser.add_argument("--round", default="simulated-round",
                        help="a round to answer; made if there is none of this name")
    parser.add_argument("--raters", type=int, default=5, help="how many simulated raters a new round gets (5)")
    parser.add_argument("--fill-in", action="store_true",
                        help="in a round with people: new simulated raters take over all that is open for them")
    parser.add_argument("--share", type=float, default=1.0, help="share of the open clips to answer (1)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if not 0 < options.share <= 1:
            raise ValueError(f"--share {options.share}: expected more than 0, at most 1")
        engine = open_database()
        round_id = _round(engine, options)
        n = answer_all(engine, round_id, options.seed, options.share)
    except (ValueError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{n} simulated answers in the round {options.round!r}")
    return 0


def _round(engine: Engine, options: argparse.Namespace) -> int:
    with writing(engine) as session:
        corpus = session.scalar(select(Corpus).where(Corpus.name == options.corpus))
        if corpus is None:
            raise ValueError(f"there is no corpus named {options.corpus!r}; make one with `python -m db.corpus demo`")
        read_truth(corpus)
        found = session.scalar(select(LabelingRound).where(LabelingRound.name == options.round))
        if found is None:
            if options.raters < 1:
                raise ValueError(f"--raters {options.raters}: at least one is needed")
            raters = add_simulated_raters(session, options.raters, "command")
            found = create_round(session, corpus_id=corpus.id, name=options.round, seed=options.seed,
                                 rater_ids=[rater.id for rater in raters], actor="command")  # fmt: skip
        elif found.corpus_id != corpus.id:
            raise ValueError(f"the round {options.round!r} belongs to another corpus")
        elif options.fill_in:
            fill_in(session, found.id, options.raters, "command")
        return found.id


if __name__ == "__main__":
    raise SystemExit(main())

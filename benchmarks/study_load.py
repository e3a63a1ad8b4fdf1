"""How long participants of a study wait after an answer, and what survives when the server is killed.

    python -m benchmarks.study_load                     25 participants at once, a trial every 3-6 s each, for 30 s
    python -m benchmarks.study_load --kills 100         SIGKILL the server 100 times while they answer

The real server (`streamlit run workbench/Home.py`), a data root of its own, the real websocket protocol; films of
0.25 MB are fetched as the page fetches them. A wait is counted from sending the answer until the page run that
confirms it has ended and the next trial is on the page; a stall is a next trial whose films, fetched ahead, had not
arrived when it came. Server and participants share this machine's cores.
"""

import argparse
import asyncio
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, case, func, select

from benchmarks.study_client import Participant
from db import store
from db.session import open_database, reading, writing
from db.study_models import Stimulus, Study, StudyParticipant, StudyResponse, StudyTrial
from evaluation.study import joining, serving
from tests.app_server import AppServer
from tests.study_world import ab_design, launched
from workbench.rater.seal import unseal

PERSON = (3.0, 6.0)  # seconds for a trial
HASTE = (0.9, 1.2)  # two films of half a second must have been played
FILM_BYTES = 250_000
AT_FULL_TRAFFIC_S = (0.0, 0.5)  # until the next kill, once answers arrive again


@dataclass(frozen=True)
class World:
    """A study, and the tokens of those who take part in it."""

    engine: Engine
    study: Study
    tokens: dict[int, str]  # participant id -> token of the personal link


def make_world(root: Path, n: int, n_clips: int, film_bytes: int) -> World:
    """A study of 2 x `n_clips` pairs whose films are bytes, and `n` participants at their first trial."""
    os.environ["EAVANET_DATA"] = str(root)
    engine = open_database()
    study = launched(engine, ab_design(n_clips, n + n % 2, break_after=0))
    tokens = {}
    with writing(engine) as session:
        for stored in session.scalars(select(Stimulus.path).where(Stimulus.study_id == study.id)):
            store.stored_path(stored).write_bytes(os.urandom(1024) * (film_bytes // 1024))
        for invited in joining.invite(session, study.id, n, "command"):
            serving.consent(session, invited.participant_id)
            serving.sound_checked(session, invited.participant_id)
            serving.instructions_read(session, invited.participant_id)
            tokens[invited.participant_id] = invited.token
    return World(engine, study, tokens)


@contextmanager
def _served(n: int, n_clips: int, film_bytes: int, pause_s: tuple[float, float]) -> Iterator[tuple]:
    with tempfile.TemporaryDirectory(prefix="eavanet-study-") as folder:
        world = make_world(Path(folder), n, n_clips, film_bytes)
        server = AppServer(Path(folder))
        people = [Participant(server.url, token, pause_s, film_bytes > 1024, seed)
                  for seed, token in world.tokens.items()]  # fmt: skip
        try:
            yield world, server, people
        finally:
            server.stop()
            world.engine.dispose()


def measure(n: int, seconds: float, pause_s: tuple[float, float] = PERSON) -> dict:
    """Waiting times of `n` participants at once over `seconds`, in milliseconds."""
    n_clips = max(10, round(seconds / pause_s[0]))
    with _served(n, n_clips, FILM_BYTES, pause_s) as (world, server, people):
        asyncio.run(_answer(people, seconds))
        waits = sorted(1000 * save.seconds for person in people for save in person.saves)
        return {
            "participants": n, "seconds": seconds,
            **{f"p{share}_ms": round(waits[min(len(waits) - 1, share * len(waits) // 100)]) for share in (50, 95, 99)},
            "max_ms": round(waits[-1]), "answers_per_s": round(len(waits) / seconds, 1),
            "stalls": sum(person.stalls for person in people),
            "problems": _problems(people, server.log()), **check_database(world, people),
        }  # fmt: skip


def kill_repeatedly(n: int, kills: int, seed: int = 1) -> dict:
    """Kill the server `kills` times in mid-traffic; participants connect again and repeat what was not confirmed."""
    with _served(n, min(190, 20 + 4 * kills), 1024, HASTE) as (world, server, people):
        asyncio.run(_answer_and_kill(people, server, kills, random.Random(seed)))
        return {
            "participants": n, "kills": kills, "reconnections": sum(person.reconnections for person in people),
            "sent_more_than_once": sum(save.attempts > 1 for person in people for save in person.saves),
            "problems": _problems(people, server.log()), **check_database(world, people),
        }  # fmt: skip


def check_database(world: World, people: list[Participant]) -> dict:
    """Compare what the participants were told with what is stored: lost, stored twice, stored differently."""
    with reading(world.engine) as session:
        rows = session.execute(
            select(StudyTrial.participant_id, StudyTrial.number, StudyResponse.question, StudyResponse.preferred)
            .join(StudyTrial, StudyTrial.id == StudyResponse.trial_id)
        ).all()
        balance = _balance(session, world.study.id)
    stored = {(who, number, question): preferred for who, number, question, preferred in rows}
    told = [(*unseal(save.key), question, value) for person in people for save in person.saves
            for question, value in save.answers.items()]  # fmt: skip
    return {
        "acknowledged": len(told), "stored": len(rows), "lost": sum(one[:3] not in stored for one in told),
        "stored_differently": sum(stored.get(one[:3], one[3]) != one[3] for one in told),
        "stored_twice": len(rows) - len(stored), "largest_side_imbalance": balance,
    }  # fmt: skip


def _balance(session, study_id: int) -> int:
    """Over participants and comparisons: the largest difference between the first system's times left and right."""
    lowest = select(func.min(Stimulus.system_id)).where(Stimulus.study_id == study_id).scalar_subquery()
    first = Stimulus.system_id == lowest
    lefts = session.execute(
        select(StudyTrial.participant_id, StudyTrial.block, func.count(), func.sum(case((first, 1), else_=0)))
        .join(Stimulus, Stimulus.id == StudyTrial.left_id)
        .join(StudyParticipant, StudyParticipant.id == StudyTrial.participant_id)
        .where(StudyParticipant.study_id == study_id, StudyTrial.role == "main")
        .group_by(StudyTrial.participant_id, StudyTrial.block)
    )
    return max(abs(2 * left - trials) for _, _, trials, left in lefts)


async def _answer(people: list[Participant], seconds: float) -> None:
    for person in people:  # they come one after another, as people do
        await person.open()
    await asyncio.gather(*(person.answer_until(time.monotonic() + seconds) for person in people))


async def _answer_and_kill(people: list[Participant], server: AppServer, kills: int, dice: random.Random) -> None:
    tasks = [asyncio.create_task(person.answer_until(float("inf"))) for person in people]
    for number in range(kills):
        await _more_answers(people, len(people))
        await asyncio.sleep(dice.uniform(*AT_FULL_TRAFFIC_S))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        print(f"\r{number + 1} of {kills} kills", end="", file=sys.stderr, flush=True)
    await _more_answers(people, len(people))
    for person in people:
        person.stop()
    await asyncio.gather(*tasks)
    print(file=sys.stderr)


async def _more_answers(people: list[Participant], count: int) -> None:
    """Wait until `count` more answers were confirmed, or all are; RuntimeError after a minute without them."""
    wanted = sum(len(person.saves) for person in people) + count
    deadline = time.monotonic() + 60
    while sum(len(person.saves) for person in people) < wanted and not all(person.finished for person in people):
        if time.monotonic() > deadline:
            raise RuntimeError("no answers arrive any more: " + "; ".join(_problems(people, "")))
        await asyncio.sleep(0.02)


def _problems(people: list[Participant], log: str) -> list[str]:
    told = Counter(problem for person in people for problem in person.problems)
    errors = Counter(line.strip() for line in log.splitlines() if re.match(r"\s*[\w.]*(Error|Exception)\b", line))
    return [f"{count} x {text}" for text, count in (told + errors).most_common(5)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill the server N times instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.kills:
        result = kill_repeatedly(options.participants, options.kills)
    else:
        result = measure(options.participants, options.seconds)
    result["cores"] = os.cpu_count()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(f"{name.replace('_', ' '):22} {value}" for name, value in result.items()))
    if result["lost"] or result["stored_twice"] or result["stored_differently"]:
        sys.exit("answers were lost or stored twice")


if __name__ == "__main__":
    main()

"""How long raters wait after Save, and what survives when the server is killed.

    python -m benchmarks.rating_load                     25 raters, one answer every 2-4 s each, for 30 s
    python -m benchmarks.rating_load --saturate          the same raters as fast as the server lets them
    python -m benchmarks.rating_load --kills 100         SIGKILL the server 100 times while they rate

The real server (`streamlit run workbench/Home.py`), a data root of its own, the real websocket protocol; clips of
23,370 vertices are fetched as the page fetches them. A wait is counted from sending the answer until the page run
that confirms it has ended, with the next clip on the page. Server and clients share this machine's cores.
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
from pathlib import Path

from sqlalchemy import select

from benchmarks.rating_client import Rater, Save
from benchmarks.rating_world import BIWI_SIZE, SMALL, World, make_world
from db.models import Assignment, Rating
from db.session import reading
from tests.app_server import AppServer
from workbench.rater.seal import unseal

PERSON = (2.0, 4.0)  # seconds for a clip
HASTE = (0.0, 0.0)
AT_FULL_TRAFFIC_S = (0.0, 0.5)  # until the next kill, once answers arrive again


def measure(n_raters: int, seconds: float, pause_s: tuple[float, float], full_size: bool = True) -> dict:
    """Waiting times of `n_raters` at once over `seconds`, in milliseconds, as the raters see them."""
    with tempfile.TemporaryDirectory(prefix="eavanet-load-") as folder:
        world = _world(Path(folder), n_raters, BIWI_SIZE if full_size else SMALL)
        server = AppServer(world.root)
        try:
            raters = _raters(server.url, world, pause_s)
            asyncio.run(_rate(raters, seconds))
            log = (world.root / "app.log").read_text(errors="replace")  # of all starts
        finally:
            server.stop()
        return {
            "raters": n_raters, "seconds": seconds, **waiting_times([save for rater in raters for save in rater.saves]),
            "saves_per_s": round(sum(len(rater.saves) for rater in raters) / seconds, 1),
            "kilobytes_per_save": _kilobytes_per_save(raters),
            "reconnections": sum(rater.reconnections for rater in raters),
            "problems": _problems(raters, log), **check_database(world, raters),
        }  # fmt: skip


def kill_repeatedly(n_raters: int, kills: int, pause_s: tuple[float, float] = (0.05, 0.3), seed: int = 1) -> dict:
    """Kill the server `kills` times in mid-traffic; the raters connect again and repeat what was not confirmed."""
    with tempfile.TemporaryDirectory(prefix="eavanet-kill-") as folder:
        world = _world(Path(folder), n_raters, SMALL, n_clips=max(60, 40 * kills))
        server = AppServer(world.root)
        try:
            raters = _raters(server.url, world, pause_s, fetch_media=False)
            asyncio.run(_rate_and_kill(raters, server, kills, random.Random(seed)))
            log = (world.root / "app.log").read_text(errors="replace")  # of all starts
        finally:
            server.stop()
        return {
            "raters": n_raters, "kills": kills,
            "reconnections": sum(rater.reconnections for rater in raters),
            "sent_more_than_once": sum(save.attempts > 1 for rater in raters for save in rater.saves),
            "problems": _problems(raters, log), **check_database(world, raters),
        }  # fmt: skip


def check_database(world: World, raters: list[Rater]) -> dict:
    """Compare what the raters were told with what is stored: lost, stored twice, stored differently."""
    with reading(world.engine) as session:
        stored = session.execute(
            select(Rating.assignment_id, Rating.revision, Rating.emotion, Rating.intensity, Assignment.rater_id)
            .join(Assignment, Assignment.id == Rating.assignment_id)
        ).all()
    times = Counter(row.assignment_id for row in stored)
    answers = {(row.assignment_id, row.revision): (row.emotion, row.intensity) for row in stored}
    told = [(unseal(save.key), (save.emotion, save.intensity)) for rater in raters for save in rater.saves]
    return {
        "acknowledged": len(told),
        "stored": len(stored),
        "lost": sum(key not in answers for key, _ in told),
        "stored_differently": sum(key in answers and answers[key] != answer for key, answer in told),
        "stored_twice": sum(count > 1 for count in times.values()),
        "acknowledged_twice": len(told) - len({key for key, _ in told}),
    }


def waiting_times(saves: list[Save]) -> dict:
    """Percentiles of the seconds from Save to the next clip, in ms."""
    ordered = sorted(save.seconds * 1000 for save in saves)
    if not ordered:
        return {"p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None}
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))]) for name, share in shares.items()}


def _world(root: Path, n_raters: int, grid: tuple[int, int], n_clips: int = 2000) -> World:
    return make_world(
        root, n_raters=n_raters, n_clips=n_clips, grid=grid, duration_s=4.0, instructions_read=True, practice_clips=0
    )


def _raters(url: str, world: World, pause_s: tuple[float, float], fetch_media: bool = True) -> list[Rater]:
    return [Rater(url, token, pause_s, fetch_media, seed=number) for number, token in world.tokens.items()]


async def _rate(raters: list[Rater], seconds: float) -> None:
    for rater in raters:  # they come one after another, as people do
        await rater.open()
    await asyncio.gather(*(rater.rate_until(time.monotonic() + seconds) for rater in raters))


async def _rate_and_kill(raters: list[Rater], server: AppServer, kills: int, dice: random.Random) -> None:
    tasks = [asyncio.create_task(rater.rate_until(float("inf"))) for rater in raters]
    for number in range(kills):
        await _more_answers(raters, len(raters))
        await asyncio.sleep(dice.uniform(*AT_FULL_TRAFFIC_S))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        print(f"\r{number + 1} of {kills} kills", end="", file=sys.stderr, flush=True)
    await _more_answers(raters, len(raters))
    for rater in raters:
        rater.stop()
    await asyncio.gather(*tasks)
    print(file=sys.stderr)


async def _more_answers(raters: list[Rater], count: int) -> None:
    """Wait until `count` more answers were confirmed; RuntimeError after a minute without them."""
    wanted = sum(len(rater.saves) for rater in raters) + count
    deadline = time.monotonic() + 60
    while sum(len(rater.saves) for rater in raters) < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError("no answers arrive any more: " + "; ".join(_problems(raters, "")))
        await asyncio.sleep(0.02)


def _kilobytes_per_save(raters: list[Rater]) -> float:
    saves = sum(len(rater.saves) for rater in raters)
    return round(sum(rater.bytes_received for rater in raters) / max(1, saves) / 1000, 1)


def _problems(raters: list[Rater], log: str) -> list[str]:
    told = Counter(problem for rater in raters for problem in rater.problems)
    errors = Counter(line.strip() for line in log.splitlines() if re.match(r"\s*[\w.]*(Error|Exception)\b", line))
    return [f"{count} x {text}" for text, count in (told + errors).most_common(5)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--saturate", action="store_true", help="no pauses: how many answers per second are possible")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill the server N times instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.kills:
        result = kill_repeatedly(options.raters, options.kills)
    else:
        result = measure(options.raters, options.seconds, HASTE if options.saturate else PERSON)
    result["cores"] = os.cpu_count()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(f"{name.replace('_', ' '):22} {value}" for name, value in result.items()))
    if result["lost"] or result["stored_twice"] or result["stored_differently"]:
        sys.exit("ratings were lost or stored twice")


if __name__ == "__main__":
    main()

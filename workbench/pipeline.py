"""`python -m workbench.pipeline`: everything from a label release to the report, one command after the other.

    train EavaNet, FaceFormer and CodeTalker (demo presets) -> predict BIWI-A and BIWI-B, and alpha 0 and 0.3 of Eq. (8)
    -> describe the style encoder -> time all three -> score and write the report

Each step is the command that a person would type, run as a child process. What is done already is skipped, a training
that was interrupted goes on; so the command can be stopped and started again.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import store
from db.models import Corpus, LabelRelease, Split
from db.predictions import list_sets
from db.result_models import TrainingRun
from db.session import DatabaseUnusable, open_database, reading
from evaluation.report_data import find_corpus

SYSTEMS = ("eavanet", "faceformer", "codetalker")
PARTS = ("biwi-a", "biwi-b")
ALPHAS = (0.0, 0.3)
TRAINING_WEIGHT = 10  # a training takes as long as about so many of the other steps


@dataclass(frozen=True)
class Step:
    """A command, and how much of the whole it is."""

    title: str
    command: tuple[str, ...]
    weight: int = 1


class StepFailed(RuntimeError):
    """A step ended with an error; the message has its last words."""


def main(arguments: list[str] | None = None) -> int:
    """Run what is left to do; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        engine = open_database()
        with reading(engine) as session:
            corpus = find_corpus(session, given.corpus)
            missing = what_is_missing(session, corpus)
            if missing:
                raise ValueError(missing)
            steps = list(plan(session, corpus, given.epochs))
        engine.dispose()
        for title, step in _numbered(steps):
            print(f"{title}: python -m {' '.join(step.command)}", flush=True)
            if not given.dry_run:
                run(step, title, _begin(steps, step), step.weight / sum(one.weight for one in steps))
    except KeyboardInterrupt:
        print("stopped; start it again to go on from here", file=sys.stderr)
        return 130
    except (ValueError, OSError, DatabaseUnusable, StepFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not given.dry_run:
        print(f"{store.data_root() / 'reports' / corpus.name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workbench.pipeline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", help="default: the only one")
    parser.add_argument("--epochs", type=int, help="of each training (default: the presets'); to try it out")
    parser.add_argument("--dry-run", action="store_true", help="only say what is left to do")
    return parser


def what_is_missing(session: Session, corpus: Corpus) -> str:
    """Why it cannot begin on this corpus, in words; empty if it can."""
    for table, words in (
        (LabelRelease, "a label release: which emotion each clip shows"),
        (Split, "a split: which clips may be learned from"),
    ):
        if session.scalar(select(table.id).where(table.corpus_id == corpus.id).limit(1)) is None:
            return f"Corpus {corpus.name} needs {words}."
    return ""


def plan(session: Session, corpus: Corpus, epochs: int | None = None) -> Iterator[Step]:
    """What is left to do, in order."""
    runs = {row.name: row for row in session.scalars(select(TrainingRun).where(TrainingRun.corpus_id == corpus.id))}
    names = {system: f"{corpus.name}-{system}"[:56] for system in SYSTEMS}
    trained_now = set()
    for system, name in names.items():
        row = runs.get(name)
        if row is not None and row.status == "finished":
            continue
        trained_now.add(system)
        yield Step(f"train {system}", _training(system, name, corpus, row, epochs), TRAINING_WEIGHT)
    known = {one.name for one in list_sets(session, corpus.id)}
    for system, name in names.items():
        for part in PARTS:
            for alpha in (1.0, *(ALPHAS if system == "eavanet" and part == "biwi-b" else ())):
                chosen = f"{name}-{part}" if alpha == 1 else f"{name}-{part}-alpha-{alpha:g}".replace(".", "_")
                if chosen in known and system not in trained_now:
                    continue
                asked = () if alpha == 1 else ("--intensity", f"{alpha:g}")
                command = ("eavanet.predict", "--checkpoint", name, "--part", part, "--name", chosen, *asked)
                yield Step(f"predict {chosen}", (*command, *(("--replace",) if chosen in known else ())))
    described = store.data_root() / "runs" / names["eavanet"] / "description" / "description.json"
    if not described.exists() or "eavanet" in trained_now:
        yield Step("describe the style encoder", ("eavanet.describe", "--checkpoint", names["eavanet"]))
    speed = f"{corpus.name}-speed"[:64]
    if trained_now or not (store.data_root() / "speed" / f"{speed}.json").exists():
        measured = ("eavanet.speed", "--checkpoint", *names.values(), "--runs", "20", "--name", speed)
        yield Step("time all systems", measured)
    yield Step("report", ("evaluation.report", "--corpus", corpus.name))


def _training(system: str, name: str, corpus: Corpus, row: TrainingRun | None, epochs: int | None) -> tuple[str, ...]:
    if row is not None and (Path(store.stored_path(row.folder)) / "run.json").exists():
        return ("eavanet.train", "--resume", "--name", name)
    more = () if epochs is None else ("--epochs", str(epochs))
    if epochs is not None and system == "codetalker":
        more += ("--code-epochs", str(max(1, epochs - 1)))
    return ("eavanet.train", "--system", system, "--preset", "demo", "--corpus", corpus.name, "--name", name, *more)


def _numbered(steps: list[Step]) -> Iterator[tuple[str, Step]]:
    for number, step in enumerate(steps, start=1):
        yield f"{number} of {len(steps)}, {step.title}", step


def _begin(steps: list[Step], step: Step) -> float:
    total = sum(one.weight for one in steps)
    return sum(one.weight for one in steps[: steps.index(step)]) / total


def run(step: Step, title: str, begin: float, share: float) -> None:
    """Run one step; its progress becomes part of the whole's. Raises StepFailed with its last words."""
    as_json = os.environ.get("EAVANET_PROGRESS") == "json"
    child = subprocess.Popen(
        [sys.executable, "-m", *step.command], stdout=subprocess.DEVNULL if as_json else None,
        stderr=subprocess.PIPE if as_json else None, text=True,
    )  # fmt: skip
    last = ""
    try:
        for line in child.stderr or ():
            if (progress := _progress(line)) is not None:
                told = {"progress": begin + share * progress["progress"], "message": f"{title}: {progress['message']}"}
                print(json.dumps(told), file=sys.stderr, flush=True)
            elif line.strip():
                last = line.strip()
                print(line, end="", file=sys.stderr, flush=True)
        code = child.wait()
    finally:
        if child.poll() is None:  # stopped: it is to end tidily, too
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=30)
            child.kill()
        if child.stderr:
            child.stderr.close()
    if code:
        raise StepFailed(f"{step.title} ended with {code}{f': {last}' if last else ''}; put it right and start again")


def _progress(line: str) -> dict | None:
    if not line.startswith('{"progress"'):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


if __name__ == "__main__":
    # A job that is cancelled gets SIGTERM; like Ctrl-C, it must stop the step that runs.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())

"""`python -m evaluation.study design|launch|simulate|export`: studies of the database from the command line."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db import store
from db.models import Corpus
from db.progress import show_progress
from db.session import DatabaseUnusable, open_database, reading, writing
from db.study_models import Study
from evaluation.render import CannotRender
from evaluation.study import drafts, overseeing
from evaluation.study.design import Design
from evaluation.study.freezing import folder, launch
from evaluation.study.simulated_participants import Manner, simulate


def add_commands(commands: "argparse._SubParsersAction") -> None:
    """Add the subcommands; each sets `run`, a function of the parsed arguments that gives the exit status."""
    draft = commands.add_parser("design", help="make a study, or a new version of one, from a design file")
    draft.add_argument("name")
    draft.add_argument("file", type=Path, help="a design as JSON or TOML (see evaluation/study/design.py)")
    draft.add_argument("--corpus", help="default: the only one")
    draft.set_defaults(run=lambda given: _run(given, _design))
    start = commands.add_parser("launch", help="draw the films of a study, freeze its design and open it")
    start.add_argument("--workers", type=int, default=2, help="films drawn at a time")
    start.set_defaults(run=lambda given: _run(given, _launch))
    play = commands.add_parser("simulate", help="let simulated participants answer; they are marked everywhere")
    play.add_argument("--participants", type=int, default=1)
    play.add_argument("--strengths", default="", help="what they prefer, such as EavaNet=0.5,GT=0.8")
    play.add_argument("--share", type=float, default=1.0, help="of the trials that each answers")
    play.add_argument("--seed", type=int, default=0)
    play.set_defaults(run=lambda given: _run(given, _simulate))
    export = commands.add_parser("export", help="write the responses of an unblinded study as CSV")
    export.set_defaults(run=lambda given: _run(given, _export))
    for parser in (start, play, export):
        parser.add_argument("name", help="of the study")
        parser.add_argument("--version", type=int, help="default: the newest")
    export.add_argument("file", type=Path)
    for parser in (draft, start, play, export):
        parser.add_argument("--json", action="store_true")


def _run(given: argparse.Namespace, what: Callable[[Engine, argparse.Namespace], dict]) -> int:
    try:
        said = what(open_database(), given)
    except KeyboardInterrupt:
        print("stopped; nothing is half-launched, and films that are whole stay", file=sys.stderr)
        return 130
    except (ValueError, OSError, CannotRender, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(said, ensure_ascii=False) if given.json else said["message"])
    return 0


def _design(engine: Engine, given: argparse.Namespace) -> dict:
    text = given.file.read_text("utf-8")
    try:
        values = tomllib.loads(text) if given.file.suffix == ".toml" else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{given.file}: cannot be read: {error}") from error
    design = Design.from_dict(values)
    with writing(engine) as session:
        newest = drafts.by_name(session, given.name)
        if newest is None:
            study = drafts.create(session, given.name, design, _corpus(session, given.corpus).id, "command")
        elif newest.launched_at is None:
            study = drafts.edit(session, newest.id, design, "command")
        else:
            study = drafts.new_version(session, newest.id, "command", design)
        problems = drafts.check(session, study)
    lines = [f"{study.name}, version {study.version}: {design.n_trials} trials per participant", *problems]
    return {"study": study.name, "version": study.version, "problems": problems, "message": "\n".join(lines)}


def _launch(engine: Engine, given: argparse.Namespace) -> dict:
    study = _study(engine, given)
    with show_progress("drawing films") as progress:
        study = launch(engine, study.id, "command", given.workers, progress)
    films = list(folder(study).glob("*.mp4"))
    return {
        "study": study.name, "version": study.version, "design_sha256": study.design_sha256, "films": len(films),
        "bytes": sum(path.stat().st_size for path in films),
        "message": f"{study.name}, version {study.version}, is open: {len(films)} films, design {study.design_sha256}",
    }  # fmt: skip


def _simulate(engine: Engine, given: argparse.Namespace) -> dict:
    study = _study(engine, given)
    if not 0 < given.share <= 1 or given.participants < 1:
        raise ValueError("--participants from 1 on, --share more than 0 and at most 1")
    manner = Manner(_strengths(given.strengths, {system["name"] for system in study.design["systems"]}))
    with show_progress("simulating") as progress:
        ids = simulate(engine, study.id, given.participants, manner=manner, seed=given.seed, share=given.share,
                       progress=progress)  # fmt: skip
    return {"participants": len(ids), "message": f"{len(ids)} simulated participants answered {study.name}"}


def _strengths(text: str, systems: set[str]) -> dict[str, float]:
    strengths = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.rpartition("=")
        try:
            strengths[name] = float(value)
        except ValueError as error:
            raise ValueError(f"--strengths {part!r}: expected SYSTEM=NUMBER") from error
    if unknown := set(strengths) - systems:
        raise ValueError(f"--strengths {', '.join(sorted(unknown))}: the study has {', '.join(sorted(systems))}")
    return strengths


def _export(engine: Engine, given: argparse.Namespace) -> dict:
    from evaluation.study.responses import responses_csv

    study = _study(engine, given)
    with writing(engine) as session:
        table = overseeing.responses(session, study.id, "command")
    with store.atomic_write(given.file) as partial:
        partial.write_text(responses_csv(table), "utf-8")
    return {"rows": len(table), "file": str(given.file), "message": f"{given.file}: {len(table)} responses"}


def _study(engine: Engine, given: argparse.Namespace) -> Study:
    with reading(engine) as session:
        study = drafts.by_name(session, given.name, given.version)
        names = sorted({one.name for one in drafts.list_studies(session)})
    if study is None:
        raise ValueError(f"there is no such study; there are {', '.join(names) or 'none'}")
    return study


def _corpus(session: Session, name: str | None) -> Corpus:
    found = list(session.scalars(select(Corpus) if name is None else select(Corpus).where(Corpus.name == name)))
    if len(found) != 1:
        names = ", ".join(session.scalars(select(Corpus.name).order_by(Corpus.name))) or "none"
        raise ValueError(f"--corpus: name one of the corpora that there are: {names}")
    return found[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of these commands without loading the analysis, as a job does; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.study.command_launch", description=__doc__)
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    given = parser.parse_args(arguments)
    return given.run(given)


if __name__ == "__main__":
    sys.exit(main())

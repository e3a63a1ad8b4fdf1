"""What `python -m db.predictions` does: import, list and verify predictions of any system."""

import argparse
import json
import sys
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Corpus, Split
from db.predictions import AUDIOS, changed_files, import_folder, list_sets
from db.progress import show_progress
from db.result_models import Prediction, PredictionSet
from db.session import DatabaseUnusable, open_database, reading, writing
from db.splits import PARTS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    given = _parser().parse_args(arguments)
    try:
        return given.run(given)
    except KeyboardInterrupt:
        print("stopped; nothing was recorded", file=sys.stderr)
        return 130
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m db.predictions", description="Predictions of any system, as evaluation and studies use them."
    )
    commands = parser.add_subparsers(required=True, metavar="import|list|verify")
    importer = commands.add_parser(
        "import",
        help="record a folder of another system's predictions",
        description="Record a folder of <subject>_<sentence>[_condition_<subject>].npy files, (T, 3V) or (T, V, 3), in "
        "the corpus's coordinates and frame rate. They are read in place and never changed. Longer ones are cut to the "
        "clip, shorter ones refused.",
    )
    importer.add_argument("folder", type=Path, metavar="DIR")
    importer.add_argument("--system", required=True, help='as tables show it, such as "VOCA"')
    importer.add_argument("--name", help="of the set (default: the folder's name)")
    importer.add_argument("--corpus", help="default: the only one")
    importer.add_argument("--split", help="demand exactly the clips of one part of this split ...")
    importer.add_argument("--part", choices=PARTS, help="... namely of this one")
    importer.add_argument("--audio", choices=AUDIOS, help="what the system was given: the imported sound, trimmed to "
                          "the speech, or the corpus's own file (default: what the lengths speak for)")  # fmt: skip
    importer.add_argument("--replace", action="store_true", help="in the place of what the name stood for")
    importer.set_defaults(run=_import)
    lister = commands.add_parser("list", help="what is recorded")
    lister.set_defaults(run=_list)
    verifier = commands.add_parser("verify", help="are the files still those that were recorded?")
    verifier.add_argument("name")
    verifier.set_defaults(run=_verify)
    for command in (importer, lister, verifier):
        command.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _import(given: argparse.Namespace) -> int:
    if (given.split is None) != (given.part is None):
        raise ValueError("--split and --part go together")
    with writing(open_database()) as session, show_progress("predictions") as progress:
        corpus = _one(session, Corpus, given.corpus, "corpus")
        split = None if given.split is None else _one(session, Split, given.split, "split", corpus)
        row, notes = import_folder(
            session, given.folder, corpus, system=given.system, name=given.name or given.folder.resolve().name,
            audio=given.audio, split=split, part=given.part, replace=given.replace, progress=progress,
        )  # fmt: skip
        session.flush()
        report = _described(session, row) | {"notes": notes}
    if given.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"{_line(report)}{''.join(f'{chr(10)}  {note}' for note in notes)}")
    return 0


def _list(given: argparse.Namespace) -> int:
    with reading(open_database()) as session:
        reports = [_described(session, row) for row in list_sets(session)]
    if given.json:
        print(json.dumps(reports, indent=1))
    else:
        print("\n".join(map(_line, reports)) or "no predictions are recorded yet")
    return 0


def _verify(given: argparse.Namespace) -> int:
    with reading(open_database()) as session:
        row = _one(session, PredictionSet, given.name, "predictions")
        wrong = changed_files(session, row)
    if given.json:
        print(json.dumps({"name": given.name, "changed": wrong}, indent=1))
    else:
        print("\n".join(wrong) or f"{given.name}: every file is the one that was recorded")
    return 1 if wrong else 0


def _described(session: Session, row: PredictionSet) -> dict:
    count = select(func.count()).where(Prediction.set_id == row.id)
    return {
        "name": row.name, "system": row.system, "corpus": row.corpus.name, "run": row.run.name if row.run else None,
        "part": row.part, "emotion": row.emotion, "intensity": row.intensity, "files": session.scalar(count),
        "clips": session.scalar(select(func.count(Prediction.clip_id.distinct())).where(Prediction.set_id == row.id)),
        "synthetic": row.synthetic, "simulated": row.simulated, "sha256": row.sha256, "source": row.source,
    }  # fmt: skip


def _line(report: dict) -> str:
    marks = [word for word in ("synthetic", "simulated") if report[word]]
    alpha = "" if report["intensity"] is None else f"alpha {report['intensity']:g}"
    about = ", ".join(filter(None, [report["part"], report["emotion"], alpha, *marks]))
    return f"{report['name']}: {report['system']}, {report['files']} files of {report['clips']} clips" + (
        f" ({about})" if about else ""
    )


def _one(session: Session, model: type, name: str | None, what: str, corpus: Corpus | None = None):
    query = select(model).order_by(model.id)
    rows = session.scalars(query if corpus is None else query.where(model.corpus_id == corpus.id)).all()
    names = ", ".join(row.name for row in rows) or "none"
    chosen = [row for row in rows if name in (None, row.name)]
    if len(chosen) != 1:
        raise ValueError(f"{f'no {what} called {name}' if name else f'say which {what}'}; there are: {names}")
    return chosen[0]

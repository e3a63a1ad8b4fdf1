"""`python -m db.corpus demo | check DIR | import DIR`: make, look at and import corpora.

Reports go to standard output (`--json`: as JSON), progress and errors to standard error. Exit status: 0 if all is
well, 1 with one message if it is not; `check` also ends with 1 if it found problems, `import` stores and prints
them.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from db import store
from db.corpus.settings import LOUDNESS, NORMALISATIONS, ImportOptions
from db.progress import show_progress


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("stopped; nothing of what was begun is kept", file=sys.stderr)
        return 130
    # DatabaseUnusable is a RuntimeError, everything about corpora a ValueError.
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m db.corpus", description="Make, check and import corpora.")
    commands = parser.add_subparsers(required=True, metavar="demo|check|import")
    demo = commands.add_parser(
        "demo",
        help="make the synthetic demo corpus and import it",
        description="Make the synthetic demo corpus: talking heads with speech and emotion, nobody recorded. The "
        "same arguments give the same bytes.",
    )
    demo.add_argument("--out", type=Path, metavar="DIR", help="where (default: a folder of its own in the data root)")
    demo.add_argument("--sentences", type=int, metavar="N", help="sentences per subject")
    demo.add_argument("--vertices", choices=("small", "full"), default="small", help="full: 23,370 vertices")
    demo.add_argument("--seed", type=int, default=0, metavar="S")
    demo.add_argument("--layout", choices=("peers", "raw"), default="peers", help="raw: as BIWI is distributed")
    demo.add_argument("--name", help="name of the corpus (default: demo, with -full or -raw where it is that)")
    demo.add_argument("--no-import", action="store_true", help="only write the folder")
    _add_common(demo)
    demo.set_defaults(run=_demo)
    check = commands.add_parser("check", help="read a corpus and list what is wrong, storing nothing")
    check.set_defaults(run=_check)
    importer = commands.add_parser(
        "import",
        help="bring a corpus into the data root",
        description="Bring a corpus into the data root. The folder itself is never changed; all is imported or "
        "nothing; importing again changes nothing unless the folder changed.",
    )
    importer.set_defaults(run=_import)
    for command in (check, importer):
        _add_corpus_options(command)
    for command in (demo, importer):
        command.add_argument("--update", action="store_true", help="take over what changed since the last import")
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print the report as JSON")


def _add_corpus_options(command: argparse.ArgumentParser) -> None:
    default = ImportOptions()
    command.add_argument("folder", type=Path, metavar="DIR", help="the corpus, in the peers' layout or as distributed")
    command.add_argument("--name", help="name of the corpus (default: corpus.toml's, else the folder's)")
    command.add_argument("--layout", choices=("peers", "raw"), help="which to read where DIR holds both")
    command.add_argument("--fps", type=float, help="frames per second (default: corpus.toml's, else 25)")
    command.add_argument(
        "--normalisation",
        choices=NORMALISATIONS,
        help="as distributed: how to normalise (default per-frame, as the peers do; template: by centre and area of "
        "the subject's template); peers' layout: how the files were normalised",
    )
    command.add_argument("--tolerance", type=float, default=default.tolerance_frames, metavar="FRAMES",
                         help="how far motion and sound may differ in length (default %(default)g)")  # fmt: skip
    command.add_argument("--sentences-are", choices=("emotional", "neutral"),
                         help="what sentences without an 'e' are, where none has one (FaceDiffuser)")  # fmt: skip
    command.add_argument("--numbering", choices=("facexhubert",), help="01-80, of which 41-80 are e01-e40")
    command.add_argument("--loudness", choices=LOUDNESS, default=default.loudness, help="what --level refers to")
    command.add_argument("--level", type=float, default=default.level_db, metavar="DB",
                         help="dB of full scale (default %(default)g; speech at -3 dB RMS overshoots)")  # fmt: skip
    command.add_argument("--top-db", type=float, default=default.top_db, metavar="DB",
                         help="silence is what lies so far below the loudest moment (default %(default)g)")  # fmt: skip
    _add_common(command)


def _options(given: argparse.Namespace) -> ImportOptions:
    return ImportOptions(
        name=given.name,
        layout=given.layout,
        frames_per_second=given.fps,
        normalisation=given.normalisation,
        tolerance_frames=given.tolerance,
        sentences_are=given.sentences_are,
        numbering=given.numbering,
        loudness=given.loudness,
        level_db=given.level,
        top_db=given.top_db,
    )


def _check(given: argparse.Namespace) -> int:
    from db.corpus.check import check_corpus

    options = _options(given)
    with show_progress("check") as progress:
        report = check_corpus(given.folder, options, progress)
    _print(report.as_dict() if given.json else report.as_text(), given.json)
    return 1 if report.serious else 0


def _import(given: argparse.Namespace) -> int:
    from db.corpus.importing import import_corpus
    from db.session import open_database

    options = _options(given)
    with show_progress("import") as progress:
        report = import_corpus(open_database(), given.folder, options, update=given.update, progress=progress)
    _print(report.as_dict() if given.json else report.as_text(), given.json)
    return 0


def _demo(given: argparse.Namespace) -> int:
    from db.corpus.importing import import_corpus
    from db.demo.build import DEFAULT_SENTENCES, make_demo_corpus
    from db.session import open_database

    sentences = DEFAULT_SENTENCES if given.sentences is None else given.sentences
    options = ImportOptions(name=given.name or _demo_name(given))
    # A folder per choice: making another demo corpus never changes one that is imported and read in place.
    out = given.out or store.data_root() / "demo" / f"{given.layout}-{given.vertices}-{sentences}-seed-{given.seed}"
    with show_progress("make the demo corpus", end=0.8) as progress:
        made = make_demo_corpus(out, sentences, given.vertices, given.seed, layout=given.layout, progress=progress)
    report = None
    if not given.no_import:
        with show_progress("import", begin=0.8) as progress:
            report = import_corpus(open_database(), out, options, update=given.update, progress=progress)
    if given.json:
        _print({"made": made, "imported": report.as_dict() if report else None}, True)
    else:
        print(f"demo corpus: {made['clips']} clips, {made['bytes'] / 1e6:.0f} MB, speech by {made['speech']}, in {out}")
        if report:
            print(report.as_text())
    return 0


def _demo_name(given: argparse.Namespace) -> str:
    return "demo" + "-full" * (given.vertices == "full") + "-raw" * (given.layout == "raw")


def _print(report: dict | str, as_json: bool) -> None:
    print(json.dumps(report, indent=1) if as_json else report)


if __name__ == "__main__":
    # A job that is cancelled gets SIGTERM; like Ctrl-C, it must leave nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

"""Studies from the command line: analyse responses that were collected anywhere, plan a study, launch and export it.

python -m evaluation.study analyse responses.csv                    tables on the terminal
python -m evaluation.study analyse responses.csv --exclude catch=1,answer_ms=500 --html study.html --figures figures
python -m evaluation.study plan ab --participants 23 --items 30 --effect 0.6
python -m evaluation.study plan mos --participants 25 --items 15 --effect 0.5 --needed
python -m evaluation.study design pilot design.json                 a study, or a new version of it
python -m evaluation.study launch pilot                             draw the films, freeze the design, open it
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from db import store
from db.progress import show_progress
from evaluation.study.analysis import Study, analyse
from evaluation.study.command_launch import add_commands
from evaluation.study.exclusions import Rules
from evaluation.study.planning import SIMULATIONS, TABLE_III, TABLE_V, participants_needed, plan
from evaluation.study.responses import SCALE, read_responses
from evaluation.study.study_page import study_html, study_markdown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    try:
        return given.run(given)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.study", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_analyse(commands.add_parser("analyse", help="analyse a CSV of responses"))
    _add_plan(commands.add_parser("plan", help="how wide will the intervals be, and what will be found?"))
    add_commands(commands)
    return parser


def _add_analyse(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_analyse)
    columns = "participant,item,question,comparison,preferred_system (A/B) or participant,item,condition,score (MOS)"
    parser.add_argument("responses", type=Path, help=f"a CSV file with the columns {columns}")
    rules = "catch=N (at most N failed catch trials), answer_ms=N (median), complete=SHARE; or a .json file"
    parser.add_argument("--exclude", default="", metavar="RULES", help=rules)
    parser.add_argument("--planned", type=int, help="answers per participant, for complete= (default: the most given)")
    parser.add_argument("--scale", type=_scale, default=SCALE, metavar="LOW-HIGH", help="of scores (default: 1-5)")
    parser.add_argument("--mixed", action="store_true", help="also fit a mixed model (MOS)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--md", type=Path, metavar="FILE", help="write the tables as Markdown")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the tables as a page")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="write figures as SVG, PDF and PNG")
    parser.add_argument("--without-paper", action="store_true", help="leave out the paper's own numbers")


def _scale(text: str) -> tuple[float, float]:
    try:
        low, _, high = text.partition("-")
        ends = float(low), float(high)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"scale {text!r}: expected LOW-HIGH, such as 1-5") from error
    if not ends[0] < ends[1]:
        raise argparse.ArgumentTypeError(f"scale {text!r}: the low end must be below the high end")
    return ends


def _analyse(given: argparse.Namespace) -> int:
    responses = read_responses(given.responses, given.scale)
    study = analyse(responses, Rules.parse(given.exclude), planned=given.planned, scale=given.scale, seed=given.seed,
                    mixed=given.mixed)  # fmt: skip
    title, paper = f"Study: {given.responses.name}", not given.without_paper
    if given.md:
        _write(given.md, study_markdown(study, title, is_published=paper))
    if given.html:
        _write(given.html, study_html(study, title, is_published=paper))
    if given.figures:
        _figures(study, given.figures)
    if given.json:
        print(json.dumps(study.record(), indent=1, ensure_ascii=False, allow_nan=False))
    elif not (given.md or given.html):
        print(study_markdown(study, title, is_published=paper))
    return 0


def _write(path: Path, text: str) -> None:
    with store.atomic_write(path) as partial:
        partial.write_text(text, "utf-8")
    print(f"{path}: written", file=sys.stderr)


def _figures(study: Study, folder: Path) -> None:
    from evaluation.figures import save_figure
    from evaluation.study.study_figures import study_figure

    name = "preferences" if study.kind == "ab" else "opinions"
    for path in save_figure(study_figure(study), folder, name):
        print(f"{path}: written", file=sys.stderr)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_plan)
    parser.add_argument("kind", choices=["ab", "mos"], help="the other values default to the paper's Table III or V")
    for name, kind, about in (
        ("participants", int, "people"), ("items", int, "clips, each under every comparison or condition"),
        ("comparisons", int, "comparisons (A/B) or conditions (MOS)"),
        ("effect", float, "true share that prefers the first (A/B), or difference in points (MOS)"),
        ("sd-participant", float, "how much participants differ"), ("sd-item", float, "how much clips differ"),
        ("sd-rest", float, "everything else"), ("sd-interaction", float, "how differently they respond (MOS)"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, help=about)
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--needed", action="store_true", help="also find the participants for a power of 80%%")
    parser.add_argument("--json", action="store_true")


def _plan(given: argparse.Namespace) -> int:
    preset = TABLE_III if given.kind == "ab" else TABLE_V
    names = ("participants", "items", "comparisons", "effect", "sd_participant", "sd_item", "sd_rest", "sd_interaction")
    design = replace(preset, **{name: getattr(given, name) for name in names if getattr(given, name) is not None})
    with show_progress("simulating") as progress:
        found = plan(design, given.simulations, given.seed, progress)
    record, said = found.record(), list(found.sentences)
    if given.needed:
        needed = record["participants_needed"] = participants_needed(design, seed=given.seed)
        said.append(f"{needed} participants have a power of 80%." if needed else
                    "More participants alone do not bring a power of 80%; take more clips.")  # fmt: skip
    print(json.dumps(record, indent=1) if given.json else "\n".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())

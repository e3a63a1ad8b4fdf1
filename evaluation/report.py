"""`python -m evaluation.report`: the paper's tables and figures for what is in the database, each number traceable.

    <out>/report.html    one page with everything          report.md    the tables as Markdown
    <out>/report.json    every cell with interval, n, method and the hashes of what it was computed from
    <out>/tables/*.csv   a row per cell                    <out>/tables/*.tex and main.tex, which compiles
    <out>/figures/       Figures 2 to 4 as SVG, PDF and PNG

Two reports of the same data are the same, byte for byte. What cannot be filled says which step is missing.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from db import store
from db.progress import show_progress
from db.session import DatabaseUnusable, open_database, reading
from evaluation.report_data import ReportData, find_corpus, gather, with_studies
from evaluation.report_figures import TITLES, Drawn, draw
from evaluation.report_page import as_page
from evaluation.report_studies import find_studies
from evaluation.report_tables import BUILDERS
from evaluation.table import Table
from evaluation.table_files import as_csv, as_latex, as_markdown, latex

FORMATS = ("md", "latex", "csv", "json", "html")
FIGURE_FORMATS = ("svg", "pdf", "png")
SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """What was made of the data."""

    data: ReportData
    tables: list[Table]
    figures: list[Drawn]

    @property
    def title(self) -> str:
        """With the corpus's name."""
        return f"EavaNet Workbench: results on {self.data.corpus.name}"

    @property
    def lead(self) -> str:
        """On what it rests, in a sentence."""
        release, split = self.data.release, self.data.split
        return (
            f"Corpus {self.data.corpus.name} ({self.data.corpus.sha256[:12]}), "
            f"labels {f'{release.name} ({release.sha256[:12]})' if release else 'none'}, "
            f"split {f'{split.name} ({split.sha256[:12]})' if split else 'none'}."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    try:
        summary = _report(given)
    except KeyboardInterrupt:
        print("stopped; nothing was written, and scores that are finished are kept", file=sys.stderr)
        return 130
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary) if given.json else _told(summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", help="default: the only one")
    parser.add_argument(
        "--out", type=Path, help="folder, replaced as a whole (default: reports/<corpus> in the data root)"
    )
    parser.add_argument("--tables", default=",".join(BUILDERS), help=f"with commas (default: {','.join(BUILDERS)})")
    parser.add_argument(
        "--figures", default=",".join(TITLES), help=f"with commas, or none (default: {','.join(TITLES)})"
    )
    parser.add_argument("--format", default=",".join(FORMATS), help=f"with commas (default: {','.join(FORMATS)})")
    parser.add_argument(
        "--sets",
        default="",
        help="prediction sets that stand for their systems, with commas (default: of each system the newest)",
    )
    parser.add_argument("--split", help="default: that of the newest run")
    parser.add_argument("--workers", type=int, default=1, help="clips scored at a time")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser  # fmt: skip


def _report(given: argparse.Namespace) -> dict:
    tables = _chosen(given.tables, BUILDERS, "--tables")
    figures = _chosen(given.figures, TITLES, "--figures")
    formats = _chosen(given.format, FORMATS, "--format")
    engine = open_database()
    try:
        with reading(engine) as session:
            corpus = find_corpus(session, given.corpus)
            out = given.out or store.data_root() / "reports" / store.checked_name(corpus.name, "corpus")
            _check_replaceable(out)
            with show_progress("scoring") as progress:
                data = gather(
                    session, corpus, sets=[name for name in given.sets.split(",") if name], split=given.split,
                    workers=given.workers, progress=progress,
                )  # fmt: skip
            data = with_studies(data, find_studies(engine, corpus) if {"III", "V"} & set(tables) else {})
            with store.atomic_folder(out) as folder:
                report = make(session, data, tables, figures, folder)
                write(report, folder, formats)
    finally:
        engine.dispose()
    return {
        "folder": str(out), "corpus": corpus.name, "marks": list(data.marks),
        "tables": [table.key for table in report.tables],
        "figures": [drawn.key for drawn in report.figures if drawn.files],
        "missing": list(dict.fromkeys([
            *(why for table in report.tables for why in table.missing),
            *(drawn.missing for drawn in report.figures if drawn.missing),
        ])),
    }  # fmt: skip


def _chosen(text: str, known: Sequence[str] | dict, flag: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip() and name.strip() != "none"]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{flag} {', '.join(unknown)}: expected some of {', '.join(known)}")
    return [name for name in known if name in names]


def _check_replaceable(out: Path) -> None:
    """Raises ValueError for a folder that holds something else than a report."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "report.json").exists())):
        raise ValueError(f"{out}: is there and is no report; choose another --out, or move it away")


def make(session: Session, data: ReportData, tables: Sequence[str], figures: Sequence[str], folder: Path) -> Report:
    """Build the tables, and draw the figures into <folder>/figures."""
    built = [build(session, data) for key in tables for build in BUILDERS[key]]
    drawn = [draw(session, data, key, folder / "figures", FIGURE_FORMATS) for key in figures]
    return Report(data, built, drawn)


def write(report: Report, folder: Path, formats: Sequence[str]) -> None:
    """Write the report's files; report.json always, since it is what tells a report from another folder."""
    (folder / "tables").mkdir()
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps(_record(report), indent=1, ensure_ascii=False, sort_keys=True))
    if "md" in formats:
        (folder / "report.md").write_text(_markdown(report))
    if "html" in formats:
        page = as_page(report.title, report.lead, report.data.marks, report.tables, report.figures)
        (folder / "report.html").write_text(page)
    for table in report.tables:
        if "csv" in formats:
            (folder / "tables" / f"table-{table.key}.csv").write_text(as_csv(table, "; ".join(report.data.marks)))
        if "latex" in formats:
            (folder / "tables" / f"table-{table.key}.tex").write_text(_marked_latex(report, table))
    if "latex" in formats:
        (folder / "main.tex").write_text(_main_tex(report))
    if not any((folder / "tables").iterdir()):
        shutil.rmtree(folder / "tables")


def _record(report: Report) -> dict:
    return {
        "schema": SCHEMA, "corpus": report.data.corpus.name, "marks": list(report.data.marks),
        "sources": report.data.sources, "tables": [table.record() for table in report.tables],
        "figures": [
            {"key": one.key, "title": one.title, "files": sorted(path.name for path in one.files.values()),
             "caption": one.caption, "missing": one.missing} for one in report.figures
        ],
    }  # fmt: skip


def _markdown(report: Report) -> str:
    marked = f"> **{'; '.join(report.data.marks)}: not results on real data.**\n" if report.data.marks else ""
    parts = [f"# {report.title}\n", f"{report.lead}\n", marked, *(as_markdown(table) for table in report.tables)]
    for drawn in report.figures:
        shown = f"![{drawn.title}](figures/{drawn.files['png'].name})\n\n{drawn.caption}" if drawn.files else \
            f"Not drawn: {drawn.missing}"  # fmt: skip
        parts.append(f"### Figure {drawn.key}: {drawn.title}\n\n{shown}\n")
    return "\n".join(filter(None, parts))


def _marked_latex(report: Report, table: Table) -> str:
    marks = f"% {'; '.join(report.data.marks)}: not results on real data.\n" if report.data.marks else ""
    if not report.data.marks:
        return as_latex(table)
    title = f"{table.title} ({'; '.join(report.data.marks)})"
    return marks + as_latex(Table(table.key, title, table.columns, table.rows, table.notes))


def _main_tex(report: Report) -> str:
    inputs = [rf"\input{{tables/table-{table.key}.tex}}" for table in report.tables]
    for drawn in report.figures:
        if drawn.files:
            size = r"width=\linewidth,height=0.75\textheight,keepaspectratio"
            inputs += [
                r"\begin{figure}[htbp]", r"\centering",
                rf"\includegraphics[{size}]{{figures/{drawn.files['pdf'].name}}}",
                rf"\caption{{{latex(drawn.title)}. {latex(drawn.caption)}}}", r"\end{figure}",
            ]  # fmt: skip
    marks = [rf"\noindent\textbf{{{latex('; '.join(report.data.marks))}: not results on real data.}}", ""]
    return "\n".join([
        r"\documentclass{article}", r"\usepackage[T1]{fontenc}", r"\usepackage[utf8]{inputenc}",
        r"\usepackage[a4paper,landscape,margin=1.5cm]{geometry}", r"\usepackage{booktabs,graphicx,threeparttable}",
        r"\begin{document}", rf"\section*{{{latex(report.title)}}}", latex(report.lead), "",
        *(marks if report.data.marks else []), *inputs, r"\end{document}", "",
    ])  # fmt: skip


def _told(summary: dict) -> str:
    marked = f" ({'; '.join(summary['marks'])})" if summary["marks"] else ""
    lines = [f"{summary['folder']}: tables {', '.join(summary['tables'])}, "
             f"figures {', '.join(summary['figures']) or 'none'}{marked}"]  # fmt: skip
    return "\n".join([*lines, *(f"not filled: {why}" for why in summary["missing"])])


if __name__ == "__main__":
    raise SystemExit(main())

"""Study results as one Markdown text or one HTML page without anything from elsewhere."""

import html

from evaluation.study.analysis import Study
from evaluation.study.study_tables import all_tables
from evaluation.table_files import as_html, as_markdown

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #8886; text-align: right; vertical-align: top; }
th:first-child { text-align: left; }
thead th { border-bottom: 2px solid currentColor; }
details summary { cursor: pointer; }
details p { max-width: 22rem; text-align: left; font-size: .85rem; margin: .3rem 0; }
td.published { font-style: italic; }
section > ul { font-size: .85rem; }
"""


def study_markdown(study: Study, title: str, *, is_published: bool = True) -> str:
    """All tables of a study as Markdown."""
    tables = [as_markdown(table) for table in all_tables(study, is_published=is_published)]
    return "\n".join([f"# {title}", "", _lead(study), "", *tables])


def study_html(study: Study, title: str, *, is_published: bool = True) -> str:
    """All tables of a study as a page; a cell tells on a click how its number came about."""
    tables = "\n".join(as_html(table) for table in all_tables(study, is_published=is_published))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{html.escape(title)}</h1><p>{html.escape(_lead(study))}</p>\n{tables}\n</main></body></html>\n"
    )


def _lead(study: Study) -> str:
    kind = "A/B study" if study.kind == "ab" else "Study of mean opinion scores"
    out = len(study.exclusions.participants)
    left_out = f" {out} left out by the rules." if out else " Nobody is left out."
    return f"{kind}: {study.answers} answers of {study.participants} participants.{left_out}"

"""The report as one HTML page that needs no other file: tables whose cells can be asked, figures inlined."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from evaluation.report_figures import Drawn
from evaluation.table import Table
from evaluation.table_files import as_html

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d5dae1; --back: #fff; --mark: #8a4b00;
  --mark-back: #fff4e0; --figure: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #a3adba; --line: #3a4350; --back: #14181e;
  --mark: #ffcf8a; --mark-back: #3a2a10 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; color: var(--ink); background: var(--back);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.7rem; margin: 0 0 .3rem } h3 { font-size: 1.05rem; margin: 2.5rem 0 .6rem }
p.lead { color: var(--soft); margin: 0 0 1rem }
p.marks { position: sticky; top: 0; z-index: 1; color: var(--mark); background: var(--mark-back); padding: .45rem .8rem;
  border-radius: .4rem; font-weight: 600 }
nav a { margin-right: .9rem } a { color: inherit }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
thead th { border-top: 2px solid var(--ink); border-bottom: 1px solid var(--ink); text-align: right;
  vertical-align: bottom }
tbody tr:last-child > * { border-bottom: 2px solid var(--ink) } th, td { padding: .3rem .6rem; white-space: nowrap }
thead th { white-space: normal } thead th:first-child, tbody th { text-align: left; font-weight: 500 }
td { text-align: right } td.published, td.missing { color: var(--soft) }
summary { cursor: pointer; list-style: none; text-decoration: underline dotted var(--soft);
  text-underline-offset: .25em }
summary::-webkit-details-marker { display: none } td p { white-space: normal; text-align: left; max-width: 26rem;
  margin: .4rem 0 0 auto; font-size: .85rem; color: var(--soft); overflow-wrap: anywhere }
section ul { color: var(--soft); font-size: .9rem; padding-left: 1.1rem }
figure { margin: 0 } figure img { width: 100%; background: var(--figure); border: 1px solid var(--line);
  border-radius: .4rem; padding: .6rem } figcaption { color: var(--soft); font-size: .9rem }
@media print { p.marks { position: static } details p { display: block } body { max-width: none } }
"""


def as_page(title: str, lead: str, marks: Sequence[str], tables: Sequence[Table], figures: Sequence[Drawn]) -> str:
    """The page. marks: what its numbers are not, such as measured on a real corpus; they stay in view."""
    links = [(f"table-{table.key.lower()}", f"Table {table.key}") for table in tables]
    links += [(f"figure-{drawn.key}", f"Figure {drawn.key}") for drawn in figures]
    nav = "".join(f'<a href="#{where}">{html.escape(name)}</a>' for where, name in links)
    marked = (
        f'<p class="marks" role="note">{html.escape("; ".join(marks))}: not results on real data.</p>' if marks else ""
    )
    body = "".join([*(as_html(table) for table in tables), *(_figure(drawn) for drawn in figures)])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>{marked}'
        f'<nav aria-label="Contents">{nav}</nav>{body}</main></body></html>\n'
    )


def _figure(drawn: Drawn) -> str:
    head = f"<h3>Figure {html.escape(drawn.key)}: {html.escape(drawn.title)}</h3>"
    if not drawn.files:
        inner = f"<ul><li>Not drawn: {html.escape(drawn.missing)}</li></ul>"
    else:
        kind, path = next((kind, drawn.files[kind]) for kind in ("svg", "png") if kind in drawn.files)
        inner = (
            f'<figure><img alt="{html.escape(drawn.title)}" src="{_inlined(path, kind)}">'
            f"<figcaption>{html.escape(drawn.caption)}</figcaption></figure>"
        )
    return f'<section id="figure-{html.escape(drawn.key)}">{head}{inner}</section>'


def _inlined(path: Path, kind: str) -> str:
    mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"

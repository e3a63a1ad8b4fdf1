"""A table as Markdown, LaTeX (booktabs), CSV and HTML, made of the table alone, so the same each time."""

import csv
import html
import io
import re

from evaluation.table import Cell, Table

PUBLISHED_MARK = "\N{DAGGER}"
PUBLISHED_NOTE = f"{PUBLISHED_MARK} published in the paper, on the real BIWI corpus; not computed here."
_LATEX = {
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "\N{EN DASH}": "--", "\N{MINUS SIGN}": "$-$", "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{DAGGER}": r"$^\dagger$", "\N{GREEK SMALL LETTER ALPHA}": r"$\alpha$", "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{UPWARDS ARROW}": r"$\uparrow$", "\N{LESS-THAN OR EQUAL TO}": r"$\leq$", "<": r"\textless{}",
    ">": r"\textgreater{}", "\N{SUPERSCRIPT MINUS}": r"$^{-}$", "\N{SUPERSCRIPT FOUR}": r"$^{4}$",
    "\N{SUPERSCRIPT FIVE}": r"$^{5}$",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def text_of(cell: Cell) -> str:
    """As printed, with the mark of published numbers."""
    return f"{cell.text} {PUBLISHED_MARK}" if cell.published and cell.text else cell.text


def notes_of(table: Table) -> list[str]:
    """The table's notes, what is missing in it, and what the mark means if it has one."""
    published = any(cell.published for line in table.rows for cell in line)
    return [*table.notes, *(f"Not filled: {why}" for why in table.missing), *([PUBLISHED_NOTE] if published else [])]


def as_markdown(table: Table) -> str:
    """A pipe table with title and notes."""

    def line(texts: list[str]) -> str:
        escaped = (text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for text in texts)
        return f"| {' | '.join(escaped)} |"

    rows = [line([text_of(cell) for cell in cells]) for cells in table.rows]
    rule = f"|{'---|' + '---:|' * (len(table.columns) - 1)}"
    notes = [f"- {note}" for note in notes_of(table)]
    parts = [f"### Table {table.key}: {table.title}", "", line(list(table.columns)), rule, *rows, "", *notes]
    return "\n".join(parts).rstrip() + "\n"


def as_latex(table: Table) -> str:
    """A table environment with booktabs' rules; `threeparttable` holds the notes."""
    heads = " & ".join(latex(column) for column in table.columns)
    body = [" & ".join(latex(text_of(cell)) for cell in cells) + r" \\" for cells in table.rows]
    notes = [rf"  \item {latex(note)}" for note in notes_of(table)]
    below = [r"\begin{tablenotes}\footnotesize", *notes, r"\end{tablenotes}"] if notes else []
    lines = [
        r"\begin{table}[htbp]", rf"\renewcommand{{\thetable}}{{{latex(table.key)}}}", r"\centering",
        r"\begin{threeparttable}",
        rf"\caption{{{latex(table.title)}}}", rf"\label{{tab:{re.sub(r'[^a-z0-9]+', '-', table.key.lower())}}}",
        r"\small", rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}", r"\toprule", heads + r" \\", r"\midrule",
        *body, r"\bottomrule", r"\end{tabular}", *below, r"\end{threeparttable}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """The text with everything escaped that TeX would take for a command; unknown signs are left to utf8 input."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def as_csv(table: Table, marks: str = "") -> str:
    """A row per cell: row, column, text, value, low, high, n, groups, method, published, missing; safe to open.

    marks: such as that the corpus is synthetic; stands in the last column of all that was computed here.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = ("value", "low", "high", "n", "groups", "method", "published", "missing")
    writer.writerow(["table", "row", "column", "text", *names, "marks"])
    for cells in table.rows:
        for column, cell in zip(table.columns[1:], cells[1:], strict=True):
            values = ["" if getattr(cell, name) is None else getattr(cell, name) for name in names]
            values = [repr(value) if isinstance(value, float) else value for value in values]
            mark = "" if cell.published else marks
            writer.writerow([_safe(value) for value in (table.key, cells[0].text, column, cell.text, *values, mark)])
    return buffer.getvalue()


def _safe(value: object) -> object:
    """A text that a spreadsheet would run gets an apostrophe before it; numbers stay numbers."""
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def as_html(table: Table) -> str:
    """A figure with the table; each cell tells on demand what it is."""
    heads = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in table.columns)
    body = []
    for cells in table.rows:
        first = f'<th scope="row">{html.escape(text_of(cells[0]))}</th>'
        body.append(f"<tr>{first}{''.join(_html_cell(cell) for cell in cells[1:])}</tr>")
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in notes_of(table))
    return (
        f'<section class="table" id="table-{html.escape(table.key.lower())}"><h3>Table {html.escape(table.key)}: '
        f'{html.escape(table.title)}</h3><div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>{f'<ul>{notes}</ul>' if notes else ''}</section>"
    )


def _html_cell(cell: Cell) -> str:
    kind = "missing" if cell.missing else "published" if cell.published else "ours"
    text = html.escape(text_of(cell))
    if not cell.about or (cell.published and not cell.missing):
        return f'<td class="{kind}">{text}</td>'
    return f'<td class="{kind}"><details><summary>{text}</summary><p>{html.escape(cell.about)}</p></details></td>'

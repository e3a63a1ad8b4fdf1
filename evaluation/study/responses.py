"""Responses of a study as a table and as CSV: checked as a whole before anything is computed, nothing guessed.

One row is one answer. A/B: participant, item, question, the two systems and the one preferred; MOS: participant, item,
condition, score. Everything else (`COLUMNS`) is for the audit and may be missing. Files that go out are safe to open in
a spreadsheet: text that it would take for a formula gets a leading apostrophe, which reading removes.
"""

import csv
import difflib
import io
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.study.answers import BadAnswer, ab_answer, mos_answer

SCHEMA_VERSION = 1
SCALE = (1.0, 5.0)
MOST_SHOWN = 20
TEXTS = ("study", "kind", "participant", "item", "question", "comparison", "condition", "system_left", "system_right",
         "preferred", "preferred_system", "block", "viewport", "browser", "answered_at")  # fmt: skip
NUMBERS = ("score", "trial", "plays_left", "plays_right", "watched_ms", "replays", "stalls", "hidden_ms", "answer_ms",
           "schema_version")  # fmt: skip
FLAGS = ("catch", "test", "simulated")  # false where they are missing
COLUMNS = (
    "study", "kind", "participant", "item", "question", "comparison", "condition", "system_left", "system_right",
    "preferred", "preferred_system", "score", "trial", "block", "catch", "catch_passed", "plays_left", "plays_right",
    "watched_ms", "replays", "stalls", "hidden_ms", "answer_ms", "viewport", "browser", "answered_at", "test",
    "simulated", "schema_version",
)  # fmt: skip
_DEFUSED = ("=", "+", "-", "@", "\t", "\r", "'")  # what a formula begins with, and the apostrophe itself
_TRUTH = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}


class BadResponses(ValueError):
    """A table of responses that cannot be analysed; the message names the lines, the columns and what to do."""


def read_responses(path: Path, scale: tuple[float, float] = SCALE) -> pd.DataFrame:
    """The responses in a CSV file, checked (see `check_responses`); the index is the line in the file.

    Commas, semicolons or tabs, a byte order mark, any order and case of the columns and blank lines are fine.
    Raises BadResponses.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadResponses(f"{path}: cannot be opened ({error.strerror or error})") from error
    return parse_responses(data, path.name, scale)


def parse_responses(data: bytes, file_name: str, scale: tuple[float, float] = SCALE) -> pd.DataFrame:
    """`read_responses` for a file that is in memory; `file_name` is for its messages."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadResponses(f"{file_name}: byte {error.start} is no UTF-8; save the file as 'CSV UTF-8'") from error
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    cells, lines, names = [], [], None
    try:
        for row in rows:
            if names is None:
                names = [name.strip().lower() for name in row]
            elif any(cell.strip() for cell in row):
                if len(row) != len(names):
                    found = f"{file_name}, line {rows.line_num}: {len(row)} cells under {len(names)} columns"
                    raise BadResponses(f"{found}; is a cell with a delimiter in it without quotes?")
                cells.append([_undefused(cell.strip()) for cell in row])
                lines.append(rows.line_num)
    except csv.Error as error:
        raise BadResponses(f"{file_name}, line {rows.line_num}: {error}; is a quote missing?") from error
    if not names or not any(names):
        raise BadResponses(f"{file_name}: the first line is empty; it must name the columns, such as participant, item")
    _check_columns(names, file_name)
    table = pd.DataFrame(cells, columns=names, index=pd.Index(lines, name="line"), dtype=object)
    return check_responses(table, scale, file_name)


def check_responses(
    table: pd.DataFrame, scale: tuple[float, float] = SCALE, name: str = "the responses"
) -> pd.DataFrame:
    """The table with all of `COLUMNS`, typed and consistent: comparison, side and preferred system agree in each row.

    Texts are str ("" for nothing), numbers float, flags bool, `catch_passed` True, False or None. A comparison is
    written one way round throughout. Where it was not named, the system that meets most others comes first.
    Raises BadResponses with all that is wrong, by line and column: gaps, duplicates, answers out of `scale`,
    contradictions, unknown or missing columns, no answer at all.
    """
    _check_columns([str(column) for column in table.columns], name)
    if table.empty:
        raise BadResponses(f"{name}: no response below the first line")
    where = table.index.name or "row"
    texts = {column: [_text(value) for value in table[column]] for column in table.columns}
    problems: list[tuple[Any, str, str]] = []
    rows = []
    for place, line in enumerate(table.index):
        given = {column: texts[column][place] for column in texts}
        try:
            rows.append(_row(given, scale, lambda column, says, line=line: problems.append((line, column, says))))
        except BadAnswer as error:
            problems.append((line, error.column, error.says))
            rows.append(None)
    if not problems:
        _name_comparisons(rows)
        problems = _duplicates(rows, list(table.index), where)
    _refuse(name, where, len(table), problems)
    return _typed(rows, table.index)


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """The answers that count: no test participants, no catch trials."""
    return table[~table["test"].astype(bool) & ~table["catch"].astype(bool)]


def responses_csv(table: pd.DataFrame) -> str:
    """The table as CSV: true and false, empty for nothing, no formulas; `parse_responses` gives the same table back."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    columns = [column for column in COLUMNS if column in table.columns]
    writer.writerow(columns)
    for row in table[columns].itertuples(index=False):
        texts = [_text(value) for value in row]
        writer.writerow([
            f"'{text}" if text.startswith(_DEFUSED) and column not in NUMBERS else text
            for column, text in zip(columns, texts, strict=True)
        ])  # fmt: skip
    return file.getvalue()


def _check_columns(names: list[str], file_name: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadResponses(f"{file_name}: there are two columns {name!r}; leave one of them")
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known columns are {', '.join(COLUMNS)}; remove it"
            raise BadResponses(f"{file_name}: column {name[:40]!r} is unknown; {meant}")
    has = set(names).__contains__
    missing = [name for name in ("participant", "item") if not has(name)]
    if not has("score") and not has("preferred") and not has("preferred_system"):
        missing.append("preferred or preferred_system (A/B), or score (MOS)")
    elif not has("score"):
        missing += [] if has("question") else ["question"]
        missing += [] if has("comparison") or (has("system_left") and has("system_right")) else [
            "comparison, or system_left and system_right"]  # fmt: skip
    elif not has("preferred") and not has("preferred_system") and not has("condition"):
        missing.append("condition")
    if missing:
        raise BadResponses(f"{file_name}: no column {'; no column '.join(missing)}; found {', '.join(names)[:200]}")


def _undefused(text: str) -> str:
    """A text without the apostrophe that our exports put before a would-be formula."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_DEFUSED) else text


def _text(value: object) -> str:
    """A cell as text."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return ""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value.isoformat(timespec="milliseconds") if hasattr(value, "isoformat") else str(value)


def _row(given: Mapping[str, str], scale: tuple[float, float], problem: Callable[[str, str], None]) -> dict[str, Any]:
    """One row, typed. Calls `problem` for cells of the audit; raises BadAnswer for the answer itself."""
    row: dict[str, Any] = {column: given.get(column, "") for column in TEXTS}
    row |= {column: _number(given.get(column, ""), column, problem) for column in NUMBERS}
    row |= {column: bool(_flag(given.get(column, ""), column, problem)) for column in FLAGS}
    row["catch_passed"] = _flag(given.get("catch_passed", ""), "catch_passed", problem)
    if not row["participant"]:
        raise BadAnswer("participant", "empty; every answer needs one")
    if row["catch"]:
        if row["catch_passed"] is None:
            raise BadAnswer("catch_passed", "empty; a catch trial was passed or not: true or false")
        return row | {"kind": row["kind"] or ("ab" if math.isnan(row["score"]) else "mos")}
    if not row["item"]:
        raise BadAnswer("item", "empty; every answer is about a clip")
    speaks_of_systems = any(row[name] for name in ("preferred", "preferred_system", "comparison", "system_left"))
    kind = row["kind"].lower() or ("ab" if speaks_of_systems else "mos")
    if kind not in ("ab", "mos"):
        raise BadAnswer("kind", f"{row['kind'][:40]!r}; expected ab or mos")
    return row | {"kind": kind} | (ab_answer(row) if kind == "ab" else mos_answer(row, scale))


def _number(text: str, column: str, problem: Callable[[str, str], None]) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if column == "score":
        return value if math.isfinite(value) else math.nan  # `mos_answer` tells
    if not math.isfinite(value):
        problem(column, f"{text[:40]!r} is no number")
    elif value < 0:
        problem(column, f"{text[:40]}; expected 0 or more")
    return value


def _flag(text: str, column: str, problem: Callable[[str, str], None]) -> bool | None:
    if text and text.lower() not in _TRUTH:
        problem(column, f"{text[:40]!r}; expected true or false")
    return _TRUTH.get(text.lower())


def _name_comparisons(rows: list[dict[str, Any]]) -> None:
    """Write each comparison one way round: as it was first named, else the system that meets most others first."""
    counted = [row for row in rows if row["kind"] == "ab" and not row["catch"]]
    named, met = {}, defaultdict(set)
    for row in counted:
        first, second = row.pop("systems")
        row["pair"] = frozenset((first, second))
        met[first].add(second)
        met[second].add(first)
        if row["comparison"]:
            named.setdefault(row["pair"], f"{first} vs {second}")
    for row in counted:
        pair = row.pop("pair")
        if pair not in named:
            named[pair] = " vs ".join(sorted(pair, key=lambda system: (-len(met[system]), system)))
        row["comparison"] = named[pair]


def _duplicates(rows: list[dict[str, Any]], lines: list[Any], where: str) -> list[tuple[Any, str, str]]:
    first_line: dict[tuple, Any] = {}
    found = []
    for row, line in zip(rows, lines, strict=True):
        names = ("study", "kind", "participant", "item", "question", "comparison", "condition", "test")
        key = tuple(row[name] for name in names)
        if row["catch"]:
            continue  # a catch trial may come again
        if key in first_line:
            about = row["comparison"] or row["condition"]
            found.append((line, "item", f"{row['participant']} answered {row['question']!r} on {row['item']} ({about}) "
                                        f"already, in {where} {first_line[key]}; which one counts?"))  # fmt: skip
        first_line.setdefault(key, line)
    return found


def _refuse(name: str, where: str, n_rows: int, problems: list[tuple[Any, str, str]]) -> None:
    if not problems:
        return
    shown = "\n".join(f"  {where} {line}, {column}: {says}" for line, column, says in problems[:MOST_SHOWN])
    more = f"\n  and {len(problems) - MOST_SHOWN} more" if len(problems) > MOST_SHOWN else ""
    bad = len({line for line, _, _ in problems})
    raise BadResponses(f"{name}: {bad} of {n_rows} rows cannot be used; correct them and try again\n{shown}{more}")


def _typed(rows: list[dict[str, Any]], index: pd.Index) -> pd.DataFrame:
    table = pd.DataFrame({column: pd.Series([row[column] for row in rows], index=index, dtype=object)
                          for column in COLUMNS})  # fmt: skip
    return table.astype(dict.fromkeys(NUMBERS, float) | dict.fromkeys(FLAGS, bool))

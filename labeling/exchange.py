"""Ratings and labels as files: CSV in, whatever a spreadsheet made of it, and CSV and JSON out.

Files that come in are checked as a whole; all problems are told at once, with their lines. Files that go out are
safe to open in a spreadsheet: text that it would take for a formula gets a leading apostrophe, which reading removes.
"""

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from labeling.emotions import EMOTIONS, INTENSITIES

SCHEMA_VERSION = 1
COLUMNS = ["subject", "clip", "rater", "emotion", "intensity"]
MOST_SHOWN = 20
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# Words of other corpora and languages of tools, only to say what was probably meant.
_MEANT = {
    "sad": "sadness", "unhappy": "sadness", "anger": "angry", "mad": "angry", "happiness": "happy", "joy": "happy",
    "none": "neutral", "ne": "neutral", "h": "happy", "a": "angry", "s": "sadness", "n": "neutral",
}  # fmt: skip


class BadRatings(ValueError):
    """A file of ratings that cannot be used; the message names the file, the lines and what to do."""


@dataclass(frozen=True)
class Check:
    """What a check found: the lines, and what to say of such a row."""

    lines: pd.Index
    says: Callable[[pd.Series], str]


def read_ratings(path: Path) -> pd.DataFrame:
    """The ratings in `path`, with the columns subject, clip, rater, emotion, intensity (int), a row per vote.

    The index is the line in the file. Commas, semicolons or tabs; a byte order mark, spaces, any order and case of the
    columns, further columns and blank lines are fine. Raises BadRatings for anything that is not a rating: unknown
    emotions, intensities that are no whole number from 1 to 5, empty cells, a rater's second vote on a clip, no row
    at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadRatings(f"{path}: cannot be opened ({error.strerror or error})") from error
    return parse_ratings(data, path.name)


def parse_ratings(data: bytes, file_name: str) -> pd.DataFrame:
    """`read_ratings` for a file that is in memory; `file_name` is for its messages."""
    table = _parse_table(data, file_name)
    table = table.rename(columns=lambda name: str(name).strip().lower())
    table.index = pd.RangeIndex(2, len(table) + 2, name="line")  # line 1 names the columns
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise BadRatings(
            f"{file_name}: no column {', '.join(map(repr, missing))}; the first line must name the columns "
            f"{', '.join(COLUMNS)}, found {', '.join(map(str, table.columns[:10]))}"
        )
    table = table[COLUMNS].apply(_cleaned)
    table = table[(table != "").any(axis=1)]  # blank lines
    if table.empty:
        raise BadRatings(f"{file_name}: no rating below the first line")
    refuse(file_name, table, [_empty(table), _unknown_emotions(table), _impossible_intensities(table),
                              _second_votes(table)])  # fmt: skip
    return table.assign(emotion=table["emotion"].str.lower(), intensity=table["intensity"].astype(float).astype(int))


def refuse(file_name: str, table: pd.DataFrame, checks: Iterable[Check]) -> None:
    """Raise BadRatings with all that `checks` found, by line; do nothing if that is nothing."""
    checks = list(checks)
    lines = set().union(*(check.lines for check in checks))
    if not lines:
        return
    shown = sorted((line, check.says(table.loc[line])) for check in checks for line in check.lines[:MOST_SHOWN])
    listed = "\n".join(f"  line {line}: {text}" for line, text in shown[:MOST_SHOWN])
    n_problems = sum(len(check.lines) for check in checks)
    more = f"\n  and {n_problems - MOST_SHOWN} more" if n_problems > MOST_SHOWN else ""
    raise BadRatings(
        f"{file_name}: {len(lines)} of {len(table)} rows cannot be used; correct them and try again\n{listed}{more}")


def _parse_table(data: bytes, file_name: str) -> pd.DataFrame:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRatings(f"{file_name}: byte {error.start} is no UTF-8; save the file as 'CSV UTF-8'") from error
    header = text.split("\n", 1)[0]
    if not header.strip():
        raise BadRatings(f"{file_name}: the first line is empty; it must name the columns {', '.join(COLUMNS)}")
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().lower() for name in next(csv.reader([header.rstrip("\r")], delimiter=delimiter))]
    for column in COLUMNS:
        if names.count(column) > 1:
            raise BadRatings(f"{file_name}: there are two columns {column!r}; leave one of them")
    try:
        return pd.read_csv(io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, index_col=False,
                           on_bad_lines="error", skip_blank_lines=False)  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        found = str(error).strip()
        raise BadRatings(f"{file_name}: {found}; is a cell with a delimiter in it without quotes?") from error


def _cleaned(column: pd.Series) -> pd.Series:
    """Without spaces around, and without the apostrophe that our own exports put before a would-be formula."""
    codes, values = pd.factorize(column.fillna(""))
    cleaned = [from_spreadsheet(str(value).strip()) for value in values]
    return pd.Series(np.array(cleaned, dtype=object)[codes], index=column.index)


def _empty(table: pd.DataFrame) -> Check:
    names = ["subject", "clip", "rater"]
    return Check(table.index[(table[names] == "").any(axis=1)],
                 lambda row: f"{' and '.join(name for name in names if not row[name])} empty")  # fmt: skip


def _unknown_emotions(table: pd.DataFrame) -> Check:
    known = table["emotion"].str.lower().isin(EMOTIONS)
    return Check(table.index[~known],
                 lambda row: f"emotion {row['emotion'][:40]!r}{_suggestion(row['emotion'])}")  # fmt: skip


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word.lower(), EMOTIONS, n=1)
    meant = _MEANT.get(word.lower()) or (close[0] if close else None)
    return f"; did you mean {meant!r}?" if meant else f"; expected one of {', '.join(EMOTIONS)}"


def _impossible_intensities(table: pd.DataFrame) -> Check:
    good = pd.to_numeric(table["intensity"], errors="coerce").isin(INTENSITIES)
    return Check(table.index[~good],
                 lambda row: f"intensity {row['intensity'][:40]!r}; expected a whole number from 1 to 5")  # fmt: skip


def _second_votes(table: pd.DataFrame) -> Check:
    key = ["subject", "clip", "rater"]
    named = table[(table[key] != "").all(axis=1)]  # what is empty was said to be
    second = named.index[named.duplicated(key)]

    def says(row: pd.Series) -> str:
        first = named.index[(named[key] == row[key]).all(axis=1)][0]
        return f"{row['rater']} voted on clip {row['clip']} of {row['subject']} already, in line {first}"

    return Check(second, says)


def for_spreadsheet(value: object) -> object:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; anything else as it is."""
    if isinstance(value, str) and value.startswith((*FORMULA_STARTS, "'")):
        return "'" + value
    return value


def from_spreadsheet(value: str) -> str:
    """The reverse of `for_spreadsheet`."""
    return value[1:] if value.startswith("'") and value[1:].startswith((*FORMULA_STARTS, "'")) else value


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV: UTC times in ISO 8601, true and false, ten digits, empty for nothing, no formulas."""
    shown = table.copy()
    for column in shown.columns:
        values = shown[column]
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            shown[column] = values.map(lambda moment: moment.isoformat(timespec="seconds"), na_action="ignore")
        elif values.dtype == bool:
            shown[column] = values.map({True: "true", False: "false"})
        elif not pd.api.types.is_numeric_dtype(values.dtype):
            shown[column] = _as_cells(values)
    return shown.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def _as_cells(values: pd.Series) -> pd.Series:
    """Each different value once: a million labels are four words."""
    try:
        codes, different = pd.factorize(values)
    except TypeError:  # lists cannot be compared; tables with lists are small
        return values.map(_as_cell, na_action="ignore")
    cells = np.array([*map(_as_cell, different), None], dtype=object)  # code -1, nothing, is the last
    return pd.Series(cells[codes], index=values.index, dtype=object)


def _as_cell(value: object) -> object:
    if isinstance(value, (list, tuple, set)):
        value = " ".join(map(str, value))
    elif hasattr(value, "isoformat"):
        value = value.isoformat(timespec="seconds")
    elif isinstance(value, bool):
        value = "true" if value else "false"
    return for_spreadsheet(value)


def as_json(table: pd.DataFrame, what: str, **about: object) -> str:
    """A table as JSON: {"schema": "eavanet-<what>", "schema_version": 1, **about, "rows": [...]}."""
    rows = json.loads(table.to_json(orient="records", date_format="iso", date_unit="s", double_precision=6))
    return json.dumps({"schema": f"eavanet-{what}", "schema_version": SCHEMA_VERSION, **about, "rows": rows},
                      ensure_ascii=False, indent=1, allow_nan=False) + "\n"  # fmt: skip


def ratings_export(answers: pd.DataFrame) -> pd.DataFrame:
    """All revisions of all answers for people outside: who, when, what, without internal numbers."""
    columns = ["round", "subject", "clip", "rater", "kind", "slot", "revision", "emotion", "intensity", "problem",
               "reason", "plays", "coverage", "watched_s", "created_at", "simulated", "imported"]  # fmt: skip
    return answers[columns].assign(schema_version=SCHEMA_VERSION)

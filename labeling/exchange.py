"""Ratings and labels as files: CSV in, whatever a spreadsheet made of it, and CSV and JSON out.

Files that come in are checked as a whole; all problems are told at once, with their lines. Files that go out are
safe to open in a spreadsheet: text that it would take for a formula gets a leading apostrophe, which reading removes.
"""

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from labeling.emotions import EMOTIONS

SCHEMA_VERSION = 1
COLUMNS = ["subject", "clip", "rater", "emotion", "intensity"]
MOST_SHOWN = 20
_DEFUSED = ("=", "+", "-", "@", "\t", "\r", "'")  # what a formula begins with, and the apostrophe itself
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

    The index is the line in the file; texts are categories in alphabetical order. Commas, semicolons or tabs; a byte
    order mark, spaces, any order and case of the columns, further columns and blank lines are fine. Raises BadRatings
    for anything that is not a rating: unknown emotions, intensities that are no whole number from 1 to 5, empty cells,
    a rater's second vote on a clip, no row at all.
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
    table = pd.DataFrame({column: _cleaned(table[column]) for column in COLUMNS})
    blank = np.logical_and.reduce([_is_empty(table[column]) for column in COLUMNS])
    table = table[~blank] if blank.any() else table
    if table.empty:
        raise BadRatings(f"{file_name}: no rating below the first line")
    refuse(file_name, table, [_empty(table), _unknown_emotions(table), _impossible_intensities(table),
                              _second_votes(table)])  # fmt: skip
    emotion, intensity = table["emotion"].cat, table["intensity"].cat
    numbers = np.array([int(word[:1] or 0) for word in intensity.categories])  # "4", "4.0", and "" of blank lines
    return table.assign(
        emotion=pd.Categorical.from_codes(_code_of(emotion.categories)[emotion.codes], list(EMOTIONS)),
        intensity=numbers[intensity.codes],
    )


def _code_of(words: Iterable[str]) -> np.ndarray:
    return np.array([EMOTIONS.index(word.lower()) if word else 0 for word in words])  # "": a blank line's, not used


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
    """As categories, without spaces around or the apostrophe that our exports put before a would-be formula.

    A million votes are a few hundred thousand different words: what follows asks about each of them once.
    """
    codes, words = pd.factorize(column)
    words = [from_spreadsheet(word) if word[:1] == "'" else word for word in map(str.strip, words.tolist())]
    words.append("")  # a cell that is not there has the code -1: the last
    different = sorted(set(words))
    place = {word: code for code, word in enumerate(different)}
    codes = np.array([place[word] for word in words])[codes]
    # As objects: pandas' own strings are many times slower to go through one by one.
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(different, dtype=object)), index=column.index)


def _is_empty(column: pd.Series) -> np.ndarray:
    # The words are in alphabetical order: nothing comes first.
    return column.cat.codes.to_numpy() == 0 if column.cat.categories[0] == "" else np.zeros(len(column), dtype=bool)


def _those(column: pd.Series, wanted: Callable[[str], bool]) -> np.ndarray:
    """Which rows have a `wanted` word; each different word is asked about once."""
    return np.array([wanted(word) for word in column.cat.categories], dtype=bool)[column.cat.codes]


def _empty(table: pd.DataFrame) -> Check:
    names = ["subject", "clip", "rater"]
    empty = np.logical_or.reduce([_is_empty(table[name]) for name in names])
    return Check(table.index[empty], lambda row: f"{' and '.join(name for name in names if not row[name])} empty")


def _unknown_emotions(table: pd.DataFrame) -> Check:
    unknown = _those(table["emotion"], lambda word: word.lower() not in EMOTIONS)
    return Check(table.index[unknown],
                 lambda row: f"emotion {row['emotion'][:40]!r}{_suggestion(row['emotion'])}")  # fmt: skip


def _suggestion(word: str) -> str:
    close = difflib.get_close_matches(word.lower(), EMOTIONS, n=1)
    meant = _MEANT.get(word.lower()) or (close[0] if close else None)
    return f"; did you mean {meant!r}?" if meant else f"; expected one of {', '.join(EMOTIONS)}"


def _impossible_intensities(table: pd.DataFrame) -> Check:
    impossible = _those(table["intensity"], lambda word: not re.fullmatch(r"[1-5](\.0*)?", word))
    return Check(table.index[impossible],
                 lambda row: f"intensity {row['intensity'][:40]!r}; expected a whole number from 1 to 5")  # fmt: skip


def _second_votes(table: pd.DataFrame) -> Check:
    key = np.zeros(len(table), dtype=np.int64)
    for name in ("subject", "clip", "rater"):
        key = key * len(table[name].cat.categories) + table[name].cat.codes.to_numpy()
    keys = pd.Series(key, index=table.index)
    named = keys[~table.index.isin(_empty(table).lines)]  # what is empty was said to be

    def says(row: pd.Series) -> str:
        first = named.index[named == named[row.name]][0]
        return f"{row['rater']} voted on clip {row['clip']} of {row['subject']} already, in line {first}"

    return Check(named.index[named.duplicated()], says)


def for_spreadsheet(text: str) -> str:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; anything else as it is."""
    return "'" + text if text.startswith(_DEFUSED) else text


def from_spreadsheet(text: str) -> str:
    """The reverse of `for_spreadsheet`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_DEFUSED) else text


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV: UTC times in ISO 8601, true and false, ten digits, empty for nothing, no formulas."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(zip(*(_cells(table[column]) for column in table.columns), strict=True))
    return file.getvalue()


def _cells(values: pd.Series) -> list[str]:
    """Each different value is put into words once: a million labels are four."""
    try:
        codes, different = pd.factorize(values)
    except TypeError:  # lists cannot be compared; tables with lists are small
        return [_cell(value) for value in values]
    different = different.tolist()
    say = for_spreadsheet if all(type(value) is str for value in different) else _cell
    words = np.array([*map(say, different), ""], dtype=object)  # code -1, nothing, is the last
    return words[codes].tolist()


def _cell(value: object) -> str:
    if isinstance(value, str):
        return for_spreadsheet(value)
    if isinstance(value, (list, tuple, set)):
        return for_spreadsheet(" ".join(map(str, value)))
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        return f"{value:.10g}"
    if hasattr(value, "isoformat"):
        return value.isoformat(timespec="seconds")
    return for_spreadsheet(str(value)) if not isinstance(value, (int, np.integer)) else str(value)


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

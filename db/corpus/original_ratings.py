"""The corpus's own perceptual test: how strongly each clip shows each of its emotional adjectives."""

import csv
import io
from pathlib import Path

from db.corpus.errors import BadFile, shown
from db.corpus.naming import clip_name, subject_name

HOW_TO = (
    "Make it from the evaluation sheets of your copy: one line per sequence, `subject,sentence` and then one column "
    "per adjective with its mean score, 1 (not at all) to 5 (very), 0 where it was not rated: "
    "`subject,sentence,confident,sad`, then `F1,e01,3.4,1.2`, and so on"
)
HIGHEST_SCORE = 5


def read_original_ratings(path: Path) -> dict[str, dict[str, float]]:
    """Score of each adjective for each clip: clip name -> adjective -> 0..5, in the file's order.

    Commas, semicolons or tabs divide; a byte order mark and decimal commas (not between commas) are understood.
    Raises BadFile with the line number for anything else.
    """
    rows = _rows(path)
    header = [word.strip() for word in rows[0]] if rows else []
    adjectives = header[2:]
    if [word.lower() for word in header[:2]] != ["subject", "sentence"] or not adjectives:
        raise BadFile(
            f"{shown(path)}: header {','.join(header)[:80]!r}; expected subject,sentence,<adjectives>. {HOW_TO}"
        )
    if len(set(adjectives)) != len(adjectives) or "" in adjectives:
        raise BadFile(f"{shown(path)}: an adjective is named twice or not at all in the header; correct it")
    ratings: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(word.strip() for word in row):
            continue
        name, scores = _parse(row, len(header), f"{shown(path)}, line {number}")
        if name in ratings:
            raise BadFile(f"{shown(path)}, line {number}: {name} is there twice; keep one line per clip")
        ratings[name] = dict(zip(adjectives, scores, strict=True))
    return ratings


def is_outlier(scores: dict[str, float]) -> bool:
    """The guideline that the paper follows: a clip with zero scores throughout is an outlier."""
    return bool(scores) and not any(scores.values())


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{shown(path)}: {error}; save it as CSV in UTF-8") from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    return rows if delimiter == "," else [[word.replace(",", ".") for word in row] for row in rows]


def _parse(row: list[str], columns: int, place: str) -> tuple[str, list[float]]:
    if len(row) != columns:
        raise BadFile(f"{place}: {len(row)} columns, the header has {columns}; complete the line")
    scores = []
    for word in row[2:]:
        try:
            score = float(word)
        except ValueError:
            raise BadFile(f"{place}: score {word!r} is no number; write 0 where nothing was rated") from None
        if not 0 <= score <= HIGHEST_SCORE:
            raise BadFile(f"{place}: score {word.strip()} is outside 0..{HIGHEST_SCORE}; correct it")
        scores.append(score)
    return clip_name(subject_name(row[0].strip()), row[1].strip()), scores

"""Score prediction sets once and keep the tables: what `python -m evaluation.scores` runs, and how others read them.

    <data root>/scores/<set>.json       the table, its notes, and what it was computed from

A kept table counts only as long as set, corpus, labels, regions and metrics are those that it was computed from; it is
computed anew otherwise. Reading one needs neither the vertex files nor anything heavy.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import store
from db.clips import regions
from db.models import Corpus, LabelRelease
from db.predictions import list_sets
from db.progress import Progress, show_progress
from db.result_models import PredictionSet
from db.session import DatabaseUnusable, open_database, reading
from evaluation.score_table import METRICS, ROW, summary
from evaluation.scores import newest_release, release_of, score_set

FORMAT = 1


def kept_scores(
    session: Session, predictions: PredictionSet, release: LabelRelease | None = None
) -> pd.DataFrame | None:
    """The kept score table of a set (see `score_table`), or None if there is none that still holds."""
    try:
        kept = json.loads(_path(predictions).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or kept.get("from") != _origin(session, predictions, release):
        return None
    table = pd.DataFrame(kept["columns"])
    measured = [column for column in table.columns if column not in ROW]
    table[measured] = table[measured].astype(np.float64)
    table.attrs["notes"] = kept["notes"]
    return table


def scores_of(
    session: Session,
    predictions: PredictionSet,
    release: LabelRelease | None = None,
    *,
    again: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The score table of a set: the kept one, or computed and kept. again: computed anew. Raises as `score_set`."""
    kept = None if again else kept_scores(session, predictions, release)
    if kept is not None:
        return kept
    table = score_set(session, predictions, release=release, workers=workers, progress=progress)
    columns = {name: [None if pd.isna(value) else value for value in table[name].tolist()] for name in table.columns}
    content = {"from": _origin(session, predictions, release), "notes": table.attrs["notes"], "columns": columns}
    with store.atomic_write(_path(predictions)) as partial:
        partial.write_text(json.dumps(content))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    try:
        engine = open_database()
        with reading(engine) as session:
            told = [_told(session, row, given) for row in _chosen(session, given)]
        engine.dispose()
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(told))
    else:
        print("\n\n".join(_as_text(one) for one in told))
    return 0


def _chosen(session: Session, given: argparse.Namespace) -> list[PredictionSet]:
    corpus_id = None
    if given.corpus is not None:
        corpus_id = session.scalar(select(Corpus.id).where(Corpus.name == given.corpus))
        if corpus_id is None:
            raise ValueError(f"corpus {given.corpus}: there is none of that name")
    sets = {row.name: row for row in list_sets(session, corpus_id)}
    if not sets:
        raise ValueError("there are no predictions yet; see python -m eavanet.predict and python -m db.predictions")
    unknown = [name for name in given.sets if name not in sets]
    if unknown:
        raise ValueError(f"predictions {', '.join(unknown)}: there are none of that name; there are {', '.join(sets)}")
    if given.csv and len(given.sets or sets) != 1:
        raise ValueError("--csv writes one set; name it")
    return [sets[name] for name in given.sets or sets]


def _told(session: Session, row: PredictionSet, given: argparse.Namespace) -> dict[str, Any]:
    with show_progress(f"scoring {row.name}") as progress:
        table = scores_of(session, row, again=given.again, workers=given.workers, progress=progress)
    if given.csv:
        with store.atomic_write(given.csv) as partial:
            table.to_csv(partial, index=False)
    numbers = summary(table) | {m.beside: float(table[m.beside].mean()) for m in METRICS.values() if m.beside}
    numbers = {key: None if np.isnan(value) else value for key, value in numbers.items()}
    return {
        "name": row.name, "system": row.system, "synthetic": row.synthetic, "simulated": row.simulated,
        "clips": table["clip"].nunique(), "predictions": len(table), **numbers, "notes": table.attrs["notes"],
    }  # fmt: skip


def _as_text(told: dict[str, Any]) -> str:
    marks = [word for word, is_so in (("synthetic corpus", told["synthetic"]), ("simulated raters", told["simulated"]))
             if is_so]  # fmt: skip
    lines = [f"{told['name']}: {told['system']}, {told['predictions']} predictions of {told['clips']} clips"
             + (f" ({', '.join(marks)})" if marks else "")]  # fmt: skip
    for key, metric in METRICS.items():
        if told[key] is not None:
            beside = f"; the truth's is {told[metric.beside]:.6e}" if metric.beside else ""
            lines.append(f"  {metric.title:26}{told[key]: .6e} {metric.unit:10} {metric.about}{beside}")
    return "\n".join([*lines, *(f"  note: {note}" for note in told["notes"])])


def _path(predictions: PredictionSet) -> Path:
    return store.data_root() / "scores" / f"{store.checked_name(predictions.name, 'predictions')}.json"


def _origin(session: Session, predictions: PredictionSet, release: LabelRelease | None) -> dict[str, Any]:
    """All that a table of scores depends on, as JSON."""
    corpus = predictions.corpus
    labels = release or release_of(session, predictions) or newest_release(session, corpus.id)
    digest = hashlib.sha256()
    for name, indices in sorted(regions(corpus).items()):
        digest.update(name.encode() + np.asarray(indices, dtype="<i8").tobytes())
    return {
        "format": FORMAT, "predictions": predictions.sha256, "corpus": corpus.sha256,
        "labels": labels.sha256 if labels else None, "regions": digest.hexdigest(), "metrics": list(METRICS),
        "frames_per_second": corpus.frames_per_second, "mm_per_unit": corpus.mm_per_unit,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.scores",
        description="All metrics of recorded predictions, kept in the data root as long as they hold.",
    )
    parser.add_argument("sets", nargs="*", metavar="SET", help="names of prediction sets (default: all)")
    parser.add_argument("--corpus", help="only sets of this corpus")
    parser.add_argument("--again", action="store_true", help="compute anew, whatever is kept")
    parser.add_argument("--workers", type=int, default=1, help="clips at a time (default: 1)")
    parser.add_argument("--csv", type=Path, help="also write a row per clip and condition subject to this file")
    parser.add_argument("--json", action="store_true", help="print the averages as JSON")
    return parser

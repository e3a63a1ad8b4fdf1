"""`python -m labeling.algorithm1`: Algorithm 1 on plain CSV files, no database needed."""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from db.store import atomic_write
from labeling.algorithm1 import MINIMUM_VOTES, POLICIES, Labels, TooFewVotes, aggregate
from labeling.emotions import EMOTIONS
from labeling.exchange import as_csv, read_ratings


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status. Writes both files or neither."""
    options = _parser().parse_args(arguments)
    try:
        _check_paths(options)
        ratings = read_ratings(options.ratings)
        result = aggregate(ratings, options.policy, options.minimum_votes, options.allow_partial)
        _write(result, options.labels, options.subjects)
    except TooFewVotes as error:
        print(f"error: {options.ratings.name}: {error} (--allow-partial)", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: cannot be written ({error.strerror}); nothing was changed", file=sys.stderr)
        return 1
    summary = summarise(ratings, result, options.policy, options.minimum_votes)
    print(json.dumps(summary) if options.json else _as_text(summary))
    return 0


def summarise(ratings: pd.DataFrame, result: Labels, policy: str, minimum_votes: int) -> dict:
    """The result in a few numbers, ready for JSON."""
    labels = result.labels
    return {
        "policy": policy,
        "ratings": len(ratings),
        "raters": int(ratings["rater"].nunique()),
        "clips": len(labels),
        "labelled": int(labels["label"].notna().sum()),
        "too_few_votes": int((labels["n_votes"] < minimum_votes).sum()),
        "ties": int(labels["tie"].sum()),
        "labels": {emotion: int((labels["label"] == emotion).sum()) for emotion in EMOTIONS},
        "subjects": len(result.subjects),
        "scores": dict(zip(result.subjects["subject"], result.subjects["score"].astype(float), strict=True)),
        "selected": result.selected,
    }


def _check_paths(options: argparse.Namespace) -> None:
    """Before anything is read: neither result may land on the ratings or on the other."""
    named: dict[Path, str] = {options.ratings.resolve(): "--ratings"}
    for flag, path in (("--labels", options.labels), ("--subjects", options.subjects)):
        if path.resolve() in named:
            raise ValueError(f"{named[path.resolve()]} and {flag} both name {path}; give each a file of its own")
        if path.is_dir():
            raise ValueError(f"{path}: is a folder; {flag} needs the name of a file")
        if not path.parent.is_dir():
            raise ValueError(f"{path}: the folder {path.parent} does not exist; make it first")
        named[path.resolve()] = flag


def _write(result: Labels, labels: Path, subjects: Path) -> None:
    with atomic_write(labels) as partial_labels, atomic_write(subjects) as partial_subjects:
        partial_labels.write_text(as_csv(result.labels), encoding="utf-8")
        partial_subjects.write_text(as_csv(result.subjects), encoding="utf-8")


def _as_text(summary: dict) -> str:
    counts = ", ".join(f"{emotion} {n}" for emotion, n in summary["labels"].items())
    return "\n".join([
        f"{summary['ratings']} ratings by {summary['raters']} raters on {summary['clips']} clips",
        f"labelled {summary['labelled']} ({counts}); {summary['ties']} ties, policy {summary['policy']}",
        f"selected {len(summary['selected'])} of {summary['subjects']} subjects (mean intensity strictly above 3): "
        + (", ".join(summary["selected"]) or "none"),
    ])  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m labeling.algorithm1",
        description="Algorithm 1 of the EavaNet paper: select the subjects whose mean intensity is strictly above 3, "
        "and label each clip with the emotion that most of its votes name.",
    )
    parser.add_argument("--ratings", type=Path, required=True, help="CSV with subject,clip,rater,emotion,intensity")
    parser.add_argument("--policy", choices=POLICIES, default="adjudicate",
                        help="what a tie becomes: no label until a further vote (adjudicate), the first in the order "
                        "happy, angry, sadness, neutral (paper), or no label for good (exclude)")
    parser.add_argument("--minimum-votes", type=int, default=MINIMUM_VOTES, metavar="M", help="votes a label needs (3)")
    parser.add_argument("--allow-partial", action="store_true",
                        help="clips with fewer votes stay without a label, instead of being an error")
    parser.add_argument("--labels", type=Path, required=True, help="CSV to write, a row per clip")
    parser.add_argument("--subjects", type=Path, required=True, help="CSV to write, a row per subject")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    return parser

"""A release as files: what `python -m labeling.algorithm1` reads and writes, and everything in one JSON."""

import json

from db.models import LabelRelease
from db.session import reading
from labeling import exchange, releases
from workbench.researcher.downloads import csv_of, files, json_of
from workbench.session import Visitor, engine


def release_files(release: LabelRelease, who: Visitor) -> None:
    """The menu of a release's files."""

    def labels() -> str:
        with reading(engine()) as session:
            return csv_of(releases.release_labels(session, release.id), "labels", who)

    def subjects() -> str:
        with reading(engine()) as session:
            return csv_of(releases.release_subjects(session, release.id), "subjects", who)

    def votes() -> str:
        with reading(engine()) as session:
            counted = releases.release_votes(session, release)
        return csv_of(exchange.ratings_export(counted), "release-votes", who)

    contents = {f"{release.name}-labels.csv": labels, f"{release.name}-subjects.csv": subjects}
    if release.round_id is not None:
        contents[f"{release.name}-votes.csv"] = votes
    files(contents | {f"{release.name}.json": lambda: _everything(release, who)})


def _everything(release: LabelRelease, who: Visitor) -> str:
    with reading(engine()) as session:
        labels = releases.release_labels(session, release.id)
        subjects = releases.release_subjects(session, release.id)
    names = ("name", "policy", "minimum_votes", "allow_partial", "threshold", "n_ratings", "n_ties", "simulated",
             "ratings_sha256", "sha256", "created_by", "summary")  # fmt: skip
    about = {name: getattr(release, name) for name in names}
    return json_of(
        labels, "label-release", who, **about, created_at=release.created_at.isoformat(timespec="seconds"),
        subjects=json.loads(subjects.to_json(orient="records")),
    )  # fmt: skip

"""Label releases: the immutable result of Algorithm 1 on a round's ratings, with all that it rests on."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import events, store
from db.models import (
    Clip,
    Corpus,
    LabelingRound,
    LabelRelease,
    OriginalRating,
    ReleaseLabel,
    ReleaseSubject,
    Subject,
)
from labeling import agreement, algorithm1
from labeling import votes as round_votes
from labeling.dawid_skene import dawid_skene
from labeling.emotions import EMOTIONS


@dataclass(frozen=True)
class Preview:
    """What a release would be, before it is made.

    result: see `algorithm1.Labels`; subjects with score_low and score_high. votes: what it rests on.
    missing: clips without enough votes. excluded: clips that raters call broken, with their reasons.
    """

    round_id: int
    policy: str
    threshold: float
    result: algorithm1.Labels
    votes: pd.DataFrame
    missing: list[str]
    excluded: dict[str, str]
    simulated: bool
    summary: dict


def preview(
    session: Session, round_id: int, policy: str = "adjudicate", threshold: float = algorithm1.THRESHOLD
) -> Preview:
    """Run Algorithm 1 on a round as it stands, storing nothing; clips without enough votes are listed.

    Raises ValueError if the round has no vote at all.
    """
    labelling_round = session.get_one(LabelingRound, round_id)
    answers = round_votes.answers(session, round_id)
    counted = round_votes.votes(answers)
    if counted.empty:
        raise ValueError(f"the round {labelling_round.name!r} has no vote yet; raters have to rate first")
    excluded = round_votes.broken_clips(answers)
    result = algorithm1.aggregate(counted, policy, labelling_round.votes_per_clip, allow_partial=True,
                                  threshold=threshold)  # fmt: skip
    subjects = result.subjects.merge(algorithm1.score_intervals(counted), on="subject", how="left")
    result = algorithm1.Labels(result.labels, subjects)
    short = result.labels.loc[result.labels["n_votes"] < labelling_round.votes_per_clip, "clip"]
    without = _clips_without_votes(session, round_id, set(counted["clip"]) | set(excluded))
    missing = sorted([*short, *without])
    corpus = session.get_one(Corpus, labelling_round.corpus_id)
    return Preview(
        round_id, policy, threshold, result, counted, missing, excluded,
        simulated=bool(corpus.synthetic or counted["simulated"].any()),
        summary=_summary(session, labelling_round, counted, result, threshold)
        | {"missing": missing, "excluded": excluded},
    )  # fmt: skip


def _clips_without_votes(session: Session, round_id: int, known: set[str]) -> list[str]:
    progress = round_votes.clip_progress(session, round_id)
    return [clip for clip in progress["clip"] if clip not in known]


def _summary(
    session: Session, labelling_round: LabelingRound, votes: pd.DataFrame, result: algorithm1.Labels, threshold: float
) -> dict:
    """Everything that a release says beside its rows, ready for JSON."""
    labels = result.labels
    modelled = dawid_skene(votes)
    decided = labels[labels["label"].notna()]
    differs = int((modelled.labels.reindex(decided["clip"]).to_numpy() != decided["label"].to_numpy()).sum())
    alphas = {column: agreement.krippendorff_alpha(votes, column) for column in ("emotion", "intensity")}
    return {
        "round": labelling_round.name,
        "raters": sorted(set(votes["rater"])),
        "simulated_raters": sorted(set(votes.loc[votes["simulated"], "rater"])),
        "imported_raters": sorted(set(votes.loc[votes["imported"], "rater"])),
        "clips": len(labels),
        "labelled": len(decided),
        "labels": {emotion: int((labels["label"] == emotion).sum()) for emotion in EMOTIONS},
        "votes": {emotion: int((votes["emotion"] == emotion).sum()) for emotion in EMOTIONS},
        "original": original_counts(session, labelling_round.corpus_id),
        "selected": result.selected,
        "alpha": {column: [alpha.value, alpha.low, alpha.high] for column, alpha in alphas.items()},
        "without_each_rater": algorithm1.without_each_rater(votes, threshold).to_dict("records"),
        "dawid_skene": {"differs": differs, "accuracy": {str(k): float(v) for k, v in modelled.accuracy.items()}},
    }


def original_counts(session: Session, corpus_id: int) -> dict[str, int]:
    """How many usable clips each of the corpus's own adjectives describes best: the categories before relabelling.

    A clip whose highest score is shared counts for "several". Empty if the corpus has no original ratings.
    """
    rows = session.execute(
        select(OriginalRating.clip_id, OriginalRating.adjective, OriginalRating.score)
        .join(Clip, Clip.id == OriginalRating.clip_id)
        .where(Clip.corpus_id == corpus_id, Clip.status == "usable")
    ).all()  # fmt: skip
    of_clip: dict[int, list[tuple[float, str]]] = {}
    for clip_id, adjective, score in rows:
        of_clip.setdefault(clip_id, []).append((score, adjective))
    best = Counter()
    for scores in of_clip.values():
        top = max(scores)[0]
        names = [adjective for score, adjective in scores if score == top]
        best[names[0] if len(names) == 1 else "several"] += 1
    return dict(best.most_common())


def make_release(
    session: Session, found: Preview, *, name: str, allow_partial: bool = False, actor: str
) -> LabelRelease:
    """Store what `preview` found for good, in the transaction of `session` (a `writing` one).

    The preview is made before, in a reading session, so that raters do not wait while it computes.
    Raises ValueError for a name that is taken or ratings that came in since the preview, TooFewVotes if clips lack
    votes and `allow_partial` is false.
    """
    store.checked_name(name, "release")
    labelling_round = session.get_one(LabelingRound, found.round_id)
    corpus_id = labelling_round.corpus_id
    if session.scalar(select(LabelRelease.id).where(LabelRelease.corpus_id == corpus_id, LabelRelease.name == name)):
        raise ValueError(f"the corpus has a release named {name!r} already; releases never change, choose another name")
    digest = ratings_digest(found.votes)
    if ratings_digest(round_votes.votes(round_votes.answers(session, found.round_id))) != digest:
        raise ValueError("raters have rated since this was computed; look at the new result, then make the release")
    if found.missing and not allow_partial:
        more = f" and {len(found.missing) - 10} more" if len(found.missing) > 10 else ""
        shown = ", ".join(found.missing[:10]) + more
        raise algorithm1.TooFewVotes(
            f"{len(found.missing)} clips have fewer than {labelling_round.votes_per_clip} votes: {shown}; wait for the "
            "raters, or allow a partial release, in which these clips have no label", found.missing)  # fmt: skip
    labels, subjects = found.result.labels, found.result.subjects
    release = LabelRelease(
        corpus_id=corpus_id, round_id=found.round_id, name=name, policy=found.policy, threshold=found.threshold,
        minimum_votes=labelling_round.votes_per_clip, allow_partial=allow_partial, ratings_sha256=digest,
        n_ratings=len(found.votes), n_ties=int(labels["tie"].sum()), simulated=found.simulated, summary=found.summary,
        sha256=_digest(labels, subjects), created_by=actor,
    )  # fmt: skip
    session.add(release)
    session.flush()
    _store_rows(session, release, labels, subjects)
    events.record(session, actor, "release.made", {
        "release": release.id, "name": name, "round": found.round_id, "policy": found.policy,
        "ratings_sha256": digest, "sha256": release.sha256,
    })  # fmt: skip
    return release


def _store_rows(session: Session, release: LabelRelease, labels: pd.DataFrame, subjects: pd.DataFrame) -> None:
    clip_ids = {clip.name: clip.id for clip in session.execute(
        select(Clip.name, Clip.id).where(Clip.corpus_id == release.corpus_id))}  # fmt: skip
    subject_ids = {subject.name: subject.id for subject in session.execute(
        select(Subject.name, Subject.id).where(Subject.corpus_id == release.corpus_id))}  # fmt: skip
    session.add_all(
        ReleaseLabel(
            release_id=release.id, clip_id=clip_ids[row.clip], label=_or_none(row.label), tie=bool(row.tie),
            n_votes=int(row.n_votes), mean_intensity=float(row.mean_intensity),
            **{emotion: int(getattr(row, emotion)) for emotion in EMOTIONS},
        )
        for row in labels.itertuples()
    )  # fmt: skip
    session.add_all(
        ReleaseSubject(
            release_id=release.id, subject_id=subject_ids[row.subject], score=float(row.score),
            score_low=_or_none(row.score_low), score_high=_or_none(row.score_high), n_ratings=int(row.n_ratings),
            selected=bool(row.selected),
        )
        for row in subjects.itertuples()
    )  # fmt: skip
    session.flush()


def _or_none(value: object) -> object:
    return None if value is None or (isinstance(value, float) and np.isnan(value)) else value


def ratings_digest(votes: pd.DataFrame) -> str:
    """A hash of the votes that a result rests on, whatever order they come in."""
    columns = ["subject", "clip", "rater", "emotion", "intensity"]
    lines = sorted(votes[columns].astype(str).agg("\t".join, axis=1))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(labels: pd.DataFrame, subjects: pd.DataFrame) -> str:
    text = labels.to_csv(index=False, float_format="%.6f") + subjects.to_csv(index=False, float_format="%.6f")
    return hashlib.sha256(text.encode()).hexdigest()


def unchanged(session: Session, release: LabelRelease) -> bool:
    """Whether the stored labels and subjects are still those that the release's hash was taken of."""
    return _digest(release_labels(session, release.id), release_subjects(session, release.id)) == release.sha256


def release_votes(session: Session, release: LabelRelease) -> pd.DataFrame:
    """The votes that a release rests on, though raters may have corrected them since; columns as in `votes.answers`.

    Found by their times and checked against the release's hash. Raises ValueError if they cannot be told any more.
    """
    if release.round_id is None:
        raise ValueError(f"release {release.name} was not made from a round; its votes are not stored here")
    given = round_votes.answers(session, release.round_id, revisions="all")
    given = given[given["created_at"] <= release.created_at].drop_duplicates("assignment_id", keep="last")
    counted = round_votes.votes(given)
    if ratings_digest(counted) != release.ratings_sha256:
        raise ValueError(
            f"release {release.name}: the votes stored up to its making are not those that its hash was taken of; was "
            "the clock set back? The round's export has every answer with its time"
        )
    return counted


def release_labels(session: Session, release_id: int) -> pd.DataFrame:
    """A release's labels as `python -m labeling.algorithm1` writes them: see `algorithm1.LABEL_COLUMNS`."""
    rows = session.execute(
        select(Subject.name, Clip.name, ReleaseLabel.label, ReleaseLabel.tie, ReleaseLabel.n_votes,
               *(getattr(ReleaseLabel, emotion) for emotion in EMOTIONS), ReleaseLabel.mean_intensity)
        .join(Clip, ReleaseLabel.clip_id == Clip.id).join(Subject, Clip.subject_id == Subject.id)
        .where(ReleaseLabel.release_id == release_id).order_by(Subject.name, Clip.name)
    ).all()  # fmt: skip
    table = pd.DataFrame(rows, columns=algorithm1.LABEL_COLUMNS)
    return table.assign(label=table["label"].astype(object).where(table["label"].notna(), None))


def release_subjects(session: Session, release_id: int) -> pd.DataFrame:
    """A release's subjects: subject, score, n_ratings, selected, score_low, score_high."""
    rows = session.execute(
        select(Subject.name, ReleaseSubject.score, ReleaseSubject.n_ratings, ReleaseSubject.selected,
               ReleaseSubject.score_low, ReleaseSubject.score_high)
        .join(Subject, ReleaseSubject.subject_id == Subject.id)
        .where(ReleaseSubject.release_id == release_id).order_by(Subject.name)
    ).all()  # fmt: skip
    return pd.DataFrame(rows, columns=[*algorithm1.SUBJECT_COLUMNS, "score_low", "score_high"])


def next_name(session: Session, corpus_id: int) -> str:
    """A free name for the next release of a corpus: labels-1, labels-2, ..."""
    taken = set(session.scalars(select(LabelRelease.name).where(LabelRelease.corpus_id == corpus_id)))
    return next(name for name in (f"labels-{n}" for n in range(1, len(taken) + 2)) if name not in taken)

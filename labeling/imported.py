"""Ratings that were collected elsewhere, brought into the workbench: as a round of their own, or into a running one.

Their raters are marked as imported. Every vote becomes an answered assignment, so that agreement, ties and releases
work as for any other round.
"""

import hashlib
from collections import Counter, defaultdict
from difflib import get_close_matches

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import events
from db.models import Assignment, Clip, LabelingRound, Rater, Rating, Subject, now
from labeling.assignment import VOTES, free_repeats
from labeling.exchange import Check, refuse

ClipOf = dict[tuple[str, str], Clip]  # (subject, clip name or sentence) -> clip


def import_ratings(
    session: Session, corpus_id: int, name: str, ratings: pd.DataFrame, actor: str, votes_per_clip: int = 3,
    file_name: str = "the file",
) -> LabelingRound:  # fmt: skip
    """Store `ratings` (see `exchange.read_ratings`) as a new round with the clips that they name.

    A clip may be named in full (F1_e01) or by its sentence (e01) beside its subject. The round is open: what a clip
    lacks waits for a rater to join, and ties can be adjudicated.
    Raises BadRatings, with lines, for clips that the corpus does not have or that are excluded, and for raters' names
    that belong to somebody who rates here; ValueError for a round's name that is taken.
    """
    name = name.strip()
    if not name:
        raise ValueError("a round needs a name")
    if session.scalar(select(LabelingRound.id).where(LabelingRound.name == name)):
        raise ValueError(f"there is a round named {name!r} already; choose another name")
    clip_of = _clips(session, corpus_id)
    refuse(file_name, ratings, [*_clip_checks(ratings, clip_of), *_rater_checks(session, ratings)])
    started = LabelingRound(corpus_id=corpus_id, name=name, votes_per_clip=votes_per_clip, repeat_share=0.0,
                            practice_clips=0, seed=0)  # fmt: skip
    session.add(started)
    session.flush()
    _store(session, started, ratings, clip_of, open_slots={})
    given = Counter(clip_of[key].id for key in _keys(ratings))
    session.add_all(
        Assignment(round_id=started.id, clip_id=clip_id, kind="vote", slot=slot, position=0)
        for clip_id, n_votes in given.items() for slot in range(n_votes + 1, votes_per_clip + 1)
    )  # fmt: skip
    session.flush()
    _record(session, actor, started, ratings)
    return started


def import_into(
    session: Session, round_id: int, ratings: pd.DataFrame, actor: str, file_name: str = "the file"
) -> LabelingRound:
    """Store `ratings` as votes of a running round; each takes an open slot, so that no clip gets too many votes.

    Slots that wait for a rater are taken first, then those of the raters with the most open work.
    Raises BadRatings as `import_ratings` does, and for clips that have all their votes; ValueError if the round is
    closed.
    """
    labelling_round = session.get_one(LabelingRound, round_id)
    if labelling_round.closed_at is not None:
        raise ValueError(f"the round {labelling_round.name!r} is closed")
    clip_of = _clips(session, labelling_round.corpus_id)
    refuse(file_name, ratings, [*_clip_checks(ratings, clip_of), *_rater_checks(session, ratings)])
    open_slots = _open_slots(session, round_id)
    refuse(file_name, ratings, [_voted_before(session, round_id, ratings, clip_of),
                                _beyond_the_votes(ratings, clip_of, open_slots)])  # fmt: skip
    _store(session, labelling_round, ratings, clip_of, open_slots)
    _record(session, actor, labelling_round, ratings)
    return labelling_round


def _keys(ratings: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(ratings["subject"], ratings["clip"], strict=True))


def _clips(session: Session, corpus_id: int) -> ClipOf:
    found = {}
    for subject, clip in session.execute(
        select(Subject.name, Clip).join(Clip, Clip.subject_id == Subject.id).where(Clip.corpus_id == corpus_id)
    ):
        found[subject, clip.sentence] = found[subject, clip.name] = clip
    return found


def _clip_checks(ratings: pd.DataFrame, clip_of: ClipOf) -> list[Check]:
    keys = _keys(ratings)
    subjects, names = {subject for subject, _ in clip_of}, [clip.name for clip in clip_of.values()]
    found = [clip_of.get(key) for key in keys]

    def unknown(row: pd.Series) -> str:
        if row["subject"] not in subjects:
            return f"this corpus has no subject {row['subject'][:40]!r}; it has {', '.join(sorted(subjects)[:20])}"
        near = get_close_matches(row["clip"], names, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else "; is it the right corpus?"
        return f"{row['subject']} has no clip {row['clip'][:40]!r}{meant}"

    def excluded(row: pd.Series) -> str:
        clip = clip_of[row["subject"], row["clip"]]
        return f"{clip.name} is excluded from the corpus ({clip.status_reason or clip.status}); leave its ratings out"

    return [
        Check(ratings.index[[clip is None for clip in found]], unknown),
        Check(ratings.index[[clip is not None and clip.status != "usable" for clip in found]], excluded),
        _named_two_ways(ratings, found),
    ]


def _named_two_ways(ratings: pd.DataFrame, found: list[Clip | None]) -> Check:
    """A clip that is called F1_e01 in one line and e01 in another must not get two votes of one rater."""
    votes = pd.DataFrame({"clip": [clip and clip.id for clip in found], "rater": ratings["rater"].to_numpy()},
                         index=ratings.index)  # fmt: skip
    second = votes["clip"].notna() & votes.duplicated(["clip", "rater"])
    return Check(ratings.index[second],
                 lambda row: f"{row['rater']} voted on clip {row['clip']} of {row['subject']} already")  # fmt: skip


def _rater_checks(session: Session, ratings: pd.DataFrame) -> list[Check]:
    here = set(session.scalars(select(Rater.name).where(Rater.imported.is_(False))))
    too_long = [len(name) > 64 or not name.isprintable() for name in ratings["rater"]]
    return [
        Check(ratings.index[ratings["rater"].isin(here)],
              lambda row: f"{row['rater']} is a rater here, who rates through a link; rename the rater in the file"),
        Check(ratings.index[too_long],
              lambda row: f"rater {row['rater'][:40]!r}: a name has at most 64 printable characters"),
    ]  # fmt: skip


def _open_slots(session: Session, round_id: int) -> dict[int, list[Assignment]]:
    """clip id -> its open votes, the one to take first at the end."""
    rows = session.scalars(select(Assignment).where(
        Assignment.round_id == round_id, Assignment.kind.in_(VOTES), Assignment.done_at.is_(None),
        Assignment.freed_at.is_(None)).order_by(Assignment.id)).all()  # fmt: skip
    load = Counter(assignment.rater_id for assignment in rows)
    of_clip = defaultdict(list)
    for assignment in sorted(rows, key=lambda row: (row.rater_id is None, load[row.rater_id])):
        of_clip[assignment.clip_id].append(assignment)
    return of_clip


def _voted_before(session: Session, round_id: int, ratings: pd.DataFrame, clip_of: ClipOf) -> Check:
    rows = session.execute(
        select(Assignment.clip_id, Rater.name).join(Assignment.rater)
        .where(Assignment.round_id == round_id, Assignment.kind.in_(VOTES), Assignment.freed_at.is_(None))
    )  # fmt: skip
    voted = {(clip_id, rater) for clip_id, rater in rows}
    again = [(clip_of[key].id, rater) in voted for key, rater in zip(_keys(ratings), ratings["rater"], strict=True)]
    return Check(ratings.index[again], lambda row: f"{row['rater']} voted on clip {row['clip']} in this round already")


def _beyond_the_votes(ratings: pd.DataFrame, clip_of: ClipOf, open_slots: dict[int, list[Assignment]]) -> Check:
    clips = pd.Series([clip_of[key].id for key in _keys(ratings)], index=ratings.index)
    room = clips.map(lambda clip_id: len(open_slots.get(clip_id, ())))
    return Check(ratings.index[clips.groupby(clips).cumcount() >= room],
                 lambda row: f"clip {row['clip']} of {row['subject']} has all its votes in this round")  # fmt: skip


def _store(
    session: Session, labelling_round: LabelingRound, ratings: pd.DataFrame, clip_of: ClipOf,
    open_slots: dict[int, list[Assignment]],
) -> None:  # fmt: skip
    """A vote per row, in an open slot of its clip, or in a further one where `open_slots` knows none."""
    moment = now()
    raters = _raters(session, ratings)
    slots: Counter = Counter()
    positions: Counter = Counter()
    for (key, rater), row in zip(zip(_keys(ratings), ratings["rater"], strict=True), ratings.itertuples(), strict=True):
        clip_id = clip_of[key].id
        if clip_id in open_slots:
            taken = open_slots[clip_id].pop()
            taken.freed_at = moment
            free_repeats(session, taken)
            session.flush()
            slots[clip_id], kind = taken.slot, taken.kind
        else:
            slots[clip_id], kind = slots[clip_id] + 1, "vote"
        positions[rater] += 1
        vote = Assignment(round_id=labelling_round.id, clip_id=clip_id, rater_id=raters[rater].id, kind=kind,
                          slot=slots[clip_id], position=positions[rater], done_at=moment)  # fmt: skip
        vote.ratings.append(Rating(
            revision=1, client_key=_key(labelling_round.id, clip_id, rater), emotion=row.emotion,
            intensity=int(row.intensity)))  # fmt: skip
        session.add(vote)
    session.flush()


def _raters(session: Session, ratings: pd.DataFrame) -> dict[str, Rater]:
    """The imported raters of the file, known from an earlier one or new; nobody can sign in as them."""
    names = list(dict.fromkeys(ratings["rater"]))
    known = {rater.name: rater for rater in session.scalars(select(Rater).where(Rater.imported))}
    raters = {name: known.get(name) or Rater(name=name, imported=True) for name in names}
    session.add_all(raters.values())
    session.flush()
    return raters


def _key(round_id: int, clip_id: int, rater: str) -> str:
    return "imported:" + hashlib.sha256(f"{round_id}/{clip_id}/{rater}".encode()).hexdigest()[:48]


def _record(session: Session, actor: str, labelling_round: LabelingRound, ratings: pd.DataFrame) -> None:
    events.record(session, actor, "ratings.imported", {
        "round": labelling_round.id, "corpus": labelling_round.corpus_id, "ratings": len(ratings),
        "raters": sorted(set(ratings["rater"])),
    })  # fmt: skip

"""What a rater is asked to rate now, what comes next, and how a round's clips are handed out and taken back."""

import itertools
import random
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Select, case, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from db import events
from db.models import Assignment, Clip, LabelingRound, Rater, now
from labeling.planning import plan_order, plan_votes

VOTES = ("vote", "adjudication")  # the kinds that count in Algorithm 1
BROKEN_BY = 2  # this many raters who call a clip broken exclude it


@dataclass(frozen=True)
class Progress:
    """How far a rater is: `done` of `total` clips that count or repeat, and practice beside."""

    done: int
    total: int
    practice_done: int
    practice_total: int


def _mine(rater_id: int) -> Select:
    """A rater's assignments that are still theirs, in rounds that are still open."""
    return (
        select(Assignment).join(Assignment.round)
        .where(Assignment.rater_id == rater_id, Assignment.freed_at.is_(None), LabelingRound.closed_at.is_(None))
    )  # fmt: skip


def _open_ones(session: Session, rater_id: int, first: int) -> list[Assignment]:
    query = (
        _mine(rater_id).where(Assignment.done_at.is_(None))
        .order_by(Assignment.round_id, Assignment.position, Assignment.id).limit(first)
        .options(joinedload(Assignment.round), joinedload(Assignment.clip).joinedload(Clip.corpus))
    )  # fmt: skip
    return list(session.scalars(query))


def next_assignment(session: Session, rater_id: int) -> Assignment | None:
    """The first open assignment in the rater's own order, with its clip, corpus and round; None: nothing to do.

    This is also how a rater resumes: nothing else remembers the place.
    """
    return next(iter(_open_ones(session, rater_id, 1)), None)


def peek_next(session: Session, rater_id: int) -> Assignment | None:
    """The open assignment after `next_assignment`, so that its clip can be fetched ahead."""
    return next(iter(_open_ones(session, rater_id, 2)[1:]), None)


def progress(session: Session, rater_id: int) -> Progress:
    """How far the rater is in the open rounds."""
    counted = session.execute(
        _mine(rater_id).with_only_columns(Assignment.kind, func.count(Assignment.done_at), func.count())
        .group_by(Assignment.kind)
    ).all()  # fmt: skip
    done, total = Counter(), Counter()
    for kind, n_done, n in counted:
        group = "practice" if kind == "practice" else "counts"
        done[group] += n_done
        total[group] += n
    return Progress(done["counts"], total["counts"], done["practice"], total["practice"])


def playable_clips(session: Session, corpus_id: int) -> list[Clip]:
    """The clips that raters can be given: usable, and there is something to see."""
    return list(session.scalars(
        select(Clip).where(Clip.corpus_id == corpus_id, Clip.status == "usable", _shown()).order_by(Clip.name)))


def count_playable(session: Session, corpus_id: int) -> tuple[int, float]:
    """How many clips raters can be given, and how many frames they have on average (0 if there are none)."""
    query = select(func.count(Clip.id), func.coalesce(func.avg(Clip.n_frames), 0))
    count, frames = session.execute(query.where(Clip.corpus_id == corpus_id, Clip.status == "usable", _shown())).one()
    return count, float(frames)


def _shown():
    return or_(Clip.playback_path.is_not(None), Clip.video_path.is_not(None))


def create_round(
    session: Session, *, corpus_id: int, name: str, rater_ids: list[int], votes_per_clip: int = 3,
    repeat_share: float = 0.05, practice_clips: int = 2, seed: int = 0, instructions: str = "", actor: str,
) -> LabelingRound:  # fmt: skip
    """Start a round: every usable clip goes to exactly `votes_per_clip` of the raters, in each rater's own order.

    Raises ValueError for a name that is taken, a rater who is unknown or withdrawn, no clip to rate, or fewer
    raters than votes.
    """
    name = name.strip()
    if not name:
        raise ValueError("a round needs a name")
    if session.scalar(select(LabelingRound.id).where(LabelingRound.name == name)):
        raise ValueError(f"there is a round named {name!r} already; choose another name")
    if not 0 <= practice_clips <= 20:
        raise ValueError(f"{practice_clips} practice clips: expected 0 to 20")
    for rater_id in rater_ids:
        _active_rater(session, rater_id)
    clips = playable_clips(session, corpus_id)
    if not clips:
        raise ValueError("the corpus has no clip that can be shown to raters; look at the problems of its import")
    subject_of = {clip.id: clip.subject_id for clip in clips}
    plan = plan_votes(subject_of, rater_ids, votes_per_clip, seed)
    started = LabelingRound(
        corpus_id=corpus_id, name=name, votes_per_clip=votes_per_clip, repeat_share=repeat_share,
        practice_clips=practice_clips, seed=seed, instructions=instructions.strip(),
    )  # fmt: skip
    session.add(started)
    session.flush()
    for rater_id in rater_ids:
        mine = {clip: chosen.index(rater_id) + 1 for clip, chosen in plan.items() if rater_id in chosen}
        _hand_out(session, started, rater_id, mine, subject_of)
    session.flush()
    events.record(session, actor, "round.created", {
        "round": started.id, "name": name, "corpus": corpus_id, "raters": list(rater_ids), "clips": len(clips),
        "votes_per_clip": votes_per_clip, "repeat_share": repeat_share, "seed": seed,
    })  # fmt: skip
    return started


def _hand_out(
    session: Session, labelling_round: LabelingRound, rater_id: int, slots: dict[int, int], subject_of: dict[int, int]
) -> None:
    """Give a rater practice, then votes on the clips of `slots` (clip -> slot) and hidden repeats among them.

    Who has been in the round before has practised already.
    """
    last = session.scalar(select(func.max(Assignment.position)).where(
        Assignment.round_id == labelling_round.id, Assignment.rater_id == rater_id))  # fmt: skip
    place = itertools.count(0 if last is None else last + 1)
    for clip_id in _practice(session, labelling_round, rater_id, set(slots)) if last is None else ():
        session.add(Assignment(
            round_id=labelling_round.id, clip_id=clip_id, rater_id=rater_id, kind="practice", position=next(place)))
    seed = labelling_round.seed * 1_000_003 + rater_id
    for clip_id, repeat in plan_order(list(slots), subject_of, labelling_round.repeat_share, seed):
        session.add(Assignment(
            round_id=labelling_round.id, clip_id=clip_id, rater_id=rater_id, kind="repeat" if repeat else "vote",
            slot=None if repeat else slots[clip_id], position=next(place)))  # fmt: skip


def _practice(session: Session, labelling_round: LabelingRound, rater_id: int, votes: set[int]) -> list[int]:
    """Clips to practise on: outliers that can be played, else clips of other raters, else any."""
    rows = session.execute(
        select(Clip.id, Clip.status).where(Clip.corpus_id == labelling_round.corpus_id, _shown(),
                                           Clip.status != "broken").order_by(Clip.id)
    ).all()  # fmt: skip
    chance = random.Random(f"{labelling_round.seed}/{rater_id}")
    lot = {clip_id: chance.random() for clip_id, _ in rows}
    wanted = sorted(rows, key=lambda row: (row.status != "outlier", row.id in votes, lot[row.id]))
    return [row.id for row in wanted[: labelling_round.practice_clips]]


def _active_rater(session: Session, rater_id: int) -> Rater:
    rater = session.get(Rater, rater_id)
    if rater is None:
        raise ValueError(f"there is no rater with number {rater_id}")
    if rater.revoked_at is not None:
        raise ValueError(f"{rater.name}'s link was withdrawn on {rater.revoked_at:%Y-%m-%d}; choose another rater")
    return rater


def open_assignment(
    session: Session, labelling_round: LabelingRound, clip_id: int, kind: str, slot: int | None = None,
    rater_id: int | None = None, not_to: int | None = None,
) -> Assignment:  # fmt: skip
    """Give a clip's slot to `rater_id`, or to the round's rater with the least open work who has not voted on it.

    Never to `not_to`. If nobody is left it waits, without a rater, until one joins (`add_rater`). By default the slot
    is a new one.
    """
    used = select(func.max(Assignment.slot)).where(
        Assignment.round_id == labelling_round.id, Assignment.clip_id == clip_id)  # fmt: skip
    slot = slot or (session.scalar(used) or labelling_round.votes_per_clip) + 1
    rater_id = rater_id or _least_busy(session, labelling_round.id, clip_id, not_to)
    last = session.scalar(select(func.max(Assignment.position)).where(
        Assignment.round_id == labelling_round.id, Assignment.rater_id == rater_id)) if rater_id else 0  # fmt: skip
    given = Assignment(round_id=labelling_round.id, clip_id=clip_id, rater_id=rater_id, kind=kind, slot=slot,
                       position=(last or 0) + 1)  # fmt: skip
    session.add(given)
    session.flush()
    return given


def _least_busy(session: Session, round_id: int, clip_id: int, not_to: int | None) -> int | None:
    voted = select(Assignment.rater_id).where(
        Assignment.round_id == round_id, Assignment.clip_id == clip_id, Assignment.kind.in_(VOTES),
        Assignment.freed_at.is_(None), Assignment.rater_id.is_not(None))  # fmt: skip
    waiting = func.sum(_is_open())
    query = (
        select(Rater.id).join(Assignment, Assignment.rater_id == Rater.id)
        .where(Assignment.round_id == round_id, Rater.revoked_at.is_(None), Rater.imported.is_(False),
               Rater.id.not_in(voted), Rater.id.is_distinct_from(not_to))
        .group_by(Rater.id).order_by(waiting, Rater.id).limit(1)
    )  # fmt: skip
    return session.scalar(query)


def _is_open():
    return case((Assignment.done_at.is_(None) & Assignment.freed_at.is_(None), 1), else_=0)


def release_rater(session: Session, rater_id: int, actor: str) -> int:
    """Free what a rater has not rated yet, in open rounds; others take the slots over. Returns how many were freed.

    What the rater did rate stays and counts.
    """
    mine = session.scalars(
        _mine(rater_id).where(Assignment.done_at.is_(None)).options(joinedload(Assignment.round))
        .order_by(Assignment.round_id, Assignment.position)
    ).all()  # fmt: skip
    for assignment in mine:
        assignment.freed_at = now()
    session.flush()
    for assignment in mine:
        if assignment.kind in VOTES:
            open_assignment(session, assignment.round, assignment.clip_id, assignment.kind, assignment.slot,
                            not_to=rater_id)  # fmt: skip
    events.record(session, actor, "rater.released", {"rater": rater_id, "freed": len(mine)})
    return len(mine)


def add_rater(session: Session, round_id: int, rater_id: int, actor: str) -> int:
    """Let a further rater join a running round, or one who left come back; returns how many clips they get.

    They take what waits for a rater, then open clips from those with the most open work, until all have about
    the same. Raises ValueError if the round is closed or the rater has open clips in it already.
    """
    labelling_round = session.get_one(LabelingRound, round_id)
    rater = _active_rater(session, rater_id)
    if labelling_round.closed_at is not None:
        raise ValueError(f"the round {labelling_round.name!r} is closed")
    if session.scalar(select(Assignment.id).where(
            Assignment.round_id == round_id, Assignment.rater_id == rater_id, Assignment.freed_at.is_(None),
            Assignment.done_at.is_(None)).limit(1)):
        raise ValueError(f"{rater.name} is in the round {labelling_round.name!r} already")
    taken = _share_for_newcomer(session, round_id, rater_id)
    _pass_on(session, labelling_round, taken, rater_id)
    events.record(session, actor, "round.rater_added", {"round": round_id, "rater": rater_id, "clips": len(taken)})
    return len(taken)


def take_over(session: Session, round_id: int, rater_ids: list[int], actor: str) -> int:
    """Hand all that is open in a round to these raters; returns how many votes. For rounds that a program fills in.

    Nobody is asked about a clip that they voted on; what none of them may take stays where it is.
    Raises ValueError if the round is closed.
    """
    labelling_round = session.get_one(LabelingRound, round_id)
    if labelling_round.closed_at is not None:
        raise ValueError(f"the round {labelling_round.name!r} is closed")
    mine = session.scalars(select(Assignment).where(
        Assignment.round_id == round_id, Assignment.kind.in_(VOTES), Assignment.freed_at.is_(None))).all()  # fmt: skip
    voters: dict[int, set[int | None]] = {}
    for assignment in mine:
        voters.setdefault(assignment.clip_id, set()).add(assignment.rater_id)
    load = Counter({rater_id: 0 for rater_id in rater_ids})
    load.update(assignment.rater_id for assignment in mine if assignment.rater_id in load and not assignment.done_at)
    shares: dict[int, list[Assignment]] = {rater_id: [] for rater_id in rater_ids}
    for assignment in mine:
        able = [rater_id for rater_id in rater_ids if rater_id not in voters[assignment.clip_id]]
        if assignment.done_at is None and assignment.rater_id not in shares and able:
            taker = min(able, key=load.__getitem__)
            load[taker] += 1
            voters[assignment.clip_id].add(taker)
            shares[taker].append(assignment)
    for rater_id, taken in shares.items():
        _pass_on(session, labelling_round, taken, rater_id)
    session.execute(
        update(Assignment)
        .where(Assignment.round_id == round_id, Assignment.kind.not_in(VOTES), Assignment.done_at.is_(None),
               Assignment.freed_at.is_(None), Assignment.rater_id.not_in(rater_ids))
        .values(freed_at=now())
    )  # practice and repeats have lost their purpose  # fmt: skip
    n_taken = sum(map(len, shares.values()))
    events.record(session, actor, "round.taken_over", {"round": round_id, "raters": list(rater_ids), "clips": n_taken})
    return n_taken


def _pass_on(session: Session, labelling_round: LabelingRound, taken: list[Assignment], rater_id: int) -> None:
    """Free these open votes and give their slots to the rater."""
    for assignment in taken:
        assignment.freed_at = now()
        free_repeats(session, assignment)
    session.flush()
    subject_of = {clip.id: clip.subject_id for clip in session.execute(
        select(Clip.id, Clip.subject_id).where(Clip.corpus_id == labelling_round.corpus_id))}  # fmt: skip
    votes = {assignment.clip_id: assignment.slot for assignment in taken if assignment.kind == "vote"}
    _hand_out(session, labelling_round, rater_id, votes, subject_of)
    session.flush()
    for assignment in taken:
        if assignment.kind == "adjudication":
            open_assignment(session, labelling_round, assignment.clip_id, "adjudication", assignment.slot, rater_id)


def free_repeats(session: Session, vote: Assignment) -> None:
    """A hidden repeat without its first time measures nothing."""
    for repeat in session.scalars(select(Assignment).where(
            Assignment.round_id == vote.round_id, Assignment.clip_id == vote.clip_id, Assignment.kind == "repeat",
            Assignment.rater_id == vote.rater_id, Assignment.done_at.is_(None), Assignment.freed_at.is_(None))):
        repeat.freed_at = now()


def _share_for_newcomer(session: Session, round_id: int, rater_id: int) -> list[Assignment]:
    """Open slots for one more rater: those without a rater, then from the fullest desk, its last clips first.

    Never of clips that the rater voted on before leaving.
    """
    open_votes = session.scalars(
        select(Assignment).where(Assignment.round_id == round_id, Assignment.kind.in_(VOTES),
                                 Assignment.done_at.is_(None), Assignment.freed_at.is_(None))
        .order_by(Assignment.position)
    ).all()  # fmt: skip
    desks: dict[int | None, list[Assignment]] = {}
    for assignment in open_votes:
        desks.setdefault(assignment.rater_id, []).append(assignment)
    taken = []
    clips = set(session.scalars(select(Assignment.clip_id).where(
        Assignment.round_id == round_id, Assignment.rater_id == rater_id, Assignment.kind.in_(VOTES),
        Assignment.freed_at.is_(None))))  # fmt: skip
    for assignment in desks.pop(None, []):
        if assignment.clip_id not in clips:
            taken.append(assignment)
            clips.add(assignment.clip_id)
    while desks:
        fullest = max(desks, key=lambda rater: len(desks[rater]))
        if len(desks[fullest]) <= len(taken) + 1:
            break
        assignment = desks[fullest].pop()
        if assignment.clip_id not in clips:
            taken.append(assignment)
            clips.add(assignment.clip_id)
    return taken


def close_round(session: Session, round_id: int, actor: str) -> None:
    """End a round: it takes no more ratings; what was rated stays."""
    labelling_round = session.get_one(LabelingRound, round_id)
    if labelling_round.closed_at is None:
        labelling_round.closed_at = now()
        events.record(session, actor, "round.closed", {"round": round_id})

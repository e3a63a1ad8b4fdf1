"""Which raters get which clips: planned up front, balanced, and the same for the same seed.

Pure: clips, subjects and raters are any hashable keys. See docs/researchers.md for what a round promises.
"""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Clip = Hashable
Rater = Hashable
DECIDING_S = 8.0  # assumed time to answer after watching; a rater may well be quicker


@dataclass(frozen=True)
class Workload:
    """What a round asks of one rater, at most: clips that count, hidden repeats, practice; and about how long."""

    votes: int
    repeats: int
    practice: int
    minutes: float

    @property
    def clips(self) -> int:
        """All clips that the rater sees."""
        return self.votes + self.repeats + self.practice


def workload(
    n_clips: int, n_raters: int, votes_per_clip: int, repeat_share: float, practice_clips: int, clip_s: float
) -> Workload:
    """The largest share of a rater in a round of `n_clips` clips that last `clip_s` seconds on average."""
    votes = -(-n_clips * votes_per_clip // n_raters)
    repeats = round(repeat_share * votes)
    return Workload(
        votes, repeats, practice_clips, (votes + repeats + practice_clips) * (clip_s + DECIDING_S) / 60
    )


def plan_votes(
    subject_of: Mapping[Clip, Hashable], raters: Sequence[Rater], votes_per_clip: int, seed: int
) -> dict[Clip, tuple[Rater, ...]]:
    """Exactly `votes_per_clip` raters for every clip, balanced over raters, pairs of raters and subjects.

    While all groups of raters can be listed (5 raters, 3 votes: 10 triples) they are cycled through over the
    clips, shuffled within each subject: 560 clips give every rater 336, and every pair shares 168. With more
    raters each clip goes to those with the least load, then the least shared with those already chosen.
    Raises ValueError if there are fewer raters than votes, or a rater is named twice.
    """
    if votes_per_clip < 1:
        raise ValueError(f"{votes_per_clip} votes per clip: at least one is needed")
    if len(set(raters)) != len(raters):
        raise ValueError("a rater is named twice; each votes once on a clip")
    if len(raters) < votes_per_clip:
        raise ValueError(
            f"{len(raters)} raters, but every clip needs {votes_per_clip} different ones; add raters, or ask for "
            "fewer votes"
        )
    chance = random.Random(seed)
    clips = _shuffled_by_subject(subject_of, chance)
    groups = _evenly(itertools.combinations(raters, votes_per_clip)) if len(raters) <= 8 else []
    cycled = len(clips) // len(groups) * len(groups) if groups else 0
    plan = {clip: groups[place % len(groups)] for place, clip in enumerate(clips[:cycled])}
    plan |= _least_loaded(clips[cycled:], raters, votes_per_clip, chance)
    return {clip: tuple(chance.sample(plan[clip], votes_per_clip)) for clip in subject_of}


def _shuffled_by_subject(subject_of: Mapping[Clip, Hashable], chance: random.Random) -> list[Clip]:
    """All clips, shuffled, subject after subject: who cycles through them spreads every subject evenly."""
    of_subject = defaultdict(list)
    for clip, subject in subject_of.items():
        of_subject[subject].append(clip)
    for clips in of_subject.values():
        chance.shuffle(clips)
    return list(itertools.chain.from_iterable(of_subject.values()))


def _evenly(groups: Iterable[tuple[Rater, ...]]) -> list[tuple[Rater, ...]]:
    """All groups, in an order of which any stretch is balanced: subjects are such stretches of the cycle."""
    left, load, shared = list(groups), Counter(), Counter()
    order = []

    def used(group: tuple[Rater, ...]) -> tuple[int, int]:
        return sum(load[rater] for rater in group), sum(shared[pair] for pair in itertools.combinations(group, 2))

    while left:
        group = min(left, key=used)
        left.remove(group)
        load.update(group)
        shared.update(itertools.combinations(group, 2))
        order.append(group)
    return order


def _least_loaded(
    clips: Sequence[Clip], raters: Sequence[Rater], votes_per_clip: int, chance: random.Random
) -> dict[Clip, tuple[Rater, ...]]:
    load: Counter = Counter()
    shared: Counter = Counter()
    plan = {}
    for clip in clips:
        lot = {rater: chance.random() for rater in raters}
        chosen: list[Rater] = []
        while len(chosen) < votes_per_clip:
            chosen.append(min(
                (rater for rater in raters if rater not in chosen),
                key=lambda rater: (load[rater], sum(shared[frozenset((rater, other))] for other in chosen), lot[rater]),
            ))  # fmt: skip
        load.update(chosen)
        shared.update(frozenset(pair) for pair in itertools.combinations(chosen, 2))
        plan[clip] = tuple(chosen)
    return plan


def plan_order(
    clips: Sequence[Clip], subject_of: Mapping[Clip, Hashable], repeat_share: float, seed: int
) -> list[tuple[Clip, bool]]:
    """A rater's own order: (clip, is this a hidden repeat?), shuffled, with repeats well apart from their first time.

    One subject does not come twice running where others are left. A repeat comes at least a quarter of the clips
    later (at least one), so that it is not simply remembered.
    """
    if not 0 <= repeat_share <= 0.5:
        raise ValueError(f"repeats: a share of {repeat_share}; expected 0 to 0.5 of the votes")
    chance = random.Random(seed)
    order = _apart(list(clips), subject_of, chance)
    gap = max(2, len(order) // 4)
    repeatable = order[: max(0, len(order) - gap)]
    repeats = chance.sample(repeatable, min(len(repeatable), round(repeat_share * len(order))))
    placed: list[tuple[Clip, bool]] = [(clip, False) for clip in order]
    first = {clip: place for place, clip in enumerate(order)}
    for clip in sorted(repeats, key=first.__getitem__, reverse=True):
        places = range(min(placed.index((clip, False)) + gap, len(placed)), len(placed) + 1)
        apart = [place for place in places
                 if all(subject_of[near] != subject_of[clip] for near, _ in placed[place - 1 : place + 1])]
        placed.insert(chance.choice(apart or places), (clip, True))
    return placed


def _apart(clips: list[Clip], subject_of: Mapping[Clip, Hashable], chance: random.Random) -> list[Clip]:
    """Shuffled, and no subject twice running while the rest allows it: the largest pile may never grow too large."""
    piles = defaultdict(list)
    chance.shuffle(clips)
    for clip in clips:
        piles[subject_of[clip]].append(clip)
    order: list[Clip] = []
    last = None
    while piles:
        left = sum(map(len, piles.values()))
        largest = max(piles, key=lambda subject: len(piles[subject]))
        if largest != last and len(piles[largest]) > left // 2:
            subject = largest  # any other choice would leave it next to itself
        else:
            subjects = [subject for subject in piles if subject != last] or list(piles)
            subject = chance.choices(subjects, [len(piles[subject]) for subject in subjects])[0]
        order.append(piles[subject].pop())
        if not piles[subject]:
            del piles[subject]
        last = subject
    return order

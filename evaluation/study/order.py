"""Who sees what in which order, and on which side: pure functions of the design and a place's number.

A/B: one block per comparison, blocks in the order of a Williams square, clips in random order within. Each comparison
has its first system on the left for half of the clips, and the next place (2j + 1 after 2j) has the mirror image.
MOS: every block has each clip once; clips are divided into groups, one per condition, and each group meets the
conditions in the order of its own row of the square, so that conditions are mixed within a block.

Williams, E. J. (1949), Experimental designs balanced for the estimation of residual effects of treatments.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evaluation.study.design import Design

Side = Literal["left", "right"]


@dataclass(frozen=True)
class PlannedTrial:
    """One screen: an item (its place in the list of items of its role) by one system or two."""

    role: Literal["main", "practice", "catch"]
    block: int  # 0.. in the order in which the participant meets them; -1: practice
    item: int
    left: str
    right: str | None  # None: MOS
    late: Side | None = None  # the side whose sound is late, of a catch trial


def williams(k: int) -> tuple[tuple[int, ...], ...]:
    """Rows of 0..k-1, in which each comes equally often at each place and right after each other one.

    k rows for even k, 2k for odd k (the second half mirrors the first). Raises ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"a Williams square of {k}: expected 1 or more")
    zigzag = [(i + 1) // 2 if i % 2 else (k - i // 2) % k for i in range(k)]  # 0, 1, k-1, 2, k-2, ...
    rows = [tuple((step + shift) % k for step in zigzag) for shift in range(k)]
    if k % 2 and k > 1:
        rows += [tuple(reversed(row)) for row in rows]
    return tuple(rows)


def row_of(design: Design, slot: int) -> int:
    """Which row of the square a place follows; the two mirror images have the same."""
    k = len(design.comparisons) if design.kind == "ab" else len(design.systems)
    return slot // 2 % len(williams(k))


def plan_trials(design: Design, slot: int) -> list[PlannedTrial]:
    """All trials of place `slot` (0, 1, ...), practice first; the same design and place always give the same."""
    chance = random.Random(f"order/{design.seed}/{slot}")
    practice = _practice(design, slot)
    main = _ab_blocks(design, slot, chance) if design.kind == "ab" else _mos_blocks(design, slot, chance)
    return [*practice, *_with_catches(design, slot, main, chance)]


def _practice(design: Design, slot: int) -> list[PlannedTrial]:
    mirrored = bool(slot % 2)
    trials = []
    for number in range(design.practice):
        if design.kind == "ab":
            first, second = design.comparisons[number % len(design.comparisons)]
            left, right = (second, first) if (number % 2 == 1) != mirrored else (first, second)
            trials.append(PlannedTrial("practice", -1, number, left, right))
        else:
            trials.append(PlannedTrial("practice", -1, number, design.systems[number % len(design.systems)].name, None))
    return trials


def _ab_blocks(design: Design, slot: int, chance: random.Random) -> list[PlannedTrial]:
    trials: list[PlannedTrial] = []
    row = williams(len(design.comparisons))[row_of(design, slot)]
    for block, comparison in enumerate(row):
        first, second = design.comparisons[comparison]
        swapped = sides(design.seed, slot, f"comparison {comparison}", design.clips.number)
        for item in _shuffled(design.clips.number, chance, after=trials[-1].item if trials else None):
            left, right = (second, first) if swapped[item] else (first, second)
            trials.append(PlannedTrial("main", block, item, left, right))
    return trials


def _mos_blocks(design: Design, slot: int, chance: random.Random) -> list[PlannedTrial]:
    k, n = len(design.systems), design.clips.number
    square, row = williams(k), row_of(design, slot)
    group = [place % k for place in range(n)]
    # Which clips share a row is drawn anew for each pair of places, so that clips and orders do not go together.
    random.Random(f"groups/{design.seed}/{slot // 2}").shuffle(group)
    trials: list[PlannedTrial] = []
    for block in range(k):
        for item in _shuffled(n, chance, after=trials[-1].item if trials else None):
            condition = square[row // k * k + (row + group[item]) % k][block]
            trials.append(PlannedTrial("main", block, item, design.systems[condition].name, None))
    return trials


def sides(seed: int, slot: int, what: str, n: int) -> list[bool]:
    """For each of n, whether the sides are swapped: half of them, and the other half for the next place."""
    swapped = [place % 2 == 1 for place in range(n)]
    random.Random(f"sides/{seed}/{slot // 2}/{what}").shuffle(swapped)
    return [not swap for swap in swapped] if slot % 2 else swapped


def _shuffled(n: int, chance: random.Random, after: int | None) -> list[int]:
    """0..n-1 in random order, not beginning with `after`."""
    items = list(range(n))
    chance.shuffle(items)
    if n > 1 and items[0] == after:
        other = chance.randrange(1, n)
        items[0], items[other] = items[other], items[0]
    return items


def _with_catches(
    design: Design, slot: int, main: Sequence[PlannedTrial], chance: random.Random
) -> list[PlannedTrial]:
    """The trials with catch trials among them, one in each equal stretch: never first, never a clip twice running."""
    if not design.catch.count:
        return list(main)
    bounds = [1 + place * len(main) // design.catch.count for place in range(design.catch.count + 1)]
    gaps = [chance.randrange(low, high) for low, high in zip(bounds, bounds[1:], strict=False)]
    late_left = sides(design.seed, slot, "catch", design.catch.count)
    trials = list(main)
    for number, gap in reversed(list(enumerate(gaps))):  # from behind, so that earlier gaps stay where they are
        before, after = trials[gap - 1], trials[gap] if gap < len(trials) else None
        near = {before.item, after.item if after else before.item}
        item = chance.choice([item for item in range(design.clips.number) if item not in near])
        trials.insert(gap, _catch(design, before.block, item, late_left[number]))
    return trials


def _catch(design: Design, block: int, item: int, late_left: bool) -> PlannedTrial:
    system = design.catch_system
    if design.kind == "mos":
        return PlannedTrial("catch", block, item, system, None, "left")
    trial = PlannedTrial("catch", block, item, system, system, "right")
    return replace(trial, late="left") if late_left else trial

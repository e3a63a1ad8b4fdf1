"""Order and sides of a study's trials: balanced for everybody, whatever the design."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.study.design import Catch, Clips, Design, System
from evaluation.study.order import plan_trials, row_of, williams
from evaluation.study.presets import CONSENT, LIP_SYNC, SCALE, TITLES, paper_table_iii, paper_table_v

NAMES = ("EavaNet", "GT", "FaceFormer", "CodeTalker", "VOCA")


def a_design(kind: str, k: int, n: int, catches: int, seed: int) -> Design:
    """A design of k comparisons or conditions and n clips."""
    clips = Clips(tuple(f"clip{number}" for number in range(n)))
    systems = tuple(System(name) for name in NAMES[: k + (kind == "ab")])
    return Design(
        kind, TITLES[kind], systems, (LIP_SYNC,), clips, 12, {"en": "Look.", "ko": "보십시오."}, CONSENT,
        comparisons=tuple((NAMES[0], other) for other in NAMES[1 : k + 1]) if kind == "ab" else (),
        scale=SCALE if kind == "mos" else None, catch=Catch("shifted", catches) if catches else Catch(), seed=seed,
    )  # fmt: skip


designs = st.builds(
    a_design, st.sampled_from(["ab", "mos"]), st.integers(1, 4), st.integers(6, 31), st.integers(0, 3),
    st.integers(0, 99),
)  # fmt: skip


@given(st.integers(1, 12))
def test_in_a_williams_square_each_comes_equally_often_at_each_place_and_after_each_other(k: int):
    rows = williams(k)
    assert len(rows) == (1 if k == 1 else k if k % 2 == 0 else 2 * k)
    assert all(sorted(row) == list(range(k)) for row in rows)
    for place in range(k):
        assert set(Counter(row[place] for row in rows).values()) == {len(rows) // k}
    following = Counter(pair for row in rows for pair in pairwise(row))
    assert len(following) == k * (k - 1)
    assert len(set(following.values())) <= 1


@given(designs, st.integers(0, 40))
@settings(max_examples=60)
def test_nobody_sees_a_clip_twice_running_and_no_catch_trial_comes_first(design: Design, slot: int):
    trials = plan_trials(design, slot)
    assert len(trials) == design.n_trials
    counted = [trial for trial in trials if trial.role != "practice"]
    assert all(one.item != other.item for one, other in pairwise(counted))
    assert counted[0].role == "main"
    assert [trial.role for trial in trials[: design.practice]] == ["practice"] * design.practice
    assert sum(trial.role == "catch" for trial in trials) == design.catch.count


@given(designs, st.integers(0, 40))
@settings(max_examples=60)
def test_everybody_sees_every_clip_once_in_every_comparison_or_condition(design: Design, slot: int):
    main = [trial for trial in plan_trials(design, slot) if trial.role == "main"]
    seen = Counter((trial.item, frozenset((trial.left, trial.right))) for trial in main)
    assert len(main) == len(seen) == design.n_main
    blocks = [trial.block for trial in main]
    assert blocks == sorted(blocks)
    per_block = Counter(blocks)
    assert set(per_block.values()) == {design.clips.number}


@given(designs, st.integers(0, 20))
@settings(max_examples=60)
def test_sides_are_balanced_for_each_comparison_and_mirrored_for_the_next_participant(design: Design, pair: int):
    mine, theirs = (plan_trials(design, slot) for slot in (2 * pair, 2 * pair + 1))
    assert row_of(design, 2 * pair) == row_of(design, 2 * pair + 1)
    for first, second in design.comparisons:
        left_of, mirrored = (
            {trial.item: trial.left for trial in trials if trial.role == "main" and second in (trial.left, trial.right)}
            for trials in (mine, theirs)
        )
        lefts = Counter(left_of.values())
        assert abs(lefts[first] - lefts[second]) <= 1
        assert all(mirrored[item] != left for item, left in left_of.items())
    late = Counter(trial.late for trial in mine if trial.role == "catch")
    assert design.kind == "mos" or abs(late["left"] - late["right"]) <= 1


def test_conditions_of_a_mos_study_are_mixed_within_each_block():
    design = paper_table_v({"Neutral": "a", "alpha 0.3": "b", "Emotion": "c"}, "F4", split="paper")
    for slot in range(12):
        counts = Counter((trial.block, trial.left) for trial in plan_trials(design, slot) if trial.role == "main")
        assert set(counts.values()) == {5}


def test_table_iii_asks_90_pairs_of_everybody_15_on_each_side_and_all_orders_of_blocks_come_equally_often():
    others = [System("GT"), System("FaceFormer", "f"), System("CodeTalker", "c")]
    design = paper_table_iii(System("EavaNet", "e"), others, split="paper")
    orders = Counter()
    for slot in range(24):
        main = [trial for trial in plan_trials(design, slot) if trial.role == "main"]
        assert len(main) == 90
        lefts = Counter((trial.block, trial.left == "EavaNet") for trial in main)
        assert set(lefts.values()) == {15}
        other = {trial.block: ({trial.left, trial.right} - {"EavaNet"}).pop() for trial in main}
        orders[tuple(other[block] for block in range(3))] += 1
    assert set(orders.values()) == {4} and len(orders) == 6


def test_the_same_design_and_place_give_the_same_trials_and_another_seed_gives_others():
    design = a_design("ab", 3, 30, 3, seed=1)
    assert plan_trials(design, 5) == plan_trials(design, 5)
    assert plan_trials(design, 5) != plan_trials(a_design("ab", 3, 30, 3, seed=2), 5)


def test_a_williams_square_of_nothing_is_refused():
    with pytest.raises(ValueError, match="expected 1 or more"):
        williams(0)

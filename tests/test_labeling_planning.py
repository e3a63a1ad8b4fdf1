"""Who rates what: balance, fairness and order, as laws."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.planning import plan_order, plan_votes


def subjects(n_clips: int, n_subjects: int = 14) -> dict[int, int]:
    return {clip: clip % n_subjects for clip in range(n_clips)}


def test_560_clips_give_each_of_5_raters_336_and_each_pair_168():
    plan = plan_votes(subjects(560), list("abcde"), 3, seed=0)
    load = Counter(itertools.chain.from_iterable(plan.values()))
    pairs = Counter(frozenset(pair) for chosen in plan.values() for pair in itertools.combinations(chosen, 2))
    assert set(load.values()) == {336}
    assert set(pairs.values()) == {168} and len(pairs) == 10


@given(n_clips=st.integers(1, 80), n_raters=st.integers(1, 12), votes=st.integers(1, 5), seed=st.integers(0, 9))
def test_every_clip_has_exactly_its_votes_from_different_raters_and_loads_are_even(n_clips, n_raters, votes, seed):
    if n_raters < votes:
        return
    plan = plan_votes(subjects(n_clips, 5), range(n_raters), votes, seed)
    assert list(plan) == list(range(n_clips))
    assert all(len(chosen) == len(set(chosen)) == votes for chosen in plan.values())
    load = Counter({rater: 0 for rater in range(n_raters)})
    load.update(itertools.chain.from_iterable(plan.values()))
    assert max(load.values()) - min(load.values()) <= 1


@given(n_clips=st.integers(10, 60), seed=st.integers(0, 9))
def test_each_rater_sees_every_subject_about_equally_often(n_clips, seed):
    subject_of = subjects(n_clips * 2, 2)
    plan = plan_votes(subject_of, list("abcde"), 3, seed)
    seen = Counter((rater, subject_of[clip]) for clip, chosen in plan.items() for rater in chosen)
    for rater in "abcde":
        assert abs(seen[rater, 0] - seen[rater, 1]) <= 8


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    plans = [plan_votes(subjects(60), list("abcdefg"), 3, seed) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_fewer_raters_than_votes_and_a_rater_named_twice_are_refused():
    with pytest.raises(ValueError, match="2 raters, but every clip needs 3"):
        plan_votes(subjects(3), ["a", "b"], 3, 0)
    with pytest.raises(ValueError, match="named twice"):
        plan_votes(subjects(3), ["a", "a", "b"], 3, 0)


@given(n_clips=st.integers(0, 60), share=st.sampled_from([0.0, 0.05, 0.2]), seed=st.integers(0, 9))
def test_an_order_has_every_clip_once_and_repeats_only_well_after_their_first_time(n_clips, share, seed):
    order = plan_order(range(n_clips), subjects(n_clips), share, seed)
    first = [clip for clip, repeat in order if not repeat]
    repeats = [clip for clip, repeat in order if repeat]
    assert sorted(first) == list(range(n_clips))
    assert len(repeats) == len(set(repeats)) <= round(share * n_clips)
    for clip in repeats:
        assert order.index((clip, True)) - order.index((clip, False)) >= max(2, n_clips // 4)


@given(seed=st.integers(0, 50))
def test_no_subject_comes_twice_running_when_no_repeats_are_mixed_in(seed):
    subject_of = subjects(56)
    order = [subject_of[clip] for clip, _ in plan_order(range(56), subject_of, 0.0, seed)]
    assert all(one != next_one for one, next_one in itertools.pairwise(order))


def test_a_share_of_repeats_beyond_a_half_is_refused():
    with pytest.raises(ValueError, match=r"share of 0\.6"):
        plan_order([1, 2], {1: 1, 2: 2}, 0.6, 0)

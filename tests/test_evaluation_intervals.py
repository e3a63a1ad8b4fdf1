"""Intervals and comparisons: known cases by hand, laws, and how often an interval covers the truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.comparisons import compare, compare_pair, sign_flip_p
from evaluation.intervals import mean_interval, metric_interval, share_interval
from evaluation.score_table import METRICS, per_clip, pooled


def table(errors: list[float], name: str = "F", frames: int | list[int] = 10, **columns) -> pd.DataFrame:
    """Scores of as many clips, three to a subject, with all metrics set to the same."""
    count = len(errors)
    rows = {"clip": [f"{name}{i // 3}_e{i:02d}" for i in range(count)], "subject": [f"{name}{i // 3}" for i in range(
        count)], "emotion": "angry", "condition": "", "n_frames": frames}  # fmt: skip
    return pd.DataFrame(rows | dict.fromkeys([*METRICS, "jitter_of_truth"], errors) | columns)


# Intervals ------------------------------------------------------------------------------------------------------------


def test_an_interval_holds_its_estimate_and_is_the_same_each_time():
    values = np.random.default_rng(0).gamma(2, size=30)
    found = mean_interval(values)
    assert found.low < found.estimate < found.high and found.estimate == pytest.approx(values.mean())
    assert found == mean_interval(values) and found != mean_interval(values, seed=1)
    assert found.method == "95% BCa bootstrap over 30 groups, 9999 resamples, seed 0"


def test_equal_values_leave_nothing_open_and_one_value_leaves_everything_open():
    assert (mean_interval([3, 3, 3]).low, mean_interval([3, 3, 3]).high) == (3, 3)
    single = mean_interval([3])
    assert (single.estimate, single.low, single.high, single.method) == (3, None, None, "no interval from 1 groups")


def test_values_that_come_twice_are_no_more_certain_when_resampled_together():
    values = np.random.default_rng(0).normal(size=12)
    once = mean_interval(values)
    twice = mean_interval(np.repeat(values, 2), groups=np.repeat(np.arange(12), 2))
    pooled_twice = mean_interval(np.repeat(values, 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert (twice.n, twice.groups) == (24, 12)
    assert pooled_twice.high - pooled_twice.low < 0.85 * (once.high - once.low)


def test_a_weight_counts_as_often_as_it_says():
    weighted = mean_interval([1, 4], [3, 1])
    assert weighted.estimate == 1.75
    assert mean_interval([1, 4], [3, 1], root=True).estimate == pytest.approx(1.75**0.5)


def test_ten_hits_of_ten_still_leave_room_for_misses():
    found = share_interval([True] * 10, what="clips")
    assert (found.estimate, found.high) == (1, 1) and found.low == pytest.approx(10 / (10 + 1.959964**2))
    assert found.method == "95% Wilson interval of 10 clips"
    assert share_interval([False] * 10).high == pytest.approx(1 - found.low)
    assert share_interval([True] * 20, groups=list(range(10)) * 2).low == found.low
    assert share_interval([True, False] * 5) == mean_interval([1, 0] * 5)


@settings(max_examples=15)
@given(seed=st.integers(0, 99), shift=st.floats(-5, 5), factor=st.floats(0.1, 10))
def test_an_interval_moves_and_stretches_with_its_values(seed, shift, factor):
    values = np.random.default_rng(seed).normal(size=9)
    found = mean_interval(values, resamples=199)
    moved = mean_interval(factor * values + shift, resamples=199)
    assert [moved.low, moved.high] == pytest.approx([factor * found.low + shift, factor * found.high + shift])


def test_nine_in_ten_intervals_and_more_cover_the_truth():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(2, 1, 20), resamples=499) for _ in range(200)]
    covered = np.mean([interval.low <= 2 <= interval.high for interval in intervals])
    assert 0.89 <= covered <= 0.98


@pytest.mark.parametrize(
    ("values", "weights", "why"),
    [([], None, "at least one"), ([[1.0]], None, "at least one"), ([1, 2], [1], "as many of each"),
     ([1, np.nan], None, "finite"), ([1, 2], [1, 0], "positive")],
)  # fmt: skip
def test_values_without_sense_are_refused(values, weights, why):
    with pytest.raises(ValueError, match=why):
        mean_interval(values, weights)


def test_groups_must_be_as_many_as_values():
    with pytest.raises(ValueError, match="2 values in 1 groups"):
        mean_interval([1, 2], groups=["a"])


def test_a_metrics_interval_is_around_its_pooled_value_over_clips_or_subjects():
    scores = table(list(np.random.default_rng(0).gamma(2, size=15)), frames=list(range(10, 25)))
    for key in METRICS:
        by_clip, by_subject = metric_interval(scores, key), metric_interval(scores, key, over="subject")
        assert by_clip.estimate == pytest.approx(pooled(scores, key)) == pytest.approx(by_subject.estimate)
        assert (by_clip.groups, by_subject.groups) == (15, 5)
    assert "over 5 subjects" in by_subject.method
    with pytest.raises(ValueError, match="no clip has it"):
        metric_interval(scores.assign(fdd=np.nan), "fdd")


# Comparisons ----------------------------------------------------------------------------------------------------------


def test_a_system_compared_with_itself_differs_by_nothing():
    scores = table([1.0, 2.0, 3.0])
    row = compare({"A": scores, "B": scores}, ["vertex_error"]).iloc[0]
    assert row[["difference", "low", "high", "better", "p", "p_wilcoxon", "p_holm"]].tolist() == [0, 0, 0, 0.5, 1, 1, 1]


def test_a_system_that_is_better_on_all_of_ten_clips_is_so_by_chance_twice_in_1024():
    worse = [float(i + 2) for i in range(10)]
    row = compare({"A": table([e - 1 - e / 10 for e in worse]), "B": table(worse)}, ["vertex_error"]).iloc[0]
    assert row["difference"] == pytest.approx(-np.mean([1 + e / 10 for e in worse]))
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["better"] == 1 and row["p"] == pytest.approx(2 / 1024) and row["p_wilcoxon"] == pytest.approx(2 / 1024)


def test_four_subjects_cannot_show_more_than_one_in_eight():
    worse = [float(i + 2) for i in range(12)]
    tables = {"A": table([e / 2 for e in worse]), "B": table(worse)}
    row = compare(tables, ["vertex_error"], over="subject").iloc[0]
    assert row["p"] == pytest.approx(2 / 16) and row["groups"] == 4 and row["n"] == 12


def test_signed_metrics_are_compared_by_size_and_jitter_by_its_distance_from_the_truths():
    first = table([-1.0, -1.0, -1.0], jitter_of_truth=[0.0, 0.0, 0.0])
    second = table([3.0, 3.0, 3.0], jitter_of_truth=[2.5, 2.5, 2.5])
    found = compare({"A": first, "B": second}, ["fdd", "jitter"])
    assert found["difference"].tolist() == pytest.approx([-2.0, 0.5])


def test_holm_corrects_the_pairs_of_a_metric_among_themselves():
    rng = np.random.default_rng(0)
    tables = {name: table(list(rng.normal(level, 0.5, 8))) for name, level in (("A", 1), ("B", 2), ("C", 2.1))}
    found = compare(tables, ["vertex_error", "fdd"])
    assert found[["first", "second"]].to_numpy().tolist() == [["A", "B"], ["A", "C"], ["B", "C"]] * 2
    p = np.sort(found["p"][:3])
    expected = np.maximum.accumulate(np.minimum(1, p * [3, 2, 1]))
    assert np.sort(found["p_holm"][:3]) == pytest.approx(expected)
    against_c = compare(tables, ["vertex_error"], reference="C")
    assert against_c[["first", "second"]].to_numpy().tolist() == [["C", "A"], ["C", "B"]]


def test_only_common_clips_count_and_the_others_are_reported():
    longer = table([1.0, 2.0, 3.0, 4.0])
    row = compare({"A": longer, "B": longer[:3]}, ["vertex_error"]).iloc[0]
    assert (row["n"], row["left_out"]) == (3, 1)
    assert compare({"A": longer, "B": longer.assign(fdd=np.nan)}, ["fdd"]).empty


def test_conditions_of_a_clip_count_once():
    scores = table([1.0, 2.0])
    doubled = pd.concat([scores, scores.assign(condition="F3")])
    row = compare({"A": doubled, "B": scores}, ["vertex_error"]).iloc[0]
    assert row["n"] == 2 and row["difference"] == 0


@settings(max_examples=25)
@given(seed=st.integers(0, 99), n=st.integers(2, 12))
def test_who_comes_first_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    first, second = (per_clip(table(list(rng.normal(size=n)))) for _ in range(2))
    there, back = compare_pair(first, second, "vertex_error"), compare_pair(second, first, "vertex_error")
    assert there.difference == pytest.approx(-back.difference)
    assert there.p == pytest.approx(back.p) and there.better == pytest.approx(1 - back.better)
    assert 0 < sign_flip_p(rng.normal(size=n), range(n)) <= 1


def test_what_cannot_be_compared_is_refused():
    scores = table([1.0, 2.0])
    with pytest.raises(ValueError, match="1 system: a comparison needs two"):
        compare({"A": scores}, ["fdd"])
    with pytest.raises(ValueError, match="expected one of A, B"):
        compare({"A": scores, "B": scores}, ["fdd"], reference="C")
    with pytest.raises(ValueError, match="expected one of vertex_error"):
        compare({"A": scores, "B": scores}, ["beauty"])
    with pytest.raises(ValueError, match="A and B share no clip"):
        compare({"A": scores, "B": table([1.0], name="M")}, ["fdd"])

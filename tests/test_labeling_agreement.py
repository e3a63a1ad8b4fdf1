"""Agreement between raters, against the definitions and values worked by hand."""

import numpy as np
import pandas as pd
import pytest

from labeling import agreement
from labeling.emotions import EMOTIONS


def table(rows: dict[str, str]) -> pd.DataFrame:
    """rater -> a letter per clip ("." where the rater gave none), all with intensity 3."""
    emotion = dict(zip("hasn", EMOTIONS, strict=True))
    return pd.DataFrame(
        [(f"c{clip:02d}", rater, emotion[letter], 3, "vote") for rater, letters in rows.items()
         for clip, letter in enumerate(letters) if letter != "."],
        columns=["clip", "rater", "emotion", "intensity", "kind"])  # fmt: skip


def test_nominal_alpha_is_one_minus_observed_over_expected_disagreement():
    rows = {"A": "hassah", "B": "hassaa", "C": "hnssaa"}
    found = agreement.krippendorff_alpha(table(rows), "emotion", resamples=50)
    assert found.value == pytest.approx(nominal_alpha_by_hand(rows))
    assert found.n_clips == 6
    assert found.low <= found.value <= found.high


def nominal_alpha_by_hand(rows: dict[str, str]) -> float:
    """1 - observed / expected disagreement over all pairs, straight from the definition."""
    units = list(zip(*rows.values(), strict=True))
    values = [value for unit in units for value in unit]
    observed = np.mean([np.mean([a != b for i, a in enumerate(u) for j, b in enumerate(u) if i != j]) for u in units])
    expected = np.mean([a != b for i, a in enumerate(values) for j, b in enumerate(values) if i != j])
    return 1 - observed / expected


def test_ordinal_alpha_forgives_neighbours_more_than_opposites():
    def alpha(second: list[int]) -> float:
        votes = pd.DataFrame({"clip": list("abcdefgh") * 2, "rater": ["x"] * 8 + ["y"] * 8,
                              "intensity": [1, 2, 3, 4, 5, 1, 3, 5, *second]})  # fmt: skip
        return agreement.krippendorff_alpha(votes, "intensity", resamples=20).value

    near, far = alpha([2, 3, 3, 4, 5, 1, 3, 5]), alpha([5, 2, 3, 4, 1, 1, 3, 5])
    assert alpha([1, 2, 3, 4, 5, 1, 3, 5]) == pytest.approx(1)
    assert far < near < 1


def test_alpha_is_undefined_when_everybody_says_the_same_and_without_two_ratings_of_a_clip():
    assert agreement.krippendorff_alpha(table({"a": "hhh", "b": "hhh"}), "emotion").value is None
    assert agreement.krippendorff_alpha(table({"a": "has"}), "emotion").value is None
    assert agreement.krippendorff_alpha(table({}), "emotion").value is None
    assert agreement.fleiss_kappa(table({"a": "hhh", "b": "hhh"})).value is None


def test_raters_who_always_agree_have_alpha_and_kappas_of_1():
    votes = table({"a": "hasnha", "b": "hasnha", "c": "hasnha"})
    assert agreement.krippendorff_alpha(votes, "emotion", resamples=20).value == pytest.approx(1)
    assert agreement.fleiss_kappa(votes).value == pytest.approx(1)
    assert agreement.cohen_kappas(votes)["kappa"].tolist() == pytest.approx([1, 1, 1])


def test_cohens_kappa_of_two_raters_who_agree_on_4_of_6_is_worked_by_hand():
    # Agreement 4/6; by chance (3/6 * 2/6) + (3/6 * 4/6) = 1/2; kappa = (4/6 - 1/2) / (1/2) = 1/3.
    row = agreement.cohen_kappas(table({"a": "hhhaaa", "b": "hhaaaa"})).iloc[0]
    assert (row["shared"], row["agreement"]) == (6, pytest.approx(5 / 6))
    second = agreement.cohen_kappas(table({"a": "hhhaaa", "b": "hhaaah"})).iloc[0]
    assert (second["agreement"], second["kappa"]) == (pytest.approx(4 / 6), pytest.approx(1 / 3))


def test_fleiss_kappa_of_a_case_worked_by_hand():
    # Two clips, three raters: hhh and haa. P = (1 + 1/3) / 2 = 2/3; p = (4/6, 2/6), chance 20/36; kappa = 1/4.
    assert agreement.fleiss_kappa(table({"a": "hh", "b": "ha", "c": "ha"})).value == pytest.approx(1 / 4)


def test_confusion_counts_each_pair_of_votes_both_ways():
    found = agreement.confusion(table({"a": "hh", "b": "ha"}))
    assert found.loc["happy"].tolist() == [2, 1, 0, 0]
    assert found.loc["angry"].tolist() == [1, 0, 0, 0]
    assert (found.to_numpy() == found.to_numpy().T).all()


def test_each_rater_is_compared_with_the_majority_of_the_others():
    found = agreement.with_the_others(table({"a": "hhs", "b": "hha", "c": "hna"})).set_index("rater")
    # The others of "a" are clear on clips 1 (h) and 3 (a); "a" says h and s.
    assert found.loc["a", ["n_clips", "agreement"]].tolist() == [2, 0.5]


def test_repeats_measure_a_rater_against_their_own_first_answer():
    first = table({"a": "hha"})
    repeats = pd.DataFrame([("c00", "a", "happy", 5, "repeat"), ("c02", "a", "neutral", 3, "repeat")],
                           columns=first.columns)
    row = agreement.with_themselves(pd.concat([first, repeats])).iloc[0]
    assert row.tolist() == ["a", 2, 0.5, 1.0]


def test_disagreements_begin_with_the_most_divided_clip_and_leave_out_unanimous_ones():
    found = agreement.disagreements(table({"a": "hhs", "b": "hha", "c": "hna"}))
    assert found["clip"].tolist() == ["c01", "c02"]
    assert not found["tie"].any()
    three_ways = agreement.disagreements(table({"a": "hh", "b": "aa", "c": "sa"}))
    assert three_ways[["clip", "tie"]].values.tolist() == [["c00", True], ["c01", False]]

"""Krippendorff's alpha against published values, and its interval against the definition of a bootstrap."""

import krippendorff
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling import agreement
from labeling.emotions import EMOTIONS

# Krippendorff, K. (2011): Computing Krippendorff's Alpha-Reliability, example C: four observers, twelve units.
FOUR_OBSERVERS = ("1233214 12...", "1233224 125.3", ".333234 2251.", "1233244 1251.")
# The example of the article on Krippendorff's alpha in Wikipedia: three coders, fifteen units, values 1 to 4.
THREE_CODERS = (".....3412113 3.3", "1.2133 43.......", "..2134 4.2113 3.4")


def votes(rows: tuple[str, ...]) -> pd.DataFrame:
    """A row per rater, a digit per clip, "." for none; the digit is the intensity, and numbers the emotion up to 4."""
    return pd.DataFrame(
        [(f"c{clip:02d}", f"r{rater}", EMOTIONS[(int(digit) - 1) % 4], int(digit))
         for rater, row in enumerate(rows) for clip, digit in enumerate(row.replace(" ", "")) if digit != "."],
        columns=["clip", "rater", "emotion", "intensity"],
    )  # fmt: skip


def test_ordinal_alpha_of_krippendorffs_own_example_is_0_815():
    found = agreement.krippendorff_alpha(votes(FOUR_OBSERVERS), "intensity", resamples=20)
    assert found.value == pytest.approx(0.815, abs=0.0005)
    assert found.n_clips == 11  # one unit has a single value


def test_nominal_alpha_of_the_three_coders_is_0_691():
    found = agreement.krippendorff_alpha(votes(THREE_CODERS), "emotion", resamples=20)
    assert found.value == pytest.approx(0.691, abs=0.0005)


@pytest.mark.parametrize("column", ["emotion", "intensity"])
def test_the_resampled_alphas_are_those_of_the_drawn_clips(column):
    """The same draws, clip by clip, through the package."""
    counts = agreement.value_counts(votes(THREE_CODERS), column).to_numpy()
    counts = counts[counts.sum(axis=1) >= 2]
    level = "nominal" if column == "emotion" else "ordinal"
    fast = agreement._resampled_alphas(counts, level, 40, seed=5)
    drawn = np.random.default_rng(5).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=40)
    slow = [
        krippendorff.alpha(value_counts=np.repeat(counts, times, axis=0), value_domain=list(range(counts.shape[1])),
                           level_of_measurement=level)
        for times in drawn
    ]  # fmt: skip
    assert fast == pytest.approx(slow)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 6), min_size=5, max_size=5).filter(lambda row: sum(n > 0 for n in row) >= 2))
def test_for_a_single_clip_every_draw_is_the_clip_itself(row):
    counts = np.array([row])
    for level in ("nominal", "ordinal"):
        expected = krippendorff.alpha(value_counts=counts, value_domain=list(range(5)), level_of_measurement=level)
        assert agreement._resampled_alphas(counts, level, 3, seed=0) == pytest.approx([expected] * 3)


def test_a_draw_without_two_different_values_is_left_out_of_the_interval():
    table = votes(("1111112", "1111112"))  # many draws miss the last clip
    assert np.isnan(agreement._resampled_alphas(np.array([[2, 0]] * 6 + [[0, 2]]), "nominal", 100, seed=0)).any()
    found = agreement.krippendorff_alpha(table, "emotion")
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_the_interval_is_the_same_for_the_same_seed_and_narrower_with_more_clips():
    rng = np.random.default_rng(3)

    def noisy(n_clips: int) -> pd.DataFrame:
        truth = rng.integers(0, 4, n_clips)
        said = np.where(rng.random((3, n_clips)) < 0.7, truth, rng.integers(0, 4, (3, n_clips)))
        return votes(tuple("".join(str(value + 1) for value in row) for row in said))

    few, many = noisy(30), noisy(300)
    first = agreement.krippendorff_alpha(few, "emotion")
    assert agreement.krippendorff_alpha(few, "emotion") == first
    wide, narrow = first, agreement.krippendorff_alpha(many, "emotion")
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


@pytest.mark.parametrize("accuracy", [0.6, 0.85])
def test_the_interval_covers_the_alpha_of_the_whole_population_about_19_times_in_20(accuracy):
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 4, 3000)
    said = np.where(rng.random((3, 3000)) < accuracy, truth, rng.integers(0, 4, (3, 3000)))
    counts = np.stack([(said == value).sum(axis=0) for value in range(4)], axis=1)
    whole = krippendorff.alpha(value_counts=counts, value_domain=[0, 1, 2, 3], level_of_measurement="nominal")
    covered = []
    for _ in range(100):
        sample = counts[rng.integers(0, 3000, 100)]
        low, high = np.percentile(agreement._resampled_alphas(sample, "nominal", 200, seed=1), [2.5, 97.5])
        covered.append(low <= whole <= high)
    assert 0.87 <= np.mean(covered) <= 1

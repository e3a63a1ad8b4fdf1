"""Algorithm 1 of the paper, ties and intervals, in numbers worked by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling import algorithm1
from labeling.algorithm1 import TooFewVotes, aggregate, score_intervals, without_each_rater
from labeling.dawid_skene import dawid_skene
from labeling.emotions import EMOTIONS


def votes(*clips: str, intensity: int = 3, subject: str = "F1") -> pd.DataFrame:
    """A clip per word, a vote per letter: "haa" is one vote for happy and two for angry."""
    emotion = dict(zip("hasn", EMOTIONS, strict=True))
    rows = [(subject, f"{subject}_e{clip:02d}", f"r{rater}", emotion[letter], intensity)
            for clip, word in enumerate(clips, 1) for rater, letter in enumerate(word)]  # fmt: skip
    return pd.DataFrame(rows, columns=["subject", "clip", "rater", "emotion", "intensity"])


def label(word: str, policy: str = "adjudicate"):
    return aggregate(votes(word), policy).labels["label"].item()


def test_the_majority_of_three_votes_is_the_label():
    assert (label("haa"), label("sss"), label("nnh")) == ("angry", "sadness", "neutral")


def test_a_three_way_tie_stays_open_unless_the_policy_says_otherwise():
    assert label("asn") is None
    assert label("asn", "exclude") is None
    assert label("asn", "paper") == "angry"  # the first of the tied ones in the paper's order
    assert label("nsh", "paper") == "happy"
    assert aggregate(votes("asn")).labels["tie"].item()


def test_a_further_vote_resolves_a_tie():
    assert label("asns") == "sadness"


def test_a_mean_of_exactly_3_is_not_selected_and_anything_above_is():
    at_3 = votes("hhh", "hhh", intensity=3)
    above = at_3.assign(intensity=[3, 3, 3, 3, 3, 4], subject="F2")
    result = aggregate(pd.concat([at_3, above]))
    assert result.selected == ["F2"]
    assert result.subjects.loc[0, ["subject", "score", "n_ratings"]].tolist() == ["F1", 3.0, 6]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=60))
def test_selection_is_exact_whatever_the_rounding_of_the_mean(intensities):
    table = votes("h" * len(intensities)).assign(intensity=intensities)
    selected = aggregate(table, minimum_votes=1).selected == ["F1"]
    assert selected == (sum(intensities) > 3 * len(intensities))


@settings(max_examples=50)
@given(st.lists(st.text("hasn", min_size=3, max_size=3), min_size=1, max_size=12), st.randoms())
def test_neither_the_order_of_ratings_nor_the_names_of_raters_matter(words, chance):
    table = votes(*words)
    shuffled = table.sample(frac=1, random_state=chance.randint(0, 999)).assign(rater=lambda t: "x" + t["rater"])
    for policy in algorithm1.POLICIES:
        pd.testing.assert_frame_equal(aggregate(table, policy).labels, aggregate(shuffled, policy).labels)


@given(st.text("hasn", min_size=3, max_size=7), st.sampled_from("hasn"))
def test_a_vote_for_the_label_never_changes_it(word, letter):
    emotion = dict(zip("hasn", EMOTIONS, strict=True))[letter]
    if label(word) == emotion:
        assert label(word + letter) == emotion


@given(st.text("hasn", min_size=3, max_size=3))
def test_a_tie_of_three_votes_is_exactly_three_different_emotions(word):
    assert aggregate(votes(word)).labels["tie"].item() == (len(set(word)) == 3)


def test_13_percent_of_clips_tie_with_raters_who_are_right_seven_times_in_ten():
    right, wrong = 0.7, 0.1
    exact = sum(np.prod([right if e == "h" else wrong for e in word])
                for word in itertools.permutations("hasn", 3))  # fmt: skip
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("hasn"), 3, p=[right, wrong, wrong, wrong])) for _ in range(20_000)]
    assert exact == pytest.approx(0.132, abs=0.001)
    assert aggregate(votes(*words)).labels["tie"].mean() == pytest.approx(exact, abs=0.01)


def test_too_few_votes_are_an_error_that_names_the_clips_unless_partial_is_allowed():
    table = votes("hhh", "aa")
    with pytest.raises(TooFewVotes, match=r"1 of 2 clips have fewer than 3 votes: F1_e02 \(2\)") as refused:
        aggregate(table)
    assert refused.value.clips == ["F1_e02"]
    partial = aggregate(table, allow_partial=True)
    assert partial.labels["label"].tolist() == ["happy", None]
    assert partial.subjects["n_ratings"].item() == 5


def test_counts_and_mean_intensity_are_those_of_the_votes():
    row = aggregate(votes("hha").assign(intensity=[1, 2, 5])).labels.iloc[0]
    assert row[list(EMOTIONS)].tolist() == [2, 1, 0, 0]
    assert row["mean_intensity"] == pytest.approx(8 / 3)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="policy 'coin'"):
        aggregate(votes("hhh"), "coin")
    with pytest.raises(ValueError, match="no rating"):
        aggregate(votes())


def test_the_interval_of_a_score_is_two_way_clustered_and_undefined_for_one_rater():
    table = votes("hhh", "hhh", "hhh", "hhh").assign(intensity=[1, 2, 2, 4, 5, 3, 2, 3, 3, 5, 5, 4])
    row = score_intervals(table).iloc[0]
    assert row["score_low"] < 39 / 12 < row["score_high"]
    # 3 raters, 4 clips: t with 2 degrees of freedom, 4.303, on the larger of the clustered standard errors.
    residual = (table["intensity"] - 39 / 12).to_numpy()
    clip_sums = residual.reshape(4, 3).sum(axis=1)
    rater_sums = residual.reshape(4, 3).sum(axis=0)
    by_clip = (clip_sums**2).sum() / 144 * (4 / 3) * (11 / 11)
    by_rater = (rater_sums**2).sum() / 144 * (3 / 2) * (11 / 11)
    half = (row["score_high"] - row["score_low"]) / 2
    assert half >= 4.302 * np.sqrt(max(by_clip, by_rater)) * 0.999
    assert np.isnan(score_intervals(table[table["rater"] == "r0"])["score_low"].item())
    same = score_intervals(table.assign(intensity=4)).iloc[0]
    assert (same["score_low"], same["score_high"]) == (4, 4)


def test_leaving_out_a_rater_tells_which_subjects_hang_on_them():
    table = votes("hhh", "hha").assign(intensity=[3, 3, 5, 3, 3, 5])  # without r2 the mean is exactly 3
    without = without_each_rater(table).set_index("rater")
    assert without.loc["r2", "lost"] == ["F1"]
    assert without.loc["r0", "lost"] == []
    assert without.loc["r0", "changed"] == 1  # "hha" without r0 is a tie


def test_the_model_of_raters_follows_the_reliable_ones():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 200)
    rows = []
    for rater, accuracy in (("good", 0.95), ("fair", 0.9), ("guesses", 0.25)):
        said = np.where(rng.random(200) < accuracy, truth, rng.integers(0, 4, 200))
        rows += [(f"c{clip:03d}", rater, EMOTIONS[e]) for clip, e in enumerate(said)]
    model = dawid_skene(pd.DataFrame(rows, columns=["clip", "rater", "emotion"]))
    assert model.probabilities.sum(axis=1).to_numpy() == pytest.approx(1)
    assert model.accuracy["good"] > model.accuracy["fair"] > 0.8 > 0.5 > model.accuracy["guesses"]
    assert (model.labels.to_numpy() == np.array(EMOTIONS)[truth]).mean() > 0.93
    unanimous = dawid_skene(votes("hhh", "aaa", "sss", "nnn"))
    assert unanimous.labels.tolist() == list(EMOTIONS)

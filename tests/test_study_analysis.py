"""Intervals, tests and rankings of studies: known cases, laws, and equality with statsmodels."""

import json

import krippendorff
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluation.study.agreement import RESAMPLES, _resampled, alpha
from evaluation.study.analysis import analyse
from evaluation.study.exclusions import Rules, catch_table, exclude
from evaluation.study.opinions import differences, friedman, mixed_model, opinions, scored
from evaluation.study.preferences import by_item, by_participant, preferences, side_bias, voted
from evaluation.study.ranking import bradley_terry
from evaluation.study.reconstruction import NOTE, percentage, reconstruct
from evaluation.study.responses import BadResponses, check_responses
from evaluation.study.two_way import (
    Answers,
    bootstrap_interval,
    means_interval,
    pooled_interval,
    two_way_interval,
    wilson_interval,
)
from tests.study_answers import ab_study, catch_trials, mos_study


def correlated(people: int = 9, items: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (N,) with effects of people and items, and who and which; not quite complete."""
    rng = np.random.default_rng(seed)
    person, item = (place.ravel() for place in np.indices((people, items)))
    values = rng.normal(size=people)[person] + rng.normal(size=items)[item] + rng.normal(size=people * items)
    there = rng.random(len(values)) < 0.9
    return values[there], person[there], item[there]


# Intervals ------------------------------------------------------------------------------------------------------------


def errors_of_statsmodels(y: np.ndarray, design: np.ndarray, person: np.ndarray, item: np.ndarray) -> list[float]:
    """Standard errors of the last parameter: two-way (0 where its variance is negative), by person, by item."""
    fits = [sm.OLS(y, design).fit(cov_type="cluster", cov_kwds={"groups": groups})
            for groups in (np.column_stack([person, item]), person, item)]  # fmt: skip
    return [max(0.0, fit.cov_params()[-1, -1]) ** 0.5 for fit in fits]


@pytest.mark.parametrize("seed", range(5))
def test_the_default_error_is_that_of_statsmodels_and_never_below_a_one_way_error(seed: int):
    values, person, item = correlated(seed=seed)
    errors = errors_of_statsmodels(values, np.ones(len(values)), person, item)
    found = two_way_interval(Answers(values, person, item))
    half = stats.t.ppf(0.975, 7 - 1) * max(errors)
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert (max(errors) == errors[0]) == (seed > 1)  # by chance, the first two are such cases
    assert (found.n, found.participants, found.items, found.kind) == (len(values), 9, 7, "two-way")
    assert "9 participants and 7 items, t with 6 df" in found.method


def test_the_other_kinds_are_what_they_say():
    values, person, item = correlated()
    answers = Answers(values, person, item)
    means = pd.Series(values).groupby(person).mean()
    paper = stats.t.interval(0.95, 8, means.mean(), stats.sem(means))
    found = means_interval(answers, "participants")
    assert (found.low, found.high) == pytest.approx(tuple(paper))
    naive = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    found = pooled_interval(answers)
    assert (found.low, found.high) == pytest.approx(tuple(naive))
    share = wilson_interval(Answers([1] * 6 + [0] * 4, range(10), range(10)))
    assert (share.low, share.high) == pytest.approx((0.3126738, 0.8318197), abs=1e-6)
    drawn = bootstrap_interval(answers)
    assert drawn.low < answers.mean < drawn.high and drawn == bootstrap_interval(answers)


@pytest.mark.parametrize(
    ("values", "person", "item", "why"),
    [([1, 2], [0, 0], [0, 1], "one participant"), ([1, 2], [0, 1], [0, 0], "one item"),
     ([3, 3, 3, 3], [0, 0, 1, 1], [0, 1, 0, 1], "all answers are equal"),
     ([1, 0, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1], "only single answers do")],
)  # fmt: skip
def test_what_tells_nothing_is_undefined_with_the_reason(values, person, item, why):
    found = two_way_interval(Answers(values, person, item))
    assert (found.low, found.high) == (None, None) and why in found.why and found.method == f"undefined: {found.why}"
    assert found.estimate == np.mean(values)


# A/B ------------------------------------------------------------------------------------------------------------------


def test_a_share_worked_by_hand():
    # Two people, two clips, against GT: EavaNet is chosen three times of four.
    found = preferences(ab_study(2, 2, lambda person, item, other: (person, item) != (1, 1), others=("GT",)))[0]
    assert (found.first, found.second, found.n, found.n_none) == ("EavaNet", "GT", 4, 0)
    assert found.share.estimate == 0.75 and found.participants == found.items == 2
    assert found.p_sign == 1.0  # one participant for it, one undecided
    assert "same" in found.reasons["p_logit"] and found.p == found.p_sign and "sign test" in found.p_method


def test_everybody_prefers_the_same_system_always():
    one = preferences(ab_study(10, 5, lambda *_: True))[0]
    assert one.share.estimate == 1 and one.share.low is None and one.share.why == "all answers are equal"
    assert one.p_sign == pytest.approx(2 / 1024) == one.p and one.p_holm == pytest.approx(6 / 1024)
    assert one.intervals["independent"].high == 1 and one.intervals["independent"].low > 0.9


def test_the_logit_is_that_of_statsmodels_and_knows_the_side():
    def left_handed(person: int, item: int, other: str) -> bool:  # half of the answers follow the left side
        ours_left = (person + item) % 2 == 1
        return ours_left if (person * 7 + item * 3) % 4 < 2 else (person * 5 + item) % 3 > 0

    rows = voted(ab_study(12, 9, left_handed, others=("GT",)))
    found = preferences(rows)[0]
    side = np.where(rows["on_left"].to_numpy(dtype=bool), 0.5, -0.5)
    groups = [pd.factorize(rows[name])[0] for name in ("participant", "item")]
    model = sm.Logit(rows["vote"].to_numpy(), np.column_stack([np.ones(len(rows)), side]))
    fits = [model.fit(disp=0, cov_type="cluster", cov_kwds={"groups": g}) for g in (np.column_stack(groups), *groups)]
    z = fits[0].params[0] / max(np.nan_to_num(fit.bse[0]) for fit in fits)
    assert found.p_logit == pytest.approx(2 * stats.t.sf(abs(z), 8))
    assert found.side_effect == pytest.approx(fits[0].params[1]) and found.side_effect > 0.5
    assert side_bias(rows)["lip sync"].estimate > 0.5


def test_no_preference_is_half_a_vote_for_each():
    table = ab_study(4, 4, lambda *_: True, others=("GT",))
    table.loc[table["participant"].isin(["p00", "p01"]), ["preferred", "preferred_system"]] = "none"
    found = preferences(check_responses(table))[0]
    assert found.share.estimate == 0.75 and found.n_none == 8 and found.n == 16
    assert by_participant(table)["share"].tolist() == [0.5, 0.5, 1, 1]
    assert by_participant(table)["left"].iloc[0] is None or np.isnan(by_participant(table)["left"].iloc[0])


def test_holm_is_over_the_comparisons_of_a_question():
    found = preferences(ab_study(10, 8, 0.6, questions=("lip sync", "expression")))
    assert [one.question for one in found] == ["lip sync"] * 3 + ["expression"] * 3
    for question in (found[:3], found[3:]):
        p = sorted(one.p for one in question)
        assert sorted(one.p_holm for one in question) == pytest.approx(
            np.maximum.accumulate(np.minimum(1, np.array(p) * [3, 2, 1])))  # fmt: skip


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99))
def test_relabelling_systems_or_sides_flips_and_permuting_rows_changes_nothing(seed: int):
    table = ab_study(6, 5, 0.6, others=("GT",), seed=seed)
    there = preferences(table)[0]
    other = check_responses(table.assign(
        comparison="GT vs EavaNet", system_left=table["system_right"], system_right=table["system_left"], preferred="",
    ))  # fmt: skip
    back = preferences(other)[0]
    assert back.share.estimate == pytest.approx(1 - there.share.estimate)
    assert back.intervals["two-way"].low == pytest.approx(1 - there.intervals["two-way"].high)
    assert (back.p, back.p_sign) == pytest.approx((there.p, there.p_sign))
    if there.side_effect is not None:
        assert back.side_effect == pytest.approx(-there.side_effect, abs=1e-6)
        assert side_bias(other)["lip sync"].estimate == pytest.approx(1 - side_bias(table)["lip sync"].estimate)
    mixed = preferences(table.sample(frac=1, random_state=seed))[0]
    assert mixed.share.low == pytest.approx(there.share.low) and mixed.p == pytest.approx(there.p)


def test_a_ranking_recovers_strengths_and_refuses_what_it_cannot_say():
    strength, rng, rows = {"A": 1.0, "B": 0.0, "C": -1.0}, np.random.default_rng(0), []
    for person in range(40):
        for item in range(10):
            for left, right in (("A", "B"), ("B", "C"), ("C", "A")):
                won = rng.random() < 1 / (1 + np.exp(strength[right] - strength[left]))
                rows.append({"participant": f"p{person}", "item": f"e{item}", "question": "q", "system_left": left,
                             "system_right": right, "preferred": "left" if won else "right"})  # fmt: skip
    table = check_responses(pd.DataFrame(rows))
    found = bradley_terry(table)["q"]
    assert found.systems == ("A", "B", "C")
    assert [one.estimate for one in found.strengths] == pytest.approx([1, 0, -1], abs=0.2)
    assert all(one.low < one.estimate < one.high for one in found.strengths)
    assert "missing" in bradley_terry(ab_study())["lip sync"].why
    assert "three systems" in bradley_terry(ab_study(others=("GT",)))["lip sync"].why
    always = check_responses(table.assign(preferred="", preferred_system=[
        min(pair) for pair in zip(table["system_left"], table["system_right"], strict=True)]))  # fmt: skip
    assert "no bound" in bradley_terry(always)["q"].why


# MOS ------------------------------------------------------------------------------------------------------------------


def test_differences_are_those_of_statsmodels_and_paired():
    table = mos_study()
    found = differences(table)[0]
    rows = scored(table)
    both = rows[rows["condition"].isin(["level 2.4", "level 3.1"])]
    design = sm.add_constant(both["condition"].eq("level 3.1").to_numpy(dtype=float))
    groups = np.column_stack([pd.factorize(both[name])[0] for name in ("participant", "item")])
    errors = errors_of_statsmodels(both["score"].to_numpy(), design, *groups.T)
    half = stats.t.ppf(0.975, 5) * max(errors)
    means = both.groupby("condition")["score"].mean()
    assert found.difference.estimate == pytest.approx(means["level 3.1"] - means["level 2.4"])
    assert (found.difference.high - found.difference.low) / 2 == pytest.approx(half)
    means = both.pivot_table(index="participant", columns="condition", values="score")
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(means["level 3.1"] - means["level 2.4"]).pvalue)


def test_near_the_scales_end_the_bootstrap_takes_over():
    rng = np.random.default_rng(0)
    rows = [{"participant": p, "item": i, "condition": "best", "score": 5 - (rng.random() < 0.04)}
            for p in range(6) for i in range(4)]  # fmt: skip
    rows[0]["score"] = 4
    found = opinions(check_responses(pd.DataFrame(rows)))[0]
    assert found.intervals["two-way"].high > 5 and found.mean.kind == "bootstrap" and found.mean.high <= 5


def test_levels_that_differ_are_found_and_equal_ones_are_not():
    apart, alike = friedman(mos_study())["opinion"], friedman(mos_study(levels=(3.0, 3.001, 3.002)))["opinion"]
    assert apart.p < 0.01 < alike.p and apart.n == 8
    assert "three conditions" in friedman(mos_study(levels=(2.0, 4.0)))["opinion"].why
    model = mixed_model(mos_study(12, 10))["opinion"]
    assert [one.estimate for one in model.means.values()] == pytest.approx(
        [one.mean.estimate for one in opinions(mos_study(12, 10))], abs=1e-3)  # fmt: skip
    assert model.sd_participant > 0 and not model.why


# Agreement, exclusions, everything ------------------------------------------------------------------------------------


def test_perfect_agreement_is_one_and_equal_answers_are_undefined():
    perfect = alpha(ab_study(5, 6, lambda person, item, other: item % 2 == 0, others=("GT",)))
    assert perfect["lip sync", "EavaNet vs GT"].estimate == 1
    equal = alpha(ab_study(5, 6, lambda *_: True, others=("GT",)))["lip sync", "EavaNet vs GT"]
    assert equal.estimate is None and equal.why == "all answers are equal"
    scores = alpha(mos_study(10, 8))["opinion", "all conditions"]
    assert 0.2 < scores.low < scores.estimate < scores.high < 0.9 and "ordinal" in scores.method


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_resampled_agreement_is_the_packages_of_the_drawn_items(level: str):
    table = np.random.default_rng(0).integers(0, 5, (12, 4)) + np.array([2, 0, 0, 0])
    groups = np.repeat(np.arange(6), 2)
    found = _resampled(table, groups, level, seed=0)[:10]
    draws = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), size=RESAMPLES)[:10]
    expected = [krippendorff.alpha(value_counts=np.repeat(table, times[groups], axis=0), value_domain=[0, 1, 2, 3],
                                   level_of_measurement=level) for times in draws]  # fmt: skip
    assert found == pytest.approx(expected)


def test_the_rules_leave_out_whom_they_say_and_results_are_shown_with_and_without():
    table = catch_trials(ab_study(5, 4, others=("GT",)), {"p01": 2})
    table["answer_ms"] = np.where(table["participant"] == "p02", 120.0, 4000.0)
    table = table[~((table["participant"] == "p03") & (table["item"] == "e00"))]
    seen = catch_table(table).set_index("participant")
    assert seen.loc["p01", ["catch_seen", "catch_failed"]].tolist() == [2, 2] and seen.loc["p03", "complete"] == 0.75
    found = exclude(table, Rules(max_catch_failures=1, min_median_answer_ms=500, min_complete=0.9))
    assert found.participants == ["p01", "p02", "p03"]
    study = analyse(table, found.rules)
    assert (study.participants, study.answers) == (2, 8) and study.everyone.preferences[0].n == 19
    assert analyse(table).everyone is None and "Gaps" in analyse(table).notes[0]
    assert Rules.from_dict(found.rules.as_dict()) == found.rules == Rules.parse("catch=1,answer_ms=500,complete=0.9")
    assert len(found.rules.sentences()) == 3


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="hold no catch trial"):
        exclude(ab_study(2, 2), Rules(max_catch_failures=0))
    with pytest.raises(ValueError, match="hold no time of an answer"):
        exclude(ab_study(2, 2), Rules(min_median_answer_ms=10))
    with pytest.raises(ValueError, match="expected catch=N"):
        Rules.parse("speed=3")
    with pytest.raises(ValueError, match="0 to 1"):
        Rules(min_complete=2)
    with pytest.raises(ValueError, match="rule taste"):
        Rules.from_dict({"taste": 1})
    with pytest.raises(BadResponses, match="every participant is left out"):
        analyse(ab_study(2, 2), Rules(min_complete=1.0), planned=100)


@pytest.mark.parametrize(("people", "items"), [(1, 1), (1, 4), (4, 1), (2, 2)])
def test_hardly_any_answers_give_reasons_and_neither_crash_nor_nan(people: int, items: int):
    for table in (ab_study(people, items), ab_study(people, items, lambda *_: True), mos_study(people, items),
                  mos_study(people, items, (3.0, 3.0001), spread=0.0)):  # fmt: skip
        study = analyse(table, mixed=True)
        text = json.dumps(study.record(), allow_nan=False)
        assert "undefined" in text or (people, items) == (2, 2)


def test_one_study_of_one_kind_at_a_time():
    with pytest.raises(BadResponses, match="A/B answers and scores"):
        analyse(pd.concat([ab_study(2, 2), mos_study(2, 2)]))
    with pytest.raises(BadResponses, match="answers of 2 studies"):
        analyse(pd.concat([ab_study(2, 2).assign(study=name) for name in ("a", "b")]))
    with pytest.raises(BadResponses, match="no answer counts"):
        analyse(ab_study(2, 2).assign(test=True))


def test_simulated_and_test_participants_are_told():
    table = ab_study(3, 3)
    table.loc[table["participant"] == "p01", "simulated"] = True
    table.loc[table["participant"] == "p02", "test"] = True
    study = analyse(table)
    assert study.simulated == 9 and study.answers == 18
    assert "9 of 18 answers, of 1 of 2 participants" in study.notes[0] and "1 test participant." in study.notes[1]


def test_tables_by_clip_and_by_participant_add_up():
    table = ab_study(5, 4)
    for frame in (by_item(table), by_participant(table)):
        assert frame["n"].sum() == 60
        assert np.average(frame["share"], weights=frame["n"]) == pytest.approx(voted(table)["vote"].mean())


def test_the_reconstruction_of_table_iii_prints_what_the_paper_prints_if_cut():
    found = reconstruct()
    assert [percentage(one.count, one.n) for one in found] == [f"{one.printed:.2f}" for one in found]
    assert [percentage(one.count, one.n, truncate=False) for one in found] == [
        "40.87", "45.22", "51.74", "66.23", "53.52", "60.42"]  # fmt: skip
    p = {(one.against, one.question): one.p for one in found}
    assert p["FaceFormer", "lip sync"] == pytest.approx(0.38, abs=0.005)
    assert p["CodeTalker", "lip sync"] == pytest.approx(0.075, abs=0.0005)
    assert p["GT", "expression"] == pytest.approx(0.013, abs=0.0005)
    wilson = {(one.against, one.question): (round(one.low, 3), round(one.high, 3)) for one in found}
    assert wilson["FaceFormer", "lip sync"] == (0.480, 0.554) and wilson["CodeTalker", "lip sync"] == (0.497, 0.573)
    assert all(NOTE in one.method and "reconstruction" in one.method for one in found)

"""Plans hold what they say; the commands analyse, plan and tell what is wrong; and pages show it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from benchmarks.study_coverage import as_markdown, measure
from evaluation.study.__main__ import main
from evaluation.study.analysis import analyse
from evaluation.study.exclusions import Rules
from evaluation.study.planning import participants_needed, plan
from evaluation.study.responses import responses_csv
from evaluation.study.simulation import (
    TABLE_III,
    TABLE_V,
    Design,
    errors,
    simulate_scores,
    simulate_votes,
    true_means,
)
from evaluation.study.study_plots import opinion_plot, preference_plot
from evaluation.study.study_tables import all_tables, frame_table
from tests.study_answers import ab_study, catch_trials, mos_study


def test_the_papers_design_of_table_iii_has_the_planning_figures():
    found = plan(TABLE_III, 2000)  # at a true preference of 60%: half-width 7 points, power .8
    assert found.half_width == pytest.approx(0.07, abs=0.003) and found.power == pytest.approx(0.8, abs=0.04)
    assert found.coverage >= 0.93 and found.power_corrected < found.power
    assert "±7.0 percentage points" in found.sentences[0]


def test_without_an_effect_it_is_rarely_found():
    assert plan(replace(TABLE_III, effect=0.5), 2000).power <= 0.07
    assert plan(replace(TABLE_V, effect=0.0), 2000).power <= 0.07


def test_the_same_seed_gives_the_same_plan_and_progress_is_told():
    told = []
    first = plan(TABLE_V, 300, seed=3, progress=lambda *step: told.append(step))
    assert first == plan(TABLE_V, 300, seed=3) != plan(TABLE_V, 300, seed=4) and told[-1] == (300, 300, "studies")


def test_more_people_help_until_the_clips_are_the_limit():
    assert 15 <= participants_needed(TABLE_III) <= 40
    assert participants_needed(replace(TABLE_III, items=4, sd_item=0.8)) is None


def test_errors_of_many_studies_at_once_are_those_of_statsmodels():
    design = Design("mos", 7, 5, effect=0.5, sd_participant=0.5, sd_item=0.5, sd_interaction=0.2)
    first, second = simulate_scores(design, 4, np.random.default_rng(0))
    people, items = (place.ravel() for place in np.indices((7, 5)))
    of_mean = errors(first - first.mean(axis=(1, 2), keepdims=True))
    apart = [scores - scores.mean(axis=(1, 2), keepdims=True) for scores in (first, second)]
    of_difference = errors(apart[0] - apart[1], parameters=2)
    both = np.tile(people, 2), np.tile(items, 2)
    design_matrix = np.column_stack([np.ones(70), np.repeat([1.0, 0.0], 35)])
    for study in range(4):
        y = first[study].ravel()
        expected = _largest(y, np.ones(35), people, items)
        assert of_mean[study] == pytest.approx(expected)
        y = np.concatenate([first[study].ravel(), second[study].ravel()])
        assert of_difference[study] == pytest.approx(_largest(y, design_matrix, *both))


def _largest(y: np.ndarray, design: np.ndarray, person: np.ndarray, item: np.ndarray) -> float:
    fits = [sm.OLS(y, design).fit(cov_type="cluster", cov_kwds={"groups": groups})
            for groups in (np.column_stack([person, item]), person, item)]  # fmt: skip
    return max(fit.cov_params()[-1, -1] for fit in fits) ** 0.5


def test_simulated_answers_have_the_true_means():
    rng = np.random.default_rng(0)
    assert simulate_votes(replace(TABLE_III, effect=0.66), 2000, rng).mean() == pytest.approx(0.66, abs=0.01)
    scores = simulate_scores(replace(TABLE_V, effect=1.5), 2000, rng)
    assert [one.mean() for one in scores] == pytest.approx(true_means(replace(TABLE_V, effect=1.5)), abs=0.02)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"kind": "xyz"}, "expected ab or mos"), ({"participants": 1}, "2 to 2000 participants"),
     ({"effect": 1.0}, "between 0 and 1"), ({"sd_item": -1.0}, "spreads"), ({"comparisons": 0}, "too few")],
)  # fmt: skip
def test_designs_that_cannot_be_are_refused(change: dict, why: str):
    with pytest.raises(ValueError, match=why):
        replace(TABLE_III, **change)


def test_default_intervals_hold_the_truth_and_naive_ones_do_not():
    found = measure(120)  # the full table is in docs/studies-statistics.md
    for design in ("mos", "ab_60", "ab_50"):
        assert found[design]["two-way"] >= 0.89 and found[design]["independent"] <= 0.85
    assert found["rejections_at_50"]["two-way"] <= 0.1 and "| two-way clusters |" in as_markdown(found)


# Commands and pages ---------------------------------------------------------------------------------------------------


def test_responses_from_elsewhere_are_analysed_by_one_command(tmp_path, capsys):
    table = catch_trials(ab_study(5, 4), {"p01": 2})
    (tmp_path / "responses.csv").write_text(responses_csv(table))
    given = [str(tmp_path / "responses.csv"), "--exclude", "catch=1"]
    assert main(["analyse", *given, "--md", str(tmp_path / "s.md"), "--html", str(tmp_path / "s.html"),
                 "--figures", str(tmp_path / "figures")]) == 0  # fmt: skip
    text, page = (tmp_path / "s.md").read_text(), (tmp_path / "s.html").read_text()
    assert "48 answers of 4 participants. 1 left out" in text and "failed 2 of 2 catch trials" in text
    assert "two-way cluster-robust over 4 participants" in page and "Table III-H" in page and "http" not in page
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "preferences.pdf", "preferences.png", "preferences.svg"]  # fmt: skip
    capsys.readouterr()
    assert main(["analyse", *given, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["results"]["preferences"][0]["n"] == 16 and record["rules"]["max_catch_failures"] == 1


def test_scores_are_analysed_on_their_scale(tmp_path, capsys):
    (tmp_path / "m.csv").write_text("participant,item,condition,score\n" + "".join(
        f"p{p},e{i},c{c},{10 * (1 + c) + p + i}\n" for p in range(4) for i in range(4) for c in range(3)))  # fmt: skip
    assert main(["analyse", str(tmp_path / "m.csv"), "--scale", "0-100", "--mixed", "--without-paper"]) == 0
    out = capsys.readouterr().out
    assert "Mean scores from 0 to 100" in out and "published" not in out
    assert main(["analyse", str(tmp_path / "m.csv")]) == 1
    assert "line 2, score: 10; expected a number from 1 to 5" in capsys.readouterr().err


def test_a_plan_is_told_in_sentences_or_json(capsys):
    assert main(["plan", "ab", "--participants", "23", "--items", "30", "--simulations", "200", "--needed"]) == 0
    assert "23 participants x 30 items" in capsys.readouterr().out
    assert main(["plan", "mos", "--simulations", "200", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["design"]["participants"] == 25
    assert main(["plan", "ab", "--effect", "2"]) == 1 and "true preference of 2.0" in capsys.readouterr().err


def test_every_number_of_a_table_says_how_it_came_about_and_every_gap_why():
    for study in (analyse(ab_study(5, 4)), analyse(mos_study(5, 4), mixed=True), analyse(ab_study(1, 1)),
                  analyse(catch_trials(mos_study(3, 3), {"p00": 2}), Rules(max_catch_failures=1))):  # fmt: skip
        for table in all_tables(study):
            for cells in table.rows:
                for cell in cells[1:]:
                    assert cell.missing or cell.published or cell.value is None or (cell.method and cell.n is not None)
    frame = frame_table("III-I", "By participant", analyse(ab_study(2, 2)).kept.by_participant)
    assert frame.columns == ("question", "comparison", "participant", "n", "share", "left") and len(frame.rows) == 6


def test_plots_show_points_with_their_intervals():
    ab, mos = preference_plot(analyse(ab_study()).kept), opinion_plot(analyse(mos_study()).kept)
    assert len(ab.data[0].x) == 3 and all(value > 0 for value in ab.data[0].error_x.array)
    assert list(mos.data[0].y) == ["level 2.4", "level 3.1", "level 4.1"] and "two-way" in mos.data[0].text[0]

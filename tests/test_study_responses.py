"""Responses as files: everything wrong is told at once with line and column, and nothing is guessed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.study.responses import (
    COLUMNS,
    BadResponses,
    check_responses,
    counted,
    parse_responses,
    read_responses,
    responses_csv,
)
from tests.study_answers import ab_study, catch_trials, mos_study

AB = "participant,item,question,comparison,preferred_system\n"
SIDES = "participant,item,question,system_left,system_right,preferred\n"
MOS = "participant,item,condition,score\n"


def parse(text: str) -> pd.DataFrame:
    return parse_responses(text.encode(), "r.csv")


def test_the_least_that_an_ab_study_needs():
    table = parse(AB + "p1,e01,lip sync,EavaNet vs GT,GT\np1,e02,lip sync,GT vs EavaNet,EavaNet\n")
    assert list(table.columns) == list(COLUMNS) and table.index.tolist() == [2, 3]
    assert table["comparison"].tolist() == ["EavaNet vs GT"] * 2  # one way round
    assert set(table["kind"]) == {"ab"} and set(table["preferred"]) == {""}  # the side is not guessed
    assert not table["test"].any() and table["answer_ms"].isna().all()


def test_sides_tell_the_system_and_the_system_that_meets_most_comes_first():
    table = parse(SIDES + "p1,a,q,GT,EavaNet,left\np1,b,q,EavaNet,FaceFormer,right\np1,c,q,EavaNet,GT,none\n")
    assert table["preferred_system"].tolist() == ["GT", "FaceFormer", "none"]
    assert table["comparison"].tolist() == ["EavaNet vs GT", "EavaNet vs FaceFormer", "EavaNet vs GT"]


def test_the_least_that_scores_need():
    table = parse("\ufeffParticipant;Item;Condition;Score\r\np1;e01;neutral;2\r\n\r\np1;e01;emotion;4.5\r\n")
    assert table["score"].tolist() == [2, 4.5] and table.index.tolist() == [2, 4]
    assert set(table["question"]) == {"opinion"} and set(table["kind"]) == {"mos"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (MOS + "p1,e01,neutral,7\n", "line 2, score: 7; expected a number from 1 to 5"),
        (MOS + "p1,e01,neutral,\n", "line 2, score: empty"),
        (MOS + "p1,e01,neutral,nan\n", "line 2, score: empty or no number"),
        (MOS + ",e01,neutral,3\n", "line 2, participant: empty"),
        (MOS + "p1,,neutral,3\n", "line 2, item: empty"),
        (MOS + "p1,e01,,3\n", "line 2, condition: empty"),
        (MOS + "p1,a,x,3\np2,a,x,3\np1,a,x,4\n", "line 4, item: p1 answered 'opinion' on a .x. already, in line 2"),
        (MOS + "p1,e01,neutral,3,5\n", "line 2: 5 cells under 4 columns"),
        (MOS, "no response below the first line"),
        ("", "the first line is empty"),
        ("participant,item,condtion,score\n", "column 'condtion' is unknown; did you mean 'condition'"),
        ("participant,item,score\np,a,3\n", "no column condition"),
        ("participant,item,item\n", "two columns 'item'"),
        ("participant,item\np,a\n", "no column preferred or preferred_system"),
        (MOS + 'p1,"e01,neutral,3\n', "is a quote missing"),
        (AB + "p1,a,,EavaNet vs GT,GT\n", "line 2, question: empty"),
        (AB + "p1,a,q,EavaNet,GT\n", "line 2, comparison: 'EavaNet'; expected two systems"),
        (AB + "p1,a,q,GT vs GT,GT\n", "compared with itself"),
        (AB + "p1,a,q,EavaNet vs GT,FaceFormer\n", "preferred_system: 'FaceFormer'; expected EavaNet, GT or none"),
        (AB + "p1,a,q,EavaNet vs GT,\n", "line 2, preferred: empty"),
        (AB + "p1,a,q,EavaNet vs GT,GT\np1,a,q,GT vs EavaNet,GT\n", "line 3, item: p1 answered 'q' on a"),
        (SIDES + "p1,a,q,EavaNet,,left\n", "line 2, system_right: empty"),
        (SIDES + "p1,a,q,EavaNet,GT,both\n", "line 2, preferred: 'both'; expected left, right or none"),
        ("participant,item,question,comparison,preferred\np1,a,q,A vs B,left\n", "which system was there"),
        ("participant,item,condition,score,answer_ms\np,a,x,3,soon\n", "line 2, answer_ms: 'soon' is no number"),
        ("participant,item,condition,score,answer_ms\np,a,x,3,-4\n", "line 2, answer_ms: -4; expected 0 or more"),
        ("participant,item,condition,score,test\np,a,x,3,maybe\n", "line 2, test: 'maybe'; expected true or false"),
        ("participant,item,condition,score,catch\np,a,x,3,yes\n", "line 2, catch_passed: empty"),
        ("participant,item,kind,condition,score\np,a,abx,x,3\n", "line 2, kind: 'abx'; expected ab or mos"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_by_line_and_column(text: str, why: str):
    with pytest.raises(BadResponses, match=why):
        parse(text)


def test_a_side_that_contradicts_the_system_is_not_solved_by_guessing():
    head = "participant,item,question,comparison,system_left,system_right,preferred,preferred_system\n"
    with pytest.raises(BadResponses, match="'left' was 'EavaNet', but the preferred system is 'GT'"):
        parse(head + "p1,a,q,EavaNet vs GT,EavaNet,GT,left,GT\n")
    with pytest.raises(BadResponses, match="but 'EavaNet' was left and 'FaceFormer' was right"):
        parse(head + "p1,a,q,EavaNet vs GT,EavaNet,FaceFormer,left,\n")
    with pytest.raises(BadResponses, match="'left', but the preferred system is 'none'"):
        parse(head + "p1,a,q,EavaNet vs GT,EavaNet,GT,left,none\n")


def test_all_problems_are_told_at_once():
    with pytest.raises(BadResponses) as told:
        parse(MOS + "p1,a,x,9\n" * 30)
    assert "30 of 30 rows" in str(told.value) and "and 10 more" in str(told.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path):
    with pytest.raises(BadResponses, match="cannot be opened"):
        read_responses(tmp_path / "nothing.csv")
    (tmp_path / "sheet.csv").write_bytes(b"participant,item\xff")
    with pytest.raises(BadResponses, match="no UTF-8"):
        read_responses(tmp_path / "sheet.csv")


def test_catch_trials_may_come_again_and_do_not_count_nor_do_test_participants():
    table = catch_trials(ab_study(3, 2, others=("GT",)), {"p01": 1})
    assert len(table) == 6 + 6 and len(counted(table)) == 6
    table.loc[table["participant"] == "p00", "test"] = True
    assert len(counted(table)) == 4


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_what_is_written_reads_back_the_same_whatever_a_name_looks_like(names: list[str]):
    rows = [{"participant": name, "item": "e01", "condition": "x", "score": 2.5, "test": True} for name in names]
    table = check_responses(pd.DataFrame(rows))
    text = responses_csv(table)
    assert all(not cell.startswith(("=", "+", "-", "@")) for cell in text.splitlines()[1].split(","))
    back = parse(text)
    pd.testing.assert_frame_equal(back.reset_index(drop=True), table, check_index_type=False)


def test_whole_studies_come_back_the_same():
    for table in (ab_study(), catch_trials(mos_study(), {"p03": 2})):
        back = parse(responses_csv(table)).reset_index(drop=True)
        pd.testing.assert_frame_equal(back, table, check_index_type=False)
        assert back["catch"].dtype == bool and back["score"].dtype == np.float64

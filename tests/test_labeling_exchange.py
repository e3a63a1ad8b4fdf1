"""Ratings as files: whatever a spreadsheet made of them is read, everything wrong is told at once, with its line."""

import datetime
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.exchange import (
    BadRatings,
    as_csv,
    as_json,
    for_spreadsheet,
    from_spreadsheet,
    parse_ratings,
    read_ratings,
)

GOOD = "subject,clip,rater,emotion,intensity\nF1,F1_e01,ann,happy,4\nF1,F1_e01,bob,sadness,1\n"
ROWS = [["F1", "F1_e01", "ann", "happy", 4], ["F1", "F1_e01", "bob", "sadness", 1]]


def parse(text: str | bytes) -> pd.DataFrame:
    return parse_ratings(text.encode() if isinstance(text, str) else text, "votes.csv")


def problems(*lines: str) -> str:
    """What is said of a file with these lines below the first."""
    with pytest.raises(BadRatings) as refused:
        parse("subject,clip,rater,emotion,intensity\n" + "\n".join(lines))
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace("\n", "\r\n"),
        GOOD.rstrip(),
        GOOD.replace("subject,clip", "Subject, CLIP "),
        GOOD.replace("happy", " Happy "),
        GOOD.replace(",4", ",4.0"),
        GOOD.replace("ann", '"ann"').replace("subject", '"subject"'),
        GOOD.replace("F1,F1_e01,bob", "\n,,,,\nF1,F1_e01,bob"),
        "note,intensity,emotion,rater,clip,subject\n,4,happy,ann,F1_e01,F1\nx,1,sadness,bob,F1_e01,F1\n",
    ],
    ids=["plain", "byte order mark", "semicolons", "tabs", "Windows", "no last newline", "odd header", "spaces, case",
         "4.0", "quotes", "blank lines", "other order, further column"],
)  # fmt: skip
def test_what_spreadsheets_make_of_a_file_is_read(text):
    table = parse(text)
    assert table.values.tolist() == ROWS
    assert list(table.columns) == ["subject", "clip", "rater", "emotion", "intensity"]
    assert table["intensity"].dtype.kind == "i"


def test_the_index_is_the_line_in_the_file():
    assert parse(GOOD).index.tolist() == [2, 3]
    assert parse(GOOD.replace("F1,F1_e01,bob", "\nF1,F1_e01,bob")).index.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("F1,c,ann,sad,3", "line 2: emotion 'sad'; did you mean 'sadness'?"),
        ("F1,c,ann,Angrry,3", "line 2: emotion 'Angrry'; did you mean 'angry'?"),
        ("F1,c,ann,joy,3", "line 2: emotion 'joy'; did you mean 'happy'?"),
        ("F1,c,ann,bored,3", "line 2: emotion 'bored'; expected one of happy, angry, sadness, neutral"),
        ("F1,c,ann,,3", "line 2: emotion ''; expected one of"),
        ("F1,c,ann,happy,0", "line 2: intensity '0'; expected a whole number from 1 to 5"),
        ("F1,c,ann,happy,6", "line 2: intensity '6'"),
        ("F1,c,ann,happy,2.5", "line 2: intensity '2.5'"),
        ("F1,c,ann,happy,strong", "line 2: intensity 'strong'"),
        ("F1,c,ann,happy,", "line 2: intensity ''"),
        ("F1,c,ann,happy,nan", "line 2: intensity 'nan'"),
        ("F1,,ann,happy,3", "line 2: clip empty"),
        (",c, ,happy,3", "line 2: subject and rater empty"),
        ("F1,c,ann", "line 2: emotion ''"),
    ],
)
def test_a_row_that_is_no_rating_is_named_with_its_line(line, says):
    found = problems(line)
    assert found.startswith("votes.csv: 1 of 1 rows cannot be used; correct them and try again")
    assert says in found


def test_a_second_vote_is_named_with_the_first_one():
    found = problems("F1,c,ann,happy,3", "F1,c,bob,happy,3", "F1,c,ann,happy,3")
    assert "line 4: ann voted on clip c of F1 already, in line 2" in found


def test_all_problems_are_told_at_once_in_the_order_of_lines_and_the_first_twenty_shown():
    found = problems("F1,c,ann,happy,3", *(f"F1,c{n},ann,{'sad' if n % 2 else 'happy'},9" for n in range(20)))
    lines = found.splitlines()
    assert lines[0].startswith("votes.csv: 20 of 21 rows")
    assert [line.split(":")[0].strip() for line in lines[1:4]] == ["line 3", "line 4", "line 4"]
    assert len(lines) == 1 + 20 + 1
    assert lines[-1].strip() == "and 10 more"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the first line is empty"),
        ("\n\n", "the first line is empty"),
        ("subject,clip,rater,emotion,intensity\n", "no rating below the first line"),
        ("subject,clip,rater,emotion,intensity\n\n,,,,\n", "no rating below the first line"),
        ("F1,F1_e01,ann,happy,4\n", "no column 'subject', 'clip', 'rater', 'emotion', 'intensity'"),
        ("subject,clip,rater,emotion\nF1,c,ann,happy\n", "no column 'intensity'"),
        (GOOD.replace("subject,", "rater,subject,").replace("\nF1,", "\nx,F1,"), "two columns 'rater'"),
        (GOOD + "F1,c,ann,happy,4,more,cells\n", "line 4"),
        (GOOD + 'F1,"c,ann,happy,4\n', "quotes"),
        (GOOD.encode("utf-16"), "no UTF-8; save the file as 'CSV UTF-8'"),
        (GOOD.replace("ann", "änn").encode("latin-1"), "no UTF-8"),
        (b"\x00\x01\x02", "no column"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_ratings_is_refused_with_what_to_do(text, says):
    with pytest.raises(BadRatings, match="votes.csv") as refused:
        parse(text)
    assert says in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadRatings, match=r"nowhere\.csv: cannot be opened \(No such file"):
        read_ratings(tmp_path / "nowhere.csv")


@given(st.text())
def test_text_that_a_spreadsheet_would_take_for_a_formula_is_defused_and_comes_back(text):
    safe = for_spreadsheet(text)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_spreadsheet(safe) == text


def test_an_exported_rater_who_looks_like_a_formula_is_read_back():
    table = parse(GOOD.replace("ann", "=1+1"))
    exported = as_csv(table)
    assert ",'=1+1," in exported
    assert parse(exported)["rater"].tolist() == ["=1+1", "bob"]


def test_numbers_times_and_truth_have_one_spelling_in_csv():
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.UTC)
    table = pd.DataFrame({
        "at": [moment, None], "score": [10 / 3, 3.0], "yes": [True, False], "label": ["happy", None],
        "who": [["b", "a"], []], "n": pd.array([1, None], dtype="Int64"),
    })  # fmt: skip
    assert as_csv(table).splitlines() == [
        "at,score,yes,label,who,n",
        "2024-05-06T07:08:09+00:00,3.333333333,true,happy,b a,1",
        ",3,false,,,",
    ]


def test_a_score_just_above_the_threshold_does_not_read_as_the_threshold():
    assert pd.read_csv(io.StringIO(as_csv(pd.DataFrame({"score": [3 + 1e-6]}))))["score"].item() > 3


def test_json_says_what_it_is_and_is_valid_where_numbers_are_missing():
    table = pd.DataFrame({"score": [float("nan"), 0.5], "at": pd.to_datetime(["2024-05-06T07:08:09Z", None])})
    found = json.loads(as_json(table, "ratings", made_by="researcher:1"))
    assert (found["schema"], found["schema_version"], found["made_by"]) == ("eavanet-ratings", 1, "researcher:1")
    assert found["rows"][0]["score"] is None
    assert found["rows"][0]["at"].startswith("2024-05-06T07:08:09")
    assert found["rows"][1] == {"score": 0.5, "at": None}

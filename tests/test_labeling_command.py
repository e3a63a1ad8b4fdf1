"""`python -m labeling.algorithm1` on files, as somebody who has never seen the project would use it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from labeling.command import main

HEADER = "subject,clip,rater,emotion,intensity\n"
LABEL_HEADER = ["subject", "clip", "label", "tie", "n_votes", "happy", "angry", "sadness", "neutral", "mean_intensity"]


def write(folder: Path, *clips: tuple[str, str, str], name: str = "ratings.csv") -> Path:
    """A file with a line per vote; a clip is (subject, clip, votes) such as ("F1", "F1_e01", "h4 h5 a2")."""
    emotion = {"h": "happy", "a": "angry", "s": "sadness", "n": "neutral"}
    lines = [f"{subject},{clip},r{rater},{emotion[vote[0]]},{vote[1:]}\n"
             for subject, clip, votes in clips for rater, vote in enumerate(votes.split())]  # fmt: skip
    path = folder / name
    path.write_text(HEADER + "".join(lines))
    return path


PAPER = (("F1", "F1_e01", "h4 h5 a2"), ("F1", "F1_e02", "a5 s5 n5"), ("F2", "F2_e01", "n3 n3 n3"))


def run(folder: Path, *flags: str) -> int:
    return main(["--ratings", str(folder / "ratings.csv"), "--labels", str(folder / "labels.csv"),
                 "--subjects", str(folder / "subjects.csv"), *flags])  # fmt: skip


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_labels_and_subjects_are_written_with_exactly_these_columns_and_spellings(tmp_path, capsys):
    write(tmp_path, *PAPER)
    assert run(tmp_path) == 0
    assert rows(tmp_path / "labels.csv") == [
        LABEL_HEADER,
        ["F1", "F1_e01", "happy", "false", "3", "2", "1", "0", "0", "3.666666667"],
        ["F1", "F1_e02", "", "true", "3", "0", "1", "1", "1", "5"],
        ["F2", "F2_e01", "neutral", "false", "3", "0", "0", "0", "3", "3"],
    ]
    assert rows(tmp_path / "subjects.csv") == [
        ["subject", "score", "n_ratings", "selected"],
        ["F1", "4.333333333", "6", "true"],
        ["F2", "3", "3", "false"],  # exactly 3 is not greater than 3
    ]
    said = capsys.readouterr().out
    assert "1 ties, policy adjudicate" in said
    assert "selected 1 of 2 subjects (mean intensity strictly above 3): F1" in said


@pytest.mark.parametrize(("policy", "label"), [("adjudicate", ""), ("exclude", ""), ("paper", "angry")])
def test_the_policy_decides_ties_and_the_tie_stays_visible(tmp_path, policy, label):
    write(tmp_path, *PAPER)
    assert run(tmp_path, "--policy", policy) == 0
    assert rows(tmp_path / "labels.csv")[2][2:4] == [label, "true"]


def test_the_summary_is_one_json_object(tmp_path, capsys):
    write(tmp_path, *PAPER)
    assert run(tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "policy": "adjudicate", "ratings": 9, "raters": 3, "clips": 3, "labelled": 2, "too_few_votes": 0, "ties": 1,
        "labels": {"happy": 1, "angry": 0, "sadness": 0, "neutral": 1}, "subjects": 2,
        "scores": {"F1": pytest.approx(26 / 6), "F2": 3.0}, "selected": ["F1"],
    }  # fmt: skip


def test_a_clip_with_two_votes_is_an_error_that_names_it_and_the_way_out(tmp_path, capsys):
    write(tmp_path, *PAPER, ("F2", "F2_e02", "h1 h1"))
    assert run(tmp_path) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ratings.csv: 1 of 4 clips have fewer than 3 votes: F2_e02 (2)")
    assert "--allow-partial" in said
    assert not (tmp_path / "labels.csv").exists()
    assert run(tmp_path, "--allow-partial") == 0
    assert rows(tmp_path / "labels.csv")[4][:5] == ["F2", "F2_e02", "", "false", "2"]
    assert run(tmp_path, "--minimum-votes", "2") == 0
    assert rows(tmp_path / "labels.csv")[4][:5] == ["F2", "F2_e02", "happy", "false", "2"]


def test_bad_ratings_are_an_error_with_file_and_line_and_nothing_is_written(tmp_path, capsys):
    path = write(tmp_path, *PAPER)
    path.write_text(path.read_text().replace("angry", "anger"))
    assert run(tmp_path) == 1
    said = capsys.readouterr().err
    assert "ratings.csv: 2 of 9 rows cannot be used" in said
    assert "line 4: emotion 'anger'; did you mean 'angry'?" in said
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ratings.csv"]


def test_earlier_results_stay_when_a_later_run_fails(tmp_path):
    path = write(tmp_path, *PAPER)
    assert run(tmp_path) == 0
    before = (tmp_path / "labels.csv").read_bytes()
    path.write_text(HEADER)
    assert run(tmp_path) == 1
    assert (tmp_path / "labels.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--labels", "ratings.csv"), "--ratings and --labels both name"),
        (("--subjects", "labels.csv"), "--labels and --subjects both name"),
        (("--labels", "nowhere/labels.csv"), "the folder nowhere does not exist; make it first"),
        (("--labels", "."), "is a folder"),
        (("--ratings", "other.csv"), "other.csv: cannot be opened"),
        (("--minimum-votes", "0"), "minimum votes 0: at least 1"),
    ],
)
def test_paths_and_numbers_are_checked_before_anything_is_written(tmp_path, monkeypatch, capsys, flags, says):
    before = write(tmp_path, *PAPER).read_bytes()
    monkeypatch.chdir(tmp_path)
    given = {"--ratings": "ratings.csv", "--labels": "labels.csv", "--subjects": "subjects.csv", **dict([flags])}
    assert main([word for pair in given.items() for word in pair]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert says in said
    assert "Traceback" not in said
    assert [file.name for file in tmp_path.iterdir()] == ["ratings.csv"]
    assert (tmp_path / "ratings.csv").read_bytes() == before


def test_the_order_of_the_lines_does_not_matter(tmp_path):
    path = write(tmp_path, *PAPER)
    assert run(tmp_path) == 0
    before = (tmp_path / "labels.csv").read_bytes(), (tmp_path / "subjects.csv").read_bytes()
    path.write_text(HEADER + "".join(reversed(path.read_text().splitlines(keepends=True)[1:])))
    assert run(tmp_path) == 0
    assert ((tmp_path / "labels.csv").read_bytes(), (tmp_path / "subjects.csv").read_bytes()) == before


def test_it_is_a_command_with_help_and_without_warnings():
    done = subprocess.run([sys.executable, "-W", "error", "-m", "labeling.algorithm1", "--help"], check=True,
                          capture_output=True, text=True)  # fmt: skip
    for flag in ("--ratings", "--policy", "--minimum-votes", "--allow-partial", "--labels", "--subjects", "--json"):
        assert flag in done.stdout
    assert done.stderr == ""

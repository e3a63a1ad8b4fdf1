"""`python -m evaluation.report`: what each cell says, what is missing, and that the same data give the same files."""

import csv
import filecmp
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from db.clips import load_vertices
from db.models import Clip, Corpus, SplitMember
from db.predictions import import_folder
from db.session import writing
from evaluation import published
from evaluation.report import main
from evaluation.table import Table, estimate, nothing, number, word
from evaluation.table_files import as_csv, as_latex, as_markdown, latex
from tests.eavanet_world import make_world

FAST = ["--figures", "2,3"]  # Fig. 4 needs graphics; tests/test_render.py draws it


@pytest.fixture
def world(sqlite_engine, data_root, tmp_path):
    """A corpus whose BIWI-A has two clips, on which EavaNet is off by 0.1 and FaceFormer by 0.2 units."""
    make_world(sqlite_engine)
    with writing(sqlite_engine) as session:
        session.execute(update(SplitMember).where(SplitMember.part == "validation").values(part="biwi-a"))
    for system, shift in (("EavaNet", 0.1), ("FaceFormer", 0.2)):
        predict(sqlite_engine, tmp_path / system.lower(), system, shift)
    return sqlite_engine


def predict(engine, folder: Path, system: str, shift: float) -> None:
    folder.mkdir()
    with writing(engine) as session:
        for clip in session.scalars(select(Clip).where(Clip.name.in_(["F1_e06", "F3_e06"]))):
            np.save(folder / f"{clip.name}.npy", np.array(load_vertices(clip)) + np.float32([shift, 0, 0]))
        import_folder(session, folder, session.scalar(select(Corpus)), system=system, name=folder.name)


def report(out: Path, *flags: str) -> dict:
    assert main(["--out", str(out), *FAST, *flags]) == 0
    return json.loads((out / "report.json").read_text())


def cells_of(found: dict, key: str) -> dict[str, list[dict]]:
    """The rows of a table that are not published, by their first cell."""
    table = next(table for table in found["tables"] if table["key"] == key)
    return {row[0]["text"]: row[1:] for row in table["rows"] if not row[0].get("published")}


def test_table_ii_has_each_system_with_interval_n_method_and_hashes(world, tmp_path):
    rows = cells_of(report(tmp_path / "out"), "II")
    assert list(rows) == ["Template (no motion)", "Mean expression", "FaceFormer", "EavaNet"]
    vertex_error = rows["EavaNet"][0]
    assert vertex_error["value"] == pytest.approx(0.01, rel=1e-5)
    assert vertex_error["text"].startswith("1000.0000")  # in units of 1e-5, as in the paper's head
    assert vertex_error["n"] == 2 and "bootstrap" in vertex_error["method"]
    assert vertex_error["low"] <= vertex_error["value"] <= vertex_error["high"]
    assert set(vertex_error["sources"]) == {"corpus", "labels", "split", "predictions"}
    assert rows["FaceFormer"][1]["value"] == pytest.approx(0.04, rel=1e-5)


def test_the_paper_stands_beside_and_is_marked(world, tmp_path):
    table = next(t for t in report(tmp_path / "out")["tables"] if t["key"] == "II")
    theirs = {row[0]["text"]: row[1]["value"] for row in table["rows"] if row[0].get("published")}
    assert theirs == {name: errors["vertex_error"] for name, errors in published.ERRORS.items()}
    assert "3.4603 †" in (tmp_path / "out" / "report.md").read_text()


def test_paired_differences_favour_the_nearer_system(world, tmp_path):
    table = next(t for t in report(tmp_path / "out")["tables"] if t["key"] == "II-C")
    against = {(row[0]["text"].split(" (")[0], row[1]["text"]): row[2]["value"] for row in table["rows"]}
    assert against["Vertex error", "FaceFormer"] == pytest.approx(0.01 - 0.04, rel=1e-5)


def test_what_cannot_be_filled_says_which_step_is_missing(world, tmp_path, capsys):
    found = report(tmp_path / "out")
    missing = [why for table in found["tables"] for why in table["missing"]] + [f["missing"] for f in found["figures"]]
    told = "\n".join(missing)
    commands = ("python -m eavanet.predict --part biwi-b", "python -m eavanet.speed", "python -m eavanet.train")
    for step in (*commands, "no A/B study has been run", "no MOS study has been run"):
        assert step in told
    assert all(f"not filled: {why}" in capsys.readouterr().out for why in missing[:1])
    assert "python -m eavanet.speed" in (tmp_path / "out" / "report.html").read_text()


def test_every_page_and_file_says_that_corpus_and_raters_are_made_up(world, tmp_path):
    report(tmp_path / "out")
    mark = "synthetic corpus; labels by simulated raters"
    files = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".html", ".md", ".tex", ".csv", ".json")]
    assert len(files) > 20
    for path in files:
        text = path.read_text()
        assert mark in text or (path.name == "report.json" and '"synthetic corpus"' in text), path.name


def test_two_reports_of_the_same_data_are_the_same_bytes(world, tmp_path):
    report(tmp_path / "one")
    report(tmp_path / "two")
    names = sorted(str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one").rglob("*") if path.is_file())
    same, different, odd = filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False)
    assert same == names and not different and not odd


def test_a_report_replaces_a_report_and_nothing_else(world, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    assert main(["--out", str(tmp_path / "thesis"), *FAST]) == 1
    assert "is there and is no report" in capsys.readouterr().err
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    report(tmp_path / "out")
    assert {table["key"] for table in report(tmp_path / "out", "--tables", "IV")["tables"]} == {"IV"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--corpus", "biwi"], "corpus biwi: there are tiny"),
        (["--tables", "IX"], "--tables IX: expected some of I, II, III, IV, V"),
        (["--sets", "voca"], "predictions voca: corpus tiny has eavanet, faceformer"),
        (["--split", "mine"], "split mine: corpus tiny has split"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(world, tmp_path, capsys, flags, message):
    assert main(["--out", str(tmp_path / "out"), *flags]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_database_says_how_to_begin(sqlite_engine, data_root, tmp_path, capsys):
    assert main(["--out", str(tmp_path / "out")]) == 1
    assert "python -m db.corpus demo" in capsys.readouterr().err


def test_speed_runs_fill_table_iv(world, data_root, tmp_path):
    spread = {"mean": 0.02, "sd": 0.001, "p5": 0.018, "median": 0.02, "p95": 0.022}
    row = {"title": "EavaNet", "decoder": "", "rtf": spread, "runs": 9, "made_from": "run a", "vertices": 9,
           "parameters": 2_000_000}  # fmt: skip
    slow = row | {"title": "CodeTalker", "decoder": "faithful", "rtf": {name: 10 * v for name, v in spread.items()}}
    (data_root / "speed").mkdir()
    (data_root / "speed" / "a.json").write_text(json.dumps(
        {"systems": [row, slow], "audio_s": 4.0, "environment": {"device": "a chip", "threads": 2}}
    ))  # fmt: skip
    (data_root / "speed" / "broken.json").write_text("{")
    rows = cells_of(report(tmp_path / "out"), "IV")
    assert rows["EavaNet"][1]["text"] == "0.0200 ± 0.0010" and rows["EavaNet"][1]["n"] == 9
    assert rows["EavaNet"][2]["value"] == pytest.approx(10)
    assert rows["EavaNet"][4]["text"] == "a chip, 2 threads"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here (Debian: texlive-latex-extra)")
def test_the_latex_compiles(world, tmp_path):
    report(tmp_path / "out")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    run = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "out" / "main.pdf").stat().st_size > 10_000


def test_on_biwi_a_each_clip_counts_under_its_own_subject_as_condition(world, tmp_path):
    folder = tmp_path / "conditioned"
    folder.mkdir()
    with writing(world) as session:
        for clip in session.scalars(select(Clip).where(Clip.name.in_(["F1_e06", "F3_e06"]))):
            for condition in ("F1", "F3"):
                off = np.float32([0.1 if clip.name.startswith(condition) else 0.5, 0, 0])
                np.save(folder / f"{clip.name}_condition_{condition}.npy", np.array(load_vertices(clip)) + off)
        import_folder(session, folder, session.scalar(select(Corpus)), system="CodeTalker", name="conditioned")
    row = cells_of(report(tmp_path / "out"), "II")["CodeTalker"]
    assert row[0]["value"] == pytest.approx(0.01, rel=1e-5) and row[0]["n"] == 2


# Tables as files


def a_table(text: str) -> Table:
    return Table("X", text, ("Model", "a|b"), ((word(text), number(1.5, 1)), (word("other"), nothing("no step yet"))))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20))
def test_csv_gives_back_what_was_in_the_table_and_runs_nothing(text):
    rows = list(csv.DictReader(io.StringIO(as_csv(a_table(text)))))
    name = rows[0]["row"]
    assert name == text or name == f"'{text}"
    assert not name.startswith(("=", "+", "@", "-")) or re.fullmatch(r"[+-][0-9.e+-]+", name)
    assert float(rows[0]["value"]) == 1.5 and rows[1]["missing"] == "no step yet"


def test_signs_that_mean_something_to_tex_or_markdown_are_escaped():
    assert latex("50% of A_1 & {B}") == r"50\% of A\_1 \& \{B\}"
    assert r"A\_1" in as_latex(a_table("A_1"))
    assert r"a\|b" in as_markdown(a_table("x"))


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Table("X", "t", ("a", "b"), ((word("x"),),))


def test_an_estimate_without_interval_shows_none():
    from evaluation.intervals import Interval

    assert estimate(Interval(0.5, None, None, 1, 1, "one clip"), 2).text == "0.50"

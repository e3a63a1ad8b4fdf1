"""The Evaluate page: from predictions to numbers, clips, figures and the report, with nothing to type."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from db.clips import load_vertices
from db.models import Clip, Corpus, Job, SplitMember
from db.playback import decode_playback
from db.predictions import import_folder, list_sets, prediction_playback, predictions_of
from db.result_models import TrainingRun
from db.session import reading, writing
from evaluation.report import main as report
from evaluation.score_sets import main as score
from tests.eavanet_world import make_world
from workbench import pipeline
from workbench.researcher.evaluate_report import zipped


def app() -> None:
    from workbench.researcher import evaluate
    from workbench.session import Visitor

    evaluate.page(Visitor("researcher", 1))


@pytest.fixture
def world(sqlite_engine, data_root, tmp_path):
    """EavaNet's and FaceFormer's predictions of a BIWI-A of two clips, scored."""
    make_world(sqlite_engine)
    with writing(sqlite_engine) as session:
        session.execute(update(SplitMember).where(SplitMember.part == "validation").values(part="biwi-a"))
    for system, shift in (("EavaNet", 0.1), ("FaceFormer", 0.2)):
        folder = tmp_path / system.lower()
        folder.mkdir()
        with writing(sqlite_engine) as session:
            for clip in session.scalars(select(Clip).where(Clip.name.in_(["F1_e06", "F3_e06"]))):
                np.save(folder / f"{clip.name}.npy", np.array(load_vertices(clip)) + np.float32([shift, 0, 0]))
            import_folder(session, folder, session.scalar(select(Corpus)), system=system, name=folder.name)
    return sqlite_engine


def shown() -> AppTest:
    return AppTest.from_function(app, default_timeout=60).run()


def words(page: AppTest) -> str:
    found = [*page.markdown, *page.caption, *page.error, *page.button]
    return "\n".join(str(getattr(element, "value", "") or getattr(element, "label", "")) for element in found)


def test_without_a_corpus_the_page_says_where_to_begin(sqlite_engine, data_root):
    assert "There is no corpus yet." in words(shown())


def test_without_predictions_it_offers_to_make_some(sqlite_engine, data_root):
    make_world(sqlite_engine)
    page = shown()
    assert not page.exception
    assert "Nothing was predicted on this corpus yet." in words(page)
    assert "Do everything" in [button.label for button in page.button]


def test_what_is_not_scored_yet_is_scored_by_a_job(world):
    page = shown()
    assert not page.exception
    assert "Not scored yet: eavanet, faceformer." in words(page)
    (button,) = [button for button in page.button if button.label == "Score"]
    button.click().run()
    with reading(world) as session:
        (job,) = session.scalars(select(Job))
    assert job.command == ["evaluation.scores", "eavanet", "faceformer"]


def test_the_table_has_each_system_with_its_interval_and_says_what_the_numbers_are_not(world, capsys):
    assert score([]) == 0
    page = shown()
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table.columns) == ["metric", "EavaNet", "FaceFormer"]
    assert table["EavaNet"][0].startswith("0.01") and "[" in table["EavaNet"][0]
    assert "is a synthetic corpus" in words(page)
    pairs = page.dataframe[1].value
    assert pairs["Against"].tolist()[0] == "FaceFormer" and pairs["Difference"][0].startswith("-0.03")
    clips = page.dataframe[2].value
    assert set(clips["clip"]) == {"F1_e06", "F3_e06"}


def test_a_clip_that_the_address_names_is_shown_beside_the_truth(world, capsys):
    assert score([]) == 0
    page = AppTest.from_function(app, default_timeout=60)
    page.query_params["clip"] = "F3_e06"
    page.run()
    assert not page.exception
    assert "F3_e06" in [header.value for header in page.subheader]
    assert [toggle.label for toggle in page.toggle][-1] == "Heat map of the distance to the truth"


def test_a_prediction_is_packed_for_the_player_as_it_is(world):
    with reading(world) as session:
        row = predictions_of(session, list_sets(session)[0].id)[0]
        path = prediction_playback(session, row.id)
        packed, fps = decode_playback(path.read_bytes())
        np.testing.assert_allclose(packed, load_vertices(row.clip) + np.float32([0.1, 0, 0]), atol=1e-3)
        assert fps == 25 and prediction_playback(session, row.id + 99) is None


def test_the_report_is_looked_at_in_the_page_and_taken_away_whole(world, data_root, capsys):
    assert report(["--figures", "none"]) == 0
    page = shown()
    assert not page.exception
    assert {"Make it anew"} <= {button.label for button in page.button}
    archive = zipped(data_root / "reports" / "tiny")
    assert archive == zipped(data_root / "reports" / "tiny") and archive.startswith(b"PK")


# Everything at once


def test_everything_is_planned_in_order_and_what_is_done_is_left_out(world):
    with reading(world) as session:
        corpus = session.scalar(select(Corpus))
        steps = list(pipeline.plan(session, corpus))
    assert [step.command[0] for step in steps] == [
        *["eavanet.train"] * 3, *["eavanet.predict"] * 8, "eavanet.describe", "eavanet.speed", "evaluation.report",
    ]  # fmt: skip
    with writing(world) as session:
        session.add(TrainingRun(name="tiny-faceformer", system="faceformer", corpus_id=corpus.id, folder="runs/x",
                                settings={}, manifest={}, status="finished", epoch=1, epochs=1))  # fmt: skip
    with reading(world) as session:
        left = [step.title for step in pipeline.plan(session, session.scalar(select(Corpus)))]
    assert "train faceformer" not in left and "train codetalker" in left


def test_a_corpus_without_labels_is_told_what_it_needs(sqlite_engine, data_root, capsys):
    with writing(sqlite_engine) as session:
        session.add(Corpus(name="bare", source="x", layout="peers", synthetic=True, frames_per_second=25, n_vertices=9,
                           n_faces=2, normalisation="none", sha256="c" * 64))  # fmt: skip
    assert pipeline.main([]) == 1
    assert "Corpus bare needs a label release" in capsys.readouterr().err


def test_a_step_that_fails_ends_it_with_its_words(monkeypatch, data_root):
    monkeypatch.setenv("EAVANET_PROGRESS", "json")
    step = pipeline.Step("report", ("evaluation.report", "--corpus", "none"))
    with pytest.raises(pipeline.StepFailed, match="report ended with 1: error: there is no corpus yet"):
        pipeline.run(step, "1 of 1, report", 0.0, 1.0)


def test_the_pages_stay_light():
    """The app's process must not load what only its commands need."""
    code = """import sys; import workbench.researcher.evaluate
print([m for m in ("torch", "transformers", "librosa", "pyvista", "matplotlib") if m in sys.modules])"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert json.loads(run.stdout.replace("'", '"')) == []

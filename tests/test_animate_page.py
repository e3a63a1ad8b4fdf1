"""The Animate page: what it asks for, what it says when something is missing, and the way to a face that speaks."""

import numpy as np
import pytest
import soundfile
from streamlit.testing.v1 import AppTest

from db import access, animations
from db.session import open_database, reading, writing
from tests.test_performer import _once, trained  # noqa: F401  a data root with a trained run
from workbench import media
from workbench.performance import STAGE

SPEAK = "Make the face speak"
SCRIPT = """
from workbench.navigation import ICON
from workbench.researcher import animate
from workbench.session import Visitor
animate.page(Visitor("researcher", 1, "researcher"))
"""


def opened() -> AppTest:
    page = AppTest.from_string(SCRIPT, default_timeout=60).run()
    assert not page.exception
    return page


def test_without_a_model_the_page_says_where_to_train_one(sqlite_engine):
    page = opened()
    assert any("No model can speak yet" in text.value for text in page.markdown)
    assert not page.button


def test_the_page_offers_what_the_model_knows(trained):  # noqa: F811
    page = opened()
    assert page.selectbox(key="speaker 1").options == ["F1", "F3"]
    assert page.selectbox(key="face 1 F1").options == ["F1", "F3", "M2"]  # whose template: unseen subjects, too
    assert page.slider(key="intensity").max == 2
    (speak,) = [button for button in page.button if button.label == SPEAK]
    assert speak.disabled  # nothing to speak yet
    assert any("Nothing was animated yet" in text.value for text in page.markdown)


def test_a_clip_of_the_corpus_is_animated_and_listed(trained):  # noqa: F811
    page = opened()
    page.button_group(key="speech source").set_value("A clip of the corpus").run()
    (speak,) = [button for button in page.button if button.label == SPEAK]
    speak.click().run()
    if "animation ticket" in page.session_state:  # else it is done already
        ticket = page.session_state["animation ticket"]
        assert ticket.ended.wait(120) and ticket.error is None
        page.run()
    assert not page.exception
    (made,) = animations.list_animations()
    assert made.about["name"] == "F1_e01" and made.about["by"] == "researcher:1"
    (shown,) = page.selectbox(key="animation choice").options
    assert shown.startswith("happy, F1") and "F1_e01" in shown
    assert any("synthetic corpus" in text.value and "random audio encoder" in text.value for text in page.markdown)
    away = [button for button in page.button if button.label == "Put away"]
    away[0].click().run()
    assert animations.list_animations() == []
    assert [found.id for found in animations.list_animations(put_away=True)] == [made.id]


@pytest.mark.parametrize("viewer", ["rater", "nobody"])
def test_an_animation_is_handed_to_researchers_only(trained, viewer, tmp_path):  # noqa: F811
    soundfile.write(tmp_path / "speech.wav", np.random.default_rng(0).normal(0, 0.1, 8000), 16_000)
    ticket = STAGE.ask(
        do="animate", animation=animations.new_id(), run="run", sound=str(tmp_path / "speech.wav"), subject="F1",
        face="F1", emotion="happy", intensity=1.0, about={"name": "x", "by": "researcher:1"},
    )  # fmt: skip
    assert ticket.ended.wait(120) and ticket.error is None
    animation = ticket.request["animation"]
    engine = open_database()
    with writing(engine) as session:
        cookie = access.sign_in_with_link(session, access.new_sign_in_link(session))
        rater, _ = access.add_rater(session, f"kim-{animation[:8]}", actor="test")
        session.flush()
        rater_id = rater.id
    with reading(engine) as session:
        key = access.researcher_session(session, cookie)
    engine.dispose()
    assert media._file_for("animation", animation, f"researcher:{key.id}", 0).name == "motion.bin"
    asking = f"rater:{rater_id}" if viewer == "rater" else "nobody:None"
    assert media._file_for("animation", animation, asking, 0) is None
    assert media._file_for("speech", animation, asking, 0) is None

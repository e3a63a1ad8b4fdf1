"""Participants in a real browser: A/B and MOS to the end, by every kind of link, and what goes wrong on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from db.session import open_database, reading, writing
from db.study_models import Study, StudyParticipant, StudyResponse, StudyTrial
from evaluation.study import joining
from tests.app_server import AppServer
from tests.study_films import film_study
from tests.study_world import ab_design, mos_design

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")
from tests.study_visitor import FILMS, StudyVisitor

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class World:
    """Two studies behind one server."""

    def __init__(self, root: Path) -> None:
        self.engine: Engine = open_database()
        self.ab = film_study(self.engine, ab_design(2, practice=1, break_after=2), "ab")
        crowd = {"entry": "prolific", "completion_code": "C0FFEE", "participants": 1}
        self.mos = film_study(self.engine, mos_design(2, **crowd), "mos")
        with writing(self.engine) as session:
            self.links = {study.id: joining.open_link(session, study.id, "test") for study in (self.ab, self.mos)}

    def address(self, app: AppServer, study: Study, query: str = "") -> str:
        return f"{app.url}study/{self.links[study.id]}{query}"

    def responses(self, study: Study) -> list[StudyResponse]:
        with reading(self.engine) as session:
            return list(session.scalars(
                select(StudyResponse).join(StudyResponse.trial).join(StudyTrial.participant)
                .where(StudyParticipant.study_id == study.id).order_by(StudyResponse.id)
            ))  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("studies") / "data"
        root.mkdir()
        patch.setenv("EAVANET_DATA", str(root))
        yield World(root)


@pytest.fixture(scope="module")
def app(world: World, start_app: Callable[..., AppServer], tmp_path_factory) -> AppServer:
    return start_app(Path(world.engine.url.database).parent)


def test_a_pair_is_watched_answered_and_never_counted_twice(browser, world: World, app: AppServer):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    visitor = StudyVisitor(context, world.address(app, world.ab))
    page = visitor.page
    page.get_by_role("button", name="Take part").click()
    visitor.begin("Start with practice")

    # No answer before both were watched: the keys do nothing, and say why.
    visitor.wait_for_films()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    assert page.get_by_text("Watch both videos to the end, then you can answer.").is_visible()
    assert page.locator("fieldset:disabled").count() == 2

    # One sound at a time: the right one silences the left one.
    silenced = page.evaluate(f"""async () => {{
        const [left, right] = {FILMS};
        const film = left.querySelector("video");
        const playing = new Promise((heard) => film.addEventListener("playing", heard, {{ once: true }}));
        left.querySelector(".play").click();
        await playing;
        right.querySelector(".play").click();
        return film.paused && !right.querySelector("video").paused;
    }}""")
    assert silenced

    # A reload in mid-video, and "back" to the link and in again: the same trial, from the beginning.
    page.reload()
    visitor.wait_for_films()
    page.go_back()
    page.goto(world.address(app, world.ab))
    visitor.watch()
    page.keyboard.press("1")
    page.keyboard.press("3")
    page.reload()  # what was watched and chosen survives it
    visitor.wait_for_films()
    page.get_by_text("Ready to save").wait_for()
    assert _violations(page) == []

    # A second tab has the same trial; the answer that comes second is not stored, and the tab goes on.
    second = StudyVisitor(context, page.url)
    second.watch()
    before, in_second = visitor.tokens(), second.tokens()
    page.bring_to_front()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # nor does a double submit
    visitor.wait_for_another(before)
    assert len(world.responses(world.ab)) == 2
    second.page.bring_to_front()
    for key in ("2", "4", "Enter"):
        second.page.keyboard.press(key)
    second.wait_for_another(in_second)
    second.page.get_by_text("You had already answered that one").wait_for()
    assert [one.preferred for one in world.responses(world.ab)] == ["left", "left"]
    second.page.close()

    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("You are taking a break").wait_for()
    page.get_by_role("button", name="Go on").click()
    visitor.answer("1", "4")
    visitor.answer("2", "3")
    page.get_by_text("Time for a short break").wait_for()
    assert not page.get_by_text("Your completion code").count()
    page.get_by_role("button", name="Go on").click()
    visitor.answer("1", "3")
    visitor.answer("2", "4")
    page.get_by_text("Your completion code").wait_for()
    stored = world.responses(world.ab)
    assert len(stored) == 2 * (1 + 4)
    assert all(one.plays_left >= 1 and one.plays_right >= 1 and one.watched_ms >= 860 for one in stored)
    assert stored[0].viewport == "1280x800" and "Chrom" in stored[0].browser
    context.close()


def test_from_prolific_on_a_phone_the_ids_leave_the_address_and_the_code_comes_last(
    browser, world: World, app: AppServer
):
    context = browser.new_context(**PHONE)
    ids = "?PROLIFIC_PID=5f0c1a2b3c4d&STUDY_ID=60aa&SESSION_ID=70bb"
    visitor = StudyVisitor(context, world.address(app, world.mos, ids))
    assert "PROLIFIC" not in visitor.page.url and "5f0c" not in visitor.page.url
    visitor.begin()
    boxes = None
    for number in range(4):
        visitor.answer(str(1 + number))
        boxes = boxes or visitor.page.evaluate("document.documentElement.scrollWidth")
    assert boxes <= 390  # nothing to scroll sideways
    link = visitor.page.get_by_role("link", name="Back to Prolific")
    assert link.get_attribute("href") == "https://app.prolific.com/submissions/complete?cc=C0FFEE"
    assert [one.score for one in world.responses(world.mos)] == [1, 2, 3, 4]
    context.close()


def test_links_that_lead_nowhere_say_so(browser, world: World, app: AppServer):
    context = browser.new_context(locale="ko-KR")
    page = context.new_page()
    for address in (f"{app.url}study/nonsense", f"{app.url}?participant=nonsense"):
        page.goto(address)
        page.get_by_role("heading", level=1).wait_for()
        assert page.get_by_text("이 링크는 사용할 수 없습니다").or_(page.get_by_text("This link does not work")).count()
    assert page.goto(world.address(app, world.mos)).status == 403  # not by way of Prolific
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(StudyParticipant)) == 2  # a look joins nobody
    context.close()


# What Streamlit itself brings and we cannot change: it marks its own frame with roles that axe does not like.
_STREAMLITS_OWN = {"landmark-one-main", "page-has-heading-one", "region", "scrollable-region-focusable"}


def _violations(page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (the extra `dev`)")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for violation in found
        if violation["id"] not in _STREAMLITS_OWN
        for node in violation["nodes"]
    ]

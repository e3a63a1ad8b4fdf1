"""A researcher at work, in a real browser in front of the real app: what cannot be seen without one."""

import json
from collections.abc import Callable, Iterator

import pytest

from benchmarks.rating_world import World, make_world
from db.models import Clip, Rater
from db.session import reading, writing
from labeling import assignment
from labeling.ratings import Answer, save_rating
from tests.app_server import AppServer

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install -e '.[dev]')")
expect = sync_api.expect
Page = sync_api.Page

PATIENCE_MS = 60_000  # a busy machine
FIRST_ROW = {"x": 17, "y": 53}  # its checkbox, in a table that is drawn on a canvas


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Four raters, eight clips, and a few answers of the first rater."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAVANET_DATA", "")
        root = tmp_path_factory.mktemp("researcher") / "data"
        root.mkdir()
        made = make_world(root, n_raters=4, n_clips=8, practice_clips=0, instructions_read=True)
        with writing(made.engine) as session:
            for _ in range(3):
                asked = assignment.next_assignment(session, 1)
                answer = Answer(emotion="angry", intensity=4, plays=1, coverage=1.0, watched_s=1.0)
                save_rating(session, asked.id, 1, answer, f"test:{asked.id}")
    return made


@pytest.fixture(scope="module")
def app(world: World, start_app: Callable[..., AppServer]) -> Iterator[AppServer]:
    server = start_app(world.root)
    yield server
    server.stop()


@pytest.fixture
def tab(browser_page: Page, app: AppServer) -> Page:
    """A browser tab in which a researcher has signed in with the printed link."""
    browser_page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    browser_page.goto(app.sign_in_link)
    heading(browser_page, "Overview")
    return browser_page


def heading(page: Page, title: str) -> None:
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()


def choose_first_row(page: Page) -> None:
    page.locator("[data-testid=stDataFrame]").first.click(position=FIRST_ROW)


def test_without_signing_in_nothing_is_shown(browser_page: Page, app: AppServer):
    browser_page.goto(f"{app.url}clips")
    expect(browser_page.get_by_text("Researchers: use the sign-in link")).to_be_visible(timeout=PATIENCE_MS)
    assert "F1_" not in browser_page.content()


def test_a_clip_that_is_chosen_in_the_table_plays_beside_its_sound(tab: Page):
    tab.get_by_role("link", name="Clips", exact=True).click()
    heading(tab, "Clips")
    choose_first_row(tab)
    expect(tab.get_by_role("heading", name="F1_01")).to_be_visible()
    expect(tab.locator("canvas[aria-label*='face'], .eavanet-player-place canvas").first).to_be_visible()
    expect(tab.locator(".js-plotly-plot").first).to_be_visible()


def test_an_address_with_a_clip_opens_that_clip(tab: Page, app: AppServer, world: World):
    tab.goto(f"{app.url}clips?clip=3")
    with reading(world.engine) as session:
        name = session.get_one(Clip, 3).name
    expect(tab.get_by_role("heading", name=name)).to_be_visible()


def test_a_new_rater_gets_in_by_the_link_until_it_is_withdrawn(tab: Page, app: AppServer, world: World):
    tab.goto(f"{app.url}raters")
    tab.get_by_role("textbox", name="Names, one per line").fill("Aaron")
    tab.get_by_role("button", name="Create and make their links").click()
    link = tab.locator("[data-testid=stCode] code").first.inner_text().strip()
    assert link.startswith(f"{app.url}?rater=")
    rater = tab.context.browser.new_context().new_page()
    rater.goto(link)
    expect(rater.get_by_text("Nothing to rate yet").or_(rater.get_by_text("What do you see and hear?"))).to_be_visible()
    tab.get_by_role("button", name="I have copied them").click()
    choose_first_row(tab)  # Aaron: the table is sorted by name
    tab.get_by_role("button", name="Withdraw").click()
    tab.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(tab.get_by_text("Aaron is withdrawn")).to_be_visible()
    rater.reload()
    expect(rater.get_by_text("This personal link does not work")).to_be_visible()
    rater.context.close()
    with reading(world.engine) as session:
        assert session.query(Rater).filter_by(name="Aaron").one().revoked_at is not None


def test_ratings_are_downloaded_as_json_that_says_who_made_it(tab: Page, app: AppServer):
    tab.goto(f"{app.url}progress")
    tab.get_by_role("tab", name="Files").click()
    tab.get_by_role("button", name="Ratings", exact=True).click()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="bench-ratings.json").click()
    content = json.loads(download.value.path().read_text("utf-8"))
    assert (content["schema"], content["made_by"].partition(":")[0]) == ("eavanet-ratings", "researcher")
    assert [row["emotion"] for row in content["rows"]] == ["angry"] * 3


def test_signing_out_ends_the_session(tab: Page, app: AppServer):
    tab.goto(f"{app.url}settings")
    tab.get_by_role("button", name="Sign out of this browser").click()
    expect(tab.get_by_text("You are signed out")).to_be_visible()
    tab.goto(f"{app.url}clips")
    expect(tab.get_by_text("Researchers: use the sign-in link")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_the_window(tab: Page, app: AppServer, width: int):
    tab.set_viewport_size({"width": width, "height": 900})
    for address in ("", "clips", "import", "raters", "progress", "releases", "train", "runs", "settings"):
        tab.goto(app.url + address)
        expect(tab.get_by_role("heading", level=1)).to_be_visible()
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width, address
        assert not tab.locator("[data-testid=stException]").count(), address

"""A rater at work, in a real browser in front of the real app: what a person does, and what can go wrong."""

import contextlib
import re
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from benchmarks.rating_world import World, make_world
from db import access
from db.models import Assignment, Clip, Rating
from db.session import reading, writing
from tests.app_server import AppServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install -e '.[dev]')")
PATIENCE_MS = 45_000  # a busy machine
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Twelve raters with six clips each; every test takes a rater of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAVANET_DATA", "")
        root = tmp_path_factory.mktemp("rating") / "data"
        root.mkdir()
        return make_world(root, n_raters=12, n_clips=24, practice_clips=1, duration_s=0.6, instructions_read=True)


@pytest.fixture(scope="module")
def app(world: World, start_app: Callable[..., AppServer]) -> Iterator[AppServer]:
    server = start_app(world.root)
    yield server
    server.stop()


class Tab:
    """A browser tab behind a personal link, as a person sees it."""

    def __init__(self, context, app: AppServer, world: World, rater_id: int) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.link = f"{app.url}?rater={world.tokens[rater_id]}"
        self.rater_id, self.world = rater_id, world
        self.page.goto(self.link)

    def wait_for_clip(self) -> None:
        self.page.locator(".save").wait_for()
        self.page.locator(", ".join(f"[data-state={state}]" for state in SHOWN)).first.wait_for()

    def begin(self) -> None:
        """Leave the instructions, having heard the example."""
        self.page.locator("[data-state=ready]").first.wait_for()  # before that, the page still moves
        self.page.get_by_text("I heard the voice").click()
        self.page.get_by_role("button", name="Start with 1 practice").click()

    def watch(self) -> None:
        """Play the clip to its end, and wait until the page knows."""
        self.wait_for_clip()
        why = self.page.locator(".why")
        for _ in range(PATIENCE_MS // 1000):
            self.press("r")  # again, since the player of the page before may have been the one that heard it
            with contextlib.suppress(playwright.TimeoutError):
                self.page.locator("[data-state=ended]").first.wait_for(timeout=5000)
                self.page.wait_for_timeout(250)
                if why.text_content() != WATCH_FIRST:
                    return
        raise AssertionError("the clip did not play to its end")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def wait_for_saved(self) -> None:
        self.page.wait_for_function(f"{PANEL}?.querySelector('.status').textContent.startsWith('✓')")

    def rate(self, *keys: str) -> None:
        """Watch the clip, answer with the keyboard, wait until it is saved and the next clip is there."""
        self.watch()
        self.press(*keys, "Enter")
        self.wait_for_saved()

    @property
    def stored(self) -> list[Rating]:
        """This rater's ratings, as they are in the database."""
        with reading(self.world.engine) as session:
            return list(session.scalars(
                select(Rating).join(Rating.assignment).where(Assignment.rater_id == self.rater_id).order_by(Rating.id)
            ))  # fmt: skip


PANEL = ("[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]"
         ".map(e => e.shadowRoot?.querySelector('.panel')).find(Boolean)")  # fmt: skip
SHOWN = ("ready", "playing", "paused", "ended")
WATCH_FIRST = "Watch the clip to its end once, then you can save."


@pytest.fixture
def open_tab(browser, app: AppServer, world: World) -> Iterator[Callable[..., Tab]]:
    """`open_tab(rater_id)` opens a personal link in a browser of its own (or in that of another tab)."""
    contexts, errors = [], []

    def open_one(rater_id: int, beside: Tab | None = None, viewport: dict = DESKTOP, **options) -> Tab:
        if beside is None:
            contexts.append(browser.new_context(viewport=viewport, **options))
        tab = Tab(beside.page.context if beside else contexts[-1], app, world, rater_id)
        tab.page.on("pageerror", lambda error: errors.append(str(error)))
        return tab

    yield open_one
    for context in contexts:
        context.close()
    assert not errors, f"uncaught errors in the page: {errors}"


def set_instructions_unread(world: World, rater_id: int) -> None:
    from db.models import Rater

    with writing(world.engine) as session:
        session.get_one(Rater, rater_id).instructions_read_at = None


def test_from_the_instructions_to_the_thanks_on_two_devices(open_tab, world):
    set_instructions_unread(world, 1)
    first = open_tab(1)
    start = first.page.get_by_role("button", name="Start with 1 practice")
    start.wait_for()
    assert start.is_disabled()
    first.begin()
    first.page.get_by_text("Practice 1 of 1").wait_for()
    first.rate("h", "4")
    first.page.get_by_text("Practice is over").wait_for()
    first.rate("a", "5")
    first.rate("s", "1")
    first.page.context.close()

    second = open_tab(1, viewport=PHONE, has_touch=True)
    second.wait_for_clip()
    second.page.get_by_text("2 of 6 saved").first.wait_for()
    for _ in range(4):
        second.watch()
        second.page.get_by_role("radio", name="Neutral").click()
        second.page.get_by_role("radio", name="3", exact=True).click()
        done = len(second.stored)
        second.page.locator(".save").click()
        second.page.wait_for_function(f"() => !{PANEL} || {PANEL}.querySelector('.status').textContent.startsWith('✓')")
        assert len(second.stored) == done + 1
    second.page.get_by_role("heading", name="Thank you!").wait_for()
    second.page.get_by_text("6 clips").wait_for()
    given = [(rating.emotion, rating.intensity) for rating in second.stored]
    assert given == [("happy", 4), ("angry", 5), ("sadness", 1)] + [("neutral", 3)] * 4
    assert all(rating.plays >= 1 and rating.coverage > 0.5 for rating in second.stored)


def test_save_waits_until_the_clip_was_watched_and_says_so(open_tab):
    tab = open_tab(2)
    tab.wait_for_clip()
    tab.press("h", "3")
    save = tab.page.locator(".save")
    assert save.get_attribute("aria-disabled") == "true"
    assert tab.page.locator(".why").text_content() == WATCH_FIRST
    save.click(force=True)  # it can be clicked, and says what is missing
    assert tab.stored == []
    tab.watch()
    assert tab.page.locator(".why").text_content() == "Ready to save."
    tab.press("Enter")
    tab.wait_for_saved()


def test_a_broken_clip_is_reported_with_its_reason(open_tab):
    tab = open_tab(2)
    tab.wait_for_clip()
    before = len(tab.stored)
    tab.page.get_by_text("I cannot tell, or the clip is broken").click()
    tab.page.get_by_text("There is no sound").click()
    tab.page.get_by_label("In your own words").fill("a hum only")
    tab.page.locator(".save").click()
    tab.wait_for_saved()
    newest = tab.stored[before]
    assert (newest.problem, newest.reason, newest.emotion) == ("broken_clip", "no sound: a hum only", None)


def test_undo_shows_the_earlier_answer_and_saving_adds_a_revision(open_tab):
    tab = open_tab(3)
    tab.rate("h", "4")
    tab.press("u")
    tab.page.get_by_text("You are changing an answer").wait_for()
    assert tab.page.locator("input[name=emotion]:checked").get_attribute("value") == "happy"
    assert tab.page.locator("input[name=intensity]:checked").get_attribute("value") == "4"
    tab.press("s", "Enter")
    tab.wait_for_saved()
    assert [(rating.revision, rating.emotion, rating.intensity) for rating in tab.stored] == [
        (1, "happy", 4), (2, "sadness", 4),
    ]  # fmt: skip
    tab.press("u")
    tab.page.get_by_role("button", name="Leave it as it was").click()
    tab.page.get_by_text("You are changing an answer").wait_for(state="detached")
    assert len(tab.stored) == 2


def test_a_double_click_and_a_held_enter_key_store_one_answer(open_tab):
    tab = open_tab(4)
    tab.watch()
    tab.press("n", "2")
    tab.page.locator(".save").dblclick()
    tab.wait_for_saved()
    tab.press("Enter", "Enter")
    tab.page.wait_for_timeout(500)
    assert len(tab.stored) == 1


def test_a_second_tab_learns_that_the_clip_was_rated_in_the_first(open_tab):
    first = open_tab(5)
    second = open_tab(5, beside=first)
    first.page.bring_to_front()
    first.watch()
    second.page.bring_to_front()
    second.watch()
    first.press("h", "5", "Enter")
    first.wait_for_saved()
    second.press("a", "1", "Enter")
    second.page.get_by_text("already rated that clip").wait_for()
    assert "Happy, 5" in second.page.locator(".notice").text_content()
    assert [rating.emotion for rating in first.stored] == ["happy"]


def test_a_reload_and_the_back_button_keep_the_place_and_the_unsaved_choice(open_tab):
    tab = open_tab(6)
    tab.rate("h", "1")
    tab.watch()
    tab.press("s", "2")
    tab.page.reload()
    tab.wait_for_clip()
    assert tab.page.locator("input[name=emotion]:checked").get_attribute("value") == "sadness"
    assert tab.page.locator(".why").text_content() == "Ready to save."  # it was watched before
    tab.page.goto("about:blank")
    tab.page.go_back()
    tab.wait_for_clip()
    tab.press("Enter")
    tab.wait_for_saved()
    assert [(rating.emotion, rating.intensity) for rating in tab.stored] == [("happy", 1), ("sadness", 2)]


def test_an_answer_survives_a_server_that_is_killed_and_comes_back(open_tab, app):
    tab = open_tab(7)
    tab.watch()
    tab.press("a", "4")
    app.kill()
    tab.press("Enter")
    tab.page.get_by_text("Not saved yet").wait_for()
    assert tab.stored == []
    assert tab.page.locator("input[name=emotion]:checked").get_attribute("value") == "angry"
    app.start()
    tab.wait_for_saved()
    assert [(rating.emotion, rating.intensity) for rating in tab.stored] == [("angry", 4)]


def test_nothing_in_the_page_or_on_the_wire_names_a_clip_and_nobody_else_is_asked(open_tab, world):
    tab = open_tab(8)
    seen: list[str] = []
    urls: list[str] = []
    tab.page.on("request", lambda request: urls.append(request.url))
    tab.page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: seen.append(_text(frame))))
    tab.page.reload()
    tab.rate("h", "3")
    tab.watch()
    seen.append(tab.page.content())
    seen += tab.page.evaluate("[...document.querySelectorAll('*')].map(e => e.shadowRoot?.innerHTML ?? '')")
    with reading(world.engine) as session:
        clips = session.scalars(select(Clip)).all()
        names = {clip.name for clip in clips} | {clip.subject.name for clip in clips}
        names |= {clip.sentence for clip in clips if clip.sentence.startswith("e")} | {"bench"}
    assert [url for url in urls if not url.startswith((tab.link.split("?")[0], "data:", "blob:"))] == []
    everything = "\n".join(seen + urls)
    assert len(seen) > 20
    assert [name for name in names if re.search(rf"(?<![A-Za-z0-9_=-]){name}(?![A-Za-z0-9_=-])", everything)] == []


def _text(frame: str | bytes) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", errors="replace")


def test_wrong_and_withdrawn_links_are_explained(open_tab, world):
    tab = open_tab(9)
    tab.wait_for_clip()
    with writing(world.engine) as session:
        access.revoke_rater(session, 9, actor="researcher")
    for link in (tab.link, tab.link[:-4] + "AAAA"):
        tab.page.goto(link)
        tab.page.get_by_text("This personal link does not work").wait_for()


def test_a_link_that_is_withdrawn_in_mid_work_saves_nothing_more(open_tab, world):
    tab = open_tab(10)
    tab.watch()
    with writing(world.engine) as session:
        access.revoke_rater(session, 10, actor="researcher")
    tab.press("h", "3", "Enter")
    tab.page.get_by_text("This personal link does not work").wait_for()
    assert tab.stored == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_everything_fits_and_is_large_enough_to_touch(open_tab, scheme):
    tab = open_tab(11, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme=scheme)
    tab.wait_for_clip()
    tab.page.locator("summary").click()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for target in tab.page.locator(".choice, .reason, .save").all():
        box = target.bounding_box()
        assert box["height"] >= 43.5, target.text_content()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    save = tab.page.locator(".save").bounding_box()
    assert save["y"] + save["height"] <= PHONE["height"]  # in sight without scrolling


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_keyboards_get_everywhere(open_tab, world, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed (the extra `dev`)"
    )
    rater_id = {"light": 11, "dark": 12}[scheme]
    set_instructions_unread(world, rater_id)
    tab = open_tab(rater_id, color_scheme=scheme)
    tab.page.get_by_role("button", name="Start with 1 practice").wait_for()
    tab.page.wait_for_timeout(1000)
    assert _violations(axe, tab.page) == []
    tab.begin()
    tab.watch()
    tab.page.locator("summary").click()
    tab.page.wait_for_timeout(500)
    assert _violations(axe, tab.page) == []


# What Streamlit itself brings and we cannot change: it marks its own frame with roles that axe does not like.
_STREAMLITS_OWN = {"landmark-one-main", "page-has-heading-one", "region", "scrollable-region-focusable"}


def _violations(axe, page) -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for violation in found
        if violation["id"] not in _STREAMLITS_OWN
        for node in violation["nodes"]
    ]


def test_after_a_click_elsewhere_enter_still_saves(open_tab):
    tab = open_tab(8)
    tab.watch()
    before = len(tab.stored)
    tab.page.get_by_role("button", name="How to rate").click()
    tab.page.get_by_role("dialog").wait_for()
    tab.press("Escape")
    tab.page.get_by_role("dialog").wait_for(state="detached")
    tab.press("n", "5", "Enter")
    tab.wait_for_saved()
    assert len(tab.stored) == before + 1


def test_with_the_keyboard_alone_an_answer_can_be_given(open_tab):
    tab = open_tab(8)
    tab.watch()
    before = len(tab.stored)
    tab.page.locator("input[name=emotion]").first.focus()
    tab.press("ArrowRight", "Tab", "Space", "ArrowRight", "Enter")
    tab.wait_for_saved()
    assert (tab.stored[before].emotion, tab.stored[before].intensity) == ("angry", 2)

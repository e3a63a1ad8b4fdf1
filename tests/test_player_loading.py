"""How the clip player gets its clips: the next one ahead of time, progress, and everything that can fail."""

import re

import pytest

from tests.player_page import TinyServer, dome, events, open_player, opened_page, speak, tone, wait_for_state

FACE, FACES = dome()
FRAMES = 25  # one second


@pytest.fixture
def page(browser):
    with opened_page(browser) as opened:
        yield opened


@pytest.fixture
def server():
    running = TinyServer()
    yield running
    running.close()


@pytest.fixture
def clip(server):
    return server.add_clip("one", speak(FACE, FRAMES), FACES, sound=tone(FRAMES / 25))


def state(page) -> str:
    return page.evaluate("player.state")


def frame(page) -> int:
    return page.evaluate("player.frame")


def test_the_next_clip_is_fetched_ahead_and_shown_without_asking_again(page, server, clip):
    following = server.add_clip("two", speak(FACE, FRAMES, seed=2), FACES, sound=tone(1))
    open_player(page, server, source=clip, upcoming=following)
    page.wait_for_function("library.remembered().length == 2")
    page.wait_for_timeout(300)
    asked = server.asked.copy()
    assert asked[following["playback_url"]] == 1
    # Addresses are different at every run of the page; the id is what counts.
    moved = {**following, **{k: v + "?again" for k, v in following.items() if k.endswith("_url") and v}}
    page.evaluate("(source) => player.update({ ...data, source, upcoming: null })", moved)
    page.wait_for_function("player.coverage.id == 'two' && player.state == 'ready'")
    assert server.asked == asked
    assert page.evaluate("library.remembered()") == ["mesh two"]


def test_another_clip_keeps_the_graphics(page, server, clip):
    following = server.add_clip("two", speak(FACE, FRAMES, seed=2), FACES)
    open_player(page, server, source=clip)
    page.evaluate("window.context = player.stage.renderer.getContext()")
    page.evaluate("(source) => player.update({ ...data, source })", following)
    page.wait_for_function("player.coverage.id == 'two'")
    assert page.evaluate("context === player.stage.renderer.getContext() && !context.isContextLost()")
    assert page.evaluate("player.stage.renderer.info.memory.geometries") <= 2
    assert server.asked["/media/topology"] == 1


def test_new_data_for_the_same_clip_does_not_disturb_it(page, server, clip):
    open_player(page, server, source=clip)
    page.keyboard.press(" ")
    page.wait_for_function("player.frame > 3")
    page.evaluate("player.update({ ...data, source: { ...data.source, playback_url: '/elsewhere' } })")
    assert state(page) == "playing" and frame(page) > 3


def test_loading_says_how_far_it_is(page, server):
    clip = server.add_clip("slow", speak(FACE, FRAMES), FACES)
    server.delay_s[clip["playback_url"]] = 1.0
    page.goto(server.add_page({"source": clip}))
    page.locator(".over.loading").get_by_text("Loading the clip").wait_for()
    assert page.get_by_role("button", name="Play", exact=True).first.is_disabled()
    wait_for_state(page, "ready")
    assert page.locator(".over.loading").is_hidden()


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "address has expired"), (404, "not on the server"), (503, r"answered with an error \(503\)")],
)
def test_a_failed_fetch_is_explained_and_can_be_tried_again(page, server, clip, status, message):
    server.status[clip["playback_url"]] = status
    open_player(page, server, source=clip)
    alert = page.get_by_role("alert")
    assert re.search(message, alert.inner_text())
    (event,) = events(page, "error")
    assert re.search(message, event["message"]) and event["id"] == "one"
    del server.status[clip["playback_url"]]
    alert.get_by_role("button", name="Try again").click()
    wait_for_state(page, "ready")
    assert alert.is_hidden()


def test_an_expired_address_is_tried_again_when_the_page_brings_a_new_one(page, server, clip):
    server.status["/media/old"] = 403
    open_player(page, server, source={**clip, "playback_url": "/media/old"})
    assert state(page) == "error"
    page.evaluate("(source) => player.update({ ...data, source })", clip)
    wait_for_state(page, "ready")


def test_a_lost_connection_is_explained(page, server, clip):
    page.route("**/media/one-audio", lambda route: route.abort())
    open_player(page, server, source=clip)
    assert "The connection failed" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("damage", ["cut", "other", "topology"])
def test_damaged_data_is_explained(page, server, clip, damage):
    kind, body = server.files[clip["playback_url"]]
    if damage == "topology":
        _, many = dome(40, 40)
        clip = server.add_clip("one", speak(FACE, FRAMES), many)
    else:
        server.files[clip["playback_url"]] = (kind, body[:-30] if damage == "cut" else b"<html>")
    open_player(page, server, source=clip)
    assert "arrived damaged or is not a clip" in page.get_by_role("alert").inner_text()


def test_sound_that_is_none_is_explained(page, server, clip):
    server.add(clip["audio_url"], "audio/wav", b"no sound at all")
    open_player(page, server, source=clip)
    assert "sound cannot be played" in page.get_by_role("alert").inner_text()

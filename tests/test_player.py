"""The clip player in a real browser, on a bare page: what is played, pressed, and reported."""

import time

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


def test_a_clip_that_plays_to_its_end_was_seen_whole(page, server, clip):
    open_player(page, server, source=clip)
    page.get_by_role("button", name="Play", exact=True).first.click()
    wait_for_state(page, "ended")
    (event,) = events(page, "ended")
    assert event["id"] == "one" and event["source"] == "mesh" and event["message"] == ""
    assert event["plays"] == 1 and event["coverage"] == 1
    assert event["watched_s"] == pytest.approx(1.0, abs=0.5)


def test_every_complete_pass_counts_and_a_pass_from_the_middle_does_not(page, server, clip):
    open_player(page, server, source=clip)
    page.keyboard.press("r")
    wait_for_state(page, "ended")
    page.keyboard.press("r")
    page.wait_for_function("events.length == 2")
    page.evaluate("player.seek(0.6)")
    page.keyboard.press(" ")
    page.wait_for_function("events.filter(e => e.type == 'ended').length == 3")
    ended = events(page, "ended")
    assert [event["plays"] for event in ended] == [1, 2, 2]


def test_scrubbing_counts_nothing(page, server, clip):
    open_player(page, server, source=clip)
    slider = page.get_by_role("slider", name="Position in the clip")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=20)
    page.mouse.up()
    assert frame(page) == pytest.approx(0.8 * (FRAMES - 1), abs=2)
    assert page.evaluate("player.record()") == {
        "plays": 0, "coverage": 0, "watched_s": 0, "stalls": 0, "hidden": 0,
    }
    page.keyboard.press(" ")
    wait_for_state(page, "ended")
    (event,) = events(page, "ended")
    assert event["plays"] == 0 and 0 < event["coverage"] < 0.35


def test_a_pause_in_the_middle_loses_nothing(page, server, clip):
    open_player(page, server, source=clip)
    page.keyboard.press(" ")
    page.wait_for_function("player.frame > 5")
    page.keyboard.press(" ")
    assert state(page) == "paused"
    (event,) = events(page, "paused")
    assert 0.1 < event["coverage"] < 1
    page.wait_for_timeout(200)
    page.keyboard.press(" ")
    wait_for_state(page, "ended")
    assert events(page, "ended")[0]["plays"] == 1


def test_a_clip_longer_than_its_sound_is_shown_to_the_last_frame(page, server):
    longer = server.add_clip("longer", speak(FACE, 30), FACES, sound=tone(0.9))
    open_player(page, server, source=longer, autoplay=True)
    wait_for_state(page, "ended")
    assert frame(page) == 29
    assert events(page, "ended")[0]["coverage"] == 1


def test_sound_longer_than_its_clip_is_heard_to_the_end(page, server):
    shorter = server.add_clip("shorter", speak(FACE, 15), FACES, sound=tone(1.0))
    open_player(page, server, source=shorter, autoplay=True)
    wait_for_state(page, "ended")
    assert page.evaluate("player.clock.time") == pytest.approx(1.0, abs=0.02)
    assert events(page, "ended")[0]["plays"] == 1


@pytest.mark.parametrize("fps", [12.5, 29.97, 60.0])
def test_a_clip_without_sound_plays_at_its_own_frame_rate(page, server, fps):
    silent = server.add_clip("silent", speak(FACE, round(fps * 0.6)), FACES, fps=fps)
    open_player(page, server, source=silent, autoplay=True)
    wait_for_state(page, "ended")
    (event,) = events(page, "ended")
    assert event["plays"] == 1 and event["watched_s"] == pytest.approx(0.6, abs=0.4)
    assert page.get_by_role("slider", name="Volume").count() == 0


def test_one_frame_is_a_clip(page, server):
    single = server.add_clip("single", FACE[None], FACES)
    open_player(page, server, source=single, autoplay=True)
    wait_for_state(page, "ended")
    assert events(page, "ended")[0]["coverage"] == 1


def test_a_slow_computer_drops_frames_and_stays_with_the_sound(page, server):
    clip = server.add_clip("slow", speak(FACE, 50), FACES, sound=tone(2))
    open_player(page, server, source=clip)
    page.evaluate(
        """() => {
            // Every picture takes 120 ms, three times as long as a frame lasts.
            const draw = player.stage.draw.bind(player.stage);
            window.shown = [];
            player.stage.draw = () => {
                draw();
                const frame = player.stage.views[0].face.frame, time = player.clock.time;
                if (player.state == "playing") shown.push([frame, time]);
                const until = performance.now() + 120;
                while (performance.now() < until);
            };
            player.play();
        }"""
    )
    wait_for_state(page, "ended")
    shown = page.evaluate("shown")
    assert 5 < len(shown) < 30
    assert max(abs(time * 25 - frame) for frame, time in shown[1:]) <= 2  # within one frame of the moment
    (event,) = events(page, "ended")
    assert event["coverage"] == 1 and event["watched_s"] == pytest.approx(2, abs=0.7)


def test_slow_motion_keeps_picture_and_sound_together(page, server, clip):
    open_player(page, server, source=clip)
    page.get_by_role("combobox", name="Speed").select_option("speed_half")
    started = time.monotonic()
    page.evaluate("player.play()")
    offsets = []
    while state(page) == "playing":
        offsets.append(page.evaluate("player.clock.time * 25 - player.stage.views[0].face.frame"))
        page.wait_for_timeout(50)
    assert time.monotonic() - started > 1.7
    assert page.evaluate("[player.clock.element.playbackRate, player.clock.element.preservesPitch]") == [0.5, True]
    assert max(offsets[:-1]) <= 2.5 and min(offsets) >= 0
    assert events(page, "ended")[0]["plays"] == 1


def test_a_hidden_page_pauses_and_says_so(page, server, clip):
    open_player(page, server, source=clip)
    page.keyboard.press(" ")
    page.wait_for_function("player.frame > 2")
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", { get: () => true });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    assert state(page) == "paused"
    assert events(page, "paused")[0]["hidden"] == 1


def test_where_the_browser_refuses_autoplay_a_big_button_asks(page, server, clip):
    page.add_init_script(
        """HTMLMediaElement.prototype.play = function () {
            return Promise.reject(new DOMException("click first", "NotAllowedError"));
        };"""
    )
    open_player(page, server, source=clip, autoplay=True)
    wait_for_state(page, "ready")
    assert page.locator(".over.start .big").is_visible()
    assert events(page, "error") == []

def test_the_keyboard_plays_and_steps_without_a_click_first(page, server, clip):
    open_player(page, server, source=clip)
    for key, expected in [(".", 1), ("ArrowRight", 2), (",", 1), ("ArrowLeft", 0), ("ArrowLeft", 0)]:
        page.keyboard.press(key)
        assert frame(page) == expected, key
    page.keyboard.press(" ")
    assert state(page) == "playing"
    page.keyboard.press(" ")
    assert state(page) == "paused"


def test_keys_that_rate_and_typing_are_left_alone(page, server, clip):
    open_player(page, server, source=clip)
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", "<input id=name><button id=other>Other</button>");
            window.heard = [];
            document.addEventListener("keydown", (event) => heard.push(event.key));
        }"""
    )
    for key in "12345hasnu":
        page.keyboard.press(key)
    assert page.evaluate("heard.join('')") == "12345hasnu"
    page.keyboard.press("r")
    page.keyboard.press("r")
    assert page.evaluate("heard.join('')") == "12345hasnu"  # Streamlit would run the page again
    page.evaluate("player.pause()")
    page.locator("#name").fill("")
    page.locator("#name").type("a r, .")
    assert page.locator("#name").input_value() == "a r, ."
    assert state(page) == "paused"
    page.locator("#other").focus()
    page.keyboard.press(" ")  # presses that button
    assert state(page) == "paused"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Alt+r")
    assert state(page) == "paused"


def test_arrow_keys_on_the_scrub_bar_step_one_frame(page, server, clip):
    open_player(page, server, source=clip)
    page.get_by_role("slider", name="Position in the clip").focus()
    page.keyboard.press("ArrowRight")
    assert frame(page) == 1


def test_without_keyboard_the_page_has_all_keys(page, server, clip):
    open_player(page, server, source=clip, keyboard=False)
    page.keyboard.press(" ")
    assert state(page) == "ready"

"""The clip player in a real browser, on a bare page: what a person sees, hears and presses, and what is reported."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.playback import decode_playback
from tests.app_server import ROOT, free_port
from tests.player_page import TinyServer, dome, speak, tone, video
from workbench import player
from workbench.player import PlayerSource, default_texts, static_files

FACE, FACES = dome()
FRAMES = 25  # one second


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 480, "height": 560})
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert not errors, f"uncaught errors in the page: {errors}"


@pytest.fixture
def server():
    running = TinyServer()
    yield running
    running.close()


@pytest.fixture
def clip(server):
    return server.add_clip("one", speak(FACE, FRAMES), FACES, sound=tone(FRAMES / 25))


def wait_for_state(page, *states: str) -> None:
    page.wait_for_function("states => states.includes(window.player?.state)", arg=list(states))


def open_player(page, server, **data) -> None:
    page.goto(server.add_page(data))
    wait_for_state(page, "ready", "playing", "ended", "error")


def state(page) -> str:
    return page.evaluate("player.state")


def frame(page) -> int:
    return page.evaluate("player.frame")


def events(page, kind: str) -> list[dict]:
    return [event for event in page.evaluate("events") if event["type"] == kind]


# ---- playing and what is reported ------------------------------------------------------------------------------


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


# ---- keyboard --------------------------------------------------------------------------------------------------


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


# ---- picture ---------------------------------------------------------------------------------------------------


def test_the_browser_decodes_what_python_decodes(page, server):
    shaken = speak(FACE, 20, noise=1e-4)
    shaken[3, 5] += 60  # far from any motion: wide remainders
    long = speak(FACE, 600)
    for name, vertices in {"smooth": speak(FACE, 20), "shaken": shaken, "long": long, "single": FACE[None]}.items():
        source = server.add_clip(name, vertices, FACES)
        open_player(page, server, source=source)
        decoded, fps = decode_playback(server.files[source["playback_url"]][1])
        for k in sorted({0, len(vertices) // 2, len(vertices) - 1}):
            found = page.evaluate(
                """async ([url, k]) => {
                    const packed = new Uint8Array(await (await fetch(url)).arrayBuffer());
                    const motion = await library.decodePlayback(packed);
                    const out = new Float32Array(3 * motion.vertices);
                    motion.read(k, out);
                    return { values: [...out], order: [...motion.order], frames: motion.frames, fps: motion.fps };
                }""",
                [source["playback_url"], k],
            )
            assert (found["frames"], found["fps"]) == (len(vertices), fps)
            values = np.reshape(found["values"], (-1, 3))
            np.testing.assert_allclose(values, decoded[k][found["order"]], atol=1e-3 * 0.05)


def picture(page) -> np.ndarray:
    """The stage as seen, (height, width, 3), without what lies over it."""
    page.evaluate("document.querySelector('.over.start').style.visibility = 'hidden'")
    png = page.locator(".stage").screenshot()
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), np.int16)


def test_the_face_fills_the_view_whatever_its_unit_and_place(page, server):
    shares = []
    for scale, shift in [(1, 0), (1e-3, 0.05), (30, -5000)]:
        face = FACE * scale + shift
        clip = server.add_clip(f"scaled-{scale}", speak(face, 5), FACES)
        open_player(page, server, source=clip)
        image = picture(page)
        skin = image[..., 0] - image[..., 2] > 25  # warm clay before a cool background
        shares.append(np.ptp(np.nonzero(skin.any(axis=1))[0]) / image.shape[0])
    assert all(0.75 < share < 0.98 for share in shares), shares


def test_colours_of_the_corpus_are_shown(page, server):
    blue = np.tile(np.array([30, 60, 220], np.uint8), (len(FACE), 1))
    clip = server.add_clip("blue", speak(FACE, 5), FACES, colours=blue)
    open_player(page, server, source=clip)
    image = picture(page)
    centre = image[image.shape[0] // 2, image.shape[1] // 2]
    assert centre[2] > centre[0] + 60


def test_the_view_turns_zooms_and_comes_back(page, server, clip):
    open_player(page, server, source=clip)
    place = "player.stage.camera.position.toArray().map((x) => Math.round(x))"
    front = page.evaluate(place)
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 120, steps=5)
    page.mouse.up()
    turned = page.evaluate(place)
    assert turned != front and state(page) == "ready"
    page.keyboard.press("+")
    assert np.linalg.norm(page.evaluate(place)) < np.linalg.norm(turned)
    page.get_by_role("button", name="Reset the view").click()
    assert page.evaluate(place) == front


def test_the_wheel_scrolls_the_page_unless_zoom_is_asked_for(page, server, clip):
    open_player(page, server, source=clip)
    page.evaluate("document.body.style.height = '4000px'")
    distance = "Math.round(player.stage.camera.position.length())"
    before = page.evaluate(distance)
    page.mouse.move(240, 200)
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 0")
    assert page.evaluate(distance) == before


def test_two_clips_share_clock_camera_and_one_sound(page, server, clip):
    other = server.add_clip("other", speak(FACE, FRAMES, seed=1), FACES, sound=tone(1))
    open_player(page, server, source=clip, compare=other, labels=["Left", "Right"])
    assert page.locator(".labels span").all_inner_texts() == ["Left", "Right"]
    for key in "...":
        page.keyboard.press(key)
    page.wait_for_function("player.stage.views.every((view) => view.face.frame == 3)")
    assert page.evaluate("player.clock.element instanceof HTMLAudioElement")
    image = picture(page)
    middle = image.shape[1] // 2
    skin = image[..., 0] - image[..., 2] > 25
    assert skin[:, :middle].sum() == pytest.approx(skin[:, middle:].sum(), rel=0.1)


def test_lost_graphics_come_back_with_the_picture(page, server, clip):
    open_player(page, server, source=clip)
    page.keyboard.press(".")
    page.evaluate(
        "window.extension = player.stage.renderer.getContext().getExtension('WEBGL_lose_context');"
        "extension.loseContext()"
    )
    page.get_by_text("The graphics were interrupted").wait_for()
    page.evaluate("extension.restoreContext()")
    page.get_by_text("The graphics were interrupted").wait_for(state="hidden")
    page.wait_for_timeout(200)
    image = picture(page)
    assert (image[..., 0] - image[..., 2] > 25).mean() > 0.1 and frame(page) == 1


# ---- loading, the next clip, errors -----------------------------------------------------------------------------


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


# ---- video -----------------------------------------------------------------------------------------------------

NO_WEBGL = """const real = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    return String(kind).startsWith("webgl") ? null : real.call(this, kind, ...rest);
};"""


@pytest.fixture(scope="session")
def movie(tmp_path_factory) -> bytes:
    pytest.importorskip("imageio_ffmpeg")
    return video(tmp_path_factory.mktemp("movie") / "clip.mp4", FRAMES)


def test_without_webgl_the_video_is_shown(page, server, clip, movie):
    clip["video_url"] = server.add("/media/video", "video/mp4", movie)
    page.add_init_script(NO_WEBGL)
    open_player(page, server, source=clip)
    assert page.evaluate("player.kind") == "video" and page.locator("video").is_visible()
    page.keyboard.press(" ")
    wait_for_state(page, "ended")
    (event,) = events(page, "ended")
    assert event["plays"] == 1 and event["source"] == "video"
    assert events(page, "error") == []


def test_without_webgl_and_video_the_message_says_what_to_do(page, server, clip):
    page.add_init_script(NO_WEBGL)
    open_player(page, server, source=clip)
    assert "WebGL is switched off or missing" in page.get_by_role("alert").inner_text()


def test_a_clip_with_both_can_be_switched_at_the_same_moment(page, server, clip, movie):
    clip["video_url"] = server.add("/media/video", "video/mp4", movie)
    open_player(page, server, source=clip)
    for key in "......":
        page.keyboard.press(key)
    page.get_by_role("button", name="Video").click()
    page.wait_for_function("player.kind == 'video' && player.state == 'ready'")
    assert frame(page) == 6
    page.get_by_role("button", name="3D view").click()
    page.wait_for_function("player.kind == 'mesh' && player.state == 'ready'")
    assert frame(page) == 6 and page.locator("canvas").is_visible()


def test_a_clip_that_is_only_a_video_needs_no_mesh(page, server, movie):
    source = {
        "id": "film", "playback_url": None, "topology_url": None, "audio_url": None, "frames_per_second": 25,
        "video_url": server.add("/media/video", "video/mp4", movie),
    }
    other = {**source, "id": "other"}
    open_player(page, server, source=source, compare=other)
    assert page.locator("video").count() == 2
    assert page.evaluate("[...document.querySelectorAll('video')].map((video) => video.muted)") == [False, True]
    page.keyboard.press(".")
    page.keyboard.press(".")
    page.wait_for_function("Math.abs(document.querySelectorAll('video')[1].currentTime - 0.1) < 0.05")
    page.keyboard.press(" ")
    wait_for_state(page, "ended")


def test_a_video_that_is_none_is_explained(page, server):
    source = {
        "id": "film", "playback_url": None, "topology_url": None, "audio_url": None, "frames_per_second": 25,
        "video_url": server.add("/media/video", "video/mp4", b"no film"),
    }
    open_player(page, server, source=source)
    assert "video cannot be played" in page.get_by_role("alert").inner_text()


# ---- layout, words, files ---------------------------------------------------------------------------------------


def test_everything_fits_a_phone(browser, server, clip, movie):
    clip["video_url"] = server.add("/media/video", "video/mp4", movie)
    context = browser.new_context(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True)
    page = context.new_page()
    open_player(page, server, source=clip)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator(".bar button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["height"] >= 36
    context.close()


def test_every_control_has_a_name_and_shows_where_the_focus_is(page, server, clip):
    open_player(page, server, source=clip)
    names = page.evaluate(
        "[...document.querySelectorAll('.player :is(button, select, input, canvas)')]"
        ".map((control) => control.getAttribute('aria-label') || control.textContent)"
    )
    assert all(names) and len(names) >= 10
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_all_words_can_be_translated(page, server, clip):
    server.status[clip["audio_url"]] = 404
    texts = {key: f"«{key}»" for key in default_texts()}
    open_player(page, server, source=clip, texts=texts)
    visible = page.locator(".player").evaluate("(root) => root.innerText")
    words = set(re.findall(r"[^\W\d_]{2,}", re.sub(r"«\w+»", "", visible)))
    assert words == set()
    labels = page.evaluate(
        "[...document.querySelectorAll('.player [aria-label]')].map((element) => element.getAttribute('aria-label'))"
    )
    assert all(label.startswith("«") for label in labels), labels


def test_a_player_that_is_taken_away_lets_go_of_everything(page, server, clip):
    open_player(page, server, source=clip)
    page.evaluate("window.context = player.stage.renderer.getContext(); player.play()")
    page.evaluate("player.dispose()")
    assert page.evaluate("context.isContextLost()")
    assert page.evaluate("library.remembered()") == []
    assert page.locator(".player").count() == 0
    page.keyboard.press(" ")


def test_the_bundle_was_built_from_these_sources():
    folder = Path(player.__file__).parent
    digest = hashlib.sha256()
    for path in [folder / "package.json", *sorted((folder / "src").iterdir(), key=lambda path: path.name)]:
        digest.update(path.read_bytes())
    (bundle,) = static_files().values()
    first_line = bundle.read_text("utf-8").split("\n", 1)[0]
    assert first_line == f"// sources {digest.hexdigest()}", "run `npm install && npm run build` in workbench/player"


def test_the_name_of_the_bundle_changes_with_its_content():
    ((name, path),) = static_files().items()
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in name


def test_the_licence_of_three_lies_beside_the_bundle():
    licence = (Path(player.__file__).parent / "static" / "three-LICENSE.txt").read_text("utf-8")
    assert "MIT License" in licence and "three.js authors" in licence
    assert "MIT licence" in next(iter(static_files().values())).read_text("utf-8")[:400]


def test_every_text_is_used_and_every_used_text_exists():
    folder = Path(player.__file__).parent
    code = "".join(path.read_text("utf-8") for path in [*folder.glob("src/*.js"), folder / "mount.js"])
    texts = json.loads((folder / "texts.json").read_text("utf-8"))
    for key in texts:
        assert key in code or key.startswith("error_") and f'"{key[6:]}"' in code, f"{key} is shown nowhere"
    for key in re.findall(r"texts\.(\w+)", code):
        assert key in texts


def test_sources_and_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="needs both playback_url and topology_url"):
        PlayerSource("1", "media/a", None, None, None, 25.0)
    with pytest.raises(ValueError, match="frames_per_second is 0"):
        PlayerSource("1", None, None, None, "media/v", 0)
    source = PlayerSource("1", None, None, None, "media/v", 25.0)
    with pytest.raises(ValueError, match="player texts: plya unknown"):
        player.player(source, key="p", texts={"plya": "Spielen"})
    with pytest.raises(ValueError, match="player events: seen unknown"):
        player.player(source, key="p", events=["seen"])


# ---- in Streamlit -----------------------------------------------------------------------------------------------

APP = '''
import json
from pathlib import Path

import streamlit as st
from starlette.responses import Response
from starlette.routing import Route
from streamlit.runtime.scriptrunner import get_script_run_ctx

from workbench.player import PlayerSource, player, static_files

FOLDER = Path(__FOLDER__)


async def asset(request):
    path = static_files().get(request.path_params["name"])
    return Response(path.read_bytes(), media_type="text/javascript") if path else Response(status_code=404)


async def media(request):
    name = request.path_params["name"].split(".")[0]
    with open(FOLDER / "asked", "a") as asked:
        asked.write(name + "\\n")
    return Response((FOLDER / name).read_bytes())


def source(name):
    # A fresh address at every run, as the real app gives.
    st.session_state.run = st.session_state.get("run", 0) + 1
    address = lambda what: f"clips/{name}-{what}.{st.session_state.run}"
    return PlayerSource(name, address("playback"), "clips/topology.0", address("audio"), None, 25.0, "one")


def page():
    names = ["one", "two"]
    if st.button("Next"):
        st.session_state.at = 1
    at = st.session_state.get("at", 0)
    st.text_input("Remark", key="remark")
    player(
        source(names[at]),
        key="clip",
        upcoming=source(names[at + 1]) if at == 0 else None,
        on_event=lambda event: st.session_state.setdefault("events", []).append(event),
    )
    st.code(json.dumps(st.session_state.get("events", [])))
    st.markdown(f"runs: {st.session_state.run}")


if get_script_run_ctx(suppress_warning=True) is None:
    app = st.App("app.py", routes=[Route("/assets/{name}", asset), Route("/clips/{name}", media)])
else:
    page()
'''


@pytest.fixture(scope="module")
def streamlit_app(tmp_path_factory):
    """A real Streamlit app with two clips: its address and the folder where it notes what was asked for."""
    folder = tmp_path_factory.mktemp("app")
    server = TinyServer()
    for seed, name in enumerate(["one", "two"]):
        source = server.add_clip(name, speak(FACE, 50, seed=seed), FACES, sound=tone(2))
        (folder / f"{name}-playback").write_bytes(server.files[source["playback_url"]][1])
        (folder / f"{name}-audio").write_bytes(server.files[source["audio_url"]][1])
    (folder / "topology").write_bytes(server.files["/media/topology"][1])
    server.close()
    (folder / "app.py").write_text(APP.replace("__FOLDER__", repr(str(folder))))
    port = free_port()
    command = [
        sys.executable, "-m", "streamlit", "run", str(folder / "app.py"), "--server.port", str(port),
        "--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", folder / "log")
        yield f"http://127.0.0.1:{port}/", folder
    finally:
        process.terminate()
        process.wait(10)


def wait_until_healthy(address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the app did not answer:\n{log.read_text()}")


def test_in_streamlit_a_rerun_does_not_disturb_and_events_arrive(page, streamlit_app):
    address, folder = streamlit_app
    page.goto(address)
    root = page.locator(".player")
    page.locator(".player[data-state=ready]").wait_for()
    page.wait_for_timeout(500)
    page.locator(".player .big").click()
    page.locator(".player[data-state=playing]").wait_for()
    root.evaluate("(root) => (window.first = root)")
    page.get_by_label("Remark").fill("r , . happy")
    page.get_by_label("Remark").press("Enter")  # runs the page again, with new addresses
    page.get_by_text("runs: 4").wait_for()
    assert root.evaluate("(root) => root === window.first")
    page.locator(".player[data-state=ended]").wait_for()
    page.get_by_text('"type": "ended"').wait_for()
    (event,) = json.loads(page.locator("code").inner_text())
    assert event["id"] == "one" and event["plays"] == 1 and event["coverage"] == 1
    asked = (folder / "asked").read_text().split()
    assert asked.count("one-playback") == 1 and asked.count("two-playback") == 1

    page.get_by_role("button", name="Next").click()
    page.wait_for_function("window.first.dataset.state == 'ready' && window.first.dataset.frame == '0'")
    assert (folder / "asked").read_text().split() == asked  # it was there already
    assert root.evaluate("(root) => root === window.first")

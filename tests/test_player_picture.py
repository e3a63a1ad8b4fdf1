"""What the clip player shows: mesh, video, two clips beside each other, a phone; and in which words."""

import re

import numpy as np
import pytest

from db.playback import decode_playback, encode_topology
from tests.player_page import (
    TinyServer,
    dome,
    events,
    open_player,
    opened_page,
    speak,
    stage_picture,
    tone,
    video,
    wait_for_state,
)
from workbench.player import MOST_FACES, PlayerSource, default_texts, player

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


def test_the_face_fills_the_view_whatever_its_unit_and_place(page, server):
    shares = []
    for scale, shift in [(1, 0), (1e-3, 0.05), (30, -5000)]:
        face = FACE * scale + shift
        clip = server.add_clip(f"scaled-{scale}", speak(face, 5), FACES)
        open_player(page, server, source=clip)
        image = stage_picture(page)
        skin = image[..., 0] - image[..., 2] > 25  # warm clay before a cool background
        shares.append(np.ptp(np.nonzero(skin.any(axis=1))[0]) / image.shape[0])
    assert all(0.75 < share < 0.98 for share in shares), shares


def test_colours_of_the_corpus_are_shown(page, server):
    blue = np.tile(np.array([30, 60, 220], np.uint8), (len(FACE), 1))
    clip = server.add_clip("blue", speak(FACE, 5), FACES, colours=blue)
    open_player(page, server, source=clip)
    image = stage_picture(page)
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
    image = stage_picture(page)
    middle = image.shape[1] // 2
    skin = image[..., 0] - image[..., 2] > 25
    assert skin[:, :middle].sum() == pytest.approx(skin[:, middle:].sum(), rel=0.1)


def test_the_heat_map_colours_each_other_face_by_its_distance_and_keeps_the_place(page, server, clip):
    moved = speak(FACE, FRAMES)
    near, far = moved.copy(), moved.copy()
    near[:, :, 2] += 2
    far[:, :, 2] += 9  # beyond the end of the scale
    others = [server.add_clip(name, vertices, FACES) for name, vertices in (("near", near), ("far", far))]
    open_player(page, server, source=clip, compare=others, labels=["Truth", "A", "B"])
    for key in "...":
        page.keyboard.press(key)
    page.wait_for_function("player.frame == 3")
    page.evaluate("player.update({ ...data, heat: 8, heat_labels: ['0', '8 mm'] })")
    assert page.locator(".scale span").all_inner_texts() == ["0", "8 mm"]
    assert frame(page) == 3 and page.evaluate("player.stage.views.map((view) => view.face.frame)") == [3, 3, 3]
    colours = [np.reshape(page.evaluate(f"[...player.stage.heats[{i}].attribute.array]"), (-1, 3)) for i in (0, 1)]
    assert np.ptp(colours[0], axis=0).max() < 0.1  # a quarter of the scale, everywhere
    np.testing.assert_allclose(colours[1], np.broadcast_to([0.2158, 0, 0.0194], colours[1].shape), atol=1e-3)  # #800026
    page.evaluate("player.update(data)")
    page.locator(".scale").wait_for(state="hidden")
    assert frame(page) == 3


def test_many_faces_stand_in_rows_where_the_page_is_narrow(page, server, clip):
    others = [server.add_clip(f"other-{i}", speak(FACE, FRAMES, seed=i), FACES) for i in range(3)]
    open_player(page, server, source=clip, compare=others, labels=list("ABCD"))
    assert page.evaluate("player.stage.grid") == {"columns": 2, "rows": 2}
    page.set_viewport_size({"width": 1400, "height": 500})
    page.evaluate("document.querySelector('#place').style.maxWidth = 'none'")
    page.wait_for_function("player.stage.grid.columns == 4")
    tops = [span.bounding_box()["y"] for span in page.locator(".labels span").all()]
    assert len(set(tops)) == 1


def test_faces_of_different_corpora_have_no_heat_map(page, server, clip):
    face, faces = dome(8, 8)
    other = server.add_clip("smaller", speak(face, FRAMES), faces)
    server.add("/media/small", "application/octet-stream", encode_topology(faces, None))
    other |= {"topology_url": "/media/small", "topology_id": None}
    # `add_clip` replaced what the first clip's topology address serves.
    server.add(clip["topology_url"], "application/octet-stream", encode_topology(FACES, None))
    open_player(page, server, source=clip, compare=[other], heat=1.0)
    assert state(page) == "error" and "64 vertices beside 144" in page.locator(".error").inner_text()


def test_what_cannot_be_compared_is_refused():
    source = PlayerSource("one", "p", "t", None, None, 25.0)
    for wrong, message in [
        ({"compare": [source] * MOST_FACES}, "side by side, at most"),
        ({"compare": source, "labels": ["one"]}, "labels: 1 for 2"),
        ({"compare": source, "heat": 0.0}, "heat: 0.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            player(source, key="k", **wrong)


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
    image = stage_picture(page)
    assert (image[..., 0] - image[..., 2] > 25).mean() > 0.1 and frame(page) == 1


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


def test_graphics_that_do_not_come_back_give_way_to_the_video_at_the_same_moment(page, server, clip, movie):
    clip["video_url"] = server.add("/media/video", "video/mp4", movie)
    open_player(page, server, source=clip)
    for _ in range(6):
        page.keyboard.press(".")
    page.evaluate("player.stage.renderer.getContext().getExtension('WEBGL_lose_context').loseContext()")
    page.get_by_text("The graphics were interrupted").wait_for()
    page.wait_for_function("player.kind == 'video' && player.state == 'ready'")
    assert frame(page) == 6 and page.locator("video").is_visible()
    page.keyboard.press(" ")
    wait_for_state(page, "ended")


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

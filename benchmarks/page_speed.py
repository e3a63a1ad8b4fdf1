"""How long a person waits: from starting the app to its first page, and from a rater's link to the first frame.

    python -m benchmarks.page_speed [--repeats 5] [--json]

The real server and a headless Chromium on this machine, which draws 3D in software. Clips of 23,370 vertices, 4 s
at 25 frames per second. Every opening is a new browser profile: nothing is in its cache. Chromium is running before
the clock starts; the first opening after a start of the server is reported by itself.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.rating_world import BIWI_SIZE, World, make_world
from tests.app_server import AppServer
from tests.conftest import CHROMIUM_FLAGS, find_chromium

# Milliseconds from the start of the navigation until the frame after the one in which the player became ready.
FIRST_FRAME = """
    window.firstFrame = new Promise((resolve) => {
        const all = (root) => [...root.querySelectorAll("*")].flatMap(
            (element) => element.shadowRoot ? [element, ...all(element.shadowRoot)] : [element]);
        const look = () => {
            const ready = all(document).some((element) => element.dataset?.state === "ready");
            if (!ready) return requestAnimationFrame(look);
            requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())));
        };
        requestAnimationFrame(look);
    });
"""


def measure(repeats: int) -> dict:
    """Seconds and bytes, as a person at this machine has them."""
    with tempfile.TemporaryDirectory(prefix="eavanet-pages-") as folder, sync_playwright() as playwright:
        world = make_world(
            Path(folder), n_raters=3, n_clips=20, grid=BIWI_SIZE, duration_s=4.0, instructions_read=True
        )
        browser = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=CHROMIUM_FLAGS)
        starts, firsts = [], []
        for _ in range(repeats):
            server, seconds = _start_to_first_page(world, browser)
            starts.append(seconds)
            firsts.append(_link_to_first_frame(world, server, browser)["seconds"])
            server.stop()
        server = AppServer(world.root)
        try:
            _link_to_first_frame(world, server, browser)
            opened = [_link_to_first_frame(world, server, browser) for _ in range(repeats)]
        finally:
            server.stop()
        browser.close()
        return {
            "start_to_first_page_s": _summary(starts),
            "link_to_first_frame_after_a_start_s": _summary(firsts),
            "link_to_first_frame_s": _summary([one["seconds"] for one in opened]),
            "clip_bytes": world.bytes_per_clip,
            "page_and_two_clips_bytes": opened[-1]["bytes"],
        }


def _start_to_first_page(world: World, browser: Browser) -> tuple[AppServer, float]:
    page = browser.new_page()
    started = time.perf_counter()
    server = AppServer(world.root)
    page.goto(server.url)
    page.get_by_role("heading", name="EavaNet Workbench").wait_for()
    seconds = time.perf_counter() - started
    page.close()
    return server, seconds


def _link_to_first_frame(world: World, server: AppServer, browser: Browser) -> dict:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    requests: list = []
    page.on("requestfinished", lambda request: requests.append(request))
    page.add_init_script(FIRST_FRAME)
    page.goto(f"{server.url}?rater={world.tokens[1]}")
    milliseconds = page.evaluate("window.firstFrame")
    page.wait_for_load_state("networkidle")
    size = sum(request.sizes()["responseBodySize"] for request in requests)
    context.close()
    return {"seconds": milliseconds / 1000, "bytes": size}


def _summary(seconds: list[float]) -> dict:
    return {"median": round(statistics.median(seconds), 2), "all": [round(value, 2) for value in seconds]}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = measure(options.repeats)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            shown = f"{value['median']}   {value['all']}" if isinstance(value, dict) else value
            print(f"{name.replace('_', ' '):40} {shown}")


if __name__ == "__main__":
    main()

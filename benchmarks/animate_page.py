"""From an upload of 4 s of speech to the first frame of the face that speaks it: cold, and warm.

    python -m benchmarks.animate_page [--data FOLDER] [--repeats 5] [--json]

FOLDER is a data root with a trained run; without it a small demo corpus is made and a model trained for one epoch. The
real server and a headless Chromium on this machine, which draws 3D in software. Cold: the page was opened a moment ago,
no model is loaded. Warm: the model is in memory; another recording, or the same one with another emotion.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from db.corpus.imitate import imitated_speech
from db.corpus.wav import write_audio
from docs.make_screenshots import prepare_model
from tests.app_server import AppServer
from tests.conftest import CHROMIUM_FLAGS, find_chromium

PATIENCE_MS = 120_000
# window.shown resolves when a face is in view that was not before: the player was loading, and no longer is.
WATCH = """() => {
    const all = (root) => [...root.querySelectorAll("*")].flatMap(
        (element) => element.shadowRoot ? [element, ...all(element.shadowRoot)] : [element]);
    const state = () => all(document).find((element) => element.dataset?.state)?.dataset.state;
    let loading = !state();
    window.shown = new Promise((resolve) => {
        const look = () => {
            const now = state();
            if (now === "loading") loading = true;
            if (loading && now && now !== "loading") requestAnimationFrame(() => resolve(true));
            else requestAnimationFrame(look);
        };
        look();
    });
}"""


def measure(root: Path, repeats: int) -> dict:
    """Seconds, as a person at this machine has them."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=CHROMIUM_FLAGS)
        cold, other_speech, other_emotion = [], [], []
        for repeat in range(repeats):
            recordings = [_speech(Path(folder), 2 * repeat + n) for n in range(2)]
            server = AppServer(root)
            page = browser.new_context(viewport={"width": 1400, "height": 950}).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(server.sign_in_link)
            page.goto(f"{server.url}animate")
            page.get_by_text("Upload", exact=True).first.click()
            cold.append(_upload(page, recordings[0]))
            other_speech.append(_upload(page, recordings[1]))
            emotion = page.locator("[data-testid=stButtonGroup] button", has_text="Angry")
            emotion.click()
            page.wait_for_timeout(1000)
            other_emotion.append(_speak(page))
            page.context.close()
            server.stop()
        browser.close()
    named = {"cold_s": cold, "warm_other_speech_s": other_speech, "warm_other_emotion_s": other_emotion}
    return {
        name: {"median": round(statistics.median(seconds), 2), "all": [round(value, 2) for value in seconds]}
        for name, seconds in named.items()
    }


def _speech(folder: Path, seed: int) -> Path:
    path = folder / f"speech-{seed}.wav"
    write_audio(path, imitated_speech(4.0, seed=seed), 16_000)
    return path


def _upload(page: Page, recording: Path) -> float:
    begun = time.perf_counter()
    page.locator("input[type=file]").set_input_files(recording)
    page.get_by_text(recording.name).first.wait_for()
    _speak(page)
    return time.perf_counter() - begun


def _speak(page: Page) -> float:
    begun = time.perf_counter()
    button = page.locator("button:enabled", has_text="Make the face speak")
    button.wait_for()
    page.evaluate(WATCH)
    button.click()
    page.evaluate("window.shown")
    return time.perf_counter() - begun


def _made(root: Path) -> None:
    commands = (
        ["db.corpus", "demo", "--sentences", "2"],
        ["labeling.simulate", "--corpus", "demo", "--round", "first", "--raters", "5"],
    )
    for command in commands:
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    from db.models import LabelingRound
    from db.session import open_database, reading, writing
    from labeling import releases

    engine = open_database()
    with reading(engine) as session:
        found = releases.preview(session, session.query(LabelingRound).one().id, policy="paper")
    with writing(engine) as session:
        releases.make_release(session, found, name="labels-1", actor="command", allow_partial=True)
    prepare_model()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a data root with a trained run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eavanet-animate-") as folder:
        root = (options.data or Path(folder)).resolve()
        os.environ["EAVANET_DATA"] = str(root)
        if options.data is None:
            _made(root)
        result = measure(root, options.repeats)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name.replace('_', ' '):26} {value['median']}   {value['all']}")


if __name__ == "__main__":
    main()

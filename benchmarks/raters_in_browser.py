"""Five raters label the demo corpus through the real pages, to the end, and Algorithm 1 decides.

    python -m benchmarks.raters_in_browser [--sentences 4] [--raters 5] [--keep FOLDER] [--json]

Each rater is a tab of a headless Chromium behind a personal link: it plays every clip to its end and answers with the
keyboard, as often wrong as a simulated rater (see `labeling.simulate`), and is marked simulated. What is stored is
compared with what was pressed, and the labels with what the demo corpus was made to show.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Page, TimeoutError, async_playwright
from sqlalchemy import Engine, select

from db import access
from db.models import Assignment, Corpus, Rater, Rating, now
from db.session import open_database, reading, writing
from labeling import assignment, releases, votes
from labeling.emotions import EMOTIONS
from labeling.simulate import Truth, answer_of, manner_of, read_truth
from tests.app_server import AppServer
from tests.conftest import CHROMIUM_FLAGS, find_chromium

KEYS = dict(zip(EMOTIONS, "hasn", strict=True))
PATIENCE_MS = 60_000
PANEL = ("[...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')]"
         ".map(e => e.shadowRoot?.querySelector('.panel')).find(Boolean)")  # fmt: skip
WATCH_FIRST = "Watch the clip to its end once, then you can save."


async def rate_all(page: Page, url: str, engine: Engine, rater_id: int, truth: dict[str, Truth]) -> list[dict]:
    """Rate until the page says thank you; what was pressed, with the seconds from one clip to the next."""
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(url)
    manner, chance, pressed = manner_of(random.Random(rater_id)), random.Random(rater_id), []
    thanks = page.get_by_text("Thank you").first
    while True:
        begun = time.perf_counter()
        await page.locator(".save").or_(thanks).first.wait_for()
        if await thanks.is_visible():
            return pressed
        await _watch(page)
        with reading(engine) as session:
            clip = assignment.next_assignment(session, rater_id).clip.name
        answer = answer_of(truth[clip], manner, chance)
        while answer.problem:  # the way of the menu is tried by the tests
            answer = answer_of(truth[clip], manner, chance)
        for key in (KEYS[answer.emotion], str(answer.intensity), "Enter"):
            await page.keyboard.press(key)
        saved = page.wait_for_function(f"{PANEL}?.querySelector('.status').textContent.startsWith('✓')")
        done, waiting = await asyncio.wait(
            [asyncio.ensure_future(saved), asyncio.ensure_future(thanks.wait_for())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in waiting:
            task.cancel()
        await asyncio.gather(*done)
        pressed.append({
            "clip": clip, "emotion": answer.emotion, "intensity": answer.intensity, "s": time.perf_counter() - begun,
        })  # fmt: skip


async def _watch(page: Page) -> None:
    for _ in range(20):
        await page.keyboard.press("r")
        try:
            await page.locator("[data-state=ended]").first.wait_for(timeout=15_000)
        except TimeoutError:
            continue
        await page.wait_for_timeout(250)
        if await page.locator(".why").text_content() != WATCH_FIRST:
            return
    raise AssertionError("the clip did not play to its end")


def prepare(sentences: int, n_raters: int) -> tuple[Engine, int, dict[int, str], dict[str, Truth]]:
    """The demo corpus, imported, and a round; raters' tokens by id."""
    command = [sys.executable, "-m", "db.corpus", "demo", "--sentences", str(sentences)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    engine = open_database()
    with writing(engine) as session:
        corpus = session.scalar(select(Corpus))
        tokens = {}
        for number in range(n_raters):
            rater, token = access.add_rater(session, f"browser-{number + 1}", actor="command")
            rater.simulated, rater.instructions_read_at = True, now()
            session.flush()
            tokens[rater.id] = token
        made = assignment.create_round(
            session, corpus_id=corpus.id, name="first", rater_ids=list(tokens), practice_clips=0, actor="command"
        )
        session.flush()
        return engine, made.id, tokens, read_truth(corpus)


async def run(engine: Engine, tokens: dict[int, str], truth: dict[str, Truth], server: AppServer) -> dict[int, list]:
    """All raters at once."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=CHROMIUM_FLAGS
        )
        pages = [await (await browser.new_context(viewport={"width": 900, "height": 700})).new_page() for _ in tokens]
        told = await asyncio.gather(*(
            rate_all(page, f"{server.url}?rater={token}", engine, rater_id, truth)
            for page, (rater_id, token) in zip(pages, tokens.items(), strict=True)
        ))  # fmt: skip
        await browser.close()
    return dict(zip(tokens, told, strict=True))


def compare(engine: Engine, round_id: int, pressed: dict[int, list], truth: dict[str, Truth]) -> dict:
    """Whether everything that was pressed is stored, and what Algorithm 1 makes of it."""
    wrong = 0
    for rater_id, answers in pressed.items():
        with reading(engine) as session:
            stored = session.execute(
                select(Rating.emotion, Rating.intensity).join(Rating.assignment).join(Rater)
                .where(Assignment.rater_id == rater_id).order_by(Rating.id)
            ).all()  # fmt: skip
        wrong += [tuple(row) for row in stored] != [(one["emotion"], one["intensity"]) for one in answers]
    with reading(engine) as session:
        complete = bool(votes.clip_progress(session, round_id)["complete"].all())
        found = releases.preview(session, round_id)
    with writing(engine) as session:
        made = releases.make_release(session, found, name="labels-1", actor="command")
        labels = releases.release_labels(session, made.id).set_index("clip")["label"].dropna()
        selected = sorted(row.subject.name for row in made.subjects if row.selected)
    seconds = sorted(one["s"] for answers in pressed.values() for one in answers)
    return {
        "answers": len(seconds), "raters_whose_answers_differ_from_what_is_stored": wrong, "complete": complete,
        "clips_labelled": len(labels), "ties": made.n_ties, "selected": selected,
        "labels_as_made_to_show": sum(truth[clip].emotion == label for clip, label in labels.items()) / len(labels),
        "median_s_per_answer": seconds[len(seconds) // 2],
    }  # fmt: skip


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=4, help="per subject; the whole demo corpus has 20")
    parser.add_argument("--raters", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a new data root that stays")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eavanet-raters-") as folder:
        root = options.keep or Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        os.environ["EAVANET_DATA"] = str(root)
        engine, round_id, tokens, truth = prepare(options.sentences, options.raters)
        server = AppServer(root)
        try:
            pressed = asyncio.run(run(engine, tokens, truth, server))
        finally:
            server.stop()
        result = compare(engine, round_id, pressed, truth)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name.replace('_', ' '):50} {value}")


if __name__ == "__main__":
    main()

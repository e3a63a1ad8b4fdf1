"""The pictures of the app in the documents: a demo corpus, simulated raters, a trained model, and a browser.

    python -m docs.make_screenshots [--data FOLDER]     FOLDER is a data root with the demo corpus, or an empty folder
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sqlalchemy import select

PICTURES = Path(__file__).parent / "screenshots"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="data root to work in; filled where it is empty")
    folder = parser.parse_args().data or Path(tempfile.mkdtemp())
    os.environ["EAVANET_DATA"] = str(folder.resolve())
    rater = prepare()
    prepare_model()
    clip = prepare_results()

    from playwright.sync_api import sync_playwright

    from tests.app_server import AppServer
    from tests.conftest import CHROMIUM_FLAGS, find_chromium

    app = AppServer(folder.resolve())
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
            photograph(browser, app, rater, clip)
            browser.close()
    finally:
        app.stop()


def prepare() -> tuple[str, str]:
    """A round that simulated raters have answered, a release, and a rater of flesh: the token, and the key to press."""
    from db import access
    from db.models import Corpus, LabelRelease, ReleaseLabel, now
    from db.session import open_database, reading, writing
    from labeling import assignment, releases, simulate

    engine = open_database()
    with reading(engine) as session:
        corpus_id = session.scalar(select(Corpus.id).where(Corpus.synthetic))
        released = session.scalar(select(LabelRelease.id))
    if corpus_id is None:
        subprocess.run([sys.executable, "-m", "db.corpus", "demo"], check=True)
        return prepare()
    if released is None:
        with writing(engine) as session:
            raters = simulate.add_simulated_raters(session, 5, "command")
            round_id = assignment.create_round(session, corpus_id=corpus_id, name="first-round", actor="command",
                                               rater_ids=[rater.id for rater in raters]).id  # fmt: skip
        simulate.answer_all(engine, round_id)
        with reading(engine) as session:
            found = releases.preview(session, round_id)
        with writing(engine) as session:
            releases.make_release(session, found, name="labels-1", actor="command", allow_partial=True)
    with writing(engine) as session:
        name = f"kim-{now():%H%M%S}"
        rater, token = access.add_rater(session, name, actor="command")
        rater.instructions_read_at = now()
        session.flush()
        assignment.create_round(session, corpus_id=corpus_id, name=name, rater_ids=[rater.id], votes_per_clip=1,
                                practice_clips=0, actor="command")  # fmt: skip
        clip_id = assignment.next_assignment(session, rater.id).clip_id
        label = session.scalar(select(ReleaseLabel.label).where(ReleaseLabel.clip_id == clip_id))
    return token, (label or "neutral")[0]


def prepare_model() -> None:
    """A split and a model trained on it, with the demo preset (minutes)."""
    from db import splits
    from db.models import LabelRelease, Split
    from db.session import open_database, reading, writing

    engine = open_database()
    with reading(engine) as session:
        split = session.scalar(select(Split.id))
    if split is None:
        with writing(engine) as session:
            splits.split_release(session, session.scalars(select(LabelRelease)).one(), "paper")
    if not list((Path(os.environ["EAVANET_DATA"]) / "runs").glob("*/run.json")):
        subprocess.run([sys.executable, "-m", "eavanet.train", "--preset", "demo", "--name", "demo-1"], check=True)


def prepare_results() -> str:
    """Everything up to the report (half an hour, unless it is there); the name of a clip to look at closely."""
    from db.models import Clip
    from db.result_models import Prediction, PredictionSet
    from db.session import open_database, reading

    if not list((Path(os.environ["EAVANET_DATA"]) / "reports").glob("*/report.html")):
        subprocess.run([sys.executable, "-m", "workbench.pipeline"], check=True)
    with reading(open_database()) as session:
        query = select(Clip.name).join(Prediction, Prediction.clip_id == Clip.id).join(PredictionSet)
        return session.scalars(query.where(PredictionSet.part == "biwi-a").order_by(Clip.name)).first() or ""


def photograph(browser, app, rater: tuple[str, str], clip: str) -> None:
    """One picture per page, at the size of a small laptop."""
    PICTURES.mkdir(exist_ok=True)
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    token, key = rater
    page.goto(f"{app.url}?rater={token}")
    page.locator(".save").wait_for()
    page.locator("[data-state=ready], [data-state=paused]").first.wait_for()
    page.keyboard.press("r")
    page.locator("[data-state=playing]").first.wait_for()
    page.wait_for_timeout(1500)
    page.keyboard.press(key)
    page.keyboard.press("4")
    page.screenshot(path=PICTURES / "rating.png")
    page.goto(app.sign_in_link)
    for name in ("clips", "progress", "releases", "runs", "evaluate", "studies"):
        page.goto(f"{app.url}{name}")
        page.locator("[data-testid=stMainBlockContainer] h1").wait_for()
        page.wait_for_timeout(4000)
        page.screenshot(path=PICTURES / f"{name}.png")
    page.goto(f"{app.url}evaluate?clip={clip}")
    page.get_by_role("tab", name="Clip by clip").click()
    page.get_by_text("Heat map of the distance").click()
    page.locator("[data-state=ready]").first.wait_for()
    page.locator("[data-state=ready]").first.scroll_into_view_if_needed()
    page.wait_for_timeout(4000)
    page.screenshot(path=PICTURES / "heat-map.png")
    page.goto(f"{app.url}animate")
    page.get_by_text("A clip of the corpus").first.click()
    page.get_by_text("Angry", exact=True).first.click()
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="Make the face speak").click()
    page.locator("[data-state=playing]").first.wait_for(timeout=120_000)
    page.wait_for_timeout(1200)
    page.screenshot(path=PICTURES / "animate.png")


if __name__ == "__main__":
    main()

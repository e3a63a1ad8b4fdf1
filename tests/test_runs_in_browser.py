"""The Runs page in a real browser: the samples of a run play beside the truth, and a training is seen to move on."""

import fcntl
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.rating_world import World, make_world
from db import store
from db.models import Clip
from db.playback import decode_playback
from db.result_models import TrainingRun
from db.session import writing
from eavanet.samples import SampleWriter
from tests.app_server import AppServer

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install -e '.[dev]')")
expect = sync_api.expect
Page = sync_api.Page

PATIENCE_MS = 60_000  # a busy machine


def entry(epoch: int) -> str:
    """One line of metrics.jsonl."""
    loss = 1 / epoch
    return json.dumps({
        "epoch": epoch, "learning_rate": 1e-4, "train/total": loss, "train/vertex": loss, "train/emotion": loss,
        "validation/total": loss, "validation/vertex": loss, "validation/emotion": loss,
        "validation/emotion_accuracy": 0.5, "seconds": 2.0, "epoch_seconds": 2.5, "waiting_for_data": 0.01,
        "memory_mb": 500.0,
    }) + "\n"  # fmt: skip


def make_run(world: World) -> Path:
    """A run of 9 epochs that stopped after 8, with samples of the first clip: still at first, right at the end."""
    with writing(world.engine) as session:
        clip = session.get_one(Clip, 1)
        session.add(TrainingRun(
            name="one", system="eavanet", corpus_id=clip.corpus_id, folder="runs/one", settings={}, manifest={},
            status="stopped", message="stopped on request", epoch=8, epochs=9,
        ))  # fmt: skip
        name, playback = clip.name, store.stored_path(clip.playback_path).read_bytes()
    folder = store.data_root() / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"last": "epoch-0008", "best": "epoch-0008"}')
    (folder / "metrics.jsonl").write_text("".join(map(entry, range(1, 9))))
    truth, fps = decode_playback(playback)
    for epoch, share in ((1, 0.0), (4, 0.5), (8, 1.0)):
        vertices = truth[:1] + share * (truth - truth[:1])
        SampleWriter(folder).write(epoch, vertices, fps, {"clip": name, "emotion": "happy", "style": "F3_e02"})
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, start_app: Callable[..., AppServer]) -> Iterator[AppServer]:
    root = tmp_path_factory.mktemp("runs") / "data"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EAVANET_DATA", str(root))
        make_run(make_world(root, n_raters=3, n_clips=4, practice_clips=0))
    server = start_app(root)
    yield server
    server.stop()


@pytest.fixture
def runs(browser_page: Page, app: AppServer) -> Page:
    """The Runs page, signed in."""
    browser_page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    browser_page.goto(app.sign_in_link)
    expect(browser_page.get_by_role("heading", name="Overview", level=1)).to_be_visible()
    browser_page.goto(f"{app.url}runs")
    expect(browser_page.get_by_role("heading", name="one", exact=True)).to_be_visible()
    return browser_page


def test_the_sample_of_any_epoch_plays_beside_the_truth(runs: Page):
    expect(runs.locator(".eavanet-player-place canvas").first).to_be_visible()
    expect(runs.get_by_text("after epoch 8", exact=True)).to_be_visible()
    expect(runs.get_by_text("truth", exact=True)).to_be_visible()
    slider = runs.get_by_role("slider", name="Epoch").first
    slider.focus()
    slider.press("ArrowLeft")
    expect(runs.get_by_text("after epoch 4", exact=True)).to_be_visible()
    runs.get_by_role("button", name="Play").first.click()
    expect(runs.get_by_text("cannot be played")).to_have_count(0)
    expect(runs.locator(".js-plotly-plot").first).to_be_visible()


def test_a_training_on_a_terminal_is_followed_while_it_moves_on(runs: Page, app: AppServer):
    folder = app.data_root / "runs" / "one"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a training holds it
        runs.reload()
        expect(runs.get_by_text("epoch 8 of 9")).to_be_visible()
        expect(runs.get_by_text("Started on a terminal; Ctrl-C stops it there.")).to_be_visible()
        with (folder / "metrics.jsonl").open("a") as metrics:
            metrics.write(entry(9))
        expect(runs.get_by_text("epoch 9 of 9")).to_be_visible()
    expect(runs.get_by_text("Stopped after epoch 8 of 9; it can go on.")).to_be_visible()

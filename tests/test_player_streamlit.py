"""The clip player as a Streamlit component, in a real app and a real browser."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.app_server import ROOT, free_port
from tests.player_page import TinyServer, dome, opened_page, speak, tone

FACE, FACES = dome()


@pytest.fixture
def page(browser):
    with opened_page(browser) as opened:
        yield opened


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

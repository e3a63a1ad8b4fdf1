"""What makes the app answer at once, and that it does not change what is answered."""

import http.client
import socket
import subprocess
import sys
import time

import pytest

from workbench import quick_start
from workbench.quick_start import IMMUTABLE, frontend_files, send_at_once, wanted_soon

ROOT = quick_start.Path(__file__).resolve().parents[1]


def _get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def test_connections_of_a_listener_send_at_once():
    with socket.socket() as listener:  # no protocol number, as Streamlit makes its own
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        send_at_once()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_short_answers_on_one_connection_do_not_wait_for_the_acknowledgement_of_the_last(running_app):
    connection = http.client.HTTPConnection("127.0.0.1", running_app.port, timeout=30)
    waits = []
    for _ in range(30):
        start = time.perf_counter()
        connection.request("GET", "/_stcore/health")
        connection.getresponse().read()
        waits.append(time.perf_counter() - start)
    connection.close()
    # Linux acknowledges after 40 ms; of thirty answers even a busy machine gives one sooner.
    assert min(waits[5:]) < 0.035


def test_streamlits_files_are_served_as_they_are(running_app):
    for path, file in sorted(frontend_files().items())[:5]:
        status, headers, body = _get(running_app.port, path)
        assert (status, headers["cache-control"], body) == (200, IMMUTABLE, file.read_bytes())
    script = next(path for path in frontend_files() if path.endswith(".js"))
    assert "javascript" in _get(running_app.port, script)[1]["content-type"]


@pytest.mark.parametrize("path", ["/static/../../../etc/passwd", "/static/js/..%2f..%2findex.html", "/static/none.js"])
def test_no_other_file_can_be_had(running_app, path):
    status, headers, body = _get(running_app.port, path)
    # Streamlit answers unknown addresses with its page, which then says that there is no such page.
    assert status in (400, 404) or b"<!doctype html>" in body.lower()
    assert headers.get("cache-control") != IMMUTABLE


def test_what_the_page_says_it_will_need_is_there(running_app):
    _, headers, _ = _get(running_app.port, "/")
    wanted = [part.split(">")[0].lstrip("< ") for part in headers["link"].split(",")]
    assert headers["link"] == wanted_soon()
    assert len(wanted) >= 1 + len(quick_start.RATING_PARTS)  # a name that Streamlit changes is missed here
    for path in wanted:
        assert _get(running_app.port, f"/{path}")[0] == 200, path


def test_the_first_page_and_the_raters_page_load_neither_pandas_nor_plotly():
    # Streamlit itself looks whether plotly is there; what counts is that our pages do not ask for more.
    code = (
        "import sys, streamlit; before = set(sys.modules)\n"
        "import workbench.server, workbench.navigation, workbench.rater.rate\n"
        "sys.exit(', '.join({'pandas', 'plotly.graph_objects', 'alembic', 'scipy'} & (set(sys.modules) - before)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

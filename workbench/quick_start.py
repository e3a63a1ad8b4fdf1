"""What makes the app answer at once: at its start, when a page is opened, and at every click.

Measured on two cores with Streamlit 1.67: the search for packaged components takes 0.4 s of every start; each of
the hundred files of Streamlit's own part in the browser 6 ms of the server, one after another; and every short answer
waits up to 44 ms in the operating system.
"""

import contextlib
import mimetypes
import os
import socket
import stat
from functools import cache
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.components.v2 import manifest_scanner

from workbench import player

# Parts of Streamlit that it fetches one after another once it knows that a rater's page needs them.
RATING_PARTS = (
    "BidiComponent", "serialization", "recordbatch", "_arrayReduce", "Progress", "ProgressBar", "Button", "Html",
    "purify.es",
)  # fmt: skip
# Their names change with their content, as Streamlit builds them; it serves them under the same header.
IMMUTABLE = "public, immutable, max-age=31536000"


def find_no_packaged_components() -> None:
    """Keep Streamlit from reading the metadata of every installed package in search of components.

    The app's only component is its own player, which needs no manifest. To be called before Streamlit's server is up.
    """
    manifest_scanner.scan_component_manifests = lambda *_, **__: []


def send_at_once() -> None:
    """Have connections send what they are given without waiting for more of it (TCP_NODELAY).

    asyncio does this for sockets that it makes itself, but not for those of a listener that it is handed without a
    protocol number, as Streamlit does (https://github.com/Kludex/uvicorn/issues/3149). Set on the listener,
    connections inherit it. To be called when the server listens.
    """
    for descriptor in _open_sockets():
        with socket.socket(fileno=os.dup(descriptor)) as found:
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _open_sockets() -> list[int]:
    """Descriptors of this process's TCP sockets; none where the system does not list them."""
    found = []
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ():
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as one:
                    if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                        found.append(int(name))
    return found


@cache
def frontend_files() -> dict[str, Path]:
    """Streamlit's scripts, styles and fonts for the browser, by their path below the app's address."""
    folder = Path(streamlit.__file__).with_name("static")
    return {
        f"/{path.relative_to(folder).as_posix()}": path for path in (folder / "static").rglob("*") if path.is_file()
    }


@cache
def wanted_soon() -> str:
    """The Link header that has the browser fetch the player, and what shows it, while it reads the rest."""
    parts = [path for path in frontend_files() if path.endswith(".js") and _part(path) in RATING_PARTS]
    paths = [f"assets/{name}" for name in player.static_files()] + [path.lstrip("/") for path in sorted(parts)]
    return ", ".join(f"<{path}>; rel=modulepreload" for path in paths)


def _part(path: str) -> str:
    """The name of a script without its hash: "Html" of "/static/js/Html.CzLZZ4bP.js"."""
    return path.rpartition("/")[2].removesuffix(".js").rpartition(".")[0]


class QuickFrontend:
    """Serves Streamlit's own files without a detour, and says with the page what it will need soon.

    Only the files that the package had at the start are known; every other address is Streamlit's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.base = f"/{config.get_option('server.baseUrlPath').strip('/')}".rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(f"{self.base}/"):
            await self.app(scope, receive, send)
            return
        path = scope["path"][len(self.base) :]
        if scope["method"] == "GET" and (file := frontend_files().get(path)) is not None:
            await _answer(file)(scope, receive, send)
        elif path == "/":
            await self.app(scope, receive, _with_player(send))
        else:
            await self.app(scope, receive, send)


def _answer(file: Path) -> Response:
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Response(file.read_bytes(), media_type=kind, headers={"Cache-Control": IMMUTABLE})


def _with_player(send: Send) -> Send:
    """`send`, with the word to the browser that the player will be needed."""

    async def send_with_link(message: Message) -> None:
        if message["type"] == "http.response.start" and "text/html" in Headers(raw=message["headers"]).get(
            "content-type", ""
        ):
            MutableHeaders(scope=message).append("Link", wanted_soon())
        await send(message)

    return send_with_link

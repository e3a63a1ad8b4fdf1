"""The web server around the pages: sign-in, media, the player's files, and what must hold before it starts.

Streamlit serves the pages; what a page cannot do (set a cookie, serve a file to one person only) is a route here.
"""

import asyncio
import contextlib
import gc
import html
import importlib
import ipaddress
import sys
from collections.abc import AsyncIterator
from importlib import resources

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from db import access
from db.session import DatabaseUnusable, reading, writing
from workbench import player
from workbench.media import serve_film, serve_media
from workbench.participant import arrival
from workbench.quick_start import QuickFrontend, find_no_packaged_components, send_at_once
from workbench.session import COOKIE, engine

LOAD_PAGES_AFTER_S = 3.0


class RefusedToStart(SystemExit):
    """The server must not run like this; the message says what to do."""


def check_address() -> None:
    """Refuse to listen to other machines while no password is set.

    Raises RefusedToStart. The link in the console is enough on the machine itself only.
    """
    address = config.get_option("server.address") or "0.0.0.0"
    if address == "localhost" or _is_loopback(address):
        return
    with reading(engine()) as session:
        if access.has_password(session):
            return
    raise RefusedToStart(
        f"server.address is {address}: other machines could reach the workbench, and no researcher password is set. "
        "Set one with `python -m db.access password`, or start with --server.address 127.0.0.1."
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def local_address() -> str:
    """The address at which this server answers on this machine, with a final slash."""
    address = config.get_option("server.address") or "0.0.0.0"
    shown = "localhost" if address in ("0.0.0.0", "::") else f"[{address}]" if ":" in address else address
    path = config.get_option("server.baseUrlPath").strip("/")
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    return f"{scheme}://{shown}:{config.get_option('server.port')}/{path + '/' if path else ''}"


@contextlib.asynccontextmanager
async def lifespan(app) -> AsyncIterator[dict]:
    """Open the database, check the address, print the sign-in link."""
    send_at_once()
    try:
        await run_in_threadpool(engine)
        check_address()
    except (DatabaseUnusable, RefusedToStart) as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        raise SystemExit(1) from None
    with writing(engine()) as session:
        token = access.new_sign_in_link(session)
    print(
        "\n  EavaNet Workbench is ready. Researchers sign in with this link (keep it to yourself):\n\n"
        f"  {local_address()}sign-in?token={token}\n",
        flush=True,
    )
    loading = asyncio.create_task(_load_pages_later())
    yield {}
    loading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loading
    with writing(engine()) as session:
        access.revoke_sign_in_link(session, token)


async def _load_pages_later() -> None:
    """Load all pages once the first visitor, who needs the processor now, has theirs."""
    await asyncio.sleep(LOAD_PAGES_AFTER_S)
    await run_in_threadpool(_load_pages)


def _load_pages() -> None:
    importlib.import_module("workbench.navigation").load_all()
    # What is loaded now stays loaded: the collector need not look through it again at every click.
    gc.collect()
    gc.freeze()


def sign_in_page(message: str = "", status: int = 200) -> HTMLResponse:
    """The form for the researchers' password."""
    template = resources.files("workbench").joinpath("sign_in.html").read_text("utf-8")
    return HTMLResponse(template.replace("{message}", html.escape(message)), status)


def _session_cookie(request: Request, token: str) -> RedirectResponse:
    response = RedirectResponse("./", status_code=303)  # relative: a proxy may serve us below a path
    response.set_cookie(
        COOKIE, token, max_age=access.SESSION_LIFETIME_S, httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


async def sign_in_with_link(request: Request) -> Response:
    """GET /sign-in: with a good token a cookie and on to the pages, otherwise the password form."""
    token = request.query_params.get("token")
    if token is None:
        return sign_in_page()

    def work() -> str | None:
        with writing(engine()) as session:
            return access.sign_in_with_link(session, token)

    cookie = await run_in_threadpool(work)
    if cookie is None:
        return sign_in_page(
            "This sign-in link is not valid any more: it ends when the server stops. "
            "Use the newest link in the console, or the password.", 403,
        )
    return _session_cookie(request, cookie)


async def sign_in_with_password(request: Request) -> Response:
    """POST /sign-in: the password form's answer."""
    if not _same_origin(request):
        return PlainTextResponse("Open the sign-in page and try again.", 403)
    form = await request.form()
    password = str(form.get("password", ""))

    def work() -> str:
        with writing(engine()) as session:
            return access.sign_in_with_password(session, password)

    try:
        cookie = await run_in_threadpool(work)
    except access.SignInRefused as error:
        return sign_in_page(str(error), 403)
    return _session_cookie(request, cookie)


async def sign_out(request: Request) -> Response:
    """POST /sign-out: ends this browser's session."""
    if not _same_origin(request):
        return PlainTextResponse("Sign out from a page of the workbench.", 403)
    token = request.cookies.get(COOKIE)

    def work() -> None:
        with writing(engine()) as session:
            access.sign_out(session, token)

    if token:
        await run_in_threadpool(work)
    response = sign_in_page("You are signed out.")
    response.delete_cookie(COOKIE)
    return response


def _same_origin(request: Request) -> bool:
    # Browsers send Origin with every POST; a form on another site has another one. Behind a proxy the Host
    # header is what the visitor typed, as long as the proxy passes it on (the README's example does).
    origin = request.headers.get("origin")
    return origin is None or origin.split("://", 1)[-1] == request.headers.get("host")


async def serve_asset(request: Request) -> Response:
    """GET /assets/<name>: the player's own files; the name changes with the content, so browsers keep them."""
    path = player.static_files().get(request.path_params["name"])
    if path is None:
        return PlainTextResponse("Not found; reload the page.", 404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, headers=headers)


class PrivacyHeaders:
    """Personal links carry a token in the address: no other site may learn it, frame it or guess its type."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Not "no-referrer": browsers then send "Origin: null" with our own forms, see `_same_origin`.
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("X-Frame-Options", "SAMEORIGIN")
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


ROUTES = [
    Route("/clip/{token}", serve_media),
    Route("/film/{token}", serve_film),
    Route("/study/{token}", arrival.arrive, methods=["GET"]),
    Route("/study/{token}", arrival.join, methods=["POST"]),
    Route("/assets/{name}", serve_asset),
    Route("/sign-in", sign_in_with_link, methods=["GET"]),
    Route("/sign-in", sign_in_with_password, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
MIDDLEWARE = [Middleware(PrivacyHeaders), Middleware(QuickFrontend)]
find_no_packaged_components()

"""What the tests share: data roots, databases of both kinds, a browser, the running app.

Everything is real. Where a system package is missing (a PostgreSQL server, Chromium), the tests that need it are
skipped and say so; `python3 -m tests --install-system` installs what is missing on Debian.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Engine, create_engine, text

from db.session import connect, open_database
from tests.app_server import AppServer
from tests.postgres_server import PostgresServer, Unavailable

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage",
]  # fmt: skip


# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever runs the tests may have a lab's database in the environment.
    for name in ("EAVANET_DATA", "EAVANET_DATABASE_URL", "EAVANET_PROGRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _main_stays_main(monkeypatch: pytest.MonkeyPatch) -> None:
    # Streamlit's AppTest leaves its script behind as `__main__`, which a process that is spawned later would run.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, which this process and its children use."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("EAVANET_DATA", str(root))
    return root


# Databases ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file to copy from: quicker than migrating for every test."""
    path = tmp_path_factory.mktemp("template") / "eavanet.sqlite"
    engine = open_database(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A private PostgreSQL server, one for all tests; skips where there is none to start."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install -e '.[postgres]')")
    try:
        server = PostgresServer()
    except Unavailable as why:
        pytest.skip(str(why))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a migrated, empty database to copy from."""
    _administer(postgres_server, "CREATE DATABASE template_eavanet")
    open_database(postgres_server.url("template_eavanet")).dispose()
    return "template_eavanet"


@pytest.fixture
def sqlite_engine(data_root: Path, _sqlite_template: Path) -> Iterator[Engine]:
    """An empty database in the data root, as `open_database()` finds it."""
    shutil.copy(_sqlite_template, data_root / "eavanet.sqlite")
    engine = open_database()
    yield engine
    engine.dispose()


@pytest.fixture
def postgres_engine(
    data_root: Path, postgres_server: PostgresServer, _postgres_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """An empty database on the PostgreSQL server; EAVANET_DATABASE_URL names it."""
    name = f"test_{os.urandom(4).hex()}"
    _administer(postgres_server, f"CREATE DATABASE {name} TEMPLATE {_postgres_template}")
    monkeypatch.setenv("EAVANET_DATABASE_URL", postgres_server.url(name))
    engine = connect()
    yield engine
    engine.dispose()
    _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An empty, migrated database; each test that asks for it runs on SQLite and on PostgreSQL."""
    return request.getfixturevalue("sqlite_engine" if request.param == "sqlite" else "postgres_engine")


def _administer(server: PostgresServer, statement: str) -> None:
    admin = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(statement))
    admin.dispose()


# The app and a browser ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def start_app() -> Iterator[Callable[..., AppServer]]:
    """`start_app(data_root, *streamlit_arguments, **environment)` starts an app; all are stopped at the end."""
    started: list[AppServer] = []

    def start(data_root: Path, *arguments: str, **environment: str) -> AppServer:
        started.append(AppServer(data_root, *arguments, **environment))
        return started[-1]

    yield start
    for app in started:
        app.stop()


@pytest.fixture
def running_app(data_root: Path, start_app: Callable[..., AppServer]) -> Iterator[AppServer]:
    """The app on this test's data root (and its database, if the test asked for one first)."""
    app = start_app(data_root)
    yield app
    app.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; skips with the reason where it is not."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt-get install chromium; or name one in CHROMIUM)")
    return path


def find_chromium() -> str | None:
    """A Chromium or Chrome: what CHROMIUM names, an installed one, or playwright's own."""
    candidates = [os.environ.get("CHROMIUM"), *map(shutil.which, CHROMIUM_NAMES)]
    candidates.append("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    candidates += sorted(map(str, (Path.home() / ".cache/ms-playwright").glob("chromium-*/chrome-linux*/chrome")))
    return next((path for path in candidates if path and Path(path).exists()), None)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator:
    """A headless Chromium with WebGL in software. One per test file: as long as it is open, this thread has an
    event loop, and other tests could not start one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install -e '.[dev]')")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def browser_page(browser) -> Iterator:
    """A page in a browser context of its own: no cookies, nothing stored. Fails the test on an uncaught error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"uncaught errors in the page: {errors}"

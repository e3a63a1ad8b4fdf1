"""A private PostgreSQL server for the tests: in a temporary folder, on a Unix socket, gone afterwards."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


class Unavailable(Exception):
    """No server can be started here; the message says why and what would help."""


def find_binaries() -> Path:
    """The folder with initdb and postgres; the newest version that is installed. Raises Unavailable."""
    on_path = shutil.which("initdb")
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql*/bin")]
    candidates.sort(key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()])
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    for folder in reversed(candidates):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Unavailable("no PostgreSQL server is installed (Debian: apt-get install postgresql)")


class PostgresServer:
    """Starts in the constructor; `stop` ends it and removes its folder."""

    def __init__(self) -> None:
        self._bin = find_binaries()
        self._user = _unprivileged_user()
        # Not pytest's tmp_path: a socket's path must be shorter than 108 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="eavanet-pg-", dir="/tmp"))
        self._process: subprocess.Popen | None = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def url(self, database: str) -> str:
        """SQLAlchemy's address of one of the server's databases."""
        return f"postgresql+psycopg://eavanet@/{database}?host={self.folder}"

    def _start(self) -> None:
        if self._user:
            shutil.chown(self.folder, self._user)
        data = self.folder / "data"
        made = subprocess.run(
            [self._bin / "initdb", "-D", data, "-U", "eavanet", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            capture_output=True, text=True, user=self._user, cwd=self.folder,
        )
        if made.returncode:
            raise Unavailable(f"initdb failed: {made.stderr.strip()[-300:]}")
        # A power cut may take a test database along, hence fsync=off; that makes the tests several times faster.
        settings = ["listen_addresses=", f"unix_socket_directories={self.folder}", "fsync=off", "max_connections=150"]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", data, *(word for s in settings for word in ("-c", s))],
                stdout=log, stderr=log, user=self._user, cwd=self.folder, preexec_fn=_end_with_parent,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        socket = self.folder / ".s.PGSQL.5432"
        while time.monotonic() < deadline and self._process.poll() is None:
            ready = socket.exists() and not subprocess.run(
                [self._bin / "pg_isready", "-q", "-h", self.folder], check=False
            ).returncode
            if ready:
                return
            time.sleep(0.05)
        raise Unavailable(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-500:]}")

    def stop(self) -> None:
        """End the server at once; its data are of no more use."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


def _unprivileged_user() -> str | None:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise Unavailable("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'")


def _end_with_parent() -> None:
    # If pytest is killed, the server goes too.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

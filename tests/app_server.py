"""The real app as a child process, for tests that want a server, and a browser in front of it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 60  # a busy machine; an idle one needs under 3


class AppServer:
    """`streamlit run workbench/Home.py` on a free port, with a data root of its own.

    url            where it answers, with a final slash
    sign_in_link   what it printed for the researcher; signs a browser in
    """

    def __init__(self, data_root: Path, *arguments: str, **environment: str) -> None:
        self.data_root = data_root
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._arguments = arguments
        self._environment = environment
        self._log = data_root / "app.log"
        self.process: subprocess.Popen
        self.start()

    def start(self) -> None:
        """Start (again) on the same port and wait until it answers."""
        command = [
            sys.executable, "-m", "streamlit", "run", str(ROOT / "workbench" / "Home.py"),
            "--server.port", str(self.port), *self._arguments,
        ]
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "EAVANET_DATA": str(self.data_root)}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**environment, **self._environment}, start_new_session=True,
            )
        self._wait_until_healthy()

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the app ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            try:
                with urllib.request.urlopen(f"{self.url}_stcore/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the app did not answer within {START_TIMEOUT_S} s:\n{self.log()[-3000:]}")

    def log(self) -> str:
        """What this run has printed so far."""
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    @property
    def sign_in_link(self) -> str:
        """The researcher's link, as the console shows it."""
        found = re.search(r"https?://\S+/sign-in\?token=\S+", self.log())
        if found is None:
            raise RuntimeError(f"the app printed no sign-in link:\n{self.log()[-3000:]}")
        return found.group()

    def kill(self) -> None:
        """End it as a power cut would, without a chance to tidy up."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it as Ctrl-C does; by force if that takes more than ten seconds."""
        self._signal(signal.SIGINT)

    def _signal(self, number: int) -> None:
        if self.process.poll() is not None:
            return
        os.killpg(self.process.pid, number)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

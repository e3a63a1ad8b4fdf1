"""The process in which models animate, as the pages see it: ask, watch how far it is, get the result.

One for the app, shared by all researchers, started when it is first needed (see `eavanet.performer`): loading torch
and a model takes seconds, and the app itself never loads them. One request is worked on at a time, others wait. If the
process dies, the request that it worked on fails with a word, and those that wait go to a new process.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db import store
from workbench.jobs import ROOT


@dataclass
class Ticket:
    """One request, and what became of it so far."""

    request: dict[str, Any]
    progress: float = 0.0
    message: str = "waiting"
    result: dict[str, Any] | None = None
    error: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def done(self) -> bool:
        """Whether there is a result or an error."""
        return self.ended.is_set()


class Stage:
    """The process, or none, and the tickets that wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._current: Ticket | None = None
        self._process: subprocess.Popen | None = None
        self._root: Path | None = None  # the data root that the process works in
        self._number = 0
        self._thread: threading.Thread | None = None

    def ask(self, **request: Any) -> Ticket:
        """Queue a request; comes back at once."""
        with self._lock:
            ticket = Ticket(request)
            self._waiting.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="performance", daemon=True)
                self._thread.start()
            self._lock.notify()
            return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Stop a request, which leaves nothing half-written; one that is done stays done."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                _end(ticket, error="stopped")
            elif ticket is self._current and self._process is not None:
                ticket.message = "stopping"
                ticket.error = "stopped"
                self._process.terminate()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _finish(process)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting:
                    self._lock.wait()
                ticket = self._current = self._waiting.popleft()
            try:
                self._serve(ticket)
            except OSError as error:
                _end(ticket, error=f"the process that animates could not be reached ({error}); try again")
            finally:
                with self._lock:
                    self._current = None
                if not ticket.done:
                    _end(ticket, error="the workbench failed at this; its console says more")

    def _serve(self, ticket: Ticket) -> None:
        self._number += 1
        line = json.dumps(ticket.request | {"id": self._number}) + "\n"
        try:
            process = self._sent(line)
        except BrokenPipeError:
            process = self._sent(line)  # it had just gone home for lack of work
        assert process.stdout is not None
        for line in process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                continue  # a library's chatter
            if told.get("id") != self._number:
                continue
            if "progress" in told:
                ticket.progress, ticket.message = told["progress"], told["message"]
            else:
                _end(ticket, told.get("done"), told.get("error"))
                return
        code = process.wait()
        _end(ticket, error=ticket.error or f"the process that animates ended ({code}); try again. {_last_words()}")

    def _sent(self, line: str) -> subprocess.Popen:
        process = self._running()
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()
        return process

    def _running(self) -> subprocess.Popen:
        root = store.data_root()
        if self._root != root:
            self.close()
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                _finish(self._process)
                self._process = None
            if self._process is None:
                self._process, self._root = _start(), root
            return self._process


def _start() -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ, "PYTHONPATH": path, "EAVANET_DATA": str(store.data_root()),
        "EAVANET_DATABASE_URL": store.database_url(),
    }  # fmt: skip
    with _log().open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "eavanet.performer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            text=True, env=environment, cwd=ROOT,
        )  # fmt: skip


def _finish(process: subprocess.Popen) -> None:
    process.kill()
    with contextlib.suppress(OSError):  # what could not be written any more
        process.communicate()


def _log() -> Path:
    folder = store.data_root() / "animations"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "performer.log"


def _last_words() -> str:
    lines = [line.strip() for line in _log().read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _end(ticket: Ticket, result: dict[str, Any] | None = None, error: str | None = None) -> None:
    ticket.result, ticket.error = result, error
    ticket.progress = 1.0
    ticket.ended.set()


STAGE = Stage()
atexit.register(STAGE.close)

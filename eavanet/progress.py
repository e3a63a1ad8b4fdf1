"""How far a command is, for whoever watches: a bar on a terminal, lines of JSON for the app, plain lines otherwise."""

import json
import os
import sys
import time

from tqdm import tqdm

_EVERY_S = 1.0  # between two reports to the app


class Progress:
    """Progress over `total` steps; use as a context manager."""

    def __init__(self, total: int, unit: str, done: int = 0):
        self.total, self.done = total, done
        self._json = os.environ.get("EAVANET_PROGRESS") == "json"
        self._reported = 0.0
        quiet = self._json or not sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, unit=f" {unit}", disable=quiet, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, message: str, steps: int = 1) -> None:
        """`steps` more are done; `message` says where we are."""
        self.done += steps
        self._bar.set_postfix_str(message, refresh=False)
        self._bar.update(steps)
        now = time.monotonic()
        if self._json and (now - self._reported >= _EVERY_S or self.done >= self.total):
            self._reported = now
            share = min(1.0, self.done / max(1, self.total))
            print(json.dumps({"progress": round(share, 4), "message": message}), file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A line for the log, which stays."""
        self._bar.write(line, file=sys.stdout) if not self._bar.disable else print(line, flush=True)

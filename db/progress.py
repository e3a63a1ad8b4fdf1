"""Progress of a command, for whoever watches: a bar on a terminal, lines of JSON for a page, nothing in a pipe."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

Progress = Callable[[int, int, str], None]  # done, total, what was done last

_PAUSE_S = 0.2  # between two lines of JSON, so that many small steps do not fill the log


@contextlib.contextmanager
def show_progress(title: str, begin: float = 0.0, end: float = 1.0) -> Iterator[Progress]:
    """A function `progress(done, total, name)` that shows how far a step of a command has come.

    With EAVANET_PROGRESS=json (see workbench.jobs) it prints lines on standard error, {"progress": 0..1, "message":
    ...}, in which this step runs from `begin` to `end`; else it moves a bar there, if that is a terminal.
    """
    if os.environ.get("EAVANET_PROGRESS") == "json":
        yield _json_lines(title, begin, end)
        return
    with tqdm(desc=title, unit="", disable=None, leave=False) as bar:

        def show(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.set_postfix_str(name, refresh=False)
            bar.update(done - bar.n)

        yield show


def _json_lines(title: str, begin: float, end: float) -> Progress:
    said_at = -_PAUSE_S

    def say(done: int, total: int, name: str) -> None:
        nonlocal said_at
        if time.monotonic() - said_at < _PAUSE_S and done < total:
            return
        said_at = time.monotonic()
        share = begin + (end - begin) * done / max(total, 1)
        line = {"progress": round(share, 4), "message": f"{title}: {done} of {total} ({name})"}
        print(json.dumps(line), file=sys.stderr, flush=True)

    return say

"""Stays beside a job's command until it ends, and writes down how.

    python -m workbench.supervisor FOLDER GRACE_S COMMAND...

A process of its own, so that a job outlives the app that started it and still has an ending to look up. It only uses
the standard library, and it talks to the app through four files in the job's folder: `output` and `log` (what the
command prints on standard output and error), `process.json` (who runs) and `end.json` (how it ended; written last, in
one step).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def supervise(folder: Path, grace_s: float, command: list[str]) -> None:
    """Run `command`, wait for its end, write `end.json`: its exit code, and whether it was asked to stop.

    SIGTERM asks it to stop; the command and what it started are killed if it has not after `grace_s`.
    """
    stop_asked: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: stop_asked.append(time.monotonic()))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the app's terminal is not meant for its jobs
    with (folder / "output").open("wb") as output, (folder / "log").open("wb") as log:
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, process_group=0, restore_signals=True
            )
        except OSError as error:
            log.write(f"error: {error}\n".encode())
            return write_json(folder / "end.json", {"exit_code": 127, "cancelled": False})
    write_json(folder / "process.json", {"pid": child.pid, "started": process_started(child.pid)})
    exit_code = _wait(child, grace_s, stop_asked)
    write_json(folder / "end.json", {"exit_code": exit_code, "cancelled": bool(stop_asked)})


def _wait(child: subprocess.Popen, grace_s: float, stop_asked: list[float]) -> int:
    told = False
    while (exit_code := child.poll()) is None:
        if stop_asked and not told:
            _signal_group(child.pid, signal.SIGTERM)
            told = True
        elif stop_asked and time.monotonic() > stop_asked[0] + grace_s:
            _signal_group(child.pid, signal.SIGKILL)
        time.sleep(0.1)
    if stop_asked:  # what the command itself started, should it have left something
        _signal_group(child.pid, signal.SIGKILL)
    return exit_code


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def write_json(path: Path, value: dict) -> None:
    """Write a file that is complete whenever it can be seen."""
    partial = path.with_suffix(".part")
    with partial.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def process_started(pid: int) -> str | None:
    """When the process `pid` began, in the system's own words; None if it has ended.

    With the pid it names a process for good: a later one that gets the same pid began at another time.
    """
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform == "linux":
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return None if fields[0] in "ZX" else f"{boot[:8]}-{fields[19]}"
    listed = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, began = listed.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else " ".join(began.split())


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])

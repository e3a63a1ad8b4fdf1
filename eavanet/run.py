"""A training run's folder: what was measured, and the checkpoints that are kept.

    <data root>/runs/<name>/run.json         which checkpoint is the last, which the best
    <data root>/runs/<name>/epoch-0012/      a checkpoint; see `checkpoint`
    <data root>/runs/<name>/metrics.jsonl    one JSON object per epoch
    <data root>/runs/<name>/tensorboard/     the same for TensorBoard

run.json is replaced in one step after a checkpoint is complete, so it never names a broken one, whenever the process
is killed. A run that exists is never begun anew: it is resumed, or another name is taken.
"""

import contextlib
import fcntl
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import torch

from db import store
from eavanet.checkpoint import UnusableCheckpoint
from eavanet.event_file import EventFile


def runs_folder() -> Path:
    """Where runs lie."""
    return store.data_root() / "runs"


class Run:
    """One run's folder. Raises ValueError for a name that may not be part of a path."""

    def __init__(self, name: str):
        self.name = store.checked_name(name, "run")
        self.folder = runs_folder() / self.name
        self._events: EventFile | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self.folder / "run.json").exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that two trainings cannot write into it. Raises ValueError if another one does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            try:
                _lock(file)
            except BlockingIOError as error:
                raise ValueError(f"run {self.name} is being trained by another process at this moment") from error
            yield

    def checkpoint(self, which: str = "best") -> Path:
        """The folder of the "best" or "last" checkpoint. Raises UnusableCheckpoint if there is none."""
        try:
            return self.folder / json.loads((self.folder / "run.json").read_text())[which]
        except FileNotFoundError as error:
            known = ", ".join(path.parent.name for path in sorted(runs_folder().glob("*/run.json"))) or "none"
            raise UnusableCheckpoint(f"run {self.name} has no checkpoint yet; runs that have: {known}") from error

    def epoch_folder(self, epoch: int) -> Path:
        """Where the checkpoint after `epoch` goes."""
        return self.folder / f"epoch-{epoch:04d}"

    def keep(self, last: Path, best: Path) -> None:
        """Name the last and best checkpoint; older ones that are neither are removed."""
        with store.atomic_write(self.folder / "run.json") as partial:
            partial.write_text(json.dumps({"last": last.name, "best": best.name}))
        for path in self.folder.glob("epoch-*"):
            if path not in (last, best):
                shutil.rmtree(path)
        # Only the last one is resumed; an optimizer's state is twice the model.
        if best != last:
            (best / "state.pt").unlink(missing_ok=True)

    def metrics(self) -> list[dict[str, Any]]:
        """One entry per epoch."""
        path = self.folder / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def rewind(self, metrics: str) -> None:
        """Set metrics.jsonl to a checkpoint's: what was measured after it will be measured again."""
        with store.atomic_write(self.folder / "metrics.jsonl") as partial:
            partial.write_text(metrics)

    def record(self, entry: dict[str, Any]) -> None:
        """Append an epoch's numbers, here and for TensorBoard."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        self._events = self._events or EventFile(self.folder / "tensorboard")
        scalars = {key: float(value) for key, value in entry.items() if isinstance(value, (int, float))}
        self._events.add(scalars, entry["epoch"])


def _lock(file: IO) -> None:
    # Tried for a second: whoever looks whether it is held (see `standing`) holds it for an instant.
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.1)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def find_checkpoint(named: str | None) -> Path:
    """A checkpoint folder, or the best checkpoint of the run `named`; None: of the run that was trained last.

    Raises UnusableCheckpoint if there is none.
    """
    if named is None:
        runs = sorted(runs_folder().glob("*/run.json"), key=lambda path: path.stat().st_mtime)
        if not runs:
            raise UnusableCheckpoint(f"{runs_folder()}: nothing was trained yet; see python -m eavanet.train --help")
        return Run(runs[-1].parent.name).checkpoint()
    if (Path(named) / "config.json").exists():
        return Path(named)
    if (Path(named) / "run.json").exists():
        return Path(named) / json.loads((Path(named) / "run.json").read_text())["best"]
    if Path(named).exists() and not (runs_folder() / named / "run.json").exists():
        raise UnusableCheckpoint(f"{named}: is neither a checkpoint nor the folder of a run")
    return Run(named).checkpoint()


def environment(device: torch.device) -> dict[str, Any]:
    """What a result may depend on besides code and data."""
    names = ("torch", "transformers", "numpy", "safetensors")
    return {
        "version": code_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in names},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
    }


def code_version() -> str:
    """The package's version, with the commit where the code is a git checkout."""
    try:
        number = version("eavanet-workbench")
    except PackageNotFoundError:
        number = "unreleased"
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return number
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return f"{number}+{found.stdout.strip()}"
    return number


def _processor() -> str:
    """The processor's name where Linux tells it; `platform` often knows the architecture only."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

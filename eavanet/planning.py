"""A training before it starts: its command line, its settings as TOML, whether the encoder is here, how long it takes.

Needs no torch; what the settings are is told by `eavanet.options`, in its JSON.
"""

import json
import os
import platform
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eavanet.standing import RunStanding, metrics_of, stages_of

_EPOCHS_LOOKED_AT = 5


@dataclass(frozen=True)
class Wanted:
    """What is to be trained. device: empty for a GPU if there is one. training, model: what is not as in the preset."""

    system: str
    preset: str
    name: str
    corpus: str
    release: str
    split: str
    device: str
    training: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)


def training_command(wanted: Wanted) -> list[str]:
    """The arguments of `python -m` that train it."""
    command = ["eavanet.train", "--preset", wanted.preset, "--name", wanted.name, "--corpus", wanted.corpus,
               "--release", wanted.release, "--split", wanted.split]  # fmt: skip
    if wanted.device:
        command += ["--device", wanted.device]
    if wanted.system != "eavanet":
        command[1:1] = ["--system", wanted.system]
    for name, value in wanted.training.items():
        flag = name.replace("_", "-")
        command += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    for name, value in _flat("model", wanted.model):
        command += ["--set", f"{name}={_toml(value)}"]
    return command


def cluster_command(wanted: Wanted) -> list[str]:
    """The arguments of `python -m` that submit it to a Slurm cluster; each of its processes takes its own GPU."""
    training = training_command(replace(wanted, device=""))[1:]
    return ["eavanet.slurm", "--gpus", "1", "--time", "24:00:00", "--", *training]


def as_toml(training: dict[str, Any], model: dict[str, Any], comment: str = "") -> str:
    """Settings as a file for `--config`."""
    lines = [f"# {line}" for line in comment.splitlines()]
    for table, values in (("training", training), ("model", model)):
        lines += ["", f"[{table}]", *_table(table, values)]
    return "\n".join(lines).strip() + "\n"


def read_toml(text: str, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables [training] and [model] of a TOML file.

    Raises ValueError for what is no TOML, an unknown table or setting, or a value of another kind.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"this is no valid TOML ({error}); words need quotes") from error
    strangers = set(tables) - {"training", "model", "system"}
    if strangers:
        raise ValueError(f"{', '.join(sorted(strangers))}: settings are in the tables [training] and [model]")
    training, model = tables.get("training", {}), tables.get("model", {})
    known = {setting["name"]: setting for setting in options["settings"]}
    for name, value in training.items():
        if name not in known:
            raise ValueError(f"training.{name}: there is no such setting; there are {', '.join(known)}")
        kind = known[name]["kind"]
        if type(value).__name__ != kind and not (kind == "float" and type(value) is int):
            raise ValueError(f"training.{name} = {value!r}: expected {kind}")
        choices = known[name]["choices"]
        if choices and value not in choices:
            raise ValueError(f"training.{name} = {value!r}: expected one of {', '.join(choices)}")
    names = [setting["name"] for setting in options["model_settings"]]
    for name in model:
        if name not in names:
            raise ValueError(f"model.{name}: there is no such setting; there are {', '.join(names)}")
    return {name: float(v) if known[name]["kind"] == "float" else v for name, v in training.items()}, model


def encoder_place(name: str, random_encoders: Sequence[str]) -> str:
    """Where the audio encoder comes from: "random", "folder", "cache" (of the Hugging Face hub) or "absent"."""
    if name in random_encoders:
        return "random"
    if (Path(name).expanduser() / "config.json").is_file():
        return "folder"
    snapshots = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
    return "cache" if any(snapshots.glob("*/config.json")) else "absent"


def _hub_cache() -> Path:
    # As huggingface_hub looks for it.
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")).expanduser()


@dataclass(frozen=True)
class Pace:
    """How fast an earlier run went here.

    seconds_per_clip: of an epoch, in each stage of the training. run: its name; alike: whether with the same batch
    size and precision.
    """

    seconds_per_clip: tuple[float, ...]
    run: str
    alike: bool

    def seconds(self, clips: int, stages: Sequence[int]) -> float:
        """How long epochs over `clips` training clips take at this pace, with validation and checkpoints.

        stages: epochs of each stage; see `stages_planned`.
        """
        return clips * sum(pace * epochs for pace, epochs in zip(self.seconds_per_clip, stages, strict=True))


def stages_planned(training: Mapping[str, Any]) -> list[int]:
    """How many epochs each stage of a training has, by its settings; the model speaks from the last one on."""
    codes = training.get("code_epochs", 0)  # CodeTalker's, before it learns to speak
    epochs = training.get("epochs", 0)  # a published model has none
    return [codes, epochs - codes] if codes else [epochs]


def earlier_pace(
    runs: Sequence[RunStanding], *, system: str, n_vertices: int, device_model: str, training: dict[str, Any]
) -> Pace | None:
    """The pace of the newest run on this machine and device with the same system, encoder and number of vertices.

    One with the same batch size and precision is preferred. None if there was none.
    """
    found = []
    for run in runs:
        settings, manifest = run.row.settings.get("training", {}), run.row.manifest
        same = (
            run.row.system == system
            and run.row.corpus.n_vertices == n_vertices
            and settings.get("encoder") == training.get("encoder")
            and manifest.get("started", {}).get("host") == platform.node()
            and manifest.get("environment", {}).get("device") == device_model
        )
        clips = sum(manifest.get("clips", {}).get("train", {}).values())
        metrics = metrics_of(run.folder) if same and clips else []
        paces = tuple(_seconds_per_epoch(stage) / clips for stage in stages_of(metrics))
        wanted = len(stages_planned(training))
        if metrics and len(paces) >= wanted:
            alike = all(settings.get(key) == training.get(key) for key in ("batch_size", "precision"))
            found.append(Pace(paces[-wanted:], run.row.name, alike))
    return next((pace for pace in found if pace.alike), found[0] if found else None)


def _seconds_per_epoch(entries: Sequence[Mapping[str, Any]]) -> float:
    later = entries[1:][-_EPOCHS_LOOKED_AT:] or entries  # the first one warms up
    return statistics.median(entry.get("epoch_seconds", entry["seconds"]) for entry in later)


def _flat(prefix: str, values: dict[str, Any]) -> list[tuple[str, Any]]:
    pairs = []
    for name, value in values.items():
        pairs += _flat(f"{prefix}.{name}", value) if isinstance(value, dict) else [(f"{prefix}.{name}", value)]
    return pairs


def _table(prefix: str, values: dict[str, Any]) -> list[str]:
    lines = [f"{name} = {_toml(value)}" for name, value in values.items() if not isinstance(value, dict)]
    for name, value in values.items():
        if isinstance(value, dict):
            lines += ["", f"[{prefix}.{name}]", *_table(f"{prefix}.{name}", value)]
    return lines


def _toml(value: Any) -> str:
    # Numbers, words and lists are written alike in JSON and TOML.
    return repr(value) if type(value) is float else json.dumps(value, ensure_ascii=False)

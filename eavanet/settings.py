"""Settings of a training, from the weakest to the strongest: defaults, preset, TOML file, flags."""

import argparse
import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from eavanet.model import EavaNetConfig
from eavanet.train import TrainConfig

PRESETS = {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.toml"))}
# These follow from the data and are set by nobody.
_FROM_DATA = {"n_vertices", "subjects", "frames_per_second"}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each field of TrainConfig, and the ways to set everything else."""
    parser.add_argument("--preset", choices=tuple(PRESETS), help="start from this (default: paper)")
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="tables [training] and [model]")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as model.width=128; any setting"
    )
    group = parser.add_argument_group("training", "defaults are the preset's; see below for what they mean")
    for field in dataclasses.fields(TrainConfig):
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            group.add_argument(flag, type=type(field.default), default=None, metavar=field.name.upper())


def read_settings(given: argparse.Namespace) -> tuple[dict[str, Any], TrainConfig]:
    """Fields of EavaNetConfig that differ from its defaults, and the TrainConfig.

    Raises ValueError for an unknown table or field, or a value that is not possible.
    """
    tables = _preset_tables(given.preset or "paper")
    if given.config is not None:
        _merge(tables, _read(given.config))
    for assignment in given.set:
        _merge(tables, _parse(assignment, f"--set {assignment}"))
    flags = {f.name: getattr(given, f.name) for f in dataclasses.fields(TrainConfig)}
    tables["training"] |= {name: value for name, value in flags.items() if value is not None}
    return tables["model"], train_config(tables["training"])


def preset_settings(name: str) -> tuple[dict[str, Any], TrainConfig]:
    """What `read_settings` gives for a preset alone."""
    tables = _preset_tables(name)
    return tables["model"], train_config(tables["training"])


def _preset_tables(name: str) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {"training": {}, "model": {}}
    _merge(tables, _read(PRESETS[name]))
    return tables


def train_config(values: dict[str, Any]) -> TrainConfig:
    """A TrainConfig from a table. Raises ValueError for an unknown field or a value of the wrong kind."""
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"training.{name}: there is no such setting; there are {', '.join(fields)}")
        kind = type(fields[name].default)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"training.{name} = {value!r}: expected {kind.__name__}")
    return TrainConfig(**{name: float(v) if fields[name].type is float else v for name, v in values.items()})


def _merge(tables: dict[str, dict[str, Any]], more: dict[str, Any]) -> None:
    for table, values in more.items():
        if table not in tables or not isinstance(values, dict):
            raise ValueError(f"{table}: settings are in the tables [training] and [model]")
        for name, value in values.items():
            if table == "model":
                _check_model_field(name)
            old = tables[table].get(name)
            tables[table][name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value


def _check_model_field(name: str) -> None:
    known = {field.name for field in dataclasses.fields(EavaNetConfig)}
    if name in _FROM_DATA:
        raise ValueError(f"model.{name}: follows from the corpus and cannot be set")
    if name not in known:
        raise ValueError(f"model.{name}: there is no such setting; there are {', '.join(sorted(known - _FROM_DATA))}")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    return _parse(text, str(path))


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: no valid TOML ({error}); strings need quotes") from error

"""Settings of a training, from the weakest to the strongest: defaults, preset, TOML file, flags."""

import argparse
import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from eavanet.system import System, TrainingSettings
from eavanet.systems import SYSTEMS, find_system, system_in

PRESETS = {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.toml"))}
# These follow from the data and are set by nobody.
_FROM_DATA = {"n_vertices", "subjects", "frames_per_second"}
Tables = dict[str, dict[str, Any]]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting that a system has, and the ways to set everything else."""
    parser.add_argument("--system", choices=tuple(SYSTEMS), help="what to train (default: the preset's, or eavanet)")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="start from this (default: paper; of another system, "
                        "its own by that name)")  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="tables [training] and [model]")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as model.width=128; any setting"
    )
    group = parser.add_argument_group("training", "defaults are the preset's; see below for what they mean")
    for name, default in all_settings().items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            group.add_argument(flag, type=type(default), default=None, metavar=name.upper())


def all_settings() -> dict[str, Any]:
    """The settings of all systems' trainings with a default, for its kind."""
    return {f.name: f.default for system in SYSTEMS.values() for f in dataclasses.fields(system.settings)}


def chosen_system(given: argparse.Namespace) -> System:
    """The system that --system, --config or --preset names, in this order."""
    if given.system is not None:
        return find_system(given.system)
    named = _read(given.config) if given.config is not None else {}
    return system_in(named if "system" in named or given.preset is None else _read(PRESETS[given.preset]))


def chosen_preset(given: argparse.Namespace) -> str:
    """The preset to start from: the system's own by the name that was given. Raises ValueError if it has none."""
    system, name = chosen_system(given), given.preset or "paper"
    for known in (name, f"{system.name}-{name}"):
        if known in PRESETS and preset_system(known) is system:
            return known
    own = [known for known in PRESETS if preset_system(known) is system]
    raise ValueError(f"preset {name} is not one of {system.title}; there are {', '.join(own)}")


def preset_system(name: str) -> System:
    """The system that a preset is for."""
    return system_in(_read(PRESETS[name]))


def read_settings(given: argparse.Namespace) -> tuple[dict[str, Any], TrainingSettings]:
    """Fields of the model's config that differ from its defaults, and the settings of the training.

    Raises ValueError for an unknown table or field, or a value that is not possible.
    """
    system = chosen_system(given)
    tables = _preset_tables(chosen_preset(given))
    if given.config is not None:
        _merge(tables, _read(given.config), system)
    for assignment in given.set:
        _merge(tables, _parse(assignment, f"--set {assignment}"), system)
    flags = {name: getattr(given, name) for name in all_settings() if getattr(given, name) is not None}
    strangers = flags.keys() - {field.name for field in dataclasses.fields(system.settings)}
    if strangers:
        raise ValueError(f"--{min(strangers).replace('_', '-')}: the training of {system.title} has no such setting")
    tables["training"] |= flags
    return tables["model"], train_config(tables["training"], system)


def preset_settings(name: str) -> tuple[dict[str, Any], TrainingSettings]:
    """What `read_settings` gives for a preset alone."""
    tables = _preset_tables(name)
    return tables["model"], train_config(tables["training"], preset_system(name))


def _preset_tables(name: str) -> Tables:
    tables: Tables = {"training": {}, "model": {}}
    _merge(tables, _read(PRESETS[name]), preset_system(name))
    return tables


def train_config(values: dict[str, Any], system: System | None = None) -> TrainingSettings:
    """The settings of a system's (default: EavaNet's) training from a table.

    Raises ValueError for an unknown field or a value of the wrong kind.
    """
    settings = (system or find_system("eavanet")).settings
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"training.{name}: there is no such setting; there are {', '.join(fields)}")
        kind = type(fields[name].default)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"training.{name} = {value!r}: expected {kind.__name__}")
    return settings(**{name: float(v) if fields[name].type is float else v for name, v in values.items()})


def _merge(tables: Tables, more: dict[str, Any], system: System) -> None:
    if "system" in more and system_in(more) is not system:
        raise ValueError(f"these settings are for {system_in(more).title}, and {system.title} is to be trained")
    for table, values in more.items():
        if table == "system":
            continue
        if table not in tables or not isinstance(values, dict):
            raise ValueError(f"{table}: settings are in the tables [training] and [model]")
        for name, value in values.items():
            if table == "model":
                _check_model_field(name, system)
            old = tables[table].get(name)
            tables[table][name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value


def _check_model_field(name: str, system: System) -> None:
    known = {field.name for field in dataclasses.fields(system.config)}
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

"""What can be trained on this machine and with which settings, as JSON: for forms, which then need no torch.

    python -m eavanet.options --json
"""

import argparse
import dataclasses
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch

from eavanet.audio import RANDOM_ENCODERS
from eavanet.run import environment
from eavanet.settings import PRESETS, preset_settings, preset_system
from eavanet.system import System, TrainingSettings
from eavanet.systems import SYSTEMS, find_system

_FROM_DATA = {"n_vertices", "subjects", "frames_per_second", "emotions"}


def main(arguments: list[str] | None = None) -> int:
    """Print what there is; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.options", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="everything, as JSON (default: a summary)")
    given = parser.parse_args(arguments)
    found = options()
    if given.json:
        print(json.dumps(found))
        return 0
    for device in found["devices"]:
        print(f"device {device['name']}: {device['label']}")
    for name, preset in found["presets"].items():
        print(f"preset {name}: {preset['about']}")
    for setting in found["settings"]:
        print(f"{setting['name']} ({setting['kind']}): {setting['help']}")
    return 0


def options() -> dict[str, Any]:
    """Devices, presets with all their settings, and what each setting may be, for each system and for EavaNet."""
    return {
        "devices": devices(),
        "presets": {name: _preset(name, path) for name, path in PRESETS.items()},
        "systems": {name: {"title": system.title, **settings_of(system)} for name, system in SYSTEMS.items()},
        **settings_of(find_system("eavanet")),
        "random_encoders": list(RANDOM_ENCODERS),
    }


def settings_of(system: System) -> dict[str, Any]:
    """What can be set for a system's training and for its model."""
    fields = dataclasses.fields(system.settings)
    return {
        "emotional": system.emotional,
        "settings": [_setting(field, system.settings) for field in fields],
        "model_settings": _model_settings(system.config),
    }


def devices() -> list[dict[str, str]]:
    """What torch can compute on here, the default first: name for --device, model as manifests have it, label."""
    found = []
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        size = f"{gpu.total_memory / 2**30:.0f} GB"
        found.append({"name": f"cuda:{number}", "model": gpu.name, "label": f"GPU {number}: {gpu.name}, {size}"})
    processor = environment(torch.device("cpu"))["device"]
    label = f"processor: {processor}, {os.cpu_count()} cores"
    return [*found, {"name": "cpu", "model": processor, "label": label}]


def documented(docstring: str, names: list[str]) -> dict[str, str]:
    """What a class's docstring says of its fields, written as "name: text" or "one, other: text"."""
    one = "|".join(map(re.escape, names))
    heads = list(re.finditer(rf"(?<![\w.])((?:{one})(?:, (?:{one}))*): ", docstring))
    found: dict[str, str] = {}
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        text = " ".join(docstring[head.end() : after.start() if after else None].split()).rstrip(".")
        for name in head.group(1).split(", "):
            found[name] = f"{_capitalised(text)}."
    return found


def _capitalised(text: str) -> str:
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text  # not torch.compile, lambda_CE


def _preset(name: str, path: Path) -> dict[str, Any]:
    model, training = preset_settings(name)
    text = path.read_text()
    comment = " ".join(line.lstrip("# ") for line in _head(text))
    return {
        "system": preset_system(name).name,
        "about": comment,
        "training": dataclasses.asdict(training),
        "model": model,
    }


def _head(text: str) -> list[str]:
    """The comment at the top of a file."""
    lines = text.splitlines()
    return lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]


def _setting(field: dataclasses.Field, settings: type[TrainingSettings]) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(settings)]
    told = documented(f"{TrainingSettings.__doc__}{settings.__doc__}", names)
    return {
        "name": field.name,
        "kind": type(field.default).__name__,
        "default": field.default,
        "choices": list(settings.CHOICES.get(field.name, ())),
        "minimum": settings.MINIMA.get(field.name),
        "help": told.get(field.name, ""),
    }


def _model_settings(config: type) -> list[dict[str, Any]]:
    names = [field.name for field in dataclasses.fields(config)]
    told = documented(config.__doc__ or "", names)
    found = []
    for field in dataclasses.fields(config):
        if field.name in _FROM_DATA:
            continue
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = dataclasses.asdict(field.default_factory())
        elif field.default is dataclasses.MISSING:
            default = _defaults(field.type)
        found.append({"name": field.name, "default": default, "help": told.get(field.name, "")})
    return found


def _defaults(config: type) -> dict[str, Any]:
    """What a config within a config has where nothing else is said; what follows from the data is left out."""
    fields = dataclasses.fields(config)
    return {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}


if __name__ == "__main__":
    sys.exit(main())

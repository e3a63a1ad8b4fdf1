"""The systems that can be trained here, by the names that commands and the database use."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from eavanet.intercross import EavaNetSystem
from eavanet.peers.codetalker_system import CodeTalkerSystem
from eavanet.peers.faceformer_system import FaceFormerSystem
from eavanet.system import System

SYSTEMS: dict[str, System] = {
    system.name: system for system in (EavaNetSystem(), FaceFormerSystem(), CodeTalkerSystem())
}


def find_system(name: str) -> System:
    """The system called `name`. Raises ValueError if there is none."""
    if name not in SYSTEMS:
        raise ValueError(f"system {name!r}: expected one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def system_of(model: nn.Module) -> System:
    """The system that a model is one of."""
    return next(system for system in SYSTEMS.values() if type(model.config) is system.config)


def system_in(settings: Mapping[str, Any]) -> System:
    """The system that a file or checkpoint names under "system"; those from before there were others are EavaNet's."""
    return find_system(settings.get("system", EavaNetSystem.name))

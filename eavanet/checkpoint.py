"""Checkpoints: a folder that holds a model with all that is needed to use it, and to go on training it.

    model.safetensors   weights, the frozen encoder's too, and the lookup table
    face.safetensors    templates of the training subjects, triangles, colours
    config.json         which system, the model's config, the encoder's make, the settings of the training
    state.pt            optimizer and counters, to resume (only in a run's last checkpoint)
    manifest.json       code version, hashes of corpus, labels and split, seed, environment, hashes of the files above
    metrics.jsonl       everything measured up to here

A folder appears complete or not at all. Nothing in it can run code: safetensors, JSON, and `weights_only` for state.pt.
"""

import dataclasses
import errno
import hashlib
import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from db import store
from eavanet.audio import encoder_from_settings
from eavanet.data import Face
from eavanet.system import System
from eavanet.systems import system_in, system_of

FORMAT = 1


class UnusableCheckpoint(ValueError):
    """The folder is no checkpoint of ours, is damaged, or does not fit; the message says which."""


class CheckpointNotWritten(OSError):
    """A checkpoint could not be written; nothing of it was kept, and earlier ones are untouched."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint. `training` is the settings of the training as a dict; `manifest` as in the file."""

    folder: Path
    model: nn.Module
    face: Face
    training: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def system(self) -> System:
        """Which of the systems the model is one of."""
        return system_of(self.model)


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    face: Face,
    training: dict[str, Any],
    manifest: dict[str, Any],
    *,
    state: dict[str, Any] | None = None,
    metrics: str = "",
) -> None:
    """Write a checkpoint to `folder`. Raises CheckpointNotWritten if the disk is full or cannot be written."""
    config = {
        "format": FORMAT,
        "system": system_of(model).name,
        "model": dataclasses.asdict(model.config),
        "encoder": model.audio_encoder.settings,
        "training": training,
    }
    try:
        _check_space(folder.parent, _bytes_of(model, face, state))
        with store.atomic_folder(folder) as partial:
            save_file(_tensors(model.state_dict()), partial / "model.safetensors")
            save_file(_face_tensors(face), partial / "face.safetensors")
            (partial / "config.json").write_text(json.dumps(config, indent=1))
            (partial / "metrics.jsonl").write_text(metrics)
            if state is not None:
                torch.save(state, partial / "state.pt")
            hashes = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
            manifest = manifest | {"format": FORMAT, "files": hashes}
            (partial / "manifest.json").write_text(json.dumps(manifest, indent=1))
    # torch and safetensors report a full disk in their own ways.
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointNotWritten(f"{folder}: not written ({error}); earlier checkpoints are untouched") from error


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """The model of `folder`, in evaluation mode on `device`. Raises UnusableCheckpoint."""
    folder = Path(folder)
    config, manifest = _json(folder, "config.json"), _json(folder, "manifest.json")
    if config.get("format") != FORMAT:
        raise UnusableCheckpoint(
            f"{folder}: checkpoint format {config.get('format')}, this program reads {FORMAT}; use the version that "
            f"made it ({manifest.get('version', 'unknown')})"
        )
    model = _fresh_model(config, folder)
    _load_weights(model, _tensors_in(folder, "model.safetensors", manifest), folder)
    face = _face(_tensors_in(folder, "face.safetensors", manifest), model.config, folder)
    return Checkpoint(folder, model.to(device).eval(), face, config["training"], manifest)


def load_state(folder: Path) -> dict[str, Any]:
    """What is needed to go on training. Raises UnusableCheckpoint, also for a file that would run code."""
    path = folder / "state.pt"
    if not path.exists():
        raise UnusableCheckpoint(f"{folder}: has no state.pt; training goes on only from a run's last checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UnusableCheckpoint(
            f"{path}: holds something else than tensors and numbers, or is damaged; it was not loaded"
        ) from error


def check_topology(checkpoint: Checkpoint, n_vertices: int, what: str) -> None:
    """Raises UnusableCheckpoint if the model makes faces of another topology than `what` has."""
    if checkpoint.model.config.n_vertices != n_vertices:
        raise UnusableCheckpoint(
            f"{checkpoint.folder}: makes faces of {checkpoint.model.config.n_vertices} vertices, {what} has "
            f"{n_vertices}; it was trained on corpus {checkpoint.manifest.get('corpus', {}).get('name', 'unknown')}"
        )


def _fresh_model(config: dict[str, Any], folder: Path) -> nn.Module:
    title = "model that is known here"
    try:
        system = system_in(config)
        title = system.title
        return system.make_model(system.make_config(config["model"]), encoder_from_settings(config["encoder"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableCheckpoint(f"{folder / 'config.json'}: describes no {title} ({error})") from error


def _load_weights(model: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    expected = model.state_dict()
    wrong = [
        f"{key}: {tuple(tensors[key].shape) if key in tensors else 'missing'}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key not in tensors or tensors[key].shape != value.shape
    ]
    wrong += [f"{key}: not part of this model" for key in tensors if key not in expected]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise UnusableCheckpoint(
            f"{folder}: the weights do not fit config.json: {'; '.join(wrong[:3])}{more}; is one of the files from "
            "another checkpoint, with another encoder or topology?"
        )
    model.load_state_dict(tensors)


def _tensors_in(folder: Path, name: str, manifest: dict[str, Any]) -> dict[str, Tensor]:
    path = folder / name
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise UnusableCheckpoint(f"{folder}: has no {name}") from error
    except (SafetensorError, OSError) as error:
        raise UnusableCheckpoint(f"{path}: damaged or no safetensors file ({error}); copy it again") from error
    expected = manifest.get("files", {}).get(name)
    if expected is not None and expected != _sha256(path):
        raise UnusableCheckpoint(f"{path}: is not the file that manifest.json names; copy the whole folder again")
    return tensors


def _face(tensors: dict[str, Tensor], config: Any, folder: Path) -> Face:
    expected = (len(config.subjects), config.n_vertices, 3)
    templates = tensors.get("templates")
    if templates is None or tuple(templates.shape) != expected or "triangles" not in tensors:
        raise UnusableCheckpoint(f"{folder / 'face.safetensors'}: does not hold templates of shape {expected}")
    return Face(templates, tensors["triangles"], tensors.get("colours"))


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text())
    except FileNotFoundError as error:
        raise UnusableCheckpoint(f"{folder}: is no checkpoint, it has no {name}") from error
    except (ValueError, OSError) as error:
        raise UnusableCheckpoint(f"{folder / name}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise UnusableCheckpoint(f"{folder / name}: expected a JSON object")
    return content


def _tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}


def _face_tensors(face: Face) -> dict[str, Tensor]:
    tensors = {"templates": face.templates, "triangles": face.triangles, "colours": face.colours}
    return {key: value.contiguous() for key, value in tensors.items() if value is not None}


def _check_space(folder: Path, needed: int) -> None:
    """Raises OSError before anything is written, if there is clearly no space for it."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"no space left: needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")


def _bytes_of(model: nn.Module, face: Face, state: Any) -> int:
    total = 1 << 20
    pending: list[Any] = [list(model.state_dict().values()), list(_face_tensors(face).values()), state]
    while pending:
        item = pending.pop()
        if isinstance(item, Tensor):
            total += item.numel() * item.element_size()
        elif isinstance(item, dict):
            pending += item.values()
        elif isinstance(item, (list, tuple)):
            pending += item
    return total


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

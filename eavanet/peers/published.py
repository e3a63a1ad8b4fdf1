"""Published checkpoints of the peers: read without running anything in them, compared name by name, made ours.

    python -m eavanet.peers.published biwi.pth --corpus biwi --subjects F2,F3,F4,M3,M4,M5 --name faceformer-published

makes a run's folder with one checkpoint of the file, which every other command and the app then know. The corpus gives
the condition subjects' faces and the triangles; the order of --subjects is the one in which the model was trained.

The tensors are named as the official code names them. Files differ in how they are wrapped (`state_dict`, `module.`),
and older ones name the weight-normalised convolution's parts weight_g and weight_v.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

from eavanet.audio import PAPER_ENCODER, AudioEncoder

_SPEECH, _OUR_SPEECH = "audio_encoder.", "audio_encoder.wav2vec2."
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
_TOLD = 4  # names of each kind in a message
_HEAD_WIDTH = 64  # of wav2vec2, in all its sizes


class UnusablePublished(ValueError):
    """The file holds no weights of ours to take, or others than expected; the message says which."""


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their published names, float32, without wrappers; the speech encoder's by ours.

    Raises UnusablePublished for a file that is missing, truncated, holds code, or holds no tensors.
    """
    path = Path(path)
    content = _loaded(path)
    while isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise UnusablePublished(f"{path}: holds {_kind(content)}, expected the tensors of a model by name")
    strangers = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise UnusablePublished(f"{path}: {_few(strangers)} are no tensors; is it the whole training state?")
    wrapped = all(key.startswith("module.") for key in content)
    return {our_name(key.removeprefix("module.") if wrapped else key): _float(value) for key, value in content.items()}


def our_name(published: str) -> str:
    """A tensor's name with the speech encoder and weight normalisation named as here; others stay as they are."""
    stem, _, leaf = published.rpartition(".")
    if stem.endswith("pos_conv_embed.conv") and leaf in _WEIGHT_NORM:
        published = f"{stem}.{_WEIGHT_NORM[leaf]}"
    if published.startswith(_SPEECH) and not published.startswith(_OUR_SPEECH):
        return _OUR_SPEECH + published.removeprefix(_SPEECH)
    return published


def fill(
    model: nn.Module, tensors: Mapping[str, Tensor], path: Path, rename: Callable[[str], str] = lambda name: name
) -> None:
    """Load tensors, whose names `rename` makes the model's.

    Raises UnusablePublished with what is missing, unexpected or of another shape; the model is then as it was.
    """
    published = {rename(key): key for key in tensors}
    renamed = {ours: tensors[key] for ours, key in published.items()}
    expected = model.state_dict()
    found = {
        "missing": [key for key in expected if key not in renamed],
        "unexpected": [key for ours, key in published.items() if ours not in expected],
        "of another shape": [
            f"{published[key]} {tuple(renamed[key].shape)}, expected {tuple(value.shape)}"
            for key, value in expected.items()
            if key in renamed and renamed[key].shape != value.shape
        ],
    }
    wrong = [f"{kind}: {_few(names, '; ')}" for kind, names in found.items() if names]
    if wrong:
        raise UnusablePublished(
            f"{path}: does not fit {type(model).__name__}. {'. '.join(wrong)}. Is the file of another corpus, stage "
            "or version?"
        )
    model.load_state_dict(renamed)


def speech_encoder(tensors: Mapping[str, Tensor]) -> AudioEncoder:
    """A wav2vec2 of the size that these tensors have, with fresh weights.

    Raises UnusablePublished if they hold none.
    """
    inner = {key.removeprefix(_OUR_SPEECH): value for key, value in tensors.items() if key.startswith(_OUR_SPEECH)}
    try:
        config = _speech_config(inner)
    except (KeyError, IndexError) as error:
        raise UnusablePublished(f"no whole speech encoder among the tensors: {error} is missing") from error
    return AudioEncoder(Wav2Vec2Model(config), name=PAPER_ENCODER)


def _speech_config(tensors: Mapping[str, Tensor]) -> Wav2Vec2Config:
    convolutions = [f"feature_extractor.conv_layers.{number}.conv.weight" for number in range(7)]
    positional = tensors["encoder.pos_conv_embed.conv.parametrizations.weight.original1"].shape
    width = tensors["encoder.layer_norm.weight"].shape[0]
    layers = {key.split(".")[2] for key in tensors if key.startswith("encoder.layers.")}
    return Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=max(1, width // _HEAD_WIDTH),
        intermediate_size=tensors["encoder.layers.0.feed_forward.intermediate_dense.weight"].shape[0],
        conv_dim=tuple(tensors[name].shape[0] for name in convolutions),
        num_conv_pos_embeddings=positional[2],
        num_conv_pos_embedding_groups=width // positional[1],
    )


def _loaded(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UnusablePublished(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise UnusablePublished(
            f"{path}: holds something else than tensors, numbers and containers, which may be code, or is no torch "
            "file; nothing of it was run"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise UnusablePublished(f"{path}: truncated, or no torch file ({first}); download it again") from error


def _float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _kind(content: Any) -> str:
    return "nothing" if isinstance(content, Mapping) else f"a {type(content).__name__}"


def _few(names: list[str], between: str = ", ") -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return between.join(names[:_TOLD]) + more


if __name__ == "__main__":
    from eavanet.peers.published_command import main

    raise SystemExit(main())

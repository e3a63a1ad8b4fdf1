"""The audio encoder: a wav2vec2-type model, its convolutional part frozen, its transformer trained (III-B).

The frozen part never changes, so its output is computed once per clip and kept (`feature_cache`). It always sees one
clip alone: wav2vec2-base normalises over time, so that padding would change a clip.

Lengths. The encoder gives one state per 320 samples and needs 400 for the first. T motion frames want exactly 2T
states. At 25 frames per second that is 400 + 320 (2T - 1) samples: audio is padded with zeros, or cut by less than
half a frame. At another rate the states that cover T frames are interpolated to 2T (as FaceFormer does at 30).
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Wav2Vec2Config, Wav2Vec2Model

SAMPLE_RATE = 16_000
PAPER_ENCODER = "facebook/wav2vec2-base-960h"

# Random encoders: for the demo, for tests, and for timing where no pretrained one can be had. They have learned
# nothing from speech; results with them say nothing about the paper.
RANDOM_ENCODERS: dict[str, dict] = {
    "random-small": {
        "conv_dim": (64, 64, 64, 64, 64, 64, 64),
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "layerdrop": 0.0,
    },
    "random-base": {},  # the size of wav2vec2-base
}
_RANDOM_SEED = 960


class EncoderUnavailable(ValueError):
    """The audio encoder cannot be loaded; the message says how to put it where it is found."""


class AudioEncoder(nn.Module):
    """Enc_audio of Eq. (3): `features` is the frozen part, `forward` the trained one.

    regularise: whether training uses the pretrained model's own dropout, LayerDrop and SpecAugment, as the peers do.
    normalise: whether each clip is brought to zero mean and unit variance first, as wav2vec2-base expects.
    """

    states_per_frame = 2

    def __init__(self, wav2vec2: Wav2Vec2Model, *, name: str, normalise: bool = True, regularise: bool = True):
        super().__init__()
        self.wav2vec2 = wav2vec2
        self.name = name
        self.normalise = normalise
        self.regularise = regularise
        self.width: int = wav2vec2.config.hidden_size  # d_A
        self.stride, self.receptive_field = _stride_and_field(wav2vec2.config)
        if (self.stride, self.receptive_field) != (320, 400):
            raise EncoderUnavailable(
                f"{name}: one state per {self.stride} samples and {self.receptive_field} for the first; EavaNet "
                "counts on wav2vec2's 320 and 400"
            )
        wav2vec2.feature_extractor._freeze_parameters()
        # Not part of what is computed here; left trainable they would only be carried along.
        wav2vec2.masked_spec_embed = nn.Parameter(wav2vec2.masked_spec_embed.detach(), requires_grad=regularise)

    @property
    def settings(self) -> dict:
        """What `encoder_from_settings` rebuilds this module from, weights aside; plain JSON."""
        config = json.loads(self.wav2vec2.config.to_json_string(use_diff=True))
        return {
            "name": self.name,
            "normalise": self.normalise,
            "regularise": self.regularise,
            "wav2vec2": config,
        }

    def train(self, mode: bool = True) -> "AudioEncoder":
        """Training mode for the transformer only where it is to be regularised; never for the frozen part."""
        super().train(mode and self.regularise)
        self.wav2vec2.feature_extractor.eval()
        return self

    @torch.no_grad()
    def features(self, samples: np.ndarray, n_frames: int, frames_per_second: float) -> Tensor:
        """The frozen features (2T, C) float32 of one clip's samples (S,) at 16 kHz, for T = `n_frames`."""
        parameter = next(self.wav2vec2.feature_extractor.parameters())
        wanted = n_states(n_frames, frames_per_second)
        padded = torch.from_numpy(fit_length(self._normalised(samples), samples_for(wanted)))
        states = self.wav2vec2.feature_extractor(padded[None].to(parameter))  # (1, C, n)
        if states.shape[-1] != 2 * n_frames:
            states = F.interpolate(states, size=2 * n_frames, mode="linear", align_corners=True)
        return states[0].T.float().contiguous()  # (2T, C)

    def forward(self, features: Tensor, n_states: Tensor) -> Tensor:
        """A: (B, 2T, d_A) from frozen features (B, 2T, C); n_states: (B,) on the CPU."""
        hidden, _ = self.wav2vec2.feature_projection(features)
        mask = None
        if not bool((n_states == features.shape[1]).all()):
            mask = (torch.arange(features.shape[1]) < n_states[:, None]).to(features.device)
        # SpecAugment masks stretches of ten states; a shorter clip has no room for one.
        if self.training and hidden.shape[1] > self.wav2vec2.config.mask_time_length:
            hidden = self.wav2vec2._mask_hidden_states(hidden, attention_mask=mask)
        states = self.wav2vec2.encoder(hidden, attention_mask=mask).last_hidden_state
        return states if mask is None else states * mask.unsqueeze(-1)

    def frozen_sha256(self) -> str:
        """A hash of all that `features` depends on besides the audio."""
        digest = hashlib.sha256(f"normalise={self.normalise}".encode())
        for key, value in sorted(self.wav2vec2.feature_extractor.state_dict().items()):
            digest.update(f"{key} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _normalised(self, samples: np.ndarray) -> np.ndarray:
        samples = np.asarray(samples, dtype=np.float32)
        if not self.normalise:
            return samples
        # The constant is transformers' own; silence stays silence.
        return (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)


def load_encoder(name: str = PAPER_ENCODER, *, regularise: bool = True) -> AudioEncoder:
    """The encoder called `name`: a local folder, a random preset, or a wav2vec2 model of the Hugging Face hub.

    Raises EncoderUnavailable with what to do if it is not there, or is not of wav2vec2's kind.
    """
    if name in RANDOM_ENCODERS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_RANDOM_SEED)  # the same preset is the same encoder, so that its features can be kept
            model = Wav2Vec2Model(Wav2Vec2Config(**RANDOM_ENCODERS[name]))
        return AudioEncoder(model, name=name, regularise=regularise)
    try:
        kind = Wav2Vec2Config.get_config_dict(name)[0].get("model_type")
        if kind == "wav2vec2":
            model = Wav2Vec2Model.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(_how_to_place(name)) from error
    if kind is None:
        raise EncoderUnavailable(_how_to_place(name))
    if kind != "wav2vec2":
        raise EncoderUnavailable(f"{name}: a model of type {kind}; EavaNet's encoder is a wav2vec2 model")
    return AudioEncoder(model, name=name, normalise=_normalises(name), regularise=regularise)


def encoder_from_settings(settings: dict) -> AudioEncoder:
    """An encoder of the same make with fresh weights, to load a checkpoint's weights into."""
    model = Wav2Vec2Model(Wav2Vec2Config(**settings["wav2vec2"]))
    return AudioEncoder(
        model, name=settings["name"], normalise=settings["normalise"], regularise=settings["regularise"]
    )


def n_states(n_frames: int, frames_per_second: float) -> int:
    """How many of the encoder's states (50 per second) cover T frames; 2T at 25 frames per second."""
    return max(1, math.ceil(n_frames * SAMPLE_RATE / 320 / frames_per_second - 1e-9))


def samples_for(states: int) -> int:
    """The samples from which the encoder makes exactly `states` states."""
    return 400 + 320 * (states - 1)


def fit_length(samples: np.ndarray, length: int) -> np.ndarray:
    """samples (S,) followed by zeros, or cut, to (length,)."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _stride_and_field(config: Wav2Vec2Config) -> tuple[int, int]:
    stride, reach = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        reach += (kernel - 1) * stride
        stride *= step
    return stride, reach


def _normalises(name: str) -> bool:
    """Whether the model's own preprocessing normalises each clip; wav2vec2-base's does."""
    from transformers import AutoFeatureExtractor

    try:
        return bool(AutoFeatureExtractor.from_pretrained(name).do_normalize)
    except (OSError, ValueError, AttributeError):
        return True


def _how_to_place(name: str) -> str:
    if Path(name).is_dir():
        return f"{name}: no wav2vec2 model in this folder; it needs config.json and model.safetensors"
    return (
        f"{name}: no such folder here, and the Hugging Face hub cannot be reached (or has no such model). On a "
        f"machine with internet run `hf download {name} --local-dir wav2vec2`, copy the folder here and give its "
        "path as encoder. To try things out without it: encoder random-small"
    )

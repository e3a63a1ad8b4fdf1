"""EavaNet (the paper's III-B, Fig. 1): speech, a speaker and a style in, a moving face out.

    X = e + H + e_spk,  e_spk = F(i),  H = Conv1D(A),  A = Enc_audio(S)      Eq. (3)
    z = tanh(W_f * x) . sigmoid(W_g * x),  x' = W_o * z + x                   Eq. (4)
    V = P(BLSTM(Y))                                                           Eq. (5)

Shapes: B clips, T motion frames, N = 2T audio states, V vertices, D = 256 features, C channels of the frozen features.
Motion goes in and comes out as displacements from the subject's template, (B, T, 3V) in corpus units.
"""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eavanet.audio import AudioEncoder
from eavanet.padding import masked, run_packed, sequence_mask
from eavanet.style import StyleConfig, StyleEncoder

EMOTIONS = ("happy", "angry", "sadness", "neutral")  # the paper's order: h, a, s, ne


@dataclass(frozen=True)
class EavaNetConfig:
    """Everything that the shape of an EavaNet depends on; where the paper is silent, the field says so.

    subjects: the speakers that the model knows, in the order of the one-hot i.
    frames_per_second: of the motion; the audio states are brought to twice this rate (see `audio.n_states`).
    conv_kernel, conv_stride, conv_padding: the Conv1D after the audio encoder. The paper prints kernel 4, padding 2,
        stride 1, which does not downsample; kernel 4, stride 2, padding 1 maps 2T states to T frames exactly.
    gau_kernels, gau_paddings: one residual block each.
    projection_units: width between P's two layers. Not in the paper.
    projection_activation: LeakyReLU between P's two layers, as in F; the paper does not say.
    """

    n_vertices: int
    subjects: tuple[str, ...]
    emotions: tuple[str, ...] = EMOTIONS
    frames_per_second: float = 25.0
    width: int = 256
    conv_kernel: int = 4
    conv_stride: int = 2
    conv_padding: int = 1
    gau_channels: int = 512
    gau_kernels: tuple[int, ...] = (5, 3, 5)
    gau_paddings: tuple[int, ...] = (2, 1, 2)
    lstm_layers: int = 2
    lstm_units: int = 256
    projection_units: int = 256
    projection_activation: bool = True
    style: StyleConfig = field(default_factory=StyleConfig)

    def __post_init__(self):
        for name in ("n_vertices", "width", "gau_channels", "lstm_layers", "lstm_units", "projection_units"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not self.subjects or len(set(self.subjects)) != len(self.subjects):
            raise ValueError(f"subjects = {self.subjects}: expected at least one, and each once")
        if not 1 <= self.frames_per_second <= 1000:
            raise ValueError(f"frames_per_second = {self.frames_per_second}: expected 1 to 1000")
        if self.style.width != self.width:
            raise ValueError(f"style.width = {self.style.width}: must equal width = {self.width}, they are added")
        if self.conv_stride != 2 or self.conv_kernel != 2 * self.conv_padding + 2:
            raise ValueError(
                f"Conv1D with kernel {self.conv_kernel}, stride {self.conv_stride}, padding {self.conv_padding} does "
                "not map 2T states to T frames; that needs stride 2 and kernel = 2 x padding + 2"
            )
        wrong = [k for k, p in zip(self.gau_kernels, self.gau_paddings, strict=True) if k != 2 * p + 1]
        if wrong:
            raise ValueError(f"GAU kernels {wrong}: each needs padding (kernel - 1) / 2 to keep T frames")


class Prediction(NamedTuple):
    """What `EavaNet.forward` gives for a batch."""

    displacements: Tensor  # (B, T, 3V), from the template
    embedding: Tensor  # (B, D), e of the style clips
    scores: Tensor  # (B, heads, tokens), attention scores of the style token layer
    logits: Tensor  # (B, emotions), what the classifier reads from e


class EavaNet(nn.Module):
    """The model. `forward` takes its style from a style clip (training); `decode` takes a style embedding."""

    autoregressive: ClassVar[bool] = False  # a frame is made from speech and style alone

    emotion_embeddings: Tensor
    """(emotions, D): the lookup table, the centroid of the training clips' embeddings per emotion. A row is NaN
    until it is filled, and for an emotion without training clips."""

    def __init__(self, config: EavaNetConfig, audio_encoder: AudioEncoder):
        super().__init__()
        self.config = config
        self.audio_encoder = audio_encoder
        self.downsample = nn.Conv1d(
            audio_encoder.width, config.width, config.conv_kernel, config.conv_stride, config.conv_padding
        )
        self.speaker = nn.Sequential(  # F in the paper
            nn.Linear(len(config.subjects), config.width), nn.LeakyReLU(), nn.Linear(config.width, config.width)
        )
        self.style_encoder = StyleEncoder(config.n_vertices, config.style)
        self.classifier = nn.Linear(config.width, len(config.emotions))
        self.gau = nn.ModuleList(
            GatedActivationUnit(config.width, config.gau_channels, kernel, padding)
            for kernel, padding in zip(config.gau_kernels, config.gau_paddings, strict=True)
        )
        self.blstm = nn.LSTM(
            config.width, config.lstm_units, config.lstm_layers, batch_first=True, bidirectional=True
        )
        self.project = nn.Linear(2 * config.lstm_units, config.projection_units)
        self.to_vertices = nn.Linear(config.projection_units, 3 * config.n_vertices)
        # An untrained model shows the template, and the first gradient is that of the template's error.
        nn.init.zeros_(self.to_vertices.weight)
        nn.init.zeros_(self.to_vertices.bias)
        empty = torch.full((len(config.emotions), config.width), float("nan"))
        self.register_buffer("emotion_embeddings", empty)

    def forward(
        self,
        features: Tensor,
        n_frames: Tensor,
        speaker: Tensor,
        style_displacements: Tensor,
        style_frames: Tensor,
    ) -> Prediction:
        """The motion of B clips in the style of B other clips.

        features: (B, 2T, C) frozen audio features; n_frames, style_frames: (B,) on the CPU; speaker: (B,) index into
        `config.subjects`; style_displacements: (B, T', 3V). Frames behind a clip's end are of no meaning.
        """
        style = self.style_encoder(style_displacements, style_frames)
        displacements = self.decode(features, n_frames, speaker, style.embedding)
        return Prediction(displacements, style.embedding, style.scores, self.classifier(style.embedding))

    def decode(self, features: Tensor, n_frames: Tensor, speaker: Tensor, embedding: Tensor) -> Tensor:
        """(B, T, 3V) displacements for features (B, 2T, C) in the style of `embedding` (B, D)."""
        return self.to_vertices(self.decode_latent(features, n_frames, speaker, embedding))

    def decode_latent(self, features: Tensor, n_frames: Tensor, speaker: Tensor, embedding: Tensor) -> Tensor:
        """(B, T, projection_units): what P's last, linear layer `to_vertices` turns into displacements.

        The whole motion lies in a space of that many dimensions, which is what a glTF file stores.
        """
        return self.speak(self.hear(features, n_frames), n_frames, speaker, embedding)

    def hear(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """H of Eq. (3), (B, T, D): all that depends on the speech alone, and most of the work."""
        states = self.audio_encoder(features, 2 * n_frames)  # A: (B, 2T, d_A)
        return self.downsample(states.transpose(1, 2)).transpose(1, 2)  # H: (B, T, D)

    def speak(self, hidden: Tensor, n_frames: Tensor, speaker: Tensor, embedding: Tensor) -> Tensor:
        """What `decode_latent` gives, from H."""
        mask = sequence_mask(n_frames, hidden.shape[1], hidden)
        x = embedding[:, None] + hidden + self._speaker_embedding(speaker)[:, None]  # Eq. (3)
        x = masked(x, mask)
        for unit in self.gau:
            x = masked(unit(x), mask)  # Y: (B, T, D)
        x, _ = run_packed(self.blstm, x, n_frames)  # (B, T, 2 x units)
        x = self.project(x)  # Eq. (5), first layer of P
        return F.leaky_relu(x) if self.config.projection_activation else x

    def _speaker_embedding(self, speaker: Tensor) -> Tensor:
        one_hot = F.one_hot(speaker, len(self.config.subjects))  # (B,) -> (B, subjects)
        return self.speaker(one_hot.to(self.speaker[0].weight.dtype))  # e_spk: (B, D)


class GatedActivationUnit(nn.Module):
    """One residual block of Eq. (4), (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, channels: int, kernel: int, padding: int):
        super().__init__()
        self.filter = nn.Conv1d(width, channels, kernel, padding=padding)
        self.gate = nn.Conv1d(width, channels, kernel, padding=padding)
        self.output = nn.Conv1d(channels, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)  # (B, D, T)
        z = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))  # (B, channels, T)
        return (self.output(z) + x).transpose(1, 2)  # Eq. (4)


def interpolated_style(emotion: Tensor, neutral: Tensor, alpha: float) -> Tensor:
    """Eq. (8): alpha e_emotion + (1 - alpha) e_neutral, both (D,).

    0 is neutral, 1 the emotion, above 1 an exaggeration that the paper does not evaluate. Raises ValueError below 0.
    """
    if not alpha >= 0:
        raise ValueError(f"intensity {alpha}: must be 0 (neutral) or more; 1 is the full emotion")
    return alpha * emotion + (1 - alpha) * neutral

"""The style encoder: from the motion of a clip to an embedding of the emotion in it (the paper's III-B, Fig. 3).

    e = STL(style_extractor(V))                                Eq. (1)
    Att(Q, K, V) = softmax(Q K^T / sqrt(d_k)) V                Eq. (2)

It follows the global style tokens of GST-Tacotron (Wang et al., ICML 2018).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eavanet.padding import masked, run_packed, sequence_mask

SHORTEST = 8  # frames: three convolutions of stride 2 leave one


@dataclass(frozen=True)
class StyleConfig:
    """The style encoder's sizes. The paper gives channels, kernel, stride and padding; the rest is as in GST.

    n_tokens: not in the paper; GST's 10. token_gain: standard deviation of the tokens at the start; GST's 0.5.
    standardise: whether motion is divided by its root mean square over the training clips first. Coordinates have unit
        size, so displacements are about 0.01, and a new layer's biases would drown them; the paper does not say.
    project_values: whether Eq. (2)'s V is a trained projection of the tokens (as in GST's implementations) or the
        tokens themselves, as the paper's V_style_token can also be read.
    """

    width: int = 256
    n_convolutions: int = 3
    kernel: int = 4
    stride: int = 2
    padding: int = 1
    n_tokens: int = 10
    n_heads: int = 4
    token_gain: float = 0.5
    project_values: bool = True
    standardise: bool = True

    def __post_init__(self):
        if self.width % 2 or self.width % self.n_heads:
            raise ValueError(f"style width {self.width}: must be even and a multiple of the {self.n_heads} heads")
        if (self.kernel, self.stride, self.padding) != (4, 2, 1) or self.n_convolutions != 3:
            raise ValueError(
                f"style convolutions ({self.n_convolutions} of kernel {self.kernel}, stride {self.stride}, padding "
                f"{self.padding}): the paper's are 3 of (4, 2, 1), and the masks count on each halving the length"
            )


class Style(NamedTuple):
    """What the style encoder says of B clips."""

    embedding: Tensor  # (B, D), e in the paper
    scores: Tensor  # (B, heads, tokens): attention scores, sum to 1 over the tokens (Fig. 3)


class StyleEncoder(nn.Module):
    """Eq. (1): style extractor, then style token layer."""

    def __init__(self, n_vertices: int, config: StyleConfig):
        super().__init__()
        self.extractor = StyleExtractor(n_vertices, config)
        self.token_layer = StyleTokenLayer(config)

    def forward(self, displacements: Tensor, n_frames: Tensor) -> Style:
        """displacements: (B, T, 3V) from the template, zero behind each clip's end; n_frames: (B,) on the CPU."""
        return self.token_layer(self.extractor(displacements, n_frames))  # Eq. (1)


class StyleExtractor(nn.Module):
    """Projection, three Conv1d with layer norm and LeakyReLU, bidirectional GRU: (B, T, 3V) -> (B, D).

    Its input is the displacement from the template, so that the shape of a head cannot pass for a style. Clips
    shorter than 8 frames are followed by frames at rest.
    """

    motion_unit: Tensor
    """What displacements are divided by, in corpus units; `train.measure_motion_unit` sets it."""

    def __init__(self, n_vertices: int, config: StyleConfig):
        super().__init__()
        self.register_buffer("motion_unit", torch.ones(()))
        width = config.width
        self.project = nn.Linear(3 * n_vertices, width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, config.kernel, config.stride, config.padding)
            for _ in range(config.n_convolutions)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.n_convolutions))
        self.gru = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, displacements: Tensor, n_frames: Tensor) -> Tensor:
        displacements, lengths = at_least_shortest(displacements, n_frames)
        x = self.project(displacements / self.motion_unit)  # (B, T, 3V) -> (B, T, D)
        x = masked(x, sequence_mask(lengths, x.shape[1], x))  # the bias does not reach behind the end
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x.transpose(1, 2)).transpose(1, 2)  # (B, T, D) -> (B, T // 2, D)
            lengths = lengths // 2
            x = F.leaky_relu(norm(x))
            x = masked(x, sequence_mask(lengths, x.shape[1], x))
        _, state = run_packed(self.gru, x, lengths)  # (2, B, D / 2)
        return state.transpose(0, 1).flatten(1)  # (B, D)


class StyleTokenLayer(nn.Module):
    """Multi-head attention of the extracted style over trained tokens; Eq. (2)."""

    def __init__(self, config: StyleConfig):
        super().__init__()
        self.n_heads = config.n_heads
        head_width = config.width // config.n_heads  # d_k
        self.tokens = nn.Parameter(config.token_gain * torch.randn(config.n_tokens, head_width))
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(head_width, config.width, bias=False)
        self.value = nn.Linear(head_width, config.width, bias=False) if config.project_values else None

    def forward(self, extracted: Tensor) -> Style:
        tokens = torch.tanh(self.tokens)  # (N, d_k); tanh as in GST
        query = self._split(self.query(extracted))  # (B, D) -> (B, H, d_k)
        key = self._split(self.key(tokens))  # (N, d_k) -> (N, H, d_k)
        value = tokens[:, None].expand_as(key) if self.value is None else self._split(self.value(tokens))
        scores = torch.einsum("bhk,nhk->bhn", query, key) / key.shape[-1] ** 0.5
        scores = scores.float().softmax(dim=-1)  # (B, H, N)
        embedding = torch.einsum("bhn,nhk->bhk", scores.to(value.dtype), value)  # Eq. (2)
        return Style(embedding.flatten(1), scores)  # heads side by side: (B, D)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1))


def at_least_shortest(displacements: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
    """The batch and its lengths, with clips of fewer than 8 frames lengthened by zeros to 8."""
    missing = SHORTEST - displacements.shape[1]
    if missing > 0:
        displacements = F.pad(displacements, (0, 0, 0, missing))
    return displacements, n_frames.clamp(min=SHORTEST)

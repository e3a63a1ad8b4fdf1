"""CodeTalker's stage 1: motion as codes of a learned codebook, and codes as motion again (CodeTalker, III-B).

A VQ autoencoder. Every frame becomes a few vectors (`codes_per_frame`), each is replaced by the nearest entry of a
codebook, and a decoder makes vertices of them. Stage 2 (`codetalker`) predicts the vectors from speech.

What the official code does, and a reader may not expect, is kept, since published weights depend on it:
- The positional encoding is indexed by the batch axis: with one clip at a time, as it was trained, every frame gets
  the vector of position 0. So the transformers do not know the order of frames; only the convolutions do.
- Instance normalisation is over time, and attention has no mask: each frame depends on the length of the clip.
- Attention is scaled by the whole width, not by a head's.
Its `quant_factor` (codes for several frames at once) is 0 wherever it was used; other values cannot be built there.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 5  # frames that the convolutions look at
MAX_POSITIONS = 5000  # rows of the published positional encoding; only the first is used
COMMITMENT = 0.25  # weight of the term that holds the encoder to its codes


@dataclass(frozen=True)
class AutoencoderConfig:
    """What distinguishes one stage 1 model from another; the defaults are those published for BIWI.

    n_vertices: V. width: D of all layers. layers, heads, mlp_width: of each of the two transformers.
    codes_per_frame, code_width: the vectors that stand for a frame. n_codes: entries of the codebook.
    leak: slope of LeakyReLU below 0. code_maps: a linear map between each transformer and the codes (BIWI yes,
    VOCASET no; then a frame's codes are as wide as the layers). vertex_bias: whether the last map has one (VOCASET).
    affine_norm: weights in instance normalisation. dropout: after the positional encoding.
    """

    n_vertices: int
    width: int = 1024
    layers: int = 6
    heads: int = 8
    mlp_width: int = 1536
    codes_per_frame: int = 8
    code_width: int = 128
    n_codes: int = 256
    leak: float = 0.2
    code_maps: bool = True
    vertex_bias: bool = False
    affine_norm: bool = False
    dropout: float = 0.1

    def __post_init__(self):
        names = ("n_vertices", "width", "layers", "heads", "mlp_width", "codes_per_frame", "code_width", "n_codes")
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width = {self.width}: must be a multiple of heads = {self.heads}")
        if self.width % 2:
            raise ValueError(f"width = {self.width}: must be even, for sine and cosine of each position")
        if not self.code_maps and self.width != self.frame_width:
            raise ValueError(
                f"width = {self.width}: without code_maps a frame's codes, {self.codes_per_frame} of "
                f"{self.code_width} = {self.frame_width}, must be as wide"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout}: must be from 0 to below 1")

    @property
    def frame_width(self) -> int:
        """Numbers that stand for one frame: its codes side by side."""
        return self.codes_per_frame * self.code_width


class Quantised(NamedTuple):
    """vectors: (B, n, code_width), entries of the codebook. indices: (B, n). loss: a scalar, see `Codebook`."""

    vectors: Tensor
    indices: Tensor
    loss: Tensor


class Codebook(nn.Module):
    """Replaces each vector by the nearest entry; gradients pass straight through (VQ-VAE)."""

    def __init__(self, n_codes: int, code_width: int):
        super().__init__()
        self.entries = nn.Parameter(torch.empty(n_codes, code_width).uniform_(-1 / n_codes, 1 / n_codes))

    def nearest(self, vectors: Tensor) -> Tensor:
        """Indices (...) of the entries nearest to vectors (..., code_width)."""
        # Written as the official code does: where two entries are equally near, rounding decides alike.
        flat = vectors.reshape(-1, vectors.shape[-1])
        squares = flat.square().sum(dim=1, keepdim=True) + self.entries.square().sum(dim=1)
        return (squares - 2 * flat @ self.entries.T).argmin(dim=1).view(vectors.shape[:-1])

    def forward(self, vectors: Tensor) -> Quantised:
        """vectors: (B, n, code_width). The loss draws entries to vectors, and with less weight vectors to entries."""
        with torch.autocast(vectors.device.type, enabled=False):  # bfloat16 cannot tell near entries apart
            vectors = vectors.float() if vectors.dtype == torch.bfloat16 else vectors
            indices = self.nearest(vectors)
        chosen = self.entries[indices]
        loss = COMMITMENT * F.mse_loss(vectors, chosen.detach()) + F.mse_loss(chosen, vectors.detach())
        return Quantised(vectors + (chosen - vectors).detach(), indices, loss)


class Attention(nn.Module):
    """Every frame looks at every frame."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, last_only: bool = False) -> Tensor:
        """x: (B, T, D). last_only: for the last frame alone, (B, 1, D); what it looks at is all frames."""
        width, heads, scale = x.shape[-1], self.heads, x.shape[-1] ** -0.5
        normed = self.norm(x)
        if last_only:
            query = F.linear(normed[:, -1:], self.qkv.weight[:width])
            key, value = F.linear(normed, self.qkv.weight[width:]).chunk(2, dim=-1)
            x = x[:, -1:]
        else:
            query, key, value = self.qkv(normed).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        seen = F.scaled_dot_product_attention(query, key, value, scale=scale)  # (B, H, T, D/H)
        return x + self.out(seen.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear maps with a GELU between, approximated as the official code does."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, inner)
        self.second = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.gelu(self.first(self.norm(x)), approximate="tanh"))


class Block(nn.Module):
    """One layer of the transformers."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.attention = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.mlp_width)

    def forward(self, x: Tensor, last_only: bool = False) -> Tensor:
        return self.mlp(self.attention(x, last_only))


class Context(nn.Module):
    """A convolution over five frames, normalisation over time, and a transformer: (B, T, D) to (B, T, D)."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        width = config.width
        self.leak = config.leak
        self.conv = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, padding_mode="replicate")
        self.norm = nn.InstanceNorm1d(width, affine=config.affine_norm)
        self.embedding = nn.Linear(width, width)
        self.register_buffer("positions", sine_positions(MAX_POSITIONS, width)[:, None])  # (5000, 1, D)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(self.convolved(x))

    def convolved(self, x: Tensor) -> Tensor:
        """What depends on nearby frames only: (B, T, D) to (B, T, D)."""
        return F.leaky_relu(self.conv(x.transpose(1, 2)), self.leak).transpose(1, 2)

    def attend(self, convolved: Tensor, last_only: bool = False) -> Tensor:
        """What depends on all frames. last_only: the last frame's result, (B, 1, D)."""
        x = self.norm(convolved.transpose(1, 2)).transpose(1, 2)
        x = self.dropout(self.embedding(x) + self.positions[0])
        for block in self.blocks[:-1]:
            x = block(x)
        return self.blocks[-1](x, last_only)


class Autoencoder(nn.Module):
    """Stage 1. Motion is displacement from the template, (B, T, 3V), in corpus units; needs two frames or more."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        n_coordinates, width = 3 * config.n_vertices, config.width
        self.from_vertices = nn.Linear(n_coordinates, width)
        self.encoder = Context(config)
        self.to_codes = nn.Linear(width, config.frame_width) if config.code_maps else nn.Identity()
        self.codebook = Codebook(config.n_codes, config.code_width)
        self.from_codes = nn.Linear(config.frame_width, width) if config.code_maps else nn.Identity()
        self.decoder = Context(config)
        self.to_vertices = nn.Linear(width, n_coordinates, bias=config.vertex_bias)

    def encode(self, motion: Tensor) -> Quantised:
        """The codes of motion (B, T, 3V): vectors (B, T x codes_per_frame, code_width), a frame's side by side."""
        x = F.leaky_relu(self.from_vertices(motion), self.config.leak)  # (B, T, D)
        x = self.to_codes(self.encoder(x))  # (B, T, frame_width)
        return self.codebook(x.reshape(len(x), -1, self.config.code_width))

    def decode(self, vectors: Tensor) -> Tensor:
        """Motion (B, T, 3V) of code vectors (B, T x codes_per_frame, code_width)."""
        x = self.from_codes(vectors.reshape(len(vectors), -1, self.config.frame_width))  # (B, T, D)
        return self.to_vertices(self.decoder(x))

    def forward(self, motion: Tensor) -> tuple[Tensor, Quantised]:
        """Motion as its codes give it back, (B, T, 3V), and the codes."""
        codes = self.encode(motion)
        return self.decode(codes.vectors), codes


def sine_positions(length: int, width: int) -> Tensor:
    """The transformer's positional encoding, (length, width): sines at even, cosines at odd places."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.stack([torch.sin(position * rates), torch.cos(position * rates)], dim=-1).flatten(1)


def perplexity(indices: Tensor, n_codes: int) -> float:
    """How many codes are in use: from 1 (one code for everything) to n_codes (all equally often)."""
    share = torch.bincount(indices.flatten(), minlength=n_codes).float() / indices.numel()
    return float(torch.exp(-(share * torch.log(share + 1e-10)).sum()))

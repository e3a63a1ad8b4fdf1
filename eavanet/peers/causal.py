"""What FaceFormer's and CodeTalker's decoders share: a causal transformer over frames that looks at speech.

Frame i sees the frames before it, the nearer the better (a bias that falls with every whole period between them), and
of the speech only its own states. So what it computed once never changes, which `CachedDecoder` makes use of.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def head_slopes(heads: int) -> Tensor:
    """(H,): how fast each head's bias falls (ALiBi)."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (head + 1) / power) for head in range(power)]
    # ALiBi's rule for other numbers of heads: every second slope of twice as many.
    slopes += [2.0 ** (-4 * (head + 1) / power) for head in range(0, 2 * (heads - power), 2)]
    return torch.tensor(slopes)


def temporal_bias(n_frames: int, heads: int, period: int) -> Tensor:
    """(H, T, T): what is added to frame i's interest in frame j; -inf for the future (FaceFormer, III-C)."""
    frames = torch.arange(n_frames)
    distance = frames[:, None] - frames
    bias = -(distance // period) * head_slopes(heads)[:, None, None]
    return bias.masked_fill(distance < 0, -math.inf)


def unseen_states(n_frames: int, n_states: int, states_per_frame: int) -> Tensor:
    """(T, S) bool: True where frame i must not look; it sees states i x states_per_frame and those that follow it."""
    return torch.arange(n_states) // states_per_frame != torch.arange(n_frames)[:, None]


def periodic_positions(n_frames: int, table: Tensor, period: int, start: int = 0) -> Tensor:
    """(1, T, D): rows of a published positional encoding (1, n, D), for frames from `start` on, however many."""
    # The published table repeats one period up to 600 frames; counting in periods has no such end.
    return table[:, torch.arange(start, start + n_frames) % period]


class CachedDecoder:
    """`nn.TransformerDecoder` frame by frame: the same output as all at once, each frame computed once.

    Kept are the keys and values of the frames so far. As a frame sees only its own few speech states, attention to
    speech is prepared for all frames at once: the query map is folded into the keys and the output map into the
    values, so that a step reads neither (a fifth of the layer's weights, and a step is bound by reading weights).
    """

    def __init__(self, decoder: nn.TransformerDecoder, states: Tensor, n_frames: int, *, states_per_frame: int,
                 period: int):  # fmt: skip
        """states: (1, S, D), S at least T x states_per_frame for T = `n_frames`. The decoder is in evaluation mode."""
        own = states[0, : n_frames * states_per_frame].unflatten(0, (n_frames, states_per_frame))  # (T, s, D)
        self.layers = [_CachedLayer(layer, own) for layer in decoder.layers]
        self.period = period
        self.slopes = head_slopes(decoder.layers[0].self_attn.num_heads).to(states.device)
        self.frame = 0

    def step(self, x: Tensor) -> Tensor:
        """(1, D) of the next frame to (1, D)."""
        distance = torch.arange(self.frame, -1, -1, device=x.device)
        bias = -(distance // self.period) * self.slopes[:, None]  # (H, t)
        for layer in self.layers:
            x = layer.step(x, self.frame, bias)
        self.frame += 1
        return x


class _CachedLayer:
    """One post-norm layer with ReLU, as the published models have it."""

    def __init__(self, layer: nn.TransformerDecoderLayer, own: Tensor):
        """own: (T, s, D), each frame's speech states."""
        attention = layer.self_attn
        self.layer, self.heads = layer, attention.num_heads
        n_frames, width = len(own), own.shape[-1]
        shape = (self.heads, n_frames, width // self.heads)
        self.keys, self.values = own.new_empty(shape), own.new_empty(shape)
        self._fold(layer.multihead_attn, own)

    def _fold(self, attention: nn.MultiheadAttention, own: Tensor) -> None:
        """Attention to speech as one small matrix in, one out, per frame.

        asks: (T, s x H, D) with offsets (T, s x H): a head's interest in a state is ask . x + offset.
        answers: (T, s x H, D): what looking at that state adds to the frame.
        """
        n_frames, n_states, width = own.shape
        query, key, value = attention.in_proj_weight.chunk(3)
        query_bias, key_bias, value_bias = attention.in_proj_bias.chunk(3)
        scale = (width // self.heads) ** -0.5
        keys = F.linear(own, key, key_bias).unflatten(-1, (self.heads, -1)) * scale  # (T, s, H, D/H)
        values = F.linear(own, value, value_bias).unflatten(-1, (self.heads, -1))
        asks = torch.einsum("tshd,hde->tshe", keys, query.unflatten(0, (self.heads, -1)))
        out = attention.out_proj.weight.unflatten(1, (self.heads, -1))  # (D, H, D/H)
        self.asks = asks.flatten(1, 2)
        self.offsets = torch.einsum("tshd,hd->tsh", keys, query_bias.unflatten(0, (self.heads, -1))).flatten(1)
        self.answers = torch.einsum("tshd,ehd->tshe", values, out).flatten(1, 2)
        self.n_states = n_states

    def step(self, x: Tensor, frame: int, bias: Tensor) -> Tensor:
        layer = self.layer
        x = layer.norm1(x + self._look_back(x, frame, bias))
        x = layer.norm2(x + self._listen(x, frame))
        return layer.norm3(x + layer.linear2(F.relu(layer.linear1(x))))

    def _look_back(self, x: Tensor, frame: int, bias: Tensor) -> Tensor:
        """Attention to the frames so far, this one included."""
        attention = self.layer.self_attn
        projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, key, value = projected.view(3, self.heads, -1)  # (H, D/H)
        self.keys[:, frame], self.values[:, frame] = key, value
        keys, values = self.keys[:, : frame + 1], self.values[:, : frame + 1]  # (H, t, D/H)
        interest = (keys @ query[:, :, None]).squeeze(-1) * query.shape[-1] ** -0.5 + bias  # (H, t)
        seen = interest.softmax(dim=-1)[:, None] @ values  # (H, 1, D/H)
        return attention.out_proj(seen.view(1, -1))

    def _listen(self, x: Tensor, frame: int) -> Tensor:
        """Attention to the frame's own speech states."""
        interest = (self.asks[frame] @ x[0] + self.offsets[frame]).view(self.n_states, -1)
        weights = interest.softmax(dim=0).view(1, -1)
        return weights @ self.answers[frame] + self.layer.multihead_attn.out_proj.bias

"""FaceFormer: speech-driven 3D facial animation with transformers (Fan et al., CVPR 2022).

One causal transformer layer reads the speech and the frames so far, and gives a frame; it becomes vertices, and the
vertices, mapped back, with the speaker's style, are the next input. So a clip is made frame by frame, in training too.

Three ways to the same motion (tests hold them together):
- `speak_faithfully` as the official code does it: at every step the layer runs over all frames so far, all of them
  become vertices, and all but the last are thrown away.
- `speak` computes each frame once: keys and values are kept (`causal.CachedDecoder`), and the two linear maps in a row,
  to vertices and back, are one D x D matrix. Vertices are made once, at the end.
- `roll_out` is the same for several clips at once and with gradients, for training.

Shapes: B clips, T frames, s audio states per frame, D = 128 features. Motion is displacement from the template.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eavanet.peers.causal import CachedDecoder, head_slopes, periodic_positions, temporal_bias, unseen_states
from eavanet.peers.codetalker_codes import sine_positions
from eavanet.peers.speech import PeerSpeech, states_per_frame

TABLE_FRAMES = 600  # for so many frames the published files hold positions; `periodic_positions` goes on beyond


@dataclass(frozen=True)
class FaceFormerConfig:
    """What distinguishes one FaceFormer from another; the defaults are those published for BIWI.

    n_vertices: V. subjects: the condition subjects, in the order of their one-hot. frames_per_second: of the motion;
        at 25 a frame sees two states of the speech, at other rates one, interpolated (see `speech`).
    period: frames after which the positional encoding repeats and the bias falls: a second in the published models.
    width: D; 128 was published for BIWI, 64 for VOCASET. heads: of the attention; the inner width is twice `width`.
    dropout: in training, of the transformer and of its input.
    """

    n_vertices: int
    subjects: tuple[str, ...]
    frames_per_second: float = 25.0
    period: int = 25
    width: int = 128
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self):
        for name in ("n_vertices", "period", "width", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 1 <= self.frames_per_second <= 1000:
            raise ValueError(f"frames_per_second = {self.frames_per_second}: expected 1 to 1000")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width = {self.width}: must be even and a multiple of heads = {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout}: must be from 0 to below 1")
        if not self.subjects or len(set(self.subjects)) != len(self.subjects):
            raise ValueError(f"subjects = {self.subjects}: expected at least one, and each once")

    @property
    def states_per_frame(self) -> int:
        """s: how many of the speech's states a frame sees."""
        return states_per_frame(self.frames_per_second)


class FaceFormer(nn.Module):
    """The model. `hear` and `speak` make motion of speech; `forward` is for training."""

    autoregressive: ClassVar[bool] = True  # a clip is one motion from its first frame to its last

    def __init__(self, config: FaceFormerConfig, audio_encoder: PeerSpeech):
        super().__init__()
        self.config = config
        width, n_coordinates = config.width, 3 * config.n_vertices
        self.audio_encoder = audio_encoder
        self.audio_map = nn.Linear(audio_encoder.width, width)
        self.from_vertices = nn.Linear(n_coordinates, width)
        rows = TABLE_FRAMES // config.period + 1
        self.register_buffer("positions", sine_positions(config.period, width).repeat(rows, 1)[None])
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerDecoderLayer(width, config.heads, 2 * width, config.dropout, batch_first=True)
        self.transformer = nn.TransformerDecoder(layer, num_layers=1)
        self.to_vertices = nn.Linear(width, n_coordinates)
        nn.init.zeros_(self.to_vertices.weight)  # an untrained model shows the template
        nn.init.zeros_(self.to_vertices.bias)
        self.styles = nn.Linear(len(config.subjects), width, bias=False)

    def forward(self, features: Tensor, n_frames: Tensor, speaker: Tensor, motion: Tensor | None = None) -> Tensor:
        """Displacements (B, T, 3V); frames behind a clip's end are of no meaning.

        features: (B, s x T, C) frozen audio features; n_frames: (B,) on the CPU; speaker: (B,) condition subjects.
        motion: (B, T, 3V), the truth, for teacher forcing; without it each frame follows from the model's own.
        """
        memory, style = self.audio_map(self._states(features, n_frames)), self._style(speaker)  # (B, s x T, D), (B, D)
        if motion is None:
            return self.to_vertices(self.roll_out(memory, style))
        before = F.pad(motion[:, :-1], (0, 0, 1, 0))  # the frame before the first is the template
        return self.to_vertices(self.attend(self.from_vertices(before) + style[:, None], memory))

    def hear(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """(B, T, s x d_A): what depends on the speech alone, from frozen features (B, s x T, C)."""
        states = self._states(features, n_frames)
        return states.reshape(len(states), -1, self.config.states_per_frame * states.shape[-1])

    @torch.inference_mode()
    def speak(self, hidden: Tensor, n_frames: Tensor, speaker: Tensor, style: Tensor) -> Tensor:
        """(1, T, D): what `to_vertices` turns into displacements, from what was heard of one clip, (1, T, s x d_A).

        speaker: (1,); style: (1, D) from `style`, or (1, 0) for the speaker's own. n_frames is T.
        """
        memory, style = self._memory(hidden), self._chosen_style(speaker, style)
        total, period = hidden.shape[1], self.config.period
        again, offset = self._again()
        decoder = CachedDecoder(
            self.transformer, memory, total, states_per_frame=self.config.states_per_frame, period=period
        )
        latent = hidden.new_empty(1, total, self.config.width)
        x = style  # the first frame knows of no motion
        for frame in range(total):
            place = periodic_positions(1, self.positions, period, start=frame)[0]
            latent[:, frame] = decoder.step(x + place)
            x = F.linear(latent[:, frame], again, offset) + style
        return latent

    @torch.inference_mode()
    def speak_faithfully(self, hidden: Tensor, n_frames: Tensor, speaker: Tensor, style: Tensor) -> Tensor:
        """Displacements (1, T, 3V) as the official code computes them; `speak` and `to_vertices` give the same."""
        memory, style = self._memory(hidden), self._chosen_style(speaker, style)[:, None]
        inputs = style
        for _ in range(hidden.shape[1]):
            motion = self.to_vertices(self.attend(inputs, memory))  # (1, t, 3V), all frames so far
            inputs = torch.cat([inputs, self.from_vertices(motion[:, -1:]) + style], dim=1)
        return motion

    def attend(self, inputs: Tensor, memory: Tensor) -> Tensor:
        """(B, t, D) for frames 0 to t - 1 at once, from their inputs (B, t, D) and all states (B, S, D)."""
        config, n_frames = self.config, inputs.shape[1]
        bias = temporal_bias(n_frames, config.heads, config.period).to(inputs).repeat(len(inputs), 1, 1)
        unseen = unseen_states(n_frames, memory.shape[1], config.states_per_frame).to(inputs.device)
        x = self.dropout(inputs + periodic_positions(n_frames, self.positions, config.period))
        return self.transformer(x, memory, tgt_mask=bias, memory_mask=unseen)

    def roll_out(self, memory: Tensor, style: Tensor) -> Tensor:
        """(B, T, D) frame by frame, each computed once and with gradients through all steps.

        memory: (B, s x T, D); style: (B, D). Without dropout, output and gradients are the official code's. With it,
        a frame meets one mask, where the official code draws new ones whenever it computes the frame anew.
        """
        states = self.config.states_per_frame
        rolling = RollingLayer(self.transformer.layers[0], memory.unflatten(1, (-1, states)), self.config.period)
        again, offset = self._again()
        places = periodic_positions(memory.shape[1] // states, self.positions, self.config.period)[0]
        x, latent = style, []
        for place in places:
            latent.append(rolling.step(self.dropout(x + place)))
            x = F.linear(latent[-1], again, offset) + style
        return torch.stack(latent, dim=1)

    def style(self, subject: str, other: str | None = None, weight: float = 1.0) -> Tensor:
        """(D,): a condition subject's speaking style, or one between two: weight x subject + (1 - weight) x other.

        Raises ValueError for a subject that the model does not know, or a weight outside 0 to 1.
        """
        if not 0 <= weight <= 1:
            raise ValueError(f"weight = {weight}: expected 0 (the other subject's style) to 1 (the subject's)")
        own = self.styles.weight[:, self._index(subject)]
        return own if other is None else own * weight + self.styles.weight[:, self._index(other)] * (1 - weight)

    def _index(self, subject: str) -> int:
        if subject not in self.config.subjects:
            raise ValueError(f"condition subject {subject}: the model knows {', '.join(self.config.subjects)}")
        return self.config.subjects.index(subject)

    def _states(self, features: Tensor, n_frames: Tensor) -> Tensor:
        return self.audio_encoder(features, self.config.states_per_frame * n_frames)  # (B, s x T, d_A)

    def _memory(self, hidden: Tensor) -> Tensor:
        return self.audio_map(hidden.reshape(len(hidden), -1, self.audio_map.in_features))  # (B, s x T, D)

    def _style(self, speaker: Tensor) -> Tensor:
        one_hot = F.one_hot(speaker, len(self.config.subjects)).to(self.styles.weight.dtype)
        return self.styles(one_hot)  # (B, D)

    def _chosen_style(self, speaker: Tensor, style: Tensor) -> Tensor:
        return style if style.shape[-1] else self._style(speaker)

    def _again(self) -> tuple[Tensor, Tensor]:
        """From a frame's features to its vertices and back: a (D, D) matrix and an offset (D,)."""
        inward, outward = self.from_vertices, self.to_vertices
        return inward.weight @ outward.weight, inward.weight @ outward.bias + inward.bias


class RollingLayer:
    """A decoder layer (post-norm, ReLU) frame by frame for B clips; nothing is overwritten, so gradients pass."""

    def __init__(self, layer: nn.TransformerDecoderLayer, own: Tensor, period: int):
        """own: (B, T, s, D), each frame's speech states."""
        self.layer, self.period = layer, period
        self.heads = layer.self_attn.num_heads
        self.slopes = head_slopes(self.heads).to(own.device)
        attention, width = layer.multihead_attn, own.shape[-1]
        heard = F.linear(own, attention.in_proj_weight[width:], attention.in_proj_bias[width:])  # (B, T, s, 2D)
        heard = heard.unflatten(-1, (2, self.heads, -1)).permute(1, 3, 0, 4, 2, 5)  # (T, 2, B, H, s, D/H)
        self.heard = heard.unbind(0)
        self.seen: Tensor | None = None  # (2, B, H, t, D/H), keys and values of the frames so far

    def step(self, x: Tensor) -> Tensor:
        """(B, D) of the next frame to (B, D)."""
        layer = self.layer
        x = layer.norm1(x + layer.dropout1(self._look_back(x)))
        x = layer.norm2(x + layer.dropout2(self._listen(x)))
        inner = layer.dropout(F.relu(layer.linear1(x)))
        return layer.norm3(x + layer.dropout3(layer.linear2(inner)))

    def _look_back(self, x: Tensor) -> Tensor:
        """Attention to the frames so far, this one included."""
        attention = self.layer.self_attn
        projected = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        query, *new = projected.unflatten(-1, (3, self.heads, 1, -1)).unbind(1)  # (B, H, 1, D/H)
        added = torch.stack(new)
        self.seen = added if self.seen is None else torch.cat([self.seen, added], dim=3)
        distance = torch.arange(self.seen.shape[3] - 1, -1, -1, device=x.device) // self.period
        bias = -distance * self.slopes[:, None, None]  # (H, 1, t)
        return attention.out_proj(self._attended(query, self.seen, attention.dropout, bias))

    def _listen(self, x: Tensor) -> Tensor:
        """Attention to the frame's own speech states."""
        attention, width = self.layer.multihead_attn, x.shape[-1]
        query = F.linear(x, attention.in_proj_weight[:width], attention.in_proj_bias[:width])
        heard = self.heard[self.seen.shape[3] - 1]
        query = query.unflatten(-1, (self.heads, 1, -1))
        return attention.out_proj(self._attended(query, heard, attention.dropout))

    def _attended(self, query: Tensor, pair: Tensor, dropout: float, bias: Tensor | None = None) -> Tensor:
        bias = None if bias is None else bias.to(query.dtype)
        share = dropout if self.layer.training else 0.0
        seen = F.scaled_dot_product_attention(query, pair[0], pair[1], attn_mask=bias, dropout_p=share)
        return seen.flatten(1)  # (B, D)

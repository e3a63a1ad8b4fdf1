"""CodeTalker: speech to motion through codes (Xing et al., CVPR 2023), stage 2; stage 1 is in `codetalker_codes`.

A causal transformer reads the speech and the frames so far and predicts a frame's code vectors; stage 1 quantises them
and makes vertices; the newest frame, mapped back, with the speaker's style, is the next input.

Two ways to the same motion (tests hold them together):
- `speak_faithfully` as the official code does it: at every step both stages run over all frames so far, all become
  vertices, and all but the last are thrown away.
- `speak` computes nothing twice that cannot change. Stage 2 is causal: keys and values are kept. Of stage 1 the
  convolution is kept (`codetalker_growing`), and the two linear maps in a row, to vertices and back, are one D x D
  matrix. What remains is stage 1's transformer over all frames at every step: it has no mask, and normalises over time.

Shapes: B clips, T frames, s audio states per frame, D = 1024 features. Motion is displacement from the template.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eavanet.peers.causal import CachedDecoder, periodic_positions, temporal_bias, unseen_states
from eavanet.peers.codetalker_codes import Autoencoder, AutoencoderConfig, Quantised, sine_positions
from eavanet.peers.codetalker_growing import GrowingClip
from eavanet.peers.speech import PeerSpeech, states_per_frame

TABLE_FRAMES = 600  # for so many frames the published files hold positions; `periodic_positions` goes on beyond


@dataclass(frozen=True)
class CodeTalkerConfig:
    """What distinguishes one CodeTalker from another; the defaults are those published for BIWI.

    codes: stage 1. subjects: the condition subjects, in the order of their style embeddings.
    frames_per_second: of the motion; at 25 a frame sees two states of the speech, at other rates one, interpolated.
    period: frames after which the positional encoding repeats; a second in the published models.
    width, layers, heads: of the transformer (its inner width is twice `width`). dropout: in training.
    """

    codes: AutoencoderConfig
    subjects: tuple[str, ...]
    frames_per_second: float = 25.0
    period: int = 25
    width: int = 1024
    layers: int = 12
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self):
        for name in ("period", "width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 1 <= self.frames_per_second <= 1000:
            raise ValueError(f"frames_per_second = {self.frames_per_second}: expected 1 to 1000")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width = {self.width}: must be even and a multiple of heads = {self.heads}")
        if not self.subjects:
            raise ValueError("subjects: none; the model needs at least one condition subject")
        if len(set(self.subjects)) != len(self.subjects):
            raise ValueError(f"subjects = {', '.join(self.subjects)}: one is named twice")

    @property
    def n_vertices(self) -> int:
        """V."""
        return self.codes.n_vertices

    @property
    def states_per_frame(self) -> int:
        """s: how many of the speech's states a frame sees."""
        return states_per_frame(self.frames_per_second)


class Taught(NamedTuple):
    """Stage 2 on one clip with the truth as its past. motion: (1, T, 3V).

    predicted, wanted: code vectors (1, T x codes_per_frame, code_width), before quantisation and of the true motion.
    """

    motion: Tensor
    predicted: Tensor
    wanted: Tensor


class Rebuilt(NamedTuple):
    """Stage 1 on one clip: its motion (1, T, 3V) as its codes give it back."""

    motion: Tensor
    codes: Quantised


class CodeTalker(nn.Module):
    """The model. `hear` and `speak` make motion of speech; `forward` is for training, of either stage."""

    autoregressive: ClassVar[bool] = True  # a clip is one motion from its first frame to its last

    def __init__(self, config: CodeTalkerConfig, audio_encoder: PeerSpeech):
        super().__init__()
        self.config = config
        width = config.width
        self.audio_encoder = audio_encoder
        self.audio_map = nn.Linear(audio_encoder.width, width)
        self.from_vertices = nn.Linear(3 * config.n_vertices, width)
        rows = TABLE_FRAMES // config.period + 1
        self.register_buffer("positions", sine_positions(config.period, width).repeat(rows, 1)[None])
        self.dropout = nn.Dropout(config.dropout)
        layer = nn.TransformerDecoderLayer(width, config.heads, 2 * width, config.dropout, batch_first=True)
        self.transformer = nn.TransformerDecoder(layer, config.layers)
        self.to_codes = nn.Linear(width, config.codes.frame_width, bias=False)
        nn.init.zeros_(self.to_codes.weight)
        self.styles = nn.Embedding(len(config.subjects), width)
        self.autoencoder = Autoencoder(config.codes)
        self._kept_again: tuple[list, Tensor, Tensor] | None = None
        self.learn(stage=2)

    @property
    def to_vertices(self) -> nn.Linear:
        """What spreads the last features to displacements: stage 1's."""
        return self.autoencoder.to_vertices

    def learn(self, stage: int) -> "CodeTalker":
        """Set which stage training mode and gradients are for. While stage 2 learns, stage 1 stays as it is."""
        self.stage = stage
        self.autoencoder.requires_grad_(stage == 1)
        return self.train(self.training)

    def train(self, mode: bool = True) -> "CodeTalker":
        super().train(mode)
        self.autoencoder.train(mode and self.stage == 1)
        return self

    def forward(
        self, features: Tensor, n_frames: Tensor, speaker: Tensor, motion: Tensor, passes: Sequence[int] | None = None
    ) -> list:
        """The stage that learns on each clip of a batch: Rebuilt or Taught, (1, T, ...) with T the clip's own length.

        features: (B, s x T, C) frozen audio features; n_frames: (B,) on the CPU; speaker: (B,) condition subjects;
        motion: (B, T, 3V), the truth. passes: for each clip, how often the past that teaches stage 2 is replaced by
        what the model makes of it; by default never, so that it is the truth. Clips go through one by one: stage 1
        normalises over time and has no mask, so padding would change them, and the original was trained so.
        """
        clips = [clip[None, :length] for clip, length in zip(motion, n_frames.tolist(), strict=True)]
        if self.stage == 1:
            return [Rebuilt(*self.autoencoder(clip)) for clip in clips]
        states = self._states(features, n_frames)
        return [
            self._teach(own[None, : clip.shape[1] * self.config.states_per_frame], one, clip, times)
            for own, one, clip, times in zip(states, speaker[:, None], clips, passes or [0] * len(clips), strict=True)
        ]

    def _teach(self, states: Tensor, speaker: Tensor, motion: Tensor, passes: int) -> Taught:
        """Each frame predicted from the true frames before it, or from what the model made of them in `passes`."""
        past = motion
        with torch.no_grad():
            wanted = self.autoencoder.encode(motion).vectors
            for _ in range(passes):
                past, _ = self._follow(past, states, speaker)
        return Taught(*self._follow(past, states, speaker), wanted)

    def _follow(self, past: Tensor, states: Tensor, speaker: Tensor) -> tuple[Tensor, Tensor]:
        """Motion (1, T, 3V) and code vectors, each frame from those of `past` before it."""
        before = F.pad(past[:, :-1], (0, 0, 1, 0))  # the frame before the first is the template
        inputs = self.from_vertices(before) + self.styles(speaker)[:, None]
        predicted = self.code_vectors(inputs, self.audio_map(states))
        return self.autoencoder.decode(self.autoencoder.codebook(predicted).vectors), predicted

    def hear(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """(B, T, s x d_A): what depends on the speech alone, from frozen features (B, s x T, C)."""
        states = self._states(features, n_frames)
        return states.reshape(len(states), -1, self.config.states_per_frame * states.shape[-1])

    @torch.inference_mode()
    def speak(self, hidden: Tensor, n_frames: Tensor, speaker: Tensor, style: Tensor) -> Tensor:
        """(1, T, D): what `to_vertices` turns into displacements, from what was heard of one clip, (1, T, s x d_A).

        speaker: (1,); style: (1, D) from `style`, or (1, 0) for the speaker's own. n_frames is T.
        """
        config, total = self.config, hidden.shape[1]
        style = self._chosen_style(speaker, style)
        again, offset = self._again()
        memory, own, period = self._memory(hidden), config.states_per_frame, config.period
        stage_2 = CachedDecoder(self.transformer, memory, total, states_per_frame=own, period=period)
        stage_1 = GrowingClip(self.autoencoder, total)
        x = style  # the first frame knows of no motion
        for frame in range(total):
            place = periodic_positions(1, self.positions, period, start=frame)[0]
            vectors = self.to_codes(stage_2.step(x + place))  # (1, frame_width)
            stage_1.append(vectors.view(-1, config.codes.code_width))
            if frame < total - 1:
                x = F.linear(stage_1.newest(), again, offset) + style
        return stage_1.all()

    @torch.inference_mode()
    def speak_faithfully(self, hidden: Tensor, n_frames: Tensor, speaker: Tensor, style: Tensor) -> Tensor:
        """Displacements (1, T, 3V) as the official code computes them; `speak` and `to_vertices` give the same."""
        memory, style = self._memory(hidden), self._chosen_style(speaker, style)[:, None]
        inputs, total = style, hidden.shape[1]
        for frame in range(total):
            codes = self.autoencoder.codebook(self.code_vectors(inputs, memory)).vectors
            # Instance normalisation needs two frames: the first one's codes are doubled.
            motion = self.autoencoder.decode(codes if frame else codes.repeat(1, 2, 1))
            newest = motion[:, -1:] if frame else motion[:, :1]
            if frame < total - 1:
                inputs = torch.cat([inputs, self.from_vertices(newest) + style], dim=1)
        return self.autoencoder.decode(codes) if total > 1 else newest

    def code_vectors(self, inputs: Tensor, memory: Tensor) -> Tensor:
        """Code vectors before quantisation, (B, t x codes_per_frame, code_width), for frames 0 to t - 1.

        inputs: (B, t, D), what came before each frame, with the style; memory: (B, S, D), mapped speech states.
        """
        config, n_frames = self.config, inputs.shape[1]
        bias = temporal_bias(n_frames, config.heads, config.period).to(inputs).repeat(len(inputs), 1, 1)
        unseen = unseen_states(n_frames, memory.shape[1], config.states_per_frame).to(inputs.device)
        x = self.dropout(inputs + periodic_positions(n_frames, self.positions, config.period))
        x = self.to_codes(self.transformer(x, memory, tgt_mask=bias, memory_mask=unseen))  # (B, t, frame_width)
        return x.reshape(len(x), -1, config.codes.code_width)

    def style(self, subject: str, other: str | None = None, weight: float = 1.0) -> Tensor:
        """(D,): a condition subject's speaking style, or one between two: weight x subject + (1 - weight) x other.

        Raises ValueError for a subject that the model does not know, or a weight outside 0 to 1.
        """
        if not 0 <= weight <= 1:
            raise ValueError(f"weight = {weight}: expected 0 (the other subject's style) to 1 (the subject's)")
        own = self.styles.weight[self._index(subject)]
        return own if other is None else own * weight + self.styles.weight[self._index(other)] * (1 - weight)

    def _index(self, subject: str) -> int:
        if subject not in self.config.subjects:
            raise ValueError(f"condition subject {subject}: the model knows {', '.join(self.config.subjects)}")
        return self.config.subjects.index(subject)

    def _states(self, features: Tensor, n_frames: Tensor) -> Tensor:
        return self.audio_encoder(features, self.config.states_per_frame * n_frames)  # (B, s x T, d_A)

    def _memory(self, hidden: Tensor) -> Tensor:
        return self.audio_map(hidden.reshape(len(hidden), -1, self.audio_map.in_features))  # (B, s x T, D)

    def _chosen_style(self, speaker: Tensor, style: Tensor) -> Tensor:
        return style if style.shape[-1] else self.styles(speaker)

    def _again(self) -> tuple[Tensor, Tensor]:
        """From a frame's features to its vertices and back: a (D, D) matrix and an offset (D,).

        Making it takes seconds at 23,370 vertices, so it is kept for as long as the weights are the same.
        """
        inward, outward = self.from_vertices, self.to_vertices
        sources = [inward.weight, inward.bias, outward.weight, *([] if outward.bias is None else [outward.bias])]
        made_of = [(tensor.data_ptr(), tensor._version) for tensor in sources]
        if self._kept_again is None or self._kept_again[0] != made_of:
            back = 0 if outward.bias is None else inward.weight @ outward.bias
            self._kept_again = (made_of, inward.weight @ outward.weight, inward.bias + back)
        return self._kept_again[1:]

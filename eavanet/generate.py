"""A checkpoint at work: speech of any length, a speaker and an emotion in, motion out.

Long recordings go through in windows that overlap, so that memory stays flat; where two windows overlap, one changes
over to the other linearly. EavaNet hears and speaks window by window. A system in which each frame follows from those
before hears in windows and speaks in one piece. A recording that fits into one window is predicted as in training.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from eavanet.audio import SAMPLE_RATE
from eavanet.checkpoint import Checkpoint
from eavanet.model import EavaNet, interpolated_style
from eavanet.planning import stages_planned
from eavanet.systems import system_of

WINDOW_S = 20.0
OVERLAP_S = 2.0


@dataclass(frozen=True)
class Manner:
    """How something is to be said, as far as the system can be told.

    emotion, intensity: of a system that shows emotions; alpha of Eq. (8). other, weight: of one that does not, the
    speaking style between two condition subjects: weight x the subject's own + (1 - weight) x the other's.
    """

    emotion: str | None = None
    intensity: float = 1.0
    other: str | None = None
    weight: float = 1.0


def style_for(model: nn.Module, subject: str, manner: Manner) -> Tensor:
    """(D,): the style of a condition subject who speaks in this manner.

    Raises ValueError for what the system cannot be told, or for an emotion or a subject that the model does not know.
    """
    system = system_of(model)
    speaker_index(model, subject)
    if system.emotional:
        if manner.other is not None:
            raise ValueError(f"{system.title} takes its style from an emotion, not from a second speaker")
        if manner.emotion is None:
            raise ValueError(f"{system.title} needs an emotion: one of {', '.join(model.config.emotions)}")
        return style_of(model, manner.emotion, manner.intensity)
    if manner.emotion is not None or manner.intensity != 1:
        raise ValueError(f"{system.title} knows no emotions; leave emotion and intensity out")
    if manner.other is not None:
        speaker_index(model, manner.other)
    return model.style(subject, manner.other, manner.weight).detach()


def style_of(model: EavaNet, emotion: str, intensity: float) -> Tensor:
    """Eq. (8) on the lookup table: (D,). Raises ValueError for an emotion that the model cannot show."""
    emotions = model.config.emotions
    if emotion not in emotions:
        raise ValueError(f"emotion {emotion!r}: expected one of {', '.join(emotions)}")
    wanted, neutral = model.emotion_embeddings[emotions.index(emotion)], None
    if torch.isnan(wanted).any():
        raise ValueError(f"emotion {emotion}: the model was trained without a clip of it and cannot show it")
    if emotion == "neutral" or intensity == 1:
        # Nothing to blend: neutral has no intensity, and 1 is the emotion itself.
        interpolated_style(wanted, wanted, intensity)
        return wanted
    if "neutral" in emotions:
        neutral = model.emotion_embeddings[emotions.index("neutral")]
    if neutral is None or torch.isnan(neutral).any():
        raise ValueError(f"intensity {intensity}: needs neutral to blend with, which the model was not trained on")
    return interpolated_style(wanted, neutral, intensity)  # Eq. (8)


def check_speaks(checkpoint: Checkpoint) -> None:
    """Raises ValueError for a checkpoint from before the stage of the training in which its system learns to speak."""
    silent, epoch = sum(stages_planned(checkpoint.training)[:-1]), checkpoint.manifest["epoch"]
    if epoch <= silent and "published" not in checkpoint.manifest:
        raise ValueError(
            f"run {checkpoint.manifest['run']} cannot speak yet: after {epoch} epochs {checkpoint.system.title} has "
            f"learned codes of motion; speech comes after the first {silent}"
        )


def speaker_index(model: nn.Module, subject: str) -> int:
    """The condition subject's place in the model. Raises ValueError if the model does not know it."""
    if subject not in model.config.subjects:
        raise ValueError(
            f"condition subject {subject}: the model knows {', '.join(model.config.subjects)}; an unseen speaker "
            "borrows one of these, and keeps the own template"
        )
    return model.config.subjects.index(subject)


def frames_of(n_samples: int, frames_per_second: float) -> int:
    """T = round(frames per second x duration), as the preprocessing counts. Raises ValueError if there is none."""
    n_frames = int(n_samples * frames_per_second / SAMPLE_RATE + 0.5)
    if n_frames < 1:
        raise ValueError(f"{n_samples / SAMPLE_RATE:.3f} s of audio is less than half a frame; nothing to animate")
    return n_frames


@dataclass(frozen=True)
class Heard:
    """A recording as the model hears it, from which it can speak again in another style or as another speaker.

    parts: H of Eq. (3) for each stretch (start, stop) of frames, (1, stop - start, D); total: T.
    """

    parts: list[tuple[int, int, Tensor]]
    total: int


@torch.inference_mode()
def hear(
    model: nn.Module, samples: np.ndarray, *, n_frames: int | None = None, window_s: float = WINDOW_S
) -> Iterator[tuple[int, int, Tensor]]:
    """The parts of `Heard` for samples (S,) at 16 kHz, one after another.

    n_frames: T, by default what the audio lasts. Raises ValueError for audio shorter than half a frame.
    """
    rate = model.config.frames_per_second
    device = next(model.parameters()).device
    for start, stop in windows(n_frames or frames_of(len(samples), rate), rate, window_s):
        cut = samples[round(start * SAMPLE_RATE / rate) : round(stop * SAMPLE_RATE / rate)]
        features = model.audio_encoder.features(cut, stop - start, rate).to(device)
        yield start, stop, model.hear(features[None], torch.tensor([stop - start]))


@torch.inference_mode()
def speak(
    model: nn.Module, parts: Iterable[tuple[int, int, Tensor]], total: int, speaker: int, style: Tensor
) -> Tensor:
    """(T, units): the motion for what was heard, in the coordinates that `model.to_vertices` spreads."""

    def spoken(hidden: Tensor) -> Tensor:
        speakers = torch.tensor([speaker], device=style.device)
        return model.speak(hidden, torch.tensor([hidden.shape[1]]), speakers, style[None])[0]

    if model.autoregressive:
        return spoken(_joined(((start, stop, hidden[0]) for start, stop, hidden in parts), total)[None])
    return _joined(((start, stop, spoken(hidden)) for start, stop, hidden in parts), total)


def _joined(parts: Iterable[tuple[int, int, Tensor]], total: int) -> Tensor:
    """(T, ...) of stretches (n, ...) of frames, each of which begins within the one before; see `windows`."""
    whole: Tensor | None = None
    done = 0
    for start, stop, part in parts:
        if whole is None:
            whole = part.new_zeros(total, *part.shape[1:])
        overlap = max(0, done - start)
        if overlap:
            weight = torch.arange(1, overlap + 1, device=part.device) / (overlap + 1)
            weight = weight.view(-1, *[1] * (part.ndim - 1))
            whole[start:done] = (1 - weight) * whole[start:done] + weight * part[:overlap]
        whole[start + overlap : stop] = part[overlap:]
        done = stop
    assert whole is not None
    return whole


def latent_motion(
    model: nn.Module,
    samples: np.ndarray,
    speaker: int,
    style: Tensor,
    *,
    n_frames: int | None = None,
    window_s: float = WINDOW_S,
) -> Tensor:
    """`speak` for samples (S,) at 16 kHz: hears window by window, so that memory stays flat.

    n_frames: T, by default what the audio lasts. Raises ValueError for audio shorter than half a frame.
    """
    total = n_frames or frames_of(len(samples), model.config.frames_per_second)
    return speak(model, hear(model, samples, n_frames=total, window_s=window_s), total, speaker, style)


@torch.inference_mode()
def vertices(checkpoint: Checkpoint, latent: Tensor, template: np.ndarray, block: int = 250) -> Iterator[np.ndarray]:
    """The face (b, V, 3) float32 in corpus units, in blocks of frames, so that a long clip needs no memory."""
    rest = torch.as_tensor(template, dtype=torch.float32, device=latent.device).flatten()
    for start in range(0, len(latent), block):
        moved = checkpoint.model.to_vertices(latent[start : start + block]).add_(rest)
        yield moved.unflatten(-1, (-1, 3)).float().cpu().numpy()


def windows(total: int, frames_per_second: float, window_s: float = WINDOW_S) -> list[tuple[int, int]]:
    """Stretches (start, stop) of frames that cover `total`, each but the first beginning within the one before."""
    length = max(2, round(window_s * frames_per_second))
    step = max(1, length - min(round(OVERLAP_S * frames_per_second), length // 2))
    starts = range(0, max(1, total - length + step), step)
    return [(start, min(total, start + length)) for start in starts]

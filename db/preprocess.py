"""Speech made ready for labelling and training, with the motion kept in step (the paper's IV.A).

Resample to 16 kHz mono, remove silence before and after with librosa, cut the same stretch of frames, bring the
level to -3 dB. Audio is cut at frame boundaries only, so frame t of what is kept begins exactly at sample
`frame_start(t)`, and T = round(frames per second x duration). What was cut and amplified is returned, so that it
can be undone.
"""

import math
from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 16_000
SILENCE_PEAK = 1e-4  # -80 dBFS: below this there is nothing to hear, and nothing to find the speech by


class UnusableAudio(ValueError):
    """The audio has no speech to keep. `kind` is the word under which an import stores the problem."""

    def __init__(self, message: str, kind: str = "silent_audio"):
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Speech:
    """The kept stretch: samples (S,) float32 at 16 kHz, frames first_frame .. first_frame + n_frames."""

    samples: np.ndarray
    first_frame: int
    n_frames: int
    gain_db: float


def frame_start(frame: int, frames_per_second: float) -> int:
    """The sample at 16 kHz where frame number `frame` begins."""
    return math.floor(frame * SAMPLE_RATE / frames_per_second + 0.5)


def count_frames(n_samples: int, frames_per_second: float) -> int:
    """T = round(frames per second x duration) of audio at 16 kHz."""
    return math.floor(n_samples * frames_per_second / SAMPLE_RATE + 0.5)


def to_16_khz(samples: np.ndarray, rate: int) -> np.ndarray:
    """(S,) mono audio of any rate in Hz as float32 at 16 kHz (soxr, high quality)."""
    if rate == SAMPLE_RATE:
        return np.asarray(samples, dtype=np.float32)
    import soxr

    return soxr.resample(np.asarray(samples, dtype=np.float32), rate, SAMPLE_RATE, quality="HQ")


def prepare_speech(
    samples: np.ndarray,
    n_frames: int,
    frames_per_second: float,
    *,
    loudness: str = "peak",
    level_db: float = -3.0,
    top_db: float = 60.0,
) -> Speech:
    """Trim silence from (S,) audio at 16 kHz that belongs to `n_frames` frames, and set its level.

    Where audio and frames differ in length, what both have is kept. top_db: how far below the loudest moment
    counts as silence. loudness: what `level_db` (relative to full scale) refers to, "peak" or "rms"; RMS at
    -3 dB takes speech beyond full scale.
    Raises UnusableAudio if there is nothing but silence, or less than one frame.
    """
    common = min(n_frames, count_frames(len(samples), frames_per_second))
    if common < 1:
        raise UnusableAudio(
            f"{len(samples) / SAMPLE_RATE:.3f} s of audio for {n_frames} frames: nothing to keep; is the file complete?"
        )
    first, end = _speech_frames(samples, common, frames_per_second, top_db)
    start, stop = frame_start(first, frames_per_second), frame_start(end, frames_per_second)
    kept = np.array(samples[start:stop], dtype=np.float32)
    # The last frame may reach past the audio by up to half a frame.
    kept = np.pad(kept, (0, stop - start - len(kept)))
    gain_db = level_db - _level_db(kept, loudness)
    return Speech((kept * 10 ** (gain_db / 20)).astype(np.float32), first, end - first, gain_db)


def undo_level(samples: np.ndarray, gain_db: float) -> np.ndarray:
    """The samples as they were before `gain_db` was applied."""
    return (samples / 10 ** (gain_db / 20)).astype(np.float32)


def _speech_frames(samples: np.ndarray, common: int, frames_per_second: float, top_db: float) -> tuple[int, int]:
    """First frame with speech, and the frame after the last, within 0..common."""
    from librosa.effects import trim

    heard = samples[: frame_start(common, frames_per_second)]
    _refuse_silence(heard)
    _, (start, stop) = trim(heard, top_db=top_db)
    first = min(math.floor(start * frames_per_second / SAMPLE_RATE), common - 1)
    end = min(math.ceil(stop * frames_per_second / SAMPLE_RATE), common)
    # Rounding may put a boundary one sample inside the speech; then one frame more is kept.
    if first and frame_start(first, frames_per_second) > start:
        first -= 1
    if end < common and frame_start(end, frames_per_second) < stop:
        end += 1
    return first, max(end, first + 1)


def _refuse_silence(samples: np.ndarray) -> None:
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < SILENCE_PEAK:
        raise UnusableAudio(
            f"nothing but silence (highest sample {peak:.1g} of full scale); was the right channel recorded?"
        )


def _level_db(samples: np.ndarray, loudness: str) -> float:
    _refuse_silence(samples)
    if loudness == "peak":
        return 20 * math.log10(float(np.abs(samples).max()))
    if loudness == "rms":
        return 10 * math.log10(float(np.mean(np.square(samples, dtype=np.float64))))
    raise ValueError(f"loudness {loudness!r}: expected 'peak' or 'rms'")

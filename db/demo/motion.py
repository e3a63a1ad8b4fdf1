"""From a spoken sentence to facial actions over time: coefficients (T, A) at 25 frames per second.

The mouth follows the phonemes (`visemes`), scaled by how loudly and with what feeling something is said. Emotion adds
brows, lids, cheeks and lip corners, rising at the onset, swelling with the voice and with a slow drift, each subject in
a style of their own and never quite pure. Lips close on p, b and m whatever the face feels. Blinks, glances and small
brow movements on stressed words complete it. The head itself stays still, as in the corpus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from . import visemes
from .action_units import AU, NAMES
from .face import Face
from .speech import Utterance

Array = NDArray[np.float64]

FRAMES_PER_SECOND = 25
EXPRESSIONS: dict[str, dict[str, float]] = {
    "happy": {"AU6": 1.1, "AU12": 1.22, "AU10": 0.15, "AU7": 0.18, "AU2": 0.15, "AU1": 0.1},
    "angry": {"AU4": 1.2, "AU5": 0.5, "AU7": 0.75, "AU9": 0.55, "AU10": 0.25, "AU23": 0.55, "AU17": 0.2, "AU15": 0.2},
    "sadness": {"AU1": 1.15, "AU4": 0.42, "AU15": 1.0, "AU17": 0.45, "AU43": 0.22, "gaze down": 0.45},
    "neutral": {},
}
# in a face that speaks, actions that would hold the mouth shut give way
_YIELDS_TO_SPEECH = ("AU17", "AU23")
_MOUTH_GAIN = {"happy": 1.08, "angry": 1.18, "sadness": 0.78, "neutral": 0.95}


@dataclass(frozen=True)
class Style:
    """How a subject moves: a factor (A,) on every action, on the mouth, blinks per second, and the taint of feeling."""

    actions: Array
    articulation: float
    blinks_per_s: float
    mixed: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Style:
        """A subject's style; the spread makes the same emotion look different on different people."""
        return cls(
            actions=np.exp(rng.normal(0, 0.22, len(NAMES))).clip(0.6, 1.5),
            articulation=float(rng.uniform(0.85, 1.15)),
            blinks_per_s=float(rng.uniform(0.18, 0.42)),
            mixed=float(rng.uniform(0.05, 0.16)),
        )


@dataclass(frozen=True)
class Lips:
    """Upper and lower lip edge, point above point: how far apart they rest and how each action moves them, in mm."""

    gap: Array  # (P,)
    fields: Array  # (A, P)

    @classmethod
    def of(cls, face: Face, fields: Array) -> Lips:
        """Pairs along the middle three quarters of the mouth; `fields` (A, V, 3) in mm."""
        ring = face.skin.mouth
        count = len(ring)
        upper = np.arange(1, count // 2)
        upper = upper[np.abs(face.vertices[ring[upper], 0]) < 19]
        above, below = ring[upper], ring[count - upper]
        return cls(face.vertices[above, 1] - face.vertices[below, 1], fields[:, above, 1] - fields[:, below, 1])

    def apart(self, coefficients: Array) -> Array:
        """Gap (T, P) in mm between the lips for coefficients (T, A); negative where they would overlap."""
        return self.gap + coefficients @ self.fields


def loudness(utterance: Utterance, times_s: Array) -> Array:
    """Smoothed level (T,) of the voice, 1 at the sentence's loud passages."""
    power = utterance.audio.astype(np.float64) ** 2
    window = int(0.06 * utterance.rate_hz)
    level = np.sqrt(np.convolve(power, np.ones(window) / window, "same"))
    at = np.clip((times_s * utterance.rate_hz).astype(int), 0, len(level) - 1)
    smooth = gaussian_filter1d(level[at], 1.5)
    return np.clip(smooth / (np.percentile(smooth, 92) + 1e-9), 0, 1.3)


def facial_actions(
    utterance: Utterance, emotion: str, strength: float, style: Style, lips: Lips, rng: np.random.Generator
) -> Array:
    """Coefficients (T, A) of the actions in `action_units.NAMES` while `utterance` is spoken.

    `emotion` is one of `EXPRESSIONS`, `strength` in [0, 1] how strongly it shows; T = round(25 x duration).
    """
    frames = max(2, int(round(FRAMES_PER_SECOND * utterance.duration_s)))
    times = (np.arange(frames) + 0.5) / FRAMES_PER_SECOND
    level = loudness(utterance, times)
    total = _expression(emotion, strength, style, level, rng)
    gain = style.articulation * (1 + strength * (_MOUTH_GAIN[emotion] - 1)) * (0.82 + 0.22 * level)
    mouth = visemes.mouth_actions(utterance.phonemes, times)
    for k, name in enumerate(visemes.ACTIONS[:-1]):
        keep = 1.0 if k in (visemes.BITE, visemes.TONGUE) else gain
        total[:, AU[name]] += keep * mouth[:, k]
    total[:, AU["AU12"]] *= 1 - 0.35 * mouth[:, visemes.PURSED]  # nobody purses lips and grins at once
    _idle(total, utterance, times, style, rng)
    _close_lips(total, mouth[:, visemes.CLOSED], lips)
    return total


def _expression(emotion: str, strength: float, style: Style, level: Array, rng: np.random.Generator) -> Array:
    """The emotion's share of the coefficients (T, A): onset, swell with the voice, drift, a trace of another."""
    frames = len(level)
    t = np.arange(frames) / FRAMES_PER_SECOND
    onset = 0.55 + 0.45 / (1 + np.exp(-(t - rng.uniform(0.15, 0.45)) / 0.09))
    drift = gaussian_filter1d(rng.standard_normal(frames + 60), 14)[30 : 30 + frames]
    drift = 0.10 * drift / (np.std(drift) + 1e-9)
    course = np.clip(onset * (0.88 + 0.16 * gaussian_filter1d(level, 5) + drift), 0, 1.25)
    target = np.zeros(len(NAMES))
    speaking = np.zeros(len(NAMES))
    other = rng.choice([name for name in EXPRESSIONS if name != emotion])
    for name, share in ((emotion, strength), (other, style.mixed * rng.uniform(0.3, 1.0))):
        for action, amount in EXPRESSIONS[name].items():
            target[AU[action]] += share * amount
            speaking[AU[action]] = 0.45 if action in _YIELDS_TO_SPEECH else 0.0
    target *= style.actions * np.exp(rng.normal(0, 0.10, len(NAMES)))
    yielding = 1 - speaking[None] * gaussian_filter1d(np.minimum(level, 1), 2)[:, None]
    return course[:, None] * target[None] * yielding


def _idle(total: Array, utterance: Utterance, times: Array, style: Style, rng: np.random.Generator) -> None:
    """Blinks, glances, and brows that stress what is stressed; in place."""
    for blink in _blink_times(utterance.duration_s, style.blinks_per_s, rng):
        width = np.where(times < blink, 0.050, 0.090)  # lids fall faster than they rise
        shape = np.exp(-(((times - blink) / width) ** 2))
        shut = total[:, AU["AU43"]]
        total[:, AU["AU43"]] = shut + (1.0 - shut) * shape
        total[:, AU["AU5"]] *= 1 - shape
    for phoneme in utterance.phonemes:
        if phoneme.stressed and rng.uniform() < 0.45:
            beat = np.exp(-(((times - phoneme.start_s) / 0.13) ** 2))
            lift = rng.uniform(0.05, 0.22)
            total[:, AU["AU1"]] += 0.8 * lift * beat
            total[:, AU["AU2"]] += lift * beat
    for name, size in (("gaze sideways", 0.26), ("gaze down", 0.18)):
        total[:, AU[name]] += size * _glances(times, rng)
    for name in ("AU1", "AU2", "AU6", "AU12", "AU7"):
        wander = gaussian_filter1d(rng.standard_normal(len(times) + 40), 8)[20 : 20 + len(times)]
        total[:, AU[name]] += 0.07 * wander


def _blink_times(duration_s: float, per_s: float, rng: np.random.Generator) -> list[float]:
    """When the eyes blink: random, at least half a second apart."""
    times, now = [], rng.uniform(0.1, 2.2)
    while now < duration_s:
        times.append(now)
        now += 0.5 + rng.exponential(1 / per_s)
    return times


def _glances(times: Array, rng: np.random.Generator) -> Array:
    """Where the eyes rest (T,), about -1..1: jumps every second or so."""
    jumps = np.cumsum(rng.exponential(0.9, 12))
    places = rng.normal(0, 0.6, 13).clip(-1, 1)
    return places[np.searchsorted(jumps, times)]


def _close_lips(total: Array, closed: Array, lips: Lips) -> None:
    """Set AU24 so that lips meet on p, b, m and never pass through one another; in place.

    The gap is linear in the coefficients, so the amount that just closes the widest point can be solved for.
    """
    press = AU["AU24"]
    power = -lips.fields[press]
    free = lips.apart(total)
    needed = (free / power).max(1)
    overlap = (free / power).mean(1)  # negative where the lips overlap on the whole
    shut = np.clip((closed - 0.30) / 0.40, 0, 1)
    total[:, press] += np.where(needed > 0, shut * needed, 0.0) + np.minimum(overlap, 0) * (1 - shut)

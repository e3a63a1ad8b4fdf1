"""A plain formant synthesiser: understandable speech with exact phoneme timings and nothing but numpy and scipy.

Source and filter as in Klatt's "Software for a cascade/parallel formant synthesizer" (JASA 1980), much reduced: a
smoothed pulse train and noise through four resonators in a row for vowels and other voiced sounds, and noise through
one resonator for fricatives and bursts. Targets are those of an adult man's General American; `tract` scales them.
It stands in where espeak-ng cannot be had and promises the interface, not the beauty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]

RATE_HZ = 22_050
FRAME = 110  # samples between updates of the filters, 5 ms


class Piece(NamedTuple):
    """A stretch of a sound: duration in ms, formants in Hz, levels 0..1 of voice, breath, hiss; centre of hiss, Hz."""

    ms: float
    f1: float
    f2: float
    f3: float
    voice: float = 0.0
    breath: float = 0.0
    hiss: float = 0.0
    centre: float = 4000.0


def _vowel(ms: float, *targets: tuple[float, float, float]) -> tuple[Piece, ...]:
    return tuple(Piece(ms / len(targets), *t, voice=1.0) for t in targets)


def _stop(f1: float, f2: float, f3: float, voiced: bool, centre: float) -> tuple[Piece, ...]:
    closure = Piece(52 if voiced else 62, f1, f2, f3, voice=0.16 if voiced else 0.0)
    burst = Piece(10, f1, f2, f3, hiss=0.55, breath=0.1, centre=centre)
    release = Piece(8, f1, f2, f3, voice=0.6) if voiced else Piece(30, f1, f2, f3, breath=0.45, hiss=0.1, centre=centre)
    return closure, burst, release


def _fricative(ms: float, f: tuple[float, float, float], voice: float, hiss: float, centre: float) -> tuple[Piece, ...]:
    return (Piece(ms, *f, voice=voice, hiss=hiss, centre=centre),)


_EE, _IH, _EH, _AE = (280, 2250, 2950), (400, 1950, 2550), (540, 1800, 2480), (670, 1700, 2400)
_AH, _AA, _AO, _UH = (620, 1200, 2450), (730, 1110, 2450), (580, 880, 2420), (440, 1050, 2260)
_UW, _ER, _SCHWA, _R = (310, 900, 2250), (480, 1330, 1680), (500, 1400, 2450), (350, 1150, 1600)
_W = (300, 650, 2200)

SOUNDS: dict[str, tuple[Piece, ...]] = {
    "i": _vowel(85, _EE), "iː": _vowel(125, _EE), "ɪ": _vowel(80, _IH), "ᵻ": _vowel(60, _IH), "ɛ": _vowel(100, _EH),
    "æ": _vowel(130, _AE), "ʌ": _vowel(95, _AH), "ɐ": _vowel(65, _AH), "ə": _vowel(60, _SCHWA), "ɚ": _vowel(95, _ER),
    "ɜː": _vowel(130, _ER), "ɑː": _vowel(135, _AA), "ɔ": _vowel(100, _AO), "ɔː": _vowel(135, _AO),
    "ʊ": _vowel(85, _UH), "uː": _vowel(120, _UW), "eɪ": _vowel(140, _EH, _EE), "aɪ": _vowel(160, _AA, _IH),
    "aʊ": _vowel(165, _AA, _UH), "oʊ": _vowel(145, _AO, _UW), "ɔɪ": _vowel(170, _AO, _IH),
    "iə": _vowel(150, _EE, _SCHWA),
    "aɪə": _vowel(190, _AA, _IH, _SCHWA), "ɛɹ": _vowel(150, _EH, _R), "ʊɹ": _vowel(150, _UH, _R),
    "ɑːɹ": _vowel(175, _AA, _R), "ɔːɹ": _vowel(175, _AO, _R), "əl": _vowel(120, _SCHWA, (400, 950, 2600)),
    "p": _stop(300, 800, 2200, False, 900), "b": _stop(250, 850, 2250, True, 800),
    "t": _stop(350, 1750, 2650, False, 4200), "d": _stop(280, 1700, 2600, True, 3800),
    "k": _stop(320, 1850, 2400, False, 2000), "ɡ": _stop(280, 1800, 2350, True, 1900),
    "tʃ": (Piece(50, 300, 1800, 2500), Piece(75, 300, 1800, 2500, hiss=0.8, centre=2900)),
    "dʒ": (Piece(40, 280, 1800, 2500, voice=0.15), Piece(55, 280, 1800, 2500, voice=0.3, hiss=0.5, centre=2900)),
    "f": _fricative(95, (340, 1050, 2200), 0, 0.22, 6500), "v": _fricative(65, (280, 1050, 2200), 0.45, 0.10, 6000),
    "θ": _fricative(90, (320, 1350, 2550), 0, 0.16, 6800), "ð": _fricative(50, (280, 1350, 2500), 0.5, 0.06, 6000),
    "s": _fricative(105, (320, 1500, 2600), 0, 0.75, 6200), "z": _fricative(75, (270, 1500, 2600), 0.35, 0.5, 6200),
    "ʃ": _fricative(110, (300, 1800, 2500), 0, 0.85, 3000), "h": (Piece(60, 500, 1500, 2500, breath=0.5),),
    "m": (Piece(75, 260, 1000, 2200, voice=0.38),), "n": (Piece(65, 260, 1500, 2500, voice=0.36),),
    "ŋ": (Piece(75, 260, 1900, 2500, voice=0.34),), "l": (Piece(65, 350, 1050, 2800, voice=0.65),),
    "ɹ": (Piece(65, *_R, voice=0.65),), "w": (Piece(65, *_W, voice=0.6),), "j": (Piece(55, *_EE, voice=0.6),),
    "ɾ": (Piece(28, 300, 1700, 2600, voice=0.3),),
}  # fmt: skip
LEAD_MS, TAIL_MS = 40.0, 160.0
Timed = tuple[str, float, float, bool]


def synthesise(
    sounds: str, mean_hz: float, range_semitones: float, speed: float, level: float, tract: float
) -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak blank-separated IPA `sounds`; returns audio (S,) and (symbol, start s, end s, stressed) per sound.

    `speed` 1 is ordinary, `level` is the peak (0..1), `tract` under 1 a shorter vocal tract. Raises ValueError for a
    sound that is not in `SOUNDS`.
    """
    pieces, timed = _laid_out(sounds.split(), speed)
    tracks = _tracks(pieces, tract)
    pitch = _pitch(timed, len(tracks) * FRAME, mean_hz, range_semitones)
    audio = _rendered(tracks, pitch)
    audio = audio / max(np.abs(audio).max(), 1e-9) * np.clip(level, 0.05, 0.95)
    return np.round(audio * 32767).astype(np.int16), timed


def _laid_out(symbols: list[str], speed: float) -> tuple[list[Piece], list[Timed]]:
    """All pieces in order with their final durations, and when each sound begins and ends."""
    unknown = sorted({s.strip("ˈ") for s in symbols} - SOUNDS.keys())
    if unknown:
        raise ValueError(f"the formant synthesiser has no sound for {', '.join(unknown)}")
    pieces = [Piece(LEAD_MS, *_SCHWA)]
    timed: list[Timed] = [("", 0.0, LEAD_MS / 1000, False)]
    now = LEAD_MS
    for i, symbol in enumerate(symbols):
        stressed, name = symbol.startswith("ˈ"), symbol.strip("ˈ")
        stretch = (1.25 if stressed else 1.0) * (1.45 if i >= len(symbols) - 2 else 1.0) / speed
        made = [piece._replace(ms=piece.ms * stretch) for piece in SOUNDS[name]]
        length = sum(piece.ms for piece in made)
        timed.append((name, now / 1000, (now + length) / 1000, stressed))
        pieces += made
        now += length
    pieces.append(Piece(TAIL_MS, *_SCHWA))
    timed.append(("", now / 1000, (now + TAIL_MS) / 1000, False))
    return pieces, timed


def _tracks(pieces: list[Piece], tract: float) -> Array:
    """Filter settings (frames, 7) every 5 ms: f1 f2 f3 voice breath hiss centre, gliding between pieces."""
    ends = np.cumsum([piece.ms for piece in pieces])
    frame_ms = 1000 * FRAME / RATE_HZ
    times = np.arange(int(np.ceil(ends[-1] / frame_ms))) * frame_ms
    which = np.minimum(np.searchsorted(ends, times, side="right"), len(pieces) - 1)
    steps = np.array([piece[1:] for piece in pieces])[which]
    glide = np.hanning(15)[1:-1]  # formants move over about 60 ms, levels over 20
    quick = np.hanning(7)[1:-1]
    smooth = [np.convolve(np.pad(c, len(k) // 2, "edge"), k / k.sum(), "valid")
              for c, k in zip(steps.T, [glide] * 3 + [quick] * 3 + [quick], strict=True)]  # fmt: skip
    tracks = np.stack(smooth, -1)
    tracks[:, :3] /= tract
    return tracks


def _pitch(timed: list[Timed], samples: int, mean_hz: float, range_semitones: float) -> Array:
    """Fundamental (S,) in Hz: a falling line with a rise on every stressed vowel and a drop at the end."""
    t = np.arange(samples) / RATE_HZ
    end = timed[-2][2]
    contour = 0.45 * range_semitones * (0.5 - t / end)
    for _, start, stop, stressed in timed:
        if stressed:
            contour += 0.55 * range_semitones * np.exp(-(((t - (start + stop) / 2) / 0.10) ** 2))
    contour -= 0.5 * range_semitones * np.clip((t - end + 0.25) / 0.25, 0, 1) + 0.15 * range_semitones
    return mean_hz * 2 ** (contour / 12)


def _rendered(tracks: Array, pitch: Array) -> Array:
    """Source through filters, frame by frame with their state carried on."""
    rng = np.random.default_rng(1)
    samples = len(pitch)
    phase = np.cumsum(pitch / RATE_HZ)
    glottis = np.where(phase % 1 < 0.6, np.sin(np.pi * (phase % 1) / 0.6) ** 2, 0.0)
    glottis = np.diff(glottis, prepend=0.0) * (RATE_HZ / pitch) * 0.3  # radiation at the lips differentiates
    noise = rng.standard_normal(samples)
    levels = np.stack([np.interp(np.arange(samples), np.arange(len(tracks)) * FRAME, c) for c in tracks[:, 3:6].T])
    source = glottis * levels[0] + 0.10 * noise * levels[1]
    hiss = 0.10 * noise * levels[2]
    out = np.empty(samples)
    states = [np.zeros(2) for _ in range(5)]
    for i, (f1, f2, f3, _, _, _, centre) in enumerate(tracks):
        part = slice(i * FRAME, (i + 1) * FRAME)
        voiced = source[part]
        for k, (f, width) in enumerate(((f1, 70.0), (f2, 100.0), (f3, 150.0), (3500.0, 260.0))):
            voiced, states[k] = _resonator(voiced, f, width, states[k])
        rough, states[4] = _resonator(hiss[part], centre, 1400.0, states[4])
        out[part] = voiced + rough
    return out


def _resonator(signal: Array, frequency: float, width: float, state: Array) -> tuple[Array, Array]:
    """Klatt's two-pole resonator with unit gain at 0 Hz."""
    radius = np.exp(-np.pi * width / RATE_HZ)
    b = 2 * radius * np.cos(2 * np.pi * min(frequency, 0.45 * RATE_HZ) / RATE_HZ)
    c = -radius * radius
    return lfilter([1 - b - c], [1, -b, -c], signal, zi=state)

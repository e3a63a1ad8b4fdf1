"""Phonemes to mouth movements, with coarticulation.

Each sound has targets for a few actions of the mouth and says how strongly it insists on each (its dominance); at any
moment the mouth takes the mean of the neighbouring sounds' targets weighted by dominance, which fades with distance
in time (Cohen and Massaro, "Modeling coarticulation in synthetic visual speech", 1993). So a "k" between rounded
vowels is said with rounded lips, while the lips of a "p" close whatever surrounds them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .speech import Phoneme

Array = NDArray[np.float64]

# jaw down, lips pursed, lips wide, lower lip down, upper lip up, lower lip to teeth, tongue up, lips closed
ACTIONS = ("AU26", "AU18", "AU20", "AU16", "AU10", "lower lip to teeth", "tongue up", "closed")
JAW, PURSED, WIDE, LOWER, UPPER, BITE, TONGUE, CLOSED = range(8)
FADE_S = np.array([0.060, 0.075, 0.070, 0.045, 0.045, 0.026, 0.030, 0.021])  # how fast an action's dominance fades

_VOWELS = {
    "iː": (0.22, 0.00, 0.75, 0.35, 0.22), "i": (0.20, 0.00, 0.60, 0.30, 0.18), "ɪ": (0.28, 0.00, 0.42, 0.28, 0.14),
    "ᵻ": (0.24, 0.00, 0.30, 0.22, 0.10), "ɛ": (0.46, 0.00, 0.40, 0.30, 0.16), "æ": (0.72, 0.00, 0.48, 0.32, 0.20),
    "ʌ": (0.55, 0.00, 0.08, 0.22, 0.10), "ɐ": (0.45, 0.00, 0.08, 0.20, 0.10), "ə": (0.30, 0.03, 0.08, 0.18, 0.08),
    "ɚ": (0.28, 0.34, 0.00, 0.22, 0.10), "ɜː": (0.34, 0.40, 0.00, 0.24, 0.12), "ɑː": (0.88, 0.00, 0.00, 0.24, 0.12),
    "ɔ": (0.62, 0.40, 0.00, 0.22, 0.08), "ɔː": (0.66, 0.52, 0.00, 0.22, 0.08), "ʊ": (0.28, 0.66, 0.00, 0.18, 0.05),
    "uː": (0.18, 0.98, 0.00, 0.16, 0.03),
}  # fmt: skip
_GLIDES = {
    "eɪ": ("ɛ", "i"), "aɪ": ("ɑː", "ɪ"), "aʊ": ("ɑː", "uː"), "oʊ": ("ɔː", "uː"), "ɔɪ": ("ɔː", "ɪ"), "iə": ("iː", "ə"),
    "aɪə": ("ɑː", "ɪ", "ə"), "ɛɹ": ("ɛ", "ɜː"), "ʊɹ": ("uː", "ɜː"), "ɑːɹ": ("ɑː", "ɜː"), "ɔːɹ": ("ɔː", "ɜː"),
    "əl": ("ə", "ʊ"), "əʊ": ("ə", "uː"), "eə": ("ɛ", "ə"), "ʊə": ("uː", "ə"), "oː": ("ɔː",), "ɒ": ("ɔ",), "a": ("æ",),
    "aː": ("ɑː",), "e": ("ɛ",), "eː": ("ɛ", "ɪ"), "o": ("ɔː",), "u": ("uː",), "ʉ": ("uː",), "ɵ": ("ʊ",),
    "əɪ": ("ə", "ɪ"), "ʌʊ": ("ʌ", "uː"), "ɜ": ("ɜː",), "ɔə": ("ɔː", "ə"), "ɑ": ("ɑː",),
    "iːə": ("iː", "ə"), "aɪɚ": ("ɑː", "ɪ", "ɚ"),
    "əː": ("ɜː",), "ɛː": ("ɛ",), "uə": ("uː", "ə"), "ɑʊ": ("ɑː", "uː"), "ɪɹ": ("iː", "ɜː"), "ɪə": ("iː", "ə"),
}  # fmt: skip
# target and dominance by action; what a consonant does not name it leaves to its neighbours
_CONSONANTS: dict[str, dict[int, tuple[float, float]]] = {
    "p": {CLOSED: (1, 30), JAW: (0.05, 3), BITE: (0, 2)},
    "f": {BITE: (1, 20), JAW: (0.08, 3), UPPER: (0.35, 2), CLOSED: (0, 1)},
    "w": {PURSED: (1.0, 5), JAW: (0.12, 2), WIDE: (0, 3)},
    "ʃ": {PURSED: (0.62, 3), JAW: (0.10, 3), LOWER: (0.45, 2), UPPER: (0.25, 2)},
    "ɹ": {PURSED: (0.48, 1.6), JAW: (0.18, 1)},
    "s": {JAW: (0.06, 3.5), WIDE: (0.32, 1), LOWER: (0.42, 2), UPPER: (0.16, 1)},
    "t": {JAW: (0.12, 2.0), TONGUE: (0.7, 4), LOWER: (0.28, 0.8)},
    "l": {JAW: (0.30, 0.7), TONGUE: (1.0, 5), LOWER: (0.26, 0.5)},
    "θ": {JAW: (0.20, 1.4), TONGUE: (0.9, 5), LOWER: (0.36, 1.2), UPPER: (0.16, 1)},
    "k": {JAW: (0.26, 0.7), LOWER: (0.2, 0.3)},
    "h": {JAW: (0.34, 0.25)},
    "j": {JAW: (0.18, 1), WIDE: (0.5, 1)},
}
_LIKE = {
    "b": "p", "m": "p", "v": "f", "tʃ": "ʃ", "dʒ": "ʃ", "ʒ": "ʃ", "r": "ɹ", "z": "s", "d": "t", "n": "t", "ɾ": "t",
    "ð": "θ", "ɡ": "k", "g": "k", "ŋ": "k", "ʔ": "h", "ɫ": "l", "ʍ": "w",
    "ɹ̩": "ɹ", "n̩": "t", "x": "k", "l̩": "l", "m̩": "p",
}  # fmt: skip
CLOSING = frozenset({"p", "b", "m", "m̩"})


def _targets(symbol: str) -> list[dict[int, tuple[float, float]]]:
    """What a sound asks of the mouth, one dict per part of it: action -> (target, dominance)."""
    if not symbol:
        return [{k: (0.0, 0.55 if k != TONGUE else 1.0) for k in range(len(ACTIONS))}]
    if symbol in _GLIDES:
        return [_targets(part)[0] for part in _GLIDES[symbol]]
    if symbol in _VOWELS:
        lips = {k: (target, 1.0) for k, target in enumerate(_VOWELS[symbol])}
        return [lips | {BITE: (0, 1), TONGUE: (0, 1), CLOSED: (0, 1)}]
    consonant = _CONSONANTS.get(_LIKE.get(symbol, symbol))
    if consonant is None:
        return [{JAW: (0.25, 0.5)}] if len(symbol) == 1 else _targets(symbol[0])
    return [consonant | {k: (0.0, 1.0) for k in (BITE, TONGUE, CLOSED) if k not in consonant}]


def mouth_actions(phonemes: tuple[Phoneme, ...], times_s: Array) -> Array:
    """Amounts (T, 8) of `ACTIONS` at `times_s` (T,): 0 at rest, about 1 at the clearest sound."""
    total = np.full((len(times_s), len(ACTIONS)), 1e-6)
    pull = np.zeros_like(total)
    for phoneme in phonemes:
        parts = _targets(phoneme.symbol)
        edges = np.linspace(phoneme.start_s, phoneme.end_s, len(parts) + 1)
        for part, start, end in zip(parts, edges, edges[1:], strict=False):
            outside = np.maximum(np.maximum(start - times_s, times_s - end), 0)
            for action, (target, dominance) in part.items():
                weight = dominance * (1.15 if phoneme.stressed else 1.0) * np.exp(-outside / FADE_S[action])
                total[:, action] += weight
                pull[:, action] += weight * target
    return pull / total


def closures(phonemes: tuple[Phoneme, ...]) -> list[tuple[float, float]]:
    """Start and end in seconds of every sound that needs closed lips."""
    return [(p.start_s, p.end_s) for p in phonemes if p.symbol in CLOSING]

"""The demo's original ratings: fifteen adjectives per clip on a scale from 0 to 5, as a corpus would bring them.

A dozen simulated judges are averaged; a few clips that nobody rated have zeros throughout and are outliers.
"""

from __future__ import annotations

import numpy as np

ADJECTIVES = (
    "happy", "cheerful", "amused", "excited", "confident", "surprised", "angry", "irritated", "stressed",
    "contemptuous", "sad", "disappointed", "worried", "calm", "indifferent",
)  # fmt: skip
_LEANINGS = {
    "happy": dict(happy=1.0, cheerful=0.95, amused=0.7, excited=0.6, confident=0.55, surprised=0.2),
    "angry": dict(angry=1.0, irritated=0.9, stressed=0.6, contemptuous=0.5, excited=0.3, confident=0.3),
    "sadness": dict(sad=1.0, disappointed=0.85, worried=0.65, stressed=0.25, calm=0.2),
    "neutral": dict(calm=0.8, indifferent=0.75, confident=0.35),
}


def adjective_scores(emotion: str, strength: float, rng: np.random.Generator) -> list[float]:
    """Mean scores of the `ADJECTIVES` for a clip that shows `emotion` with `strength` in [0, 1]."""
    calm = _LEANINGS["neutral"]
    scores = []
    for adjective in ADJECTIVES:
        felt = strength * _LEANINGS[emotion].get(adjective, 0.0) + (1 - strength) * calm.get(adjective, 0.0)
        judges = np.clip(np.round(0.6 + 4.2 * felt + rng.normal(0, 0.9, 12)), 0, 5)
        scores.append(round(max(float(judges.mean()), 0.1), 2))
    return scores

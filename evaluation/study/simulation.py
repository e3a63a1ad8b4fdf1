"""Studies that never happened: answers of people and clips that differ, all of a design's studies at once as arrays.

A/B: the first system is chosen when a latent preference is above 0: mean + participant + clip + rest, with a rest of
standard deviation 1; the mean is set so that the share over all people and clips is exactly the one asked for. MOS: a
latent opinion, condition + participant + clip + their interactions with the condition + rest, rounded and cut to the
scale. The spreads are of the size that reproduces the known coverages of pooled intervals (docs/studies-statistics.md).
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluation.study.two_way import largest_variance

MOST_PEOPLE, MOST_ITEMS = 2_000, 1_000


@dataclass(frozen=True)
class Design:
    """A study to be simulated: everybody answers about every item under every comparison or condition.

    effect: A/B the true share, 0 to 1, that prefers the first system; MOS the true difference of two conditions, in
    points. comparisons: of systems, or conditions; what Holm corrects for. sd_*: spread between participants, between
    items, and of the rest (MOS), and of how differently participants, and items, respond to conditions (MOS).
    Raises ValueError for what cannot be.
    """

    kind: str
    participants: int
    items: int
    comparisons: int = 3
    effect: float = 0.6
    sd_participant: float = 0.3
    sd_item: float = 0.3
    sd_rest: float = 1.0
    sd_interaction: float = 0.0
    centre: float = 3.0
    scale: tuple[float, float] = (1.0, 5.0)

    def __post_init__(self):
        if self.kind not in ("ab", "mos"):
            raise ValueError(f"kind {self.kind!r}: expected ab or mos")
        if not 2 <= self.participants <= MOST_PEOPLE or not 2 <= self.items <= MOST_ITEMS:
            raise ValueError(f"{self.participants} participants x {self.items} items: expected 2 to {MOST_PEOPLE} "
                             f"participants and 2 to {MOST_ITEMS} items")  # fmt: skip
        if self.comparisons < 1 + (self.kind == "mos"):
            raise ValueError(f"{self.comparisons} {'conditions' if self.kind == 'mos' else 'comparisons'}: too few")
        if self.kind == "ab" and not 0 < self.effect < 1:
            raise ValueError(f"a true preference of {self.effect}: expected a share between 0 and 1, such as 0.6")
        if self.kind == "mos" and not abs(self.effect) < self.scale[1] - self.scale[0]:
            raise ValueError(f"a difference of {self.effect} points on a scale from {self.scale[0]:g} to "
                             f"{self.scale[1]:g}: expected less than the whole scale")  # fmt: skip
        spreads = (self.sd_participant, self.sd_item, self.sd_rest, self.sd_interaction)
        if not all(np.isfinite(sd) and sd >= 0 for sd in spreads) or not self.sd_rest:
            raise ValueError(f"spreads {spreads}: expected 0 or more, and more than 0 for the rest")

    @property
    def questions(self) -> int:
        """How many tests Holm corrects for: comparisons, or pairs of conditions."""
        return self.comparisons if self.kind == "ab" else self.comparisons * (self.comparisons - 1) // 2


TABLE_III = Design("ab", 23, 30, comparisons=3)
TABLE_V = Design("mos", 25, 15, comparisons=3, effect=0.5, sd_participant=0.45, sd_item=0.35, sd_rest=0.85,
                 sd_interaction=0.25)  # fmt: skip


def simulate_votes(design: Design, studies: int, rng: np.random.Generator) -> np.ndarray:
    """Votes for the first system in many A/B studies of one comparison: (studies, participants, items), 0 or 1."""
    spread = (design.sd_participant**2 + design.sd_item**2 + design.sd_rest**2) ** 0.5
    shape = (studies, design.participants, design.items)
    latent = rng.normal(stats.norm.ppf(design.effect) * spread, design.sd_rest, shape)
    latent += rng.normal(0, design.sd_participant, shape[:2])[:, :, None]
    latent += rng.normal(0, design.sd_item, (studies, design.items))[:, None, :]
    return (latent > 0).astype(np.float64)


def simulate_scores(design: Design, studies: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores in many MOS studies under two conditions, the first `effect` above: (studies, people, items)."""
    shape = (studies, design.participants, design.items)
    person = rng.normal(0, design.sd_participant, shape[:2])[:, :, None]
    item = rng.normal(0, design.sd_item, (studies, design.items))[:, None, :]
    scores = []
    for level in (design.centre + design.effect / 2, design.centre - design.effect / 2):
        latent = level + person + item + rng.normal(0, design.sd_rest, shape)
        latent += rng.normal(0, design.sd_interaction, shape[:2])[:, :, None]
        latent += rng.normal(0, design.sd_interaction, (studies, design.items))[:, None, :]
        scores.append(np.clip(np.round(latent), *design.scale))
    return scores[0], scores[1]


def true_means(design: Design) -> tuple[float, float]:
    """The means that the scores of `simulate_scores` have over all people and clips: rounding and cutting move them."""
    variance = design.sd_participant**2 + design.sd_item**2 + design.sd_rest**2 + 2 * design.sd_interaction**2
    low, high = design.scale
    steps = np.arange(low, high) + 0.5
    found = [
        float(low + stats.norm.sf((steps - level) / variance**0.5).sum())
        for level in (design.centre + design.effect / 2, design.centre - design.effect / 2)
    ]
    return found[0], found[1]


def errors(residuals: np.ndarray, parameters: int = 1) -> np.ndarray:
    """`two_way.two_way_error` of many complete studies at once: (studies,), NaN where it is undefined.

    residuals: (studies, participants, items), deviations from the mean; with `parameters` 2, the first condition's
    minus the second's.
    """
    _, people, items = residuals.shape
    cells = people * items
    answers = cells * parameters
    by_person = (residuals.sum(axis=2) ** 2).sum(axis=1) * people / (people - 1)
    by_item = (residuals.sum(axis=1) ** 2).sum(axis=1) * items / (items - 1)
    alone = (residuals**2).sum(axis=(1, 2)) * cells / (cells - 1)
    variance = largest_variance(by_person, by_item, alone) / cells**2 * (answers - 1) / (answers - parameters)
    return np.sqrt(np.where(variance > 1e-18, variance, np.nan))

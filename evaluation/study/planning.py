"""How many people and clips does a study need? Its actual design is simulated, and analysed as it will be analysed."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from db.progress import Progress
from evaluation.study.simulation import (
    MOST_PEOPLE,
    TABLE_III,
    TABLE_V,
    Design,
    errors,
    simulate_scores,
    simulate_votes,
    true_means,
)

__all__ = ["TABLE_III", "TABLE_V", "Design", "Plan", "participants_needed", "plan"]
SIMULATIONS = 1_000
LARGEST_BATCH = 2_000_000  # answers at a time, so that memory stays flat
ALPHA = 0.05


@dataclass(frozen=True)
class Plan:
    """What a design can be expected to find. Shares are 0 to 1; half-widths in shares (A/B) or points (MOS).

    half_width: of the default 95% interval of a preference, or of a condition's mean; difference_half_width: of two
    conditions' difference (MOS). power: how often the default test finds the effect at 5%; power_corrected: at the
    strictest of Holm's levels, 5% by the number of comparisons. coverage: how often the interval holds the truth.
    margin: 95% simulation error of the power.
    """

    design: Design
    half_width: float
    power: float
    power_corrected: float
    coverage: float
    simulations: int
    margin: float
    difference_half_width: float | None = None
    undefined: float = 0.0
    seed: int = 0

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"sentences": self.sentences}

    @property
    def sentences(self) -> list[str]:
        """What to tell whoever plans."""
        design = self.design
        if design.kind == "ab":
            effect = f"a true preference of {design.effect:.0%}"
            width = f"95% intervals of about \N{PLUS-MINUS SIGN}{100 * self.half_width:.1f} percentage points"
        else:
            effect = f"a true difference of {design.effect:g} points"
            width = (f"95% intervals of about \N{PLUS-MINUS SIGN}{self.half_width:.2f} points for a condition's mean "
                     f"and \N{PLUS-MINUS SIGN}{self.difference_half_width:.2f} for a difference")  # fmt: skip
        return [
            f"{design.participants} participants x {design.items} items give {width}.",
            f"{effect.capitalize()} is found {self.power:.0%} of the time (\N{PLUS-MINUS SIGN}{100 * self.margin:.0f})"
            f", and {self.power_corrected:.0%} after the strictest correction for {design.questions} comparisons.",
            f"{self.simulations} simulated studies, seed {self.seed}; two-way clusters, t with "
            f"{min(design.participants, design.items) - 1} df; the intervals hold the truth {self.coverage:.0%} of "
            "the time.",
        ]  # fmt: skip


def plan(
    design: Design, simulations: int = SIMULATIONS, seed: int = 0, progress: Progress | None = None
) -> Plan:  # fmt: skip
    """Simulate and analyse the design. The same seed gives the same plan. Raises ValueError for no simulation."""
    if not 1 <= simulations <= 100_000:
        raise ValueError(f"{simulations} simulations: expected 1 to 100000")
    rng = np.random.default_rng(seed)
    t = stats.t(min(design.participants, design.items) - 1)
    batch = max(1, min(simulations, LARGEST_BATCH // (design.participants * design.items)))
    parts = []
    for start in range(0, simulations, batch):
        studies = min(batch, simulations - start)
        parts.append((_votes if design.kind == "ab" else _scores)(design, studies, rng, t))
        if progress:
            progress(start + studies, simulations, "studies")
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    defined = np.isfinite(found["error"])
    if not defined.any():
        raise ValueError("in no simulated study was there an interval: all answers are equal; is the effect too large?")
    power = float((found["p"] < ALPHA).mean())
    wide = found.get("difference_half_width")
    return Plan(
        design, float(found["half_width"][defined].mean()), power,
        float((found["p"] < ALPHA / design.questions).mean()), float(found["covered"][defined].mean()), simulations,
        float(1.96 * (power * (1 - power) / simulations) ** 0.5),
        None if wide is None else float(np.nanmean(wide)), float(1 - defined.mean()), seed,
    )  # fmt: skip


def _votes(design: Design, studies: int, rng: np.random.Generator, t: Any) -> dict[str, np.ndarray]:
    votes = simulate_votes(design, studies, rng)
    share = votes.mean(axis=(1, 2))
    error = errors(votes - share[:, None, None])
    half = t.ppf(1 - ALPHA / 2) * error
    return {"error": error, "half_width": half, "covered": np.abs(share - design.effect) <= half,
            "p": _p(share - 0.5, error, t)}  # fmt: skip


def _scores(design: Design, studies: int, rng: np.random.Generator, t: Any) -> dict[str, np.ndarray]:
    first, second = simulate_scores(design, studies, rng)
    means = first.mean(axis=(1, 2)), second.mean(axis=(1, 2))
    apart = [scores - mean[:, None, None] for scores, mean in zip((first, second), means, strict=True)]
    error, of_difference = errors(apart[0]), errors(apart[0] - apart[1], parameters=2)
    quantile = t.ppf(1 - ALPHA / 2)
    return {
        "error": error,
        "half_width": quantile * error,
        "covered": np.abs(means[0] - true_means(design)[0]) <= quantile * error,
        "difference_half_width": quantile * of_difference,
        "p": _p(means[0] - means[1], of_difference, t),
    }


def _p(distance: np.ndarray, error: np.ndarray, t: Any) -> np.ndarray:
    """Two-sided p; 1 where the error is undefined, which finds nothing."""
    return np.nan_to_num(2 * t.sf(np.abs(distance) / error), nan=1.0)


def participants_needed(
    design: Design, power: float = 0.8, most: int = 200, simulations: int = 400, seed: int = 0
) -> int | None:
    """The fewest participants, up to `most`, with which the design has this power; None if more people do not help.

    Clips differ, too: with few of them, no number of people is enough.
    """
    low, high = 2, min(most, MOST_PEOPLE)
    if plan(replace(design, participants=high), simulations, seed).power < power:
        return None
    while low < high:
        middle = (low + high) // 2
        if plan(replace(design, participants=middle), simulations, seed).power < power:
            low = middle + 1
        else:
            high = middle
    return high

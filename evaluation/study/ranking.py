"""A ranking of systems when all pairs were compared: Bradley-Terry strengths, with a bootstrap over participants.

References
    Bradley and Terry, "Rank analysis of incomplete block designs", 1952.
    Maystre and Grossglauser, "Fast and accurate inference of Plackett-Luce models", 2015 (`choix`).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from evaluation.study.preferences import voted
from evaluation.study.two_way import StudyInterval

RESAMPLES = 300
MOST_LOST = 0.05  # of the resamples, without finite strengths


@dataclass(frozen=True)
class Ranking:
    """systems, the strongest first, with their strengths: log odds, 0 on average. Both empty where `why` says why."""

    systems: tuple[str, ...] = ()
    strengths: tuple[StudyInterval, ...] = ()
    why: str = ""


def bradley_terry(responses: pd.DataFrame, seed: int = 0) -> dict[str, Ranking]:
    """The ranking on each question. An answer without preference is half a win for each.

    There is none of fewer than three systems, where a pair was not compared, and where somebody never wins or loses.
    """
    return {str(question): _ranking(rows, seed) for question, rows in voted(responses).groupby("question", sort=False)}


def _ranking(rows: pd.DataFrame, seed: int) -> Ranking:
    systems = list(dict.fromkeys([*rows["first"], *rows["second"]]))
    if len(systems) < 3:
        return Ranking(why="a ranking needs three systems; for two, see their preference")
    compared = {frozenset(pair) for pair in zip(rows["first"], rows["second"], strict=True)}
    missing = [pair for pair in combinations(systems, 2) if frozenset(pair) not in compared]
    if missing:
        named = ", ".join(f"{first} vs {second}" for first, second in missing[:3])
        return Ranking(why=f"not all pairs were compared: {named} {'is' if len(missing) == 1 else 'are'} missing")
    wins = _wins(rows, systems)  # (people, systems, systems)
    strengths = _strengths(wins.sum(axis=0))
    if strengths is None:
        return Ranking(why="a system, or a group of them, always or never wins: its strength has no bound")
    n_people, n_items = len(wins), rows["item"].nunique()
    rng = np.random.default_rng(seed)
    drawn = [_strengths(wins[rng.integers(n_people, size=n_people)].sum(axis=0)) for _ in range(RESAMPLES)]
    finite = [one for one in drawn if one is not None]
    why = "one participant tells nothing about other people" if n_people < 2 else ""
    if not why and len(finite) < (1 - MOST_LOST) * RESAMPLES:
        why = "too few participants: in many resamples a system always or never wins"
    method = f"Bradley-Terry, 95% bootstrap over {n_people} participants, {RESAMPLES} resamples, seed {seed}"
    low, high = np.quantile(finite, [0.025, 0.975], axis=0) if not why else (None, None)
    found = [
        StudyInterval(
            float(strengths[i]), None if why else float(low[i]), None if why else float(high[i]), len(rows), n_people,
            f"undefined: {why}" if why else method, "Bradley-Terry", n_people, n_items, why)
        for i in range(len(systems))
    ]  # fmt: skip
    order = np.argsort(-strengths, kind="stable")
    return Ranking(tuple(systems[i] for i in order), tuple(found[i] for i in order))


def _wins(rows: pd.DataFrame, systems: list[str]) -> np.ndarray:
    """How often each participant preferred the row's system to the column's: (people, systems, systems)."""
    number = {system: i for i, system in enumerate(systems)}
    people = pd.factorize(rows["participant"])[0]
    first, second = (np.array([number[name] for name in rows[side]]) for side in ("first", "second"))
    wins = np.zeros((people.max() + 1, len(systems), len(systems)))
    vote = rows["vote"].to_numpy(dtype=float)
    np.add.at(wins, (people, first, second), vote)
    np.add.at(wins, (people, second, first), 1 - vote)
    return wins


def _strengths(wins: np.ndarray) -> np.ndarray | None:
    """Maximum likelihood; None where it has no bound: a system cannot be reached by wins (Ford, 1957)."""
    import choix

    n = len(wins)
    reached = np.linalg.matrix_power((wins > 0) + np.eye(n), n) > 0
    if not reached.all():
        return None
    found = choix.ilsr_pairwise_dense(wins)
    return found - found.mean()

"""The order in which emotions stand in every table and figure: the paper's (h, a, s, ne), others behind."""

from collections.abc import Iterable

EMOTIONS = ("happy", "angry", "sadness", "neutral")


def in_order(emotions: Iterable[str]) -> list[str]:
    """Each of them once, in the paper's order."""
    return sorted(set(emotions), key=lambda name: (EMOTIONS.index(name) if name in EMOTIONS else len(EMOTIONS), name))

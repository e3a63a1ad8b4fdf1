"""When a clip is tied. By itself, so that the raters' page can ask without loading what Algorithm 1 needs."""

from collections.abc import Mapping


def is_tied(votes: Mapping[str, int]) -> bool:
    """Whether the largest number of votes is shared."""
    counts = list(votes.values())
    return max(counts) > 0 and counts.count(max(counts)) > 1

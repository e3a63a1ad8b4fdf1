"""Which clips a training step sees: targets in random order, each with a style clip (intercross training, III-B).

The style clip has the target's emotion but another subject and another sentence, so that all it can tell the model
about the target is the emotion. Everything here is a function of seed and epoch: nothing has to be saved to resume.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Labelled(Protocol):
    """What intercross sampling needs to know of a clip."""

    @property
    def name(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def sentence(self) -> str: ...
    @property
    def emotion(self) -> str: ...


class Pair(NamedTuple):
    """A clip to predict, and the clip that shows in what style, if one does; indices into targets and pool."""

    target: int
    style: int | None


# From what the paper asks for to the nearest that there is.
_RULES = (
    "another subject and another sentence",
    "the same subject, another sentence",
    "another subject, the same sentence",
)


class IntercrossSampler:
    """Draws a style clip from `pool` (the training split) for each of `targets`; never the target itself.

    usable: indices of the targets that have a style clip at all. warnings: what had to be relaxed or left out, one
    line per emotion, for the person who trains.
    """

    def __init__(self, targets: Sequence[Labelled], pool: Sequence[Labelled]):
        self._candidates: list[list[int]] = []
        relaxed: Counter[tuple[str, int]] = Counter()
        for target in targets:
            rule, candidates = _candidates(target, pool)
            self._candidates.append(candidates)
            if rule > 0:
                relaxed[target.emotion, rule] += 1
        self.usable = [i for i, candidates in enumerate(self._candidates) if candidates]
        self.warnings = [_explain(*key, count) for key, count in sorted(relaxed.items())]

    def draw(self, target: int, rng: np.random.Generator) -> Pair:
        """The target with one of its possible style clips, each as likely as the other."""
        candidates = self._candidates[target]
        return Pair(target, candidates[int(rng.integers(len(candidates)))])

    def epoch(self, seed: int, epoch: int) -> list[Pair]:
        """Every usable target once, in this epoch's order."""
        rng = np.random.default_rng([seed, epoch])
        return [self.draw(self.usable[i], rng) for i in rng.permutation(len(self.usable))]

    def fixed(self, seed: int) -> list[Pair]:
        """Every usable target in order, always with the same style clip: for validation."""
        rng = np.random.default_rng([seed, 2**31])
        return [self.draw(i, rng) for i in self.usable]


class ClipSampler:
    """Every one of `targets` by itself, for systems that take no style from another clip."""

    def __init__(self, targets: Sequence[Labelled]):
        self.usable = list(range(len(targets)))

    def epoch(self, seed: int, epoch: int) -> list[Pair]:
        """Every target once, in this epoch's order."""
        return [Pair(int(i), None) for i in np.random.default_rng([seed, epoch]).permutation(len(self.usable))]

    def fixed(self, seed: int) -> list[Pair]:
        """Every target in order: for validation."""
        return [Pair(i, None) for i in self.usable]


class PlannedBatch(NamedTuple):
    """One process's share of a batch. weights: each clip's part of the batch's mean loss; see `plan_batches`."""

    pairs: list[Pair]
    weights: list[float]


def plan_batches(pairs: Sequence[Pair], batch_size: int, rank: int = 0, world: int = 1) -> list[PlannedBatch]:
    """This process's batches of `batch_size` clips each, of `world` processes that average their gradients.

    The average over processes is the mean over the whole batch even where it does not divide evenly: each clip's
    weight is world / (clips in the whole batch), and a process without a clip repeats one with weight 0.
    """
    planned = []
    for start in range(0, len(pairs), batch_size * world):
        whole = pairs[start : start + batch_size * world]
        mine = list(whole[rank::world])
        weights = [world / len(whole)] * len(mine)
        planned.append(PlannedBatch(mine, weights) if mine else PlannedBatch([whole[0]], [0.0]))
    return planned


def _candidates(target: Labelled, pool: Sequence[Labelled]) -> tuple[int, list[int]]:
    """The first rule that some clip of the pool fulfils, and the clips that do."""
    same = [i for i, clip in enumerate(pool) if clip.emotion == target.emotion and clip.name != target.name]
    groups: tuple[list[int], ...] = ([], [], [])
    for i in same:
        other_subject = pool[i].subject != target.subject
        other_sentence = pool[i].sentence != target.sentence
        if other_subject or other_sentence:
            groups[0 if other_subject and other_sentence else 1 if other_sentence else 2].append(i)
    for rule, group in enumerate(groups):
        if group:
            return rule, group
    return len(_RULES), []


def _explain(emotion: str, rule: int, count: int) -> str:
    clips = f"{count} clip{'s' if count > 1 else ''} labelled {emotion}"
    if rule == len(_RULES):
        return f"{clips} left out: the training split has no other clip with this label to take a style from"
    return f"{clips}: no style clip of {_RULES[0]}, so one of {_RULES[rule]} is used"

"""What a single answer says: which system was preferred, or which score was given. Contradictions are told."""

import math
import re
from collections.abc import Mapping
from typing import Any

NONE = "none"  # no preference, where the design allows it
OPINION = "opinion"  # the question of scores that name none
_VERSUS = re.compile(r"\s+vs\.?\s+", re.IGNORECASE)


class BadAnswer(ValueError):
    """An answer that cannot be used: in which column, and what is wrong with it."""

    def __init__(self, column: str, says: str):
        super().__init__(f"{column}: {says}")
        self.column, self.says = column, says


def ab_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """preferred, preferred_system and systems (first, second) of an A/B answer, each from what the row gives.

    The side is "" where it was not recorded. Raises BadAnswer.
    """
    if not row["question"]:
        raise BadAnswer("question", "empty; what was asked?")
    left, right = row["system_left"], row["system_right"]
    systems = _systems(row["comparison"], left, right)
    if NONE in systems:
        raise BadAnswer("comparison", f"a system cannot be called {NONE!r}: it stands for no preference")
    side, chosen = row["preferred"].lower(), row["preferred_system"]
    if side not in ("left", "right", NONE, ""):
        raise BadAnswer("preferred", f"{row['preferred'][:40]!r}; expected left, right or {NONE}")
    if chosen and chosen not in (*systems, NONE):
        raise BadAnswer("preferred_system", f"{chosen[:40]!r}; expected {systems[0]}, {systems[1]} or {NONE}")
    if not side and not chosen:
        raise BadAnswer("preferred", f"empty; expected left, right or {NONE}")
    side, chosen = _side_and_system(side, chosen, left, right)
    return {"preferred": side, "preferred_system": chosen, "systems": systems}


def _systems(comparison: str, left: str, right: str) -> tuple[str, str]:
    if bool(left) != bool(right):
        raise BadAnswer("system_right" if left else "system_left", "empty; name both systems")
    if not comparison:
        if not left:
            raise BadAnswer("comparison", "empty; name it, such as 'EavaNet vs GT', or system_left and system_right")
        named = (left, right)
    else:
        parts = _VERSUS.split(comparison)
        if len(parts) != 2 or not all(parts):
            raise BadAnswer("comparison", f"{comparison[:60]!r}; expected two systems, such as 'EavaNet vs GT'")
        named = (parts[0], parts[1])
    if named[0] == named[1]:
        raise BadAnswer("comparison", f"{named[0]!r} is compared with itself")
    if left and {left, right} != set(named):
        raise BadAnswer("comparison", f"{comparison!r}, but {left!r} was left and {right!r} was right")
    return named


def _side_and_system(side: str, chosen: str, left: str, right: str) -> tuple[str, str]:
    if NONE in (side, chosen):
        if side not in (NONE, "") or chosen not in (NONE, ""):
            raise BadAnswer("preferred", f"{side!r}, but the preferred system is {chosen!r}")
        return NONE, NONE
    if not left:
        if not chosen:
            raise BadAnswer("preferred", f"{side!r}, but which system was there? Give system_left and system_right, or "
                                         "preferred_system")  # fmt: skip
        return side, chosen
    of_side = {"left": left, "right": right}
    if side and chosen and of_side[side] != chosen:
        raise BadAnswer("preferred", f"{side!r} was {of_side[side]!r}, but the preferred system is {chosen!r}")
    return side or ("left" if chosen == left else "right"), chosen or of_side[side]


def mos_answer(row: Mapping[str, Any], scale: tuple[float, float]) -> dict[str, Any]:
    """The question of a score, which is "opinion" where it is not named. Raises BadAnswer for what is no score."""
    if not row["condition"]:
        raise BadAnswer("condition", "empty; which condition was scored?")
    if math.isnan(row["score"]):
        raise BadAnswer("score", f"empty or no number; expected a number from {scale[0]:g} to {scale[1]:g}")
    if not scale[0] <= row["score"] <= scale[1]:
        raise BadAnswer("score", f"{row['score']:g}; expected a number from {scale[0]:g} to {scale[1]:g}")
    return {"question": row["question"] or OPINION}

"""Small studies with known answers, as tables of responses."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from evaluation.study.responses import check_responses

OTHERS = ("GT", "FaceFormer", "CodeTalker")


def ab_study(
    people: int = 8,
    items: int = 6,
    prefers: Callable[[int, int, str], bool] | float = 0.6,
    questions: tuple[str, ...] = ("lip sync",),
    others: tuple[str, ...] = OTHERS,
    seed: int = 0,
) -> pd.DataFrame:
    """A complete A/B study of EavaNet. prefers: of a person, an item and another system; or how likely it is."""
    rng = np.random.default_rng(seed)
    rows = []
    for person, other, item, question in ((p, o, i, q) for p in range(people) for o in others for i in range(items)
                                          for q in questions):  # fmt: skip
        ours = rng.random() < prefers if isinstance(prefers, float) else prefers(person, item, other)
        left, right = ("EavaNet", other) if (person + item) % 2 else (other, "EavaNet")
        rows.append({
            "participant": f"p{person:02}", "item": f"e{item:02}", "question": question,
            "comparison": f"EavaNet vs {other}", "system_left": left, "system_right": right,
            "preferred_system": "EavaNet" if ours else other,
        })  # fmt: skip
    return check_responses(pd.DataFrame(rows))


def mos_study(
    people: int = 8, items: int = 6, levels: tuple[float, ...] = (2.4, 3.1, 4.1), spread: float = 0.7, seed: int = 0
) -> pd.DataFrame:
    """A complete MOS study with a condition per level, people and items that differ."""
    rng = np.random.default_rng(seed)
    person, item = rng.normal(0, spread / 2, people), rng.normal(0, spread / 2, items)
    rows = [
        {"participant": f"p{p:02}", "item": f"e{i:02}", "condition": f"level {level}",
         "score": float(np.clip(np.round(level + person[p] + item[i] + rng.normal(0, spread)), 1, 5))}
        for p in range(people) for i in range(items) for level in levels
    ]  # fmt: skip
    return check_responses(pd.DataFrame(rows))


def catch_trials(responses: pd.DataFrame, failed: dict[str, int], seen: int = 2) -> pd.DataFrame:
    """The responses with `seen` catch trials for everybody, of which so many were failed."""
    rows = [{"participant": name, "item": "catch", "catch": True, "catch_passed": i >= failed.get(name, 0),
             "kind": responses["kind"].iloc[0]}
            for name in sorted(set(responses["participant"])) for i in range(seen)]  # fmt: skip
    return check_responses(pd.concat([responses, pd.DataFrame(rows)], ignore_index=True))

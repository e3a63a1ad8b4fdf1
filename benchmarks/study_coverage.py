"""How often does each "95%" interval of a study hold the truth, and how often is a true 50% called a preference?

    python -m benchmarks.study_coverage                     2000 studies of each design, a few minutes
    python -m benchmarks.study_coverage --studies 200 --json

Studies of the paper's sizes are simulated (`evaluation.study.simulation`) and analysed by the functions that analyse
real ones, answer by answer. The table is in docs/studies-statistics.md.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from db.progress import show_progress
from evaluation.study.preferences import Undefined, logit_with_side, sign_test
from evaluation.study.simulation import TABLE_III, TABLE_V, Design, simulate_scores, simulate_votes, true_means
from evaluation.study.two_way import (
    KINDS,
    Answers,
    StudyInterval,
    bootstrap_interval,
    means_interval,
    pooled_interval,
    two_way_interval,
    wilson_interval,
)

RESAMPLES = 999  # of a bootstrap, of which there are thousands
INTERVALS: dict[str, Callable[[Answers], StudyInterval]] = {
    "two-way": two_way_interval,
    "bootstrap": lambda answers: bootstrap_interval(answers, resamples=RESAMPLES),
    "participants": lambda answers: means_interval(answers, "participants"),
    "items": lambda answers: means_interval(answers, "items"),
}


def measure(studies: int, seed: int = 0) -> dict:
    """Coverage of every interval and rejections of every test, over so many studies of each design; shares 0 to 1."""
    mos, at_60, at_50 = TABLE_V, replace(TABLE_III, effect=0.6), replace(TABLE_III, effect=0.5)
    found = {"studies": studies, "seed": seed}
    with show_progress("simulating") as progress:
        for name, design in (("mos", mos), ("ab_60", at_60), ("ab_50", at_50)):
            found[name] = _covered(design, studies, seed, lambda done, name=name: progress(done, studies, name))
        found["rejections_at_50"] = _rejections(at_50, studies, seed, found["ab_50"]["two-way"])
    return found


def _covered(design: Design, studies: int, seed: int, tell: Callable[[int], None]) -> dict[str, float]:
    truth = design.effect if design.kind == "ab" else true_means(design)[0]
    kinds = INTERVALS | {"independent": wilson_interval if design.kind == "ab" else pooled_interval}
    held, wide = defaultdict(list), []
    for number, values in enumerate(_simulated(design, studies, seed), start=1):
        answers = Answers(values.ravel(), *_places(values.shape))
        for kind, of in kinds.items():
            interval = of(answers)
            held[kind].append(interval.low is not None and interval.low <= truth <= interval.high)
            if kind == "two-way" and interval.low is not None:
                wide.append((interval.high - interval.low) / 2)
        tell(number)
    return {kind: float(np.mean(held[kind])) for kind in KINDS} | {"half_width": float(np.mean(wide))}


def _simulated(design: Design, studies: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for _ in range(studies):
        made = simulate_votes(design, 1, rng) if design.kind == "ab" else simulate_scores(design, 1, rng)[0]
        yield made[0]


def _places(shape: tuple[int, int]) -> tuple[list[int], list[int]]:
    people, items = np.indices(shape)
    return people.ravel().tolist(), items.ravel().tolist()


def _rejections(design: Design, studies: int, seed: int, two_way: float) -> dict[str, float]:
    """How often each test calls a true 50% a preference at 5%; the interval does when it does not hold 50%."""
    rejected = defaultdict(list)
    people, items = _places((design.participants, design.items))
    on_left = (np.array(people) + np.array(items)) % 2 == 0  # balanced, and mirrored for the next participant
    for votes in _simulated(design, studies, seed):
        rows = pd.DataFrame({"participant": people, "item": items, "vote": votes.ravel(), "on_left": on_left})
        for name, p_of in (("logit", lambda rows: logit_with_side(rows)[0]), ("sign test", sign_test)):
            try:
                rejected[name].append(p_of(rows) < 0.05)
            except Undefined:
                rejected[name].append(False)
    return {"two-way": 1 - two_way} | {name: float(np.mean(found)) for name, found in rejected.items()}


def as_markdown(found: dict) -> str:
    """The tables of docs/studies-statistics.md."""
    lines = [f"| nominal 95% interval, {found['studies']} studies | MOS 25 x 15 | A/B 23 x 30, true 60% | true 50% |",
             "| --- | ---: | ---: | ---: |"]  # fmt: skip
    lines += [f"| {about} | {found['mos'][kind]:.3f} | {found['ab_60'][kind]:.3f} | {found['ab_50'][kind]:.3f} |"
              for kind, about in KINDS.items()]  # fmt: skip
    lines += ["", "| test at 5%, true preference of 50% | rejects |", "| --- | ---: |"]
    lines += [f"| {name} | {share:.1%} |" for name, share in found["rejections_at_50"].items()]
    lines += [f"| Wilson, assumes independence | {1 - found['ab_50']['independent']:.1%} |"]
    return "\n".join(lines)


def main() -> int:
    """Run the command; returns 1 if the default interval or test misses what it promises."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study_coverage", description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.studies, given.seed)
    print(json.dumps(found, indent=1) if given.json else as_markdown(found))
    kept = min(found["mos"]["two-way"], found["ab_60"]["two-way"], found["ab_50"]["two-way"]) >= 0.93
    refused = max(found["rejections_at_50"]["two-way"], found["rejections_at_50"]["logit"]) <= 0.07
    return 0 if kept and refused else 1


if __name__ == "__main__":
    sys.exit(main())

"""A/B answers: how often one system is preferred to another, how sure that is, and whether sides played a part.

The share counts an answer without preference as half a vote for each. It is tested against one half by a logit with a
term for the side on which the system stood, clustered by participant and item, and by an exact sign test over
participants, which assumes nothing about clips. Holm's correction is over the comparisons of a question.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evaluation.study.answers import NONE
from evaluation.study.responses import counted
from evaluation.study.two_way import (
    Answers,
    StudyInterval,
    bootstrap_interval,
    means_interval,
    two_way_error,
    two_way_interval,
    wilson_interval,
    within,
)


@dataclass(frozen=True)
class Preference:
    """One comparison on one question: the share of answers, 0 to 1, that prefer `first` to `second`.

    share: the default interval; intervals: all kinds, see `two_way.KINDS`. n_none: answers without preference.
    p: of the logit, or where that is undefined of the sign test (see p_method); p_holm: corrected. p_two_way: of the
    default interval. side_effect: log odds for a system of standing on the left. What is None has its reason in
    `reasons`, by its name.
    """

    question: str
    comparison: str
    first: str
    second: str
    n: int
    n_none: int
    participants: int
    items: int
    share: StudyInterval
    intervals: dict[str, StudyInterval]
    p: float | None = None
    p_method: str = ""
    p_holm: float | None = None
    p_two_way: float | None = None
    p_logit: float | None = None
    p_sign: float | None = None
    side_effect: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def preferences(responses: pd.DataFrame, seed: int = 0) -> list[Preference]:
    """Every comparison on every question, in the order in which they first come in `responses` (see `responses`)."""
    found: list[Preference] = []
    rows = voted(responses)
    for question, of_question in rows.groupby("question", sort=False):
        pairs = [_preference(str(question), str(name), part, seed)
                 for name, part in of_question.groupby("comparison", sort=False)]  # fmt: skip
        found += with_holm(pairs)
    return found


def voted(responses: pd.DataFrame) -> pd.DataFrame:
    """The A/B answers that count, with first, second, vote (1, .5 or 0, for the first) and on_left (True, False, None).

    on_left: whether the first system stood on the left; None where the side was not recorded.
    """
    rows = counted(responses)
    rows = rows[rows["kind"] == "ab"].copy()
    names = [name.split(" vs ", 1) for name in rows["comparison"]]
    rows["first"] = [first for first, _ in names]
    rows["second"] = [second for _, second in names]
    chosen = zip(rows["preferred_system"], rows["first"], strict=True)
    rows["vote"] = [0.5 if system == NONE else float(system == first) for system, first in chosen]
    rows["on_left"] = [_on_left(row) for row in rows.to_dict("records")]
    return rows


def _on_left(row: dict) -> bool | None:
    if row["system_left"]:
        return row["system_left"] == row["first"]
    if row["preferred"] in ("left", "right"):
        return (row["preferred"] == "left") == (row["preferred_system"] == row["first"])
    return None


def share_intervals(answers: Answers, seed: int = 0) -> dict[str, StudyInterval]:
    """Every kind of interval of a share; the first is the default."""
    return {
        "two-way": two_way_interval(answers),
        "bootstrap": bootstrap_interval(answers, seed=seed),
        "participants": means_interval(answers, "participants"),
        "items": means_interval(answers, "items"),
        "independent": wilson_interval(answers),
    }


def _preference(question: str, comparison: str, rows: pd.DataFrame, seed: int) -> Preference:
    answers = Answers(rows["vote"].to_numpy(), rows["participant"].tolist(), rows["item"].tolist())
    intervals = share_intervals(answers, seed)
    reasons: dict[str, str] = {}

    def attempt(name: str, compute: Callable[[], float]) -> float | None:
        try:
            return compute()
        except Undefined as why:
            reasons[name] = str(why)
            return None

    logit = attempt("p_logit", lambda: logit_with_side(rows))
    p_logit, side_effect = logit if logit else (None, None)
    if side_effect is None:
        reasons["side_effect"] = reasons.get("p_logit", "the side of the systems was not recorded, or never changed")
    p_sign = attempt("p_sign", lambda: sign_test(rows))
    p, method = (p_logit, "logit clustered by participant and item") if p_logit is not None else (
        p_sign, "exact sign test over participants")  # fmt: skip
    if p is None:
        method = ""
        reasons["p"] = f"logit: {reasons['p_logit']}; sign test: {reasons['p_sign']}"
    return Preference(
        question=question, comparison=comparison, first=rows["first"].iloc[0], second=rows["second"].iloc[0],
        n=len(rows), n_none=int((rows["preferred_system"] == NONE).sum()),
        participants=answers.n_persons, items=answers.n_items,
        share=within(intervals["two-way"], intervals["bootstrap"], 0.0, 1.0), intervals=intervals,
        p=p, p_method=method, p_two_way=attempt("p_two_way", lambda: two_way_p(answers, 0.5)), p_logit=p_logit,
        p_sign=p_sign, side_effect=side_effect, reasons=reasons,
    )  # fmt: skip


class Undefined(Exception):
    """A number that the answers do not define; the message is the reason."""


def two_way_p(answers: Answers, null: float) -> float:
    """Two-sided p that the mean is `null`, by the default interval's t test. Raises Undefined."""
    interval = two_way_interval(answers)
    if interval.low is None:
        raise Undefined(interval.why)
    error = two_way_error((answers.values - answers.mean) / len(answers.values), answers.person, answers.item)
    df = min(answers.n_persons, answers.n_items) - 1
    return float(2 * stats.t.sf(abs(answers.mean - null) / error, df))


def logit_with_side(rows: pd.DataFrame) -> tuple[float, float | None]:
    """p that the first system is chosen half the time, whichever side it stands on; and the side's log odds.

    rows: one comparison of `voted`; answers without preference say nothing here. Errors are clustered by participant
    and item, p is Student's t with min(participants, items) - 1 degrees of freedom. The side effect is None where
    sides were not recorded or never changed. Raises Undefined.
    """
    import statsmodels.api as sm

    decided = rows[rows["vote"] != 0.5]
    people, items = pd.factorize(decided["participant"])[0], pd.factorize(decided["item"])[0]
    fewest = min(len(set(people)), len(set(items)))
    if fewest < 2:
        raise Undefined("needs decided answers of two participants on two items")
    known = decided["on_left"].notna().all() and decided["on_left"].nunique() == 2
    side = np.where(decided["on_left"].to_numpy(dtype=bool), 0.5, -0.5) if known else None
    design = np.ones((len(decided), 1)) if side is None else np.column_stack([np.ones(len(decided)), side])
    for here in [np.ones(len(decided), dtype=bool)] if side is None else [side > 0, side < 0]:
        if decided["vote"][here].nunique() < 2:
            raise Undefined("on one side all answers are the same, so that the odds have no bound")
    model = sm.Logit(decided["vote"].to_numpy(), design)
    fits = [model.fit(disp=0, cov_type="cluster", cov_kwds={"groups": groups})
            for groups in (np.column_stack([people, items]), people, items)]  # fmt: skip
    fitted, variance = fits[0], max(fit.cov_params()[0, 0] for fit in fits)  # the largest, as in `two_way`
    if not variance > 1e-18:
        raise Undefined("neither people nor clips differ at all")
    p = 2 * stats.t.sf(abs(fitted.params[0]) / variance**0.5, fewest - 1)
    return float(p), None if side is None else float(fitted.params[1])


def sign_test(rows: pd.DataFrame) -> float:
    """Exact p that as many participants mostly prefer the first system as the second. Raises Undefined if none does."""
    shares = rows.groupby("participant")["vote"].mean()
    for_first, against = int((shares > 0.5).sum()), int((shares < 0.5).sum())
    if not for_first + against:
        raise Undefined("every participant prefers both equally often")
    return float(stats.binomtest(for_first, for_first + against).pvalue)


def with_holm(pairs: list[Preference]) -> list[Preference]:
    """The comparisons of one question with Holm's correction over those that have a p."""
    tested = [pair.p for pair in pairs if pair.p is not None]
    corrected: Iterator[float] = iter(multipletests(tested, method="holm")[1] if tested else [])
    return [pair if pair.p is None else replace(pair, p_holm=float(next(corrected))) for pair in pairs]


def side_bias(responses: pd.DataFrame) -> dict[str, StudyInterval]:
    """How often the left was chosen, by question, of the decided answers with a recorded side; one half is no bias.

    Over all comparisons: with balanced sides, what is preferred does not matter. A question without such answers is
    left out.
    """
    rows = voted(responses)
    rows = rows[rows["preferred"].isin(["left", "right"])]
    return {
        str(question): two_way_interval(
            Answers(part["preferred"].eq("left").to_numpy(), part["participant"].tolist(), part["item"].tolist()))
        for question, part in rows.groupby("question", sort=False)
    }  # fmt: skip


def by_item(responses: pd.DataFrame) -> pd.DataFrame:
    """A row per question, comparison and item: n, share (of the first system)."""
    return _table_by(responses, "item").drop(columns="left")


def by_participant(responses: pd.DataFrame) -> pd.DataFrame:
    """A row per question, comparison and participant: n, share (of the first system), left (share; None if unknown)."""
    return _table_by(responses, "participant")


def _table_by(responses: pd.DataFrame, what: str) -> pd.DataFrame:
    keys = ["question", "comparison", what]
    records = []
    for key, part in voted(responses).groupby(keys, sort=True):
        sides = part["preferred"][part["preferred"].isin(["left", "right"])]
        left = float(sides.eq("left").mean()) if len(sides) else None
        records.append((*key, len(part), float(part["vote"].mean()), left))
    return pd.DataFrame(records, columns=[*keys, "n", "share", "left"])

"""Who is left out, by rules that were fixed before anybody saw a result. Results are shown with and without them."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

_SHORT = {"catch": "max_catch_failures", "answer_ms": "min_median_answer_ms", "complete": "min_complete"}


@dataclass(frozen=True)
class Rules:
    """When a participant is left out; None for a rule that is not used. Raises ValueError for the impossible.

    max_catch_failures: more failed catch trials than this. min_median_answer_ms: answers faster than this, in the
    median. min_complete: a smaller share (0 to 1) of the planned answers than this.
    """

    max_catch_failures: int | None = None
    min_median_answer_ms: float | None = None
    min_complete: float | None = None

    def __post_init__(self):
        failures, fastest, complete = self.max_catch_failures, self.min_median_answer_ms, self.min_complete
        if failures is not None and (failures != int(failures) or failures < 0):
            raise ValueError(f"at most {failures} failed catch trials: expected a whole number, 0 or more")
        if fastest is not None and not 0 <= fastest < float("inf"):
            raise ValueError(f"a median of {fastest} ms for an answer: expected 0 or more")
        if complete is not None and not 0 <= complete <= 1:
            raise ValueError(f"a share of {complete} of the planned answers: expected 0 to 1")

    def as_dict(self) -> dict[str, float | None]:
        """For the frozen design."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict) -> "Rules":
        """The reverse of `as_dict`. Raises ValueError for rules that there are not."""
        known = {one.name for one in fields(cls)}
        if unknown := set(given) - known:
            raise ValueError(f"rule {', '.join(sorted(unknown))}: there are {', '.join(sorted(known))}")
        return cls(**given)

    @classmethod
    def parse(cls, text: str) -> "Rules":
        """From a command line: "catch=1,answer_ms=500,complete=0.9", or the name of a JSON file. Raises ValueError."""
        if text.endswith(".json"):
            try:
                return cls.from_dict(json.loads(Path(text).read_text("utf-8")))
            except (OSError, ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"{text}: these are no rules: {error}") from error
        given: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = (piece.strip() for piece in part.partition("="))
            try:
                number = float(value)
                given[_SHORT[name]] = int(number) if name == "catch" and number.is_integer() else number
            except (KeyError, ValueError, OverflowError) as error:
                raise ValueError(f"rule {part!r}: expected catch=N, answer_ms=N or complete=SHARE") from error
        return cls(**given)

    def sentences(self) -> list[str]:
        """The rules in words."""
        said = []
        if self.max_catch_failures is not None:
            said.append(f"Left out: who failed more than {self.max_catch_failures} catch trials.")
        if self.min_median_answer_ms is not None:
            said.append(f"Left out: who answered in less than {self.min_median_answer_ms:g} ms, in the median.")
        if self.min_complete is not None:
            said.append(f"Left out: who gave less than {self.min_complete:.0%} of the planned answers.")
        return said


@dataclass(frozen=True)
class Exclusions:
    """kept: the responses of those who stay. excluded: participant, rule, why; a row per broken rule."""

    kept: pd.DataFrame
    excluded: pd.DataFrame
    rules: Rules

    @property
    def participants(self) -> list[str]:
        """Who is left out, each once."""
        return list(dict.fromkeys(self.excluded["participant"]))


def exclude(responses: pd.DataFrame, rules: Rules, planned: int | None = None) -> Exclusions:
    """Apply the rules. planned: answers per participant; by default the most that anybody gave.

    Raises ValueError where a rule cannot be applied, because nothing of what it needs was recorded.
    """
    watched = catch_table(responses, planned)
    broken = []
    if rules.max_catch_failures is not None:
        _needs(watched["catch_seen"].gt(0).any(), "max_catch_failures", "no catch trial (columns catch, catch_passed)")
        for row in watched[watched["catch_failed"] > rules.max_catch_failures].itertuples():
            broken.append((row.participant, "max_catch_failures",
                           f"failed {row.catch_failed} of {row.catch_seen} catch trials"))  # fmt: skip
    if rules.min_median_answer_ms is not None:
        _needs(watched["median_answer_ms"].notna().any(), "min_median_answer_ms", "no time of an answer (answer_ms)")
        for row in watched[watched["median_answer_ms"].lt(rules.min_median_answer_ms)].itertuples():
            broken.append((row.participant, "min_median_answer_ms", f"median of {row.median_answer_ms:.0f} ms"))
    if rules.min_complete is not None:
        for row in watched[watched["complete"] < rules.min_complete].itertuples():
            broken.append((row.participant, "min_complete", f"{row.answers} answers, {row.complete:.0%} of the plan"))
    excluded = pd.DataFrame(broken, columns=["participant", "rule", "why"])
    kept = responses[~responses["participant"].isin(excluded["participant"])]
    return Exclusions(kept, excluded, rules)


def _needs(there: bool, rule: str, what: str) -> None:
    if not there:
        raise ValueError(f"the rule {rule} cannot be applied: the responses hold {what}")


def catch_table(responses: pd.DataFrame, planned: int | None = None) -> pd.DataFrame:
    """What the rules look at, a row per participant; holds no result, so it may be seen before unblinding.

    participant, answers (those that count), complete (share of the planned), catch_seen, catch_failed,
    median_answer_ms (missing where no time was recorded). Test participants are left out.
    """
    rows = responses[~responses["test"].astype(bool)]
    catch = rows["catch"].astype(bool)
    failed = catch & rows["catch_passed"].eq(False)
    by = rows.assign(
        _answer=(~catch).astype(int), _catch=catch.astype(int), _failed=failed.astype(int),
        _ms=rows["answer_ms"].where(~catch),
    ).groupby("participant", sort=True)  # fmt: skip
    table = by.agg(answers=("_answer", "sum"), catch_seen=("_catch", "sum"), catch_failed=("_failed", "sum"),
                   median_answer_ms=("_ms", "median")).reset_index()  # fmt: skip
    full = planned or max(1, int(table["answers"].max()) if len(table) else 1)
    table.insert(2, "complete", (table["answers"] / full).clip(upper=1.0))
    return table

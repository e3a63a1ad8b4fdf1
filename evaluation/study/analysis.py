"""Everything about a study at once: from a table of responses to results with and without those who are left out."""

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import pandas as pd

from evaluation.study import opinions as of_scores
from evaluation.study import preferences as of_pairs
from evaluation.study.agreement import alpha
from evaluation.study.exclusions import Exclusions, Rules, exclude
from evaluation.study.opinions import Difference, MixedModel, Opinion, Test
from evaluation.study.preferences import Preference
from evaluation.study.ranking import Ranking, bradley_terry
from evaluation.study.responses import SCALE, BadResponses, counted
from evaluation.study.two_way import StudyInterval


@dataclass(frozen=True)
class AbResults:
    """What an A/B study found; see `preferences`, `ranking` and `agreement`. Keys are questions."""

    preferences: list[Preference]
    sides: dict[str, StudyInterval]
    rankings: dict[str, Ranking]
    agreement: dict[tuple[str, str], StudyInterval]
    by_item: pd.DataFrame
    by_participant: pd.DataFrame


@dataclass(frozen=True)
class MosResults:
    """What a study of mean opinion scores found; see `opinions` and `agreement`. Keys are questions."""

    opinions: list[Opinion]
    differences: list[Difference]
    friedman: dict[str, Test]
    agreement: dict[tuple[str, str], StudyInterval]
    by_item: pd.DataFrame
    by_participant: pd.DataFrame
    mixed: dict[str, MixedModel] = field(default_factory=dict)
    scale: tuple[float, float] = SCALE


@dataclass(frozen=True)
class Study:
    """kept: results after the exclusions; everyone: without them, None if nobody is left out. kind: "ab" or "mos"."""

    kind: str
    kept: AbResults | MosResults
    everyone: AbResults | MosResults | None
    exclusions: Exclusions
    participants: int
    answers: int
    simulated: int
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """All of it for JSON: numbers that are undefined are null, never NaN; tables are lists of rows."""
        return {
            "schema": "eavanet-study-results", "schema_version": 1, "kind": self.kind,
            "participants": self.participants, "answers": self.answers, "simulated": self.simulated,
            "notes": list(self.notes), "rules": self.exclusions.rules.as_dict(),
            "excluded": plain(self.exclusions.excluded), "results": plain(self.kept),
            "results_with_everyone": plain(self.everyone),
        }  # fmt: skip


def analyse(
    responses: pd.DataFrame,
    rules: Rules | None = None,
    *,
    planned: int | None = None,
    scale: tuple[float, float] = SCALE,
    seed: int = 0,
    mixed: bool = False,
) -> Study:
    """Analyse one study's responses (see `responses.check_responses`).

    rules: who is left out; planned: answers per participant of the design; mixed: fit the mixed model of scores, too.
    Raises BadResponses for no answer that counts, of several studies or both kinds, and if nobody is left;
    ValueError for a rule that cannot be applied.
    """
    kind = _one_kind(responses)
    exclusions = exclude(responses, rules or Rules(), planned)
    if counted(exclusions.kept).empty:
        raise BadResponses("by these rules every participant is left out; were they meant for another study?")
    compute = _ab if kind == "ab" else _mos
    options = {"seed": seed} if kind == "ab" else {"seed": seed, "scale": scale, "mixed": mixed}
    rows = counted(exclusions.kept)
    everyone = compute(responses, **options) if len(exclusions.excluded) else None
    return Study(
        kind, compute(exclusions.kept, **options), everyone, exclusions, rows["participant"].nunique(), len(rows),
        int(rows["simulated"].astype(bool).sum()), tuple(_notes(responses, rows)),
    )  # fmt: skip


def _one_kind(responses: pd.DataFrame) -> str:
    rows = counted(responses)
    if rows.empty:
        raise BadResponses("no answer counts: all are of test participants or catch trials")
    studies, kinds = sorted(set(rows["study"])), sorted(set(rows["kind"]))
    if len(studies) > 1:
        named = ", ".join(map(repr, studies[:5]))
        raise BadResponses(f"answers of {len(studies)} studies ({named}); analyse one at a time")
    if len(kinds) > 1:
        raise BadResponses("A/B answers and scores in one table; analyse one at a time")
    return kinds[0]


def _ab(responses: pd.DataFrame, seed: int) -> AbResults:
    return AbResults(
        of_pairs.preferences(responses, seed), of_pairs.side_bias(responses), bradley_terry(responses, seed),
        alpha(responses, seed), of_pairs.by_item(responses), of_pairs.by_participant(responses),
    )  # fmt: skip


def _mos(responses: pd.DataFrame, seed: int, scale: tuple[float, float], mixed: bool) -> MosResults:
    return MosResults(
        of_scores.opinions(responses, scale, seed), of_scores.differences(responses), of_scores.friedman(responses),
        alpha(responses, seed), of_scores.by_item(responses), of_scores.by_participant(responses),
        of_scores.mixed_model(responses) if mixed else {}, scale,
    )  # fmt: skip


def _notes(responses: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    notes = []
    simulated = rows[rows["simulated"].astype(bool)]
    if len(simulated):
        notes.append(f"Simulated: {len(simulated)} of {len(rows)} answers, of {simulated['participant'].nunique()} of "
                     f"{rows['participant'].nunique()} participants, were made by a program.")  # fmt: skip
    tests = responses.loc[responses["test"].astype(bool), "participant"].nunique()
    if tests:
        notes.append(f"Not counted: the answers of {tests} test participant{'' if tests == 1 else 's'}.")
    units = [rows[name] for name in ("item", "question", "comparison", "condition")]
    asked = len(set(zip(*units, strict=True)))
    missing = asked * rows["participant"].nunique() - len(rows)
    if missing:
        notes.append(f"Gaps: not everybody answered everything; of {asked} questions x {rows['participant'].nunique()} "
                     f"participants, {missing} answers are not there.")  # fmt: skip
    sides = rows[(rows["kind"] == "ab") & (rows["system_left"] == "") & ~rows["preferred"].isin(["left", "right"])]
    if len(sides):
        notes.append(f"Sides: not recorded for {len(sides)} answers; there is no side term where one is missing.")
    return notes


def plain(value: Any) -> Any:
    """Results as JSON has them: dicts, lists, texts, numbers, null. Keys of two words become "question: comparison"."""
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {": ".join(key) if isinstance(key, tuple) else str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value

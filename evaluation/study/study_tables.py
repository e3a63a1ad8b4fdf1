"""Study results as tables of a report: the paper's Tables III and V, and what stands behind them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from evaluation import published
from evaluation.study.analysis import AbResults, MosResults, Study
from evaluation.study.opinions import Opinion
from evaluation.study.preferences import Preference
from evaluation.study.two_way import KINDS, StudyInterval
from evaluation.table import Cell, Table, estimate, nothing, number, row, word

Sources = Mapping[str, str] | None
_DEFAULT_NOTE = (
    "In brackets 95% intervals that let people and clips vary (two-way cluster-robust, t with the smaller number of "
    "people or clips minus 1 degrees of freedom); n is the number of answers."
)


def table_iii(results: AbResults, sources: Sources = None, is_published: bool = True) -> Table:
    """Table III: how often the first system of each comparison was preferred, in percent, on each question."""
    questions = list(dict.fromkeys(one.question for one in results.preferences))
    cells = {(one.comparison, one.question): share_cell(one.share, sources) for one in results.preferences}
    names = list(dict.fromkeys(one.comparison for one in results.preferences))
    rows = [
        row([word(name), *(cells.get((name, asked), _not_asked(name, asked)) for asked in questions)]) for name in names
    ]
    if is_published and all(_asked(asked) in published.PREFERENCES["GT"] for asked in questions):
        for against, shares in published.PREFERENCES.items():
            printed = [number(shares[_asked(asked)], 2, published=True) for asked in questions]
            rows.append(row([word(f"EavaNet vs {against}", published=True), *printed]))
    notes = ["Percentage of answers that prefer the first system; no preference counts half. " + _DEFAULT_NOTE,
             *_sizes(results.preferences)]  # fmt: skip
    return Table("III", "A/B preferences", ("Comparison", *(f"{asked} \N{UPWARDS ARROW}" for asked in questions)),
                 tuple(rows), tuple(notes))  # fmt: skip


def _asked(question: str) -> str:
    """A question's key as the paper's table names it: "lip sync"."""
    return question.lower().replace("_", " ")


def table_v(results: MosResults, sources: Sources = None, is_published: bool = True) -> Table:
    """Table V: the mean opinion score of each condition."""
    conditions = list(dict.fromkeys(one.condition for one in results.opinions))
    questions = list(dict.fromkeys(one.question for one in results.opinions))
    cells = {(one.question, one.condition): interval_cell(one.mean, 2, 1.0, sources) for one in results.opinions}
    rows = [
        row([word(asked), *(cells.get((asked, name), _not_asked(name, asked)) for name in conditions)])
        for asked in questions
    ]
    notes = [f"Mean scores from {results.scale[0]:g} to {results.scale[1]:g}. {_DEFAULT_NOTE} Where t would leave the "
             "scale, a two-way bootstrap.", *_sizes(results.opinions)]  # fmt: skip
    if is_published and len(conditions) == len(published.OPINIONS):
        printed = [Cell(f"{mean:.2f} \N{PLUS-MINUS SIGN} {half:.2f}", mean, mean - half, mean + half, published=True)
                   for mean, half in published.OPINIONS.values()]  # fmt: skip
        rows.append(row([word(f"paper: {', '.join(published.OPINIONS)}", published=True), *printed]))
    return Table("V", "Mean opinion scores", ("Question", *conditions), tuple(rows), tuple(notes))


def all_tables(study: Study, sources: Sources = None, is_published: bool = True) -> list[Table]:
    """Everything about a study, for its page and its files: the paper's table first."""
    results = study.kept
    if isinstance(results, AbResults):
        tables = [table_iii(results, sources, is_published), _kinds_of_shares(results), _tests(results),
                  _sides(results), *_rankings(results)]  # fmt: skip
    else:
        tables = [table_v(results, sources, is_published), _kinds_of_means(results), _differences(results),
                  *_mixed(results)]  # fmt: skip
    tables += [_agreement(results, tables[0].key), *_exclusions(study, tables[0].key)]
    first, *more = tables
    marked = Table(first.key, first.title, first.columns, first.rows, (*first.notes, *study.notes))
    return [marked, *more]


def interval_cell(found: StudyInterval, digits: int, scale: float = 1.0, sources: Sources = None) -> Cell:
    """An estimate with its interval, or a dash with the reason where nothing is defined."""
    if found.estimate is None:
        return nothing(found.why)
    return estimate(found, digits, scale, dict(sources or {}))


def share_cell(found: StudyInterval, sources: Sources = None) -> Cell:
    """A share in percent."""
    return interval_cell(found, 2, 0.01, sources)


def p_cell(p: float | None, method: str, n: int, why: str = "") -> Cell:
    """A p value as papers print it, or the reason why there is none."""
    if p is None:
        return nothing(f"undefined: {why}" if why else f"{method}: undefined")
    return Cell("< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0"), p, n=n, method=method)


def _not_asked(name: str, asked: str) -> Cell:
    return nothing(f"{name}: not asked about {asked}")


def _sizes(found: Sequence[Preference | Opinion]) -> list[str]:
    sizes = sorted({(one.n, one.participants, one.items) for one in found})
    return [f"n = {n} answers of {people} participants on {items} items." for n, people, items in sizes[:3]]


def _kinds_of_shares(results: AbResults) -> Table:
    rows = [row([word(f"{one.comparison}, {one.question}"), *(share_cell(one.intervals[kind]) for kind in KINDS)])
            for one in results.preferences]  # fmt: skip
    columns = ("Comparison", *KINDS.values())
    return Table("III-B", "The same shares with every kind of 95% interval", columns, tuple(rows), (_KINDS_NOTE,))


def _kinds_of_means(results: MosResults) -> Table:
    rows = [row([word(f"{one.condition}, {one.question}"), *(interval_cell(one.intervals[kind], 2) for kind in KINDS)])
            for one in results.opinions]  # fmt: skip
    columns = ("Condition", *KINDS.values())
    return Table("V-B", "The same means with every kind of 95% interval", columns, tuple(rows), (_KINDS_NOTE,))


_KINDS_NOTE = (
    "The first is the default. Participants' means are what papers usually report; they take the clips as given. "
    "Intervals that assume independence are too narrow."
)


def _tests(results: AbResults) -> Table:
    columns = ("Comparison", "p", "p (Holm)", "Sign test", "Two-way t", "Side effect", "No preference")
    rows = []
    for one in results.preferences:
        side = Cell(f"{one.side_effect:+.2f}".replace("-", "\N{MINUS SIGN}"), one.side_effect, n=one.n,
                    method="log odds for a system of standing on the left, of the same logit") \
            if one.side_effect is not None else nothing(one.reasons["side_effect"])  # fmt: skip
        rows.append(row([
            word(f"{one.comparison}, {one.question}"),
            p_cell(one.p, one.p_method, one.n, one.reasons.get("p", "")),
            p_cell(one.p_holm, f"{one.p_method}, corrected by Holm", one.n, one.reasons.get("p", "")),
            p_cell(one.p_sign, "exact sign test over participants", one.participants, one.reasons.get("p_sign", "")),
            p_cell(one.p_two_way, "two-way t test", one.n, one.reasons.get("p_two_way", "")),
            side, number(one.n_none, 0, n=one.n, method="answers without preference"),
        ]))  # fmt: skip
    notes = (
        "p of a preference of one half, two-sided: a logit with a term for the side, clustered by participant and "
        "item, t; where that is undefined, the exact sign test over participants. Holm: over a question's comparisons.",
    )
    return Table("III-C", "Is the preference more than chance?", columns, tuple(rows), notes)


def _sides(results: AbResults) -> Table:
    rows = [row([word(asked), share_cell(found)]) for asked, found in results.sides.items()]
    if not rows:
        rows = [row([word("all questions"), nothing("the side that was chosen was not recorded")])]
    return Table("III-D", "How often the left side was chosen", ("Question", "Left (%)"), tuple(rows),
                 ("50 is no bias; over all comparisons.",))  # fmt: skip


def _rankings(results: AbResults) -> list[Table]:
    rows = [row([word(f"{asked}: {system}"), interval_cell(strength, 2)])
            for asked, one in results.rankings.items()
            for system, strength in zip(one.systems, one.strengths, strict=True)]  # fmt: skip
    notes = ("Log odds; 0 is the average of the systems.",)
    return [Table("III-E", "Ranking (Bradley-Terry)", ("System", "Strength"), tuple(rows), notes)] if rows else []


def _differences(results: MosResults) -> Table:
    rows = []
    for one in results.differences:
        rows.append(row([
            word(f"{one.first} minus {one.second}, {one.question}"), interval_cell(one.difference, 2),
            p_cell(one.p, "two-way t test", one.difference.n, one.why),
            p_cell(one.p_wilcoxon, "Wilcoxon signed-rank test of participants' means", one.difference.participants,
                   one.why_wilcoxon),
            p_cell(one.p_holm, "the same, corrected by Holm", one.difference.participants, one.why_wilcoxon),
        ]))  # fmt: skip
    notes = [f"{asked}: {found.method}, chi-squared {found.statistic:.2f}, p {p_cell(found.p, '', found.n).text}, "
             f"n = {found.n}." if found.p is not None else f"{asked}: {found.method} undefined: {found.why}."
             for asked, found in results.friedman.items()]  # fmt: skip
    return Table("V-C", "Differences of conditions", ("Conditions", "Difference", "p (two-way t)", "p (Wilcoxon)",
                                                      "p (Wilcoxon, Holm)"), tuple(rows), tuple(notes))  # fmt: skip


def _mixed(results: MosResults) -> list[Table]:
    rows, notes = [], []
    for asked, found in results.mixed.items():
        rows += [row([word(f"{name}, {asked}"), interval_cell(mean, 2)]) for name, mean in found.means.items()]
        notes.append(f"{asked}: {found.why}." if found.why else
                     f"{asked}: standard deviations of participants {found.sd_participant:.2f}, items "
                     f"{found.sd_item:.2f}, rest {found.sd_rest:.2f}.")  # fmt: skip
    if not notes:
        return []
    return [Table("V-D", "Mixed model with crossed random effects", ("Condition", "Mean"), tuple(rows), tuple(notes))]


def _agreement(results: AbResults | MosResults, key: str) -> Table:
    rows = [row([word(f"{about}, {asked}"), interval_cell(found, 2)])
            for (asked, about), found in results.agreement.items()]  # fmt: skip
    return Table(f"{key}-F", "Agreement of participants", ("About", "Krippendorff's alpha"), tuple(rows),
                 ("1 is perfect agreement, 0 is chance; brackets by resampling items.",))  # fmt: skip


def _exclusions(study: Study, key: str) -> list[Table]:
    rules = study.exclusions.rules.sentences()
    if study.everyone is None:
        return []
    rows = [row([word(str(one.participant)), word(str(one.why))]) for one in study.exclusions.excluded.itertuples()]
    left_out = Table(f"{key}-G", "Left out by the rules", ("Participant", "Why"), tuple(rows), tuple(rules))
    return [left_out, _beside(study.kept, study.everyone, key)]


def _beside(kept: AbResults | MosResults, everyone: AbResults | MosResults, key: str) -> Table:
    def cells(results: AbResults | MosResults) -> dict[str, Cell]:
        if isinstance(results, AbResults):
            return {f"{one.comparison}, {one.question}": share_cell(one.share) for one in results.preferences}
        return {f"{one.condition}, {one.question}": interval_cell(one.mean, 2) for one in results.opinions}

    with_rules, without = cells(kept), cells(everyone)
    gone = nothing("every answer was left out by the rules")
    rows = [row([word(name), with_rules.get(name, gone), cell]) for name, cell in without.items()]
    return Table(f"{key}-H", "Results with and without the rules", ("About", "As the rules have it", "With everybody"),
                 tuple(rows))  # fmt: skip


def frame_table(key: str, title: str, frame: pd.DataFrame) -> Table:
    """A table of results by clip or participant: numbers with three digits, a dash where there is none."""
    rows = []
    for line in frame.itertuples(index=False):
        cells = [word(value) if isinstance(value, str) else nothing("not recorded") if value is None or value != value
                 else number(value, 0 if isinstance(value, int) else 3) for value in line]  # fmt: skip
        rows.append(row(cells))
    return Table(key, title, tuple(frame.columns), tuple(rows))

"""The paper's Tables I to V, and those that stand behind them, from what a report is about (see `report_data`)."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import store
from db.models import Clip, Corpus, OriginalRating, ReleaseLabel, SplitMember, Subject
from evaluation import published
from evaluation.comparisons import compare
from evaluation.emotions import EMOTIONS, in_order
from evaluation.intervals import metric_interval
from evaluation.report_data import OURS, ReportData, Scored
from evaluation.report_studies import StudyFound
from evaluation.score_table import METRICS, Metric
from evaluation.scores import newest_release
from evaluation.study import study_tables
from evaluation.table import Cell, Table, estimate, nothing, number, row, word

SCALES = {"vertex_error": -5, "lip_vertex_error": -4, "fdd": -5}  # powers of ten, as in the paper's heads
_POWERS = {-5: "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT FIVE}", -4: "\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT FOUR}"}
NO_STUDY = "studies were not asked for"


def table_i(session: Session, data: ReportData) -> Table:
    """Table I: data sets, the imported corpora in the paper's columns."""
    rows = [_corpus_row(session, corpus) for corpus in session.scalars(select(Corpus).order_by(Corpus.name))]
    for found in published.DATA_SETS:
        cells = (found.name, str(found.speakers), found.emotions, found.duration, "yes" if found.released else "no")
        rows.append(row(word(text, published=True) for text in cells))
    notes = ["Emotions of an imported corpus: those of its newest label release, else its own adjectives."]
    return Table("I", "Data sets of 3D facial animation", ("Name", "Speakers", "Emotion", "Duration", "Release"),
                 tuple(rows), tuple(notes))  # fmt: skip


def _corpus_row(session: Session, corpus: Corpus) -> tuple[Cell, ...]:
    sources = {"corpus": corpus.sha256}
    speakers = session.scalar(select(func.count()).select_from(Subject).where(Subject.corpus_id == corpus.id))
    usable = select(Clip.n_frames).where(Clip.corpus_id == corpus.id, Clip.status == "usable")
    frames = session.scalars(usable).all()
    seconds = sum(frames) / corpus.frames_per_second
    release = newest_release(session, corpus.id)
    if release is not None:
        query = select(func.count(func.distinct(ReleaseLabel.label))).where(ReleaseLabel.release_id == release.id)
    else:
        query = (
            select(func.count(func.distinct(OriginalRating.adjective))).join(Clip).where(Clip.corpus_id == corpus.id)
        )
    emotions = session.scalar(query) or 0
    minutes, rest = divmod(round(seconds), 60)
    duration = Cell(f"{minutes}m {rest:02d}s", seconds, n=len(frames), method="usable clips, trimmed to the speech",
                    sources=sources)  # fmt: skip
    name = f"{corpus.name} (synthetic)" if corpus.synthetic else corpus.name
    return row((word(name), number(speakers or 0, 0, sources=sources),
                number(emotions, 0, sources=sources) if emotions else word("N/A"), duration,
                word("made here" if corpus.synthetic else "as its licence says")))  # fmt: skip


def table_ii(session: Session, data: ReportData, key: str = "biwi-a") -> Table:
    """Table II: vertex error, lip vertex error and FDD of each system."""
    part = data.parts[key]
    heads = [f"{METRICS[name].title} \N{DOWNWARDS ARROW} (\N{MULTIPLICATION SIGN}10{_POWERS[power]})"
             for name, power in SCALES.items()]  # fmt: skip
    rows = []
    for one in part.systems:
        rows.append(row([word(one.system), *(_metric(one, name, data) for name in SCALES)]))
    if not part.predicted:
        rows.append(row([word(OURS), *(nothing(part.why) for _ in SCALES)]))
    if key == "biwi-a":
        for system, errors in published.ERRORS.items():
            cells = [number(errors[name], 4, 10.0**power, published=True) for name, power in SCALES.items()]
            rows.append(row([word(system, published=True), *cells]))
    conditions = "each clip under its own subject as condition" if key == "biwi-a" else \
        "each clip of an unseen subject under every condition subject that the systems know"  # fmt: skip
    notes = [
        f"{len(part.clips)} clips, {conditions}. Corpus units squared; the paper's mm is nominal. In brackets 95% "
        "bootstrap intervals over clips.",
        "FDD is signed as in the official script: above 0 the truth moves more; its size is what counts.",
        *part.notes,
    ]
    title = f"Quantitative evaluation on {part.title}"
    return Table("II" if key == "biwi-a" else "II-B", title, ("Model", *heads), tuple(rows), tuple(notes))


def _metric(one: Scored, name: str, data: ReportData) -> Cell:
    try:
        found = metric_interval(one.table, name)
    except ValueError as error:
        return nothing(f"{one.system}: {'; '.join(one.table.attrs.get('notes', [])) or error}")
    scale = 10.0 ** SCALES[name] if name in SCALES else 1.0
    return estimate(found, 4 if name in SCALES else 3, scale, data.sources | one.sources)


def table_ii_pairs(session: Session, data: ReportData) -> Table:
    """Paired differences between EavaNet and the others on BIWI-A, corrected for asking often."""
    part = data.parts["biwi-a"]
    columns = ("Metric", "Against", "Difference", "EavaNet better on", "p", "p (Holm)")
    title = "EavaNet against each system, clip by clip (BIWI-A)"
    tables = {one.system: one.table for one in part.systems}
    if OURS not in tables or len(tables) < 2:
        why = part.why or "needs EavaNet's predictions of BIWI-A: python -m eavanet.predict --part biwi-a"
        return Table("II-C", title, columns, (row([word("all metrics"), *(nothing(why) for _ in columns[1:])]),))
    found = compare(tables, [*SCALES], reference=OURS)
    sources = {f"predictions of {one.system}": one.sources["predictions"] for one in part.predicted} | data.sources
    rows = [_pair(line, sources) for line in found.to_dict("records")]
    notes = (
        "Difference of the errors (for FDD, of their size), EavaNet minus the other: below 0, EavaNet is better. p by "
        "flipping signs of clips; Holm over the systems of a metric.",
    )
    return Table("II-C", title, columns, tuple(rows), notes)


def _pair(line: dict[str, Any], sources: dict[str, str]) -> tuple[Cell, ...]:
    scale, n = 10.0 ** SCALES[line["metric"]], int(line["n"])
    text = f"{line['difference'] / scale:.3f}"
    if not pd.isna(line["low"]):
        text += f" [{line['low'] / scale:.3f}, {line['high'] / scale:.3f}]"
    metric = METRICS[line["metric"]]
    difference = Cell(text, line["difference"], _or_none(line["low"]), _or_none(line["high"]), n, int(line["groups"]),
                      "paired over clips, bootstrap interval", sources)  # fmt: skip
    share = Cell(f"{100 * line['better']:.0f}%", line["better"], n=n, method="share of clips", sources=sources)
    tests = [Cell(_p(value), value, n=n, method=method, sources=sources) for value, method in (
        (line["p"], "sign-flip permutation test, two-sided"), (line["p_holm"], "the same, corrected by Holm"),
    )]  # fmt: skip
    title = f"{metric.title} (\N{MULTIPLICATION SIGN}10{_POWERS[SCALES[line['metric']]]})"
    return row([word(title), word(line["second"]), difference, share, *tests])


def _or_none(value: float | None) -> float | None:
    return None if pd.isna(value) else value


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def table_more(session: Session, data: ReportData) -> Table:
    """Further metrics of the field on BIWI-A; see docs/metrics.md. A row per metric, since there are many."""
    part = data.parts["biwi-a"]
    metrics = [metric for name, metric in METRICS.items() if name not in SCALES]
    if part.predicted:
        columns = ("Metric", *(one.system for one in part.systems))
        rows = [row([word(_titled(metric)), *(_small(one, metric.key, data) for one in part.systems)])
                for metric in metrics]  # fmt: skip
    else:
        columns = ("Metric", OURS)
        rows = [row([word(_titled(metric)), nothing(part.why)]) for metric in metrics]
    return Table("VI", "Further metrics on BIWI-A", columns, tuple(rows), ("See docs/metrics.md.",))


def _titled(metric: Metric) -> str:
    return f"{metric.title} ({metric.unit})"


def _small(one: Scored, name: str, data: ReportData) -> Cell:
    try:
        found = metric_interval(one.table, name)
    except ValueError as error:
        notes = [note for note in one.table.attrs.get("notes", []) if note]
        return nothing("; ".join(notes) or f"{METRICS[name].title}: {error}")
    text = f"{found.estimate:.3g}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low:.3g}, {found.high:.3g}]"
    return Cell(text, found.estimate, found.low, found.high, found.n, found.groups, found.method,
                data.sources | one.sources)  # fmt: skip


def table_iii(session: Session, data: ReportData) -> Table:
    """Table III: A/B preferences of the newest unblinded study; until there is one, the paper's stand alone."""
    found = data.studies.get("ab", StudyFound(why=NO_STUDY))
    if found.analysed is not None:
        return _named(study_tables.table_iii(found.analysed.kept, found.sources), found)
    rows = [row([word(f"vs {other}"), nothing(found.why), nothing(found.why)]) for other in published.PREFERENCES]
    for other, shares in published.PREFERENCES.items():
        cells = [number(shares[question], 2, published=True) for question in ("lip sync", "expression")]
        rows.append(row([word(f"vs {other}", published=True), *cells]))
    columns = ("EavaNet", "Lip sync \N{UPWARDS ARROW} (%)", "Expression \N{UPWARDS ARROW} (%)")
    return Table("III", "A/B preference for EavaNet", columns, tuple(rows))


def _named(table: Table, found: StudyFound) -> Table:
    notes = (f"Study {found.name}.", *table.notes, *(found.analysed.notes if found.analysed else ()))
    return Table(table.key, table.title, table.columns, table.rows, notes)


def table_iv(session: Session, data: ReportData) -> Table:
    """Table IV: real time factors, as `python -m eavanet.speed` kept them; the newest of each size."""
    columns = (
        "System",
        "Decoder",
        "RTF \N{DOWNWARDS ARROW}",
        "Times as fast as CodeTalker",
        "Parameters (M)",
        "Measured on",
    )
    rows = [cells for measured in speed_results() for cells in _speed_rows(measured)]
    if not rows:
        why = "nothing was timed yet: python -m eavanet.speed"
        rows = [row([word(name), *(nothing(why) for _ in columns[1:])]) for name in published.RTF]
    for name, factor in published.RTF.items():
        rows.append(row([
            word(name, published=True), word(""), number(factor, 4, published=True),
            number(published.RTF["CodeTalker"] / factor, 2, published=True), word(""),
            word(published.RTF_DEVICE, published=True),
        ]))  # fmt: skip
    notes = (
        "RTF: seconds to predict the vertices of a second of audio, from samples in memory to vertices in memory. "
        "Faithful: everything computed anew at each frame, as the official code does; cached: the same output without.",
    )
    return Table("IV", "Inference speed", columns, tuple(rows), notes)


def speed_results() -> list[dict[str, Any]]:
    """What `python -m eavanet.speed` kept, by name; files that cannot be read are left out."""
    found = []
    for path in sorted((store.data_root() / "speed").glob("*.json")):
        try:
            measured = json.loads(path.read_text())
            if measured["systems"]:
                found.append(measured | {"name": path.stem})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _speed_rows(measured: dict[str, Any]) -> list[tuple[Cell, ...]]:
    environment = measured["environment"]
    where = f"{environment['device']}, {environment['threads']} threads"
    slowest = [one["rtf"]["median"] for one in measured["systems"] if one["title"] == "CodeTalker"]
    rows = []
    for one in measured["systems"]:
        spread = one["rtf"]
        method = f"{one['runs']} runs of {measured['audio_s']:g} s, {one['made_from']}, {one['vertices']} vertices"
        factor = Cell(
            f"{spread['mean']:.4f} \N{PLUS-MINUS SIGN} {spread['sd']:.4f}", spread["mean"], spread["p5"], spread["p95"],
            one["runs"], method=f"mean and standard deviation, 5th to 95th percentile; {method}",
        )  # fmt: skip
        ratio = max(slowest) / spread["median"] if slowest else None
        rows.append(row([
            word(one["title"]), word(one["decoder"] or "feed-forward"), factor,
            nothing(f"CodeTalker was not timed beside it in speed/{measured['name']}.json") if ratio is None
            else number(ratio, 2, method="ratio of medians, to the slowest CodeTalker decoder"),
            number(one["parameters"] / 1e6, 1), Cell(where, method=f"speed/{measured['name']}.json"),
        ]))  # fmt: skip
    return rows


def table_v(session: Session, data: ReportData) -> Table:
    """Table V: mean opinion scores of the newest unblinded study."""
    found = data.studies.get("mos", StudyFound(why=NO_STUDY))
    if found.analysed is not None:
        return _named(study_tables.table_v(found.analysed.kept, found.sources), found)
    states = list(published.OPINIONS)
    ours = row([word("MOS"), *(nothing(found.why) for _ in states)])
    theirs = [
        Cell(f"{mean:.2f} \N{PLUS-MINUS SIGN} {half:.2f}", mean, mean - half, mean + half, published=True,
             method="as published; the paper does not say over what") for mean, half in published.OPINIONS.values()
    ]  # fmt: skip
    notes = ("Neutral: \N{GREEK SMALL LETTER ALPHA} = 0; interpolated: 0.3; emotion: 1 in Eq. (8).",)
    return Table("V", "Mean opinion score of emotional strength", ("State", *states),
                 (ours, row([word("MOS", published=True), *theirs])), notes)  # fmt: skip


def table_labels(session: Session, data: ReportData) -> Table:
    """The label release: clips of each emotion, and in which part of the split they are."""
    columns = ("Part", *EMOTIONS, "all")
    if data.release is None or data.split is None:
        why = "there is no label release with a split yet (Labels page, or python -m labeling.algorithm1)"
        return Table("VII", "Labels", columns, (row([word("all"), *(nothing(why) for _ in columns[1:])]),))
    counts = _label_counts(session, data)
    rows = []
    for part in ("train", "validation", "biwi-a", "biwi-b"):
        mine = counts.get(part, {})
        sources = {"labels": data.release.sha256, "split": data.split.sha256}
        cells = [number(mine.get(emotion, 0), 0, sources=sources) for emotion in EMOTIONS]
        rows.append(row([word(part), *cells, number(sum(mine.values()), 0, sources=sources)]))
    raters = "simulated raters" if data.release.simulated else "raters"
    others = in_order({emotion for mine in counts.values() for emotion in mine} - set(EMOTIONS))
    notes = [
        f"Release {data.release.name} of {data.release.n_ratings} ratings by {raters}, Algorithm 1 with policy "
        f"{data.release.policy}, {data.release.n_ties} ties; split {data.split.name}.",
        *([f"Other labels: {', '.join(others)}."] if others else []),
    ]
    return Table("VII", "Labels by part of the split", columns, tuple(rows), tuple(notes))


def _label_counts(session: Session, data: ReportData) -> dict[str, dict[str, int]]:
    query = (
        select(SplitMember.part, ReleaseLabel.label, func.count())
        .join(ReleaseLabel, ReleaseLabel.clip_id == SplitMember.clip_id)
        .where(SplitMember.split_id == data.split.id, ReleaseLabel.release_id == data.release.id)
        .where(ReleaseLabel.label.is_not(None))
        .group_by(SplitMember.part, ReleaseLabel.label)
    )
    counts: dict[str, dict[str, int]] = {}
    for part, label, count in session.execute(query):
        counts.setdefault(part, {})[label] = count
    return counts


BUILDERS: dict[str, tuple[Callable[[Session, ReportData], Table], ...]] = {
    "I": (table_i,),
    "II": (table_ii, lambda session, data: table_ii(session, data, "biwi-b"), table_ii_pairs),
    "III": (table_iii,),
    "IV": (table_iv,),
    "V": (table_v,),
    "VI": (table_more,),
    "VII": (table_labels,),
}

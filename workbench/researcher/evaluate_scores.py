"""The scores of the chosen systems: a table with intervals, and who is better than whom."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from db.models import Corpus
from db.result_models import PredictionSet
from db.session import reading
from evaluation.comparisons import compare
from evaluation.intervals import metric_interval
from evaluation.report_data import own_conditions
from evaluation.score_sets import kept_scores
from evaluation.score_table import METRICS
from workbench import jobs
from workbench.researcher import notices
from workbench.researcher.downloads import downloads
from workbench.session import Visitor, engine

PAPERS = ("vertex_error", "lip_vertex_error", "fdd")
COMPARED = ("vertex_error", "lip_vertex_error", "fdd", "upper_face_error", "emotional_vertex_error", "lip_dynamics")


@dataclass(frozen=True)
class System:
    """A prediction set under the name by which the page shows it, with its scores."""

    label: str
    row: PredictionSet
    table: pd.DataFrame


@dataclass(frozen=True)
class Evaluated:
    """What the page compares: systems with scores, on the clips that all of them have."""

    corpus: Corpus
    part: str
    systems: list[System]


def read_scores(corpus: Corpus, part: str, known: list[PredictionSet], who: Visitor) -> Evaluated:
    """The sets that the person chose, with their kept scores; offers to score those that have none."""
    of_part = [one for one in known if one.part in (part, None)]
    newest = {(one.system, one.emotion, one.intensity): one for one in of_part}  # the last one counts
    preset = [one.name for one in newest.values() if one.emotion is None and one.intensity in (None, 1.0)]
    by_name = {one.name: one for one in of_part}
    chosen = st.multiselect(
        "Systems", list(by_name), default=preset, key=f"evaluated sets {corpus.id} {part}",
        format_func=lambda name: _set_words(by_name[name]),
        help="A system is a set of predictions. By default the newest of each, with every clip as it is labelled.",
    )  # fmt: skip
    sets = [by_name[name] for name in chosen]
    with reading(engine()) as session:
        tables = {one.name: kept_scores(session, session.merge(one, load=False)) for one in sets}
    missing = [one for one in sets if tables[one.name] is None]
    if missing:
        _offer_scoring(missing, who)
    doubled = len({one.system for one in sets}) < len(sets)
    systems = [
        System(one.name if doubled else one.system, one, own_conditions(tables[one.name], part))
        for one in sets if tables[one.name] is not None
    ]  # fmt: skip
    return Evaluated(corpus, part, systems)


def _set_words(one: PredictionSet) -> str:
    alpha = "" if one.intensity in (None, 1.0) else f", alpha {one.intensity:g}"
    return f"{one.system}: {one.name}{alpha}"


def _offer_scoring(missing: list[PredictionSet], who: Visitor) -> None:
    with reading(engine()) as session:
        running = [job for job in jobs.list_jobs(session) if job.status == "running"]
    scoring = any(job.command[0] == "evaluation.scores" for job in running)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"Not scored yet: {', '.join(one.name for one in missing)}.")
        if st.button("Score", type="primary", icon=":material/calculate:", disabled=scoring):
            command = ["evaluation.scores", *(one.name for one in missing)]
            jobs.start(engine(), f"Score {len(missing)} prediction sets", command, who.viewer)
            st.rerun()


def show_scores(evaluated: Evaluated, who: Visitor) -> None:
    """The table, and the paired differences."""
    if not evaluated.systems:
        st.caption("Choose systems that have scores.")
        return
    names = list(PAPERS)
    if st.toggle("Further metrics of the field", key="all metrics"):
        names = list(METRICS)
    table = summary_table(evaluated, names)
    st.dataframe(
        table, hide_index=True, width="stretch",
        column_config={
            "metric": st.column_config.TextColumn("Metric", pinned=True),
            **{one.label: st.column_config.TextColumn(one.label) for one in evaluated.systems},
        },
    )  # fmt: skip
    st.caption(
        f"{evaluated.systems[0].table['clip'].nunique()} clips; in brackets 95% bootstrap intervals over clips. The "
        "report adds what the numbers mean: a face that does not move, and one with the training clips' mean face."
    )
    for note in sorted({note for one in evaluated.systems for note in one.table.attrs.get("notes", [])}):
        st.caption(f":material/info: {note}")
    downloads("scores", lambda: per_clip_table(evaluated), who, what="scores by clip", label="Export by clip")
    if len(evaluated.systems) > 1:
        _pairs(evaluated, who)


def summary_table(evaluated: Evaluated, names: list[str]) -> pd.DataFrame:
    """A row per metric, a column per system: estimate and interval as text."""
    rows = []
    for name in names:
        metric = METRICS[name]
        arrow = {"lower": " ↓", "zero": " → 0", "truth": " → truth"}.get(metric.better, "")
        row = {"metric": f"{metric.title} ({metric.unit}){arrow}"}
        for one in evaluated.systems:
            row[one.label] = _shown(one, name)
        rows.append(row)
    return pd.DataFrame(rows)


def _shown(one: System, name: str) -> str:
    found = _interval(one.row.sha256, name, one.table)
    if found is None:
        return "–"
    estimate, low, high = found
    return f"{estimate:.3g}" if low is None else f"{estimate:.3g}  [{low:.3g}, {high:.3g}]"


@st.cache_data(max_entries=500, show_spinner=False)
def _interval(sha256: str, name: str, _table: pd.DataFrame) -> tuple[float, float | None, float | None] | None:
    try:
        found = metric_interval(_table, name)
    except ValueError:  # no clip has it; the notes below the table say why
        return None
    return found.estimate, found.low, found.high


def per_clip_table(evaluated: Evaluated) -> pd.DataFrame:
    """All rows of all systems, with the system's name and set."""
    return pd.concat([one.table.assign(system=one.label, set=one.row.name) for one in evaluated.systems])


def _pairs(evaluated: Evaluated, who: Visitor) -> None:
    st.subheader("Who is better than whom", anchor=False)
    labels = [one.label for one in evaluated.systems]
    ours = next((one.label for one in evaluated.systems if one.row.system == "EavaNet"), labels[0])
    reference = st.selectbox("Against all others", labels, index=labels.index(ours), key="reference system")
    try:
        found = _compared(
            tuple(one.row.sha256 for one in evaluated.systems), reference,
            {one.label: one.table for one in evaluated.systems},
        )  # fmt: skip
    except ValueError as error:
        notices.refusal(error)
        return
    shown = pd.DataFrame({
        "Metric": [METRICS[name].title for name in found["metric"]],
        "Against": found["second"],
        "Difference": [_difference(row) for row in found.to_dict("records")],
        "Better on": [f"{100 * share:.0f}% of {n} clips" for share, n in zip(found["better"], found["n"], strict=True)],
        "p": [_p(value) for value in found["p"]],
        "p (Holm)": [_p(value) for value in found["p_holm"]],
    })  # fmt: skip
    st.dataframe(shown, hide_index=True, width="stretch")
    st.caption(
        f"Difference of errors, {reference} minus the other: below 0, {reference} is better. p by flipping signs of "
        "whole clips, corrected by Holm over the systems of a metric."
    )
    downloads("comparisons", lambda: found, who, what="paired comparisons", label="Export comparisons")


@st.cache_data(max_entries=50, show_spinner="Comparing")
def _compared(sets: tuple[str, ...], reference: str, _tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return compare(_tables, list(COMPARED), reference=reference)


def _difference(row: dict) -> str:
    text = f"{row['difference']:.3g}"
    return text if pd.isna(row["low"]) else f"{text}  [{row['low']:.3g}, {row['high']:.3g}]"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0")

"""Results of a study: hidden until somebody unblinds it, on record; then tables, plots, views and every response."""

import json

import pandas as pd
import streamlit as st

from db import events
from db.session import reading, writing
from db.study_models import Study
from evaluation.study import overseeing
from evaluation.study.analysis import Study as Analysed
from evaluation.study.analysis import analyse
from evaluation.study.design import Design
from evaluation.study.exclusions import Rules
from evaluation.study.responses import responses_csv
from evaluation.study.study_page import study_html, study_markdown
from evaluation.study.study_plots import opinion_plot, preference_plot
from evaluation.study.study_tables import all_tables
from evaluation.table import Table
from evaluation.table_files import as_latex, notes_of, text_of
from workbench.researcher import notices
from workbench.session import Visitor, engine


def show_results(study: Study, who: Visitor) -> None:
    """Nothing before the study is unblinded; then everything."""
    if study.unblinded_at is None:
        _unblind(study, who)
        return
    st.caption(f"Unblinded on {study.unblinded_at:%Y-%m-%d %H:%M} UTC; that is on record.")
    try:
        responses, found = _analysed(study.id, _count(study), who.viewer)
    except ValueError as error:
        notices.refusal(error)
        return
    if found.simulated:
        st.markdown(f":orange-badge[:material/science: Simulated] {found.simulated} of {found.answers} answers were "
                    "given by a program, not by people.")  # fmt: skip
    for note in found.notes:
        st.caption(f":material/info: {note}")
    figure = preference_plot(found.kept) if found.kind == "ab" else opinion_plot(found.kept)
    st.plotly_chart(figure, key=f"study plot {study.id}")
    tables = all_tables(found)
    for table in tables:
        with st.expander(f"Table {table.key}: {table.title}", expanded=table is tables[0]):
            _show(table)
    with st.expander("By clip and by participant"):
        st.dataframe(found.kept.by_item, hide_index=True, width="stretch")
        st.dataframe(found.kept.by_participant, hide_index=True, width="stretch")
    _take_away(study, who, responses, found, tables)


def _unblind(study: Study, who: Visitor) -> None:
    with reading(engine()) as session:
        seen = overseeing.watch(session, study.id)
    st.markdown("**This study is blind.** Nobody sees results before it is unblinded, so that nobody stops it when "
                "they please, or changes a rule after seeing what it does.")  # fmt: skip
    st.write(f"{seen.completed} of {seen.planned} participants have completed it; {seen.answers} answers.")
    if seen.completed < seen.planned:
        st.warning("It is not complete. Results that are looked at early belong in the paper as such.",
                   icon=":material/warning:")  # fmt: skip
    reason = st.text_input("Why are results looked at now?", key=f"unblind {study.id}", placeholder="All took part",
                           max_chars=500)  # fmt: skip
    if st.button("Unblind", icon=":material/visibility:", disabled=not reason.strip()):
        try:
            with writing(engine()) as session:
                overseeing.unblind(session, study.id, who.viewer, reason)
        except ValueError as error:
            notices.refusal(error)
        else:
            st.rerun()


def _count(study: Study) -> int:
    with reading(engine()) as session:
        return overseeing.watch(session, study.id).answers


@st.cache_data(max_entries=8, show_spinner="Analysing")
def _analysed(study_id: int, answers: int, actor: str) -> tuple[pd.DataFrame, Analysed]:
    """The responses and what they say; anew only when there are more answers."""
    with writing(engine()) as session:
        study = session.get_one(Study, study_id)
        design = Design.from_dict(study.design)
        responses = overseeing.responses(session, study_id, actor)
    scale = (float(design.scale.low), float(design.scale.high)) if design.scale else (1.0, 5.0)
    rules = Rules.from_dict(dict(design.analysis.exclusion))
    return responses, analyse(responses, rules, planned=design.n_main * len(design.questions), scale=scale)


def _show(table: Table) -> None:
    frame = pd.DataFrame([[text_of(cell) for cell in row] for row in table.rows], columns=list(table.columns))
    st.dataframe(frame, hide_index=True, width="stretch")
    for note in notes_of(table):
        st.caption(note)


def _take_away(study: Study, who: Visitor, responses: pd.DataFrame, found: Analysed, tables: list[Table]) -> None:
    stem = f"{study.name}-v{study.version}"
    title = f"Study {study.name}, version {study.version}"

    def every_response() -> str:
        with writing(engine()) as session:
            events.record(
                session, who.viewer, "data.exported", {"what": f"responses of {stem}", "rows": len(responses)}
            )
        return responses_csv(responses)

    with st.container(horizontal=True):
        for label, name, mime, make in (
            ("Every response (CSV)", f"{stem}-responses.csv", "text/csv", every_response),
            ("Results (HTML)", f"{stem}.html", "text/html", lambda: study_html(found, title)),
            ("Results (Markdown)", f"{stem}.md", "text/markdown", lambda: study_markdown(found, title)),
            ("Tables (LaTeX)", f"{stem}.tex", "text/x-tex", lambda: "\n".join(as_latex(table) for table in tables)),
            ("Results (JSON)", f"{stem}.json", "application/json", lambda: json.dumps(found.record(), indent=1)),
        ):
            st.download_button(
                label, make, name, mime, on_click="ignore", icon=":material/download:", key=f"take {name}"
            )

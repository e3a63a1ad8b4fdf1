"""A launched study: who takes part and how far they are, links, and what can be done with it. No results here."""

import pandas as pd
import streamlit as st

from db.models import now
from db.session import reading, writing
from db.study_models import Study
from evaluation.study import drafts, joining, overseeing
from evaluation.study.freezing import missing_stimuli
from workbench import jobs
from workbench.researcher import notices
from workbench.researcher.links import app_address
from workbench.session import PARTICIPANT_PARAMETER, Visitor, engine

LIVE_S = 5.0


def show_running(study: Study, who: Visitor) -> None:
    """Counts, links and people; live while it runs."""
    with reading(engine()) as session:
        missing = missing_stimuli(session, study.id)
    if missing:
        st.error(f"{len(missing)} films of this study are gone from the data folder: participants cannot go on. "
                 "Restore them from a backup.", icon=":material/broken_image:")  # fmt: skip
    _live(study.id)
    _links(study, who)
    _actions(study, who)


@st.fragment(run_every=LIVE_S)
def _live(study_id: int) -> None:
    with reading(engine()) as session:
        seen = overseeing.watch(session, study_id)
    columns = st.columns(5)
    for column, (label, value) in zip(columns, (
        ("Completed", f"{seen.completed} of {seen.planned}"), ("In progress", seen.in_progress),
        ("Left", seen.left), ("Places free", seen.places_free),
        ("Answers", f"{seen.answers} of {seen.expected_answers}"),
    ), strict=True):  # fmt: skip
        column.metric(label, value)
    if seen.simulated:
        st.markdown(f":orange-badge[:material/science: Simulated] {seen.simulated} participants are simulated: a "
                    "program answered, not a person.")  # fmt: skip
    if not seen.people:
        st.caption("Nobody has come yet. Make links below.")
        return
    st.dataframe(
        pd.DataFrame([
            {
                "Participant": one.pseudonym, "By": one.source, "Step": one.step,
                "Trials": f"{one.done} of {one.total}",
                "Catch trials failed": f"{one.catch_failed} of {one.catch_seen}", "Stalls": one.stalls,
                "Minutes": None if one.minutes is None else round(one.minutes, 1), "Last seen": one.last_seen,
            }
            for one in seen.people
        ]),
        hide_index=True, width="stretch",
    )  # fmt: skip


def _links(study: Study, who: Visitor) -> None:
    if study.status == "closed":
        return
    with st.container(border=True):
        st.markdown("**Links**")
        address = st.text_input("Address of the workbench, as participants reach it",
                                app_address(st.context.url or "", "studies"), key="study address")  # fmt: skip
        one, two, three = st.columns(3, vertical_alignment="bottom")
        count = one.number_input("Personal links", 1, 100, 1, key="invited")
        if one.button("Make personal links", icon=":material/person_add:"):
            _make(study, "people", lambda session: [
                (made.pseudonym, f"{address.rstrip('/')}/?{PARTICIPANT_PARAMETER}={made.token}")
                for made in joining.invite(session, study.id, int(count), who.viewer)
            ])  # fmt: skip
        if two.button("Make the link for everybody", icon=":material/link:", help="Replaces an earlier one"):
            _make(study, "everybody", lambda session: [
                ("everybody", f"{address.rstrip('/')}/study/{joining.open_link(session, study.id, who.viewer)}")
            ])  # fmt: skip
        if three.button("Walk through it myself", icon=":material/directions_walk:",
                        help="As participants see it; the answers never count"):  # fmt: skip
            _make(study, "test", lambda session: [(
                "test walk",
                f"{address.rstrip('/')}/?{PARTICIPANT_PARAMETER}={joining.join_test(session, study.id, who.viewer)[1]}",
            )])  # fmt: skip
        for name, link in st.session_state.get(f"study links {study.id}", []):
            left, right = st.columns([1, 5], vertical_alignment="center")
            left.markdown(f"**{name}**")
            right.code(link, language=None)
        if st.session_state.get(f"study links {study.id}"):
            st.caption("Copy them now: what is stored cannot be turned back into a link.")


def _make(study: Study, what: str, make) -> None:
    try:
        with writing(engine()) as session:
            links = make(session)
    except ValueError as error:
        notices.refusal(error)
        return
    st.session_state.setdefault(f"study links {study.id}", []).extend(links)


def _actions(study: Study, who: Visitor) -> None:
    with st.container(horizontal=True):
        if study.status == "running":
            _action("Pause", ":material/pause:", lambda session: overseeing.pause_study(session, study.id, who.viewer))
        if study.status == "paused":
            _action("Go on", ":material/play_arrow:",
                    lambda session: overseeing.resume_study(session, study.id, who.viewer))  # fmt: skip
        if study.status in ("running", "paused"):
            with st.popover("Close", icon=":material/lock:"):
                st.write("Links stop and no more answers are taken, for good. What was answered stays.")
                _action("Close for good", ":material/lock:",
                        lambda session: overseeing.close_study(session, study.id, who.viewer))  # fmt: skip
        _action("New version", ":material/content_copy:",
                lambda session: drafts.new_version(session, study.id, who.viewer))  # fmt: skip
        if study.corpus.synthetic and study.status == "running":
            with st.popover("Simulated participants", icon=":material/science:"):
                st.write("On a synthetic corpus, a program can take part. Its answers are marked everywhere.")
                count = st.number_input("How many", 1, study.design["participants"], 3, key="simulated people")
                if st.button("Let them answer"):
                    command = ["evaluation.study.command_launch", "simulate", study.name, "--version",
                               str(study.version), "--participants", str(int(count)),
                               "--seed", str(int(now().timestamp()))]  # fmt: skip
                    jobs.start(engine(), f"Simulate {count} participants of {study.name}", command, who.viewer)
                    st.rerun()


def _action(label: str, icon: str, do) -> None:
    if not st.button(label, icon=icon):
        return
    try:
        with writing(engine()) as session:
            do(session)
    except ValueError as error:
        notices.refusal(error)
    else:
        st.rerun()

"""The page behind a participant's link: consent, sound check, instructions, trial after trial, the end."""

import functools
from collections.abc import Callable

import streamlit as st
from sqlalchemy.orm import Session

from db.session import reading, writing
from evaluation.study import serving
from evaluation.study.refusals import StudyRefused
from evaluation.study.serving import Place
from workbench import texts
from workbench.participant import saving, steps
from workbench.participant.saving import Tab, trial_key
from workbench.participant.trial_panel import panel_data, trial_panel
from workbench.session import Visitor, engine
from workbench.texts import Texts

STYLE = """<style>
[data-testid=stHeader] { display: none; }
[data-testid=stMainBlockContainer] { max-width: 64rem; padding: 1rem 1.5rem 1.5rem; }
[data-testid=stHeading] h1 { font-size: 1.9rem; padding: .25rem 0 .5rem; }
[data-testid=stHeading] h2 { font-size: 1.3rem; padding: .5rem 0 .25rem; }
/* Streamlit writes the chosen language in its own colour, too faint on a dark page. */
[data-testid=stButtonGroup] button[aria-checked=true] * { color: CanvasText !important; }
@media (max-width: 640px) {
  [data-testid=stMainBlockContainer] { padding: .6rem 1rem 1.5rem; }
  [data-testid=stHeading] h1 { font-size: 1.5rem; }
}
</style>"""
# Steps at which there is nothing to do, and the page that says so.
STOPS = {"closed": "closed", "study_paused": "study_paused", "left": "left"}


def page(who: Visitor) -> None:
    """Show `who`, a participant, where they are in their study."""
    st.html(STYLE)
    if who.link_failed:
        steps.stop(texts.load(who.language), "bad_link")
        return
    tab = st.session_state.setdefault("tab", Tab())
    t = texts.load(who.language)
    with reading(engine()) as session:
        place = serving.place(session, who.row_id)
        design = serving.participant_of(session, who.row_id).study.design
    if place.test:
        st.info(t("study.test_walk"), icon=":material/science:")
    if place.step != "trials":
        _language(t, who, place)
    _show(t, who, place, tab, design)


def _show(t: Texts, who: Visitor, place: Place, tab: Tab, design: dict) -> None:
    if place.step in STOPS:
        steps.stop(t, STOPS[place.step])
    elif st.session_state.get("refused") == "full":
        steps.stop(t, "full")
    elif place.step == "finished":
        with reading(engine()) as session:
            done = serving.completion(session, who.row_id)
        steps.end(t, done)
    elif place.step == "consent":
        steps.consent(t, place, _step(who, serving.consent))
    elif place.step == "sound":
        steps.sound_check(t, _step(who, serving.sound_checked))
    elif place.step == "instructions":
        steps.instructions(t, place, design, _step(who, serving.instructions_read))
    elif place.step == "paused":
        steps.rest(t, place, True, _step(who, serving.resume), _step(who, serving.leave))
    else:
        _trial(t, who, place, tab, design)


def _step(who: Visitor, take: Callable[[Session, int], None]) -> Callable[[], None]:
    """A step of the way as a button's callback; what the study refuses is shown by the page that follows."""

    def run() -> None:
        try:
            with writing(engine()) as session:
                take(session, who.row_id)
        except StudyRefused as refused:
            st.session_state.refused = refused.reason

    return run


def _language(t: Texts, who: Visitor, place: Place) -> None:
    """The study's languages, those of them that the interface speaks."""
    names = {code: name for code, name in texts.languages().items() if code in place.languages}
    if len(names) < 2:
        return

    def change() -> None:
        with writing(engine()) as session:
            serving.set_language(session, who.row_id, st.session_state.language)

    with st.container(horizontal=True, horizontal_alignment="right"):
        st.segmented_control(
            t("language.label"), list(names), format_func=names.get,
            default=t.language if t.language in names else None, key="language", label_visibility="collapsed",
            width="content", required=True, on_change=change,
        )  # fmt: skip


def _trial(t: Texts, who: Visitor, place: Place, tab: Tab, design: dict) -> None:
    try:
        with writing(engine()) as session:
            view = serving.open_trial(session, who.row_id, tab.name)
    except StudyRefused:
        st.rerun()  # paused or closed in another window a moment ago: the page says so
    if view is None:
        st.rerun()
    if view.break_now and view.number not in tab.rested:
        steps.rest(t, place, False, functools.partial(tab.rested.add, view.number), _step(who, serving.leave))
        return
    _progress(t, who, place, design)
    if view.role == "practice":
        st.info(t("study.practice"), icon=":material/school:")
    elif view.number > 0 and view.number == design["practice"]:
        st.info(t("study.practice_over"), icon=":material/flag:")
    data = panel_data(
        t, view, key=trial_key(who.row_id, view.number), tab=tab.name, reported=tab.reported.get(view.number, {}),
        outcome=tab.outcome,
    )  # fmt: skip
    trial_panel(
        data,
        on_watched=functools.partial(saving.note_watched, engine(), who.row_id, tab),
        on_answer=lambda message: saving.save(engine(), who.row_id, tab, message, t),
    )


def _progress(t: Texts, who: Visitor, place: Place, design: dict) -> None:
    """How far the participant is, the instructions again, and a break."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(place.done / max(1, place.total), text=t("study.progress", done=place.done, total=place.total))
        if st.button(t("study.how_to"), icon=":material/help:", key="how_to"):
            _reminder(t, place, design)
        st.button(t("study.pause"), icon=":material/pause:", key="pause", on_click=_step(who, serving.pause))


def _reminder(t: Texts, place: Place, design: dict) -> None:
    @st.dialog(t("study.instructions_title"), width="medium")
    def window() -> None:
        steps.what_to_do(t, place, design)

    window()

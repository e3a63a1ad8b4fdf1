"""What a participant reads between the trials: consent, sound check, instructions, breaks, the end."""

from collections.abc import Callable

import streamlit as st

from evaluation.study.serving import Completion, Place
from workbench.participant import sound
from workbench.texts import Texts


def consent(t: Texts, place: Place, on_agree: Callable[[], None]) -> None:
    """What the participant agrees to, in the study's own words."""
    st.title(place.title, anchor=False)
    st.header(t("study.consent_title"), anchor=False)
    st.markdown(place.consent)
    st.caption(t("study.come_back"))
    st.button(t("study.agree"), type="primary", on_click=on_agree, key="agree")
    st.caption(t("study.disagree_hint"))


def sound_check(t: Texts, on_heard: Callable[[], None]) -> None:
    """Beeps to be counted; a wrong number brings another sound."""
    number = st.session_state.setdefault("beeps", sound.another_number())
    st.title(t("study.sound_title"), anchor=False)
    st.write(t("study.sound_task"))
    st.audio(sound.beeps(number), format="audio/wav")
    st.caption(t("study.sound_play"))

    def check() -> None:
        said = st.session_state.get("beeps_heard")
        if said is None:
            return
        if said == number:
            on_heard()
            return
        st.session_state.beeps = sound.another_number(number)
        st.session_state.beeps_wrong = True
        st.session_state.beeps_heard = None

    st.segmented_control(
        t("study.sound_question"), list(range(1, sound.MOST + 2)), key="beeps_heard", on_change=check, default=None
    )
    if st.session_state.get("beeps_wrong"):
        st.warning(t("study.sound_wrong"), icon=":material/volume_up:")
    with st.expander(t("study.not_heard"), icon=":material/volume_off:"):
        st.write(t("study.not_heard_help"))


def instructions(t: Texts, place: Place, design: dict, on_start: Callable[[], None]) -> None:
    """The study's instructions and the keys."""
    st.title(t("study.instructions_title"), anchor=False)
    what_to_do(t, place, design)
    label = t("study.start_practice" if design["practice"] else "study.start")
    st.button(label, type="primary", on_click=on_start, key="start")


def what_to_do(t: Texts, place: Place, design: dict) -> None:
    """The study's instructions, for the page before the trials and for the window over one."""
    st.markdown(place.instructions)
    with st.expander(t("study.keys_title"), icon=":material/keyboard:"):
        st.markdown(t("study.keys_ab" if design["kind"] == "ab" else "study.keys_mos"))
    st.caption(t("study.come_back"))


def rest(t: Texts, place: Place, paused: bool, on_go_on: Callable[[], None], on_leave: Callable[[], None]) -> None:
    """A break, offered by the study or taken by the participant; also the way out for good."""
    name = "paused" if paused else "break"
    st.title(t(f"study.{name}_title"), anchor=False)
    st.progress(place.done / max(1, place.total))
    st.write(t(f"study.{name}_text", done=place.done, total=place.total))
    st.caption(t("study.come_back"))
    st.button(t("study.go_on"), type="primary", on_click=on_go_on, key="go_on")
    with st.expander(t("study.leave"), icon=":material/logout:"):
        st.write(t("study.leave_question"))
        st.button(t("study.leave_sure"), on_click=on_leave, key="leave")


def end(t: Texts, done: Completion) -> None:
    """Every answer is stored; here is the code that says so."""
    st.title(t("study.end_title"), anchor=False)
    st.write(t("study.end_text"))
    st.write(t("study.end_code"))
    st.code(done.code, language=None)
    if done.url:
        st.link_button(t("study.end_url"), done.url, type="primary")
    else:
        st.caption(t("study.end_close"))


def stop(t: Texts, why: str) -> None:
    """Nothing can be done here, and why: full, closed, study_paused, left, bad_link."""
    st.title(t(f"study.{why}_title"), anchor=False)
    st.write(t(f"study.{why}_text"))

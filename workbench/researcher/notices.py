"""What pages say about their own numbers: made up, empty, or wrong."""

import streamlit as st

from workbench.researcher.places import Place, link


def synthetic_notice(*, corpus: str | None = None, simulated_raters: int = 0) -> None:
    """Say that what follows is not measured on people: a synthetic corpus, simulated raters, or both.

    `corpus` is the name of a synthetic corpus. Shows nothing if there is nothing to say.
    """
    parts = []
    if corpus is not None:
        parts.append(f"**{corpus}** is a synthetic corpus: nobody was recorded")
    if simulated_raters:
        raters = "one rater is" if simulated_raters == 1 else f"{simulated_raters} raters are"
        parts.append(f"{raters} simulated: a program answered, not a person")
    if parts:
        text = "; ".join(parts)
        badge = "Synthetic" if corpus is not None else "Simulated"
        st.markdown(
            f":orange-badge[:material/science: {badge}] {text[0].upper()}{text[1:]}. Numbers from here are for trying "
            "things out, never results."
        )


def nothing_here(title: str, text: str, place: Place | None = None, label: str | None = None) -> None:
    """An empty state: what would be here, and the page where it begins."""
    with st.container(border=True):
        st.markdown(f"**{title}**")
        st.write(text)
        if place is not None:
            link(place, label)


def once(message: str, icon: str = ":material/check_circle:") -> None:
    """Keep a short message for the next run of the page, which `show_kept` shows."""
    st.session_state["kept message"] = (message, icon)


def show_kept() -> None:
    """Show what the action before this run left to say."""
    kept = st.session_state.pop("kept message", None)
    if kept:
        st.toast(kept[0], icon=kept[1], duration="long")


def refusal(error: Exception) -> None:
    """Show why something was refused: a sentence, and the list below it where there is one."""
    sentence, _, listing = str(error).partition("\n")
    st.error(sentence[:1].upper() + sentence[1:], icon=":material/error:")
    if listing:
        st.code(listing, language=None)

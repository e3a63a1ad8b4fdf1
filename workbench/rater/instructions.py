"""What a rater reads before the first clip: what to do, an example with a sound check, the hotkeys."""

from collections.abc import Callable

import streamlit as st

from labeling.emotions import EMOTIONS
from workbench.player import PlayerSource, player
from workbench.texts import Texts


def page(
    t: Texts, example: PlayerSource | None, study_text: str, practice_clips: int, on_done: Callable[[], None]
) -> None:
    """The instructions; `on_done` is called when the rater goes on, which takes having heard the example."""
    st.title(t("instructions.title"), anchor=False)
    st.write(t("instructions.welcome"))
    left, right = st.columns([11, 10], gap="large")
    with left:
        _what_to_do(t, study_text)
    with right:
        ready = _example(t, example)
        start = t("instructions.start_practice", count=practice_clips) if practice_clips else t("instructions.start")
        st.button(start, type="primary", disabled=not ready, on_click=on_done, width="stretch")
        if not ready:
            st.caption(t("instructions.start_hint"))


def reminder(t: Texts, study_text: str, language: Callable[[], None]) -> None:
    """The same in short, in a window over the clip; `language` draws the choice of language."""

    @st.dialog(t("rating.how_to"), width="medium")
    def window() -> None:
        language()
        _what_to_do(t, study_text)

    window()


def _what_to_do(t: Texts, study_text: str) -> None:
    st.header(t("instructions.steps_title"), anchor=False)
    steps = ("watch", "emotion", "intensity", "save")
    st.markdown("\n".join(f"{n}. {t(f'instructions.step_{step}')}" for n, step in enumerate(steps, 1)))
    st.header(t("instructions.emotions_title"), anchor=False)
    st.markdown("\n".join(f"- **{t(f'emotion.{key}')}**: {t(f'meaning.{key}')}" for key in EMOTIONS))
    st.write(t("instructions.neutral_note"))
    st.write(t("instructions.honest_note"))
    if study_text.strip():
        st.info(f"**{t('instructions.from_researcher')}**\n\n{study_text}")
    with st.expander(t("instructions.hotkeys_title"), icon=":material/keyboard:"):
        st.markdown(hotkey_table(t))
        st.caption(t("instructions.hotkeys_note"))


def hotkey_table(t: Texts) -> str:
    """The keys of the player and of the answer panel, as a Markdown table."""
    rows = (
        (t("hotkey.space"), "play"), ("R", "replay"), ("← →", "step"), ("H A S N", "emotions"),
        ("1 2 3 4 5", "intensities"), (t("hotkey.enter"), "save"), ("U", "undo"),
    )  # fmt: skip
    lines = [f"| {t('hotkey.key')} | {t('hotkey.action')} |", "| :-- | :-- |"]
    for keys, action in rows:
        shown = " ".join(f"`{key}`" for key in keys.split(" "))
        lines.append(f"| {shown} | {t(f'hotkey.{action}')} |")
    return "\n".join(lines)


def _example(t: Texts, example: PlayerSource | None) -> bool:
    """The example clip; True once the rater may go on."""
    if example is None:
        return True
    st.header(t("instructions.example_title"), anchor=False)
    audible = bool(example.audio_url or example.video_url)
    st.write(t("instructions.example" if audible else "instructions.example_silent"))
    player(example, key="example", texts=t.section("player"), events=("error",))
    if not audible:
        return True
    heard = st.checkbox(t("instructions.heard"), key="heard")
    with st.expander(t("instructions.not_heard"), icon=":material/volume_off:"):
        st.write(t("instructions.not_heard_help"))
    return heard

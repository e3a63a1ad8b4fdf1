"""The page behind a rater's personal link: instructions at first, then clip after clip, then the end."""

import functools

import streamlit as st

from db.session import reading
from workbench import texts
from workbench.player import player
from workbench.rater import instructions, saving
from workbench.rater.answer_panel import answer_panel
from workbench.rater.desk import (
    Desk,
    Look,
    example_clip,
    look,
    note_instructions_read,
    previous,
    rated_ever,
    set_language,
)
from workbench.rater.seal import seal, unseal
from workbench.session import Visitor, engine
from workbench.texts import Texts

BREAK_EVERY = 40
STYLE = """<style>
[data-testid=stHeader] { display: none; }
[data-testid=stMainBlockContainer] { max-width: 72rem; padding: 1.25rem 1.5rem 2rem; }
[data-testid=stHeading] h1 { font-size: 2rem; padding: .25rem 0 .5rem; }
[data-testid=stHeading] h2 { font-size: 1.3rem; padding: .75rem 0 .25rem; }
/* Streamlit writes the chosen language in its own colour, too faint on a dark page (and in a window over it). */
[data-testid=stButtonGroup] button[aria-checked=true] * {
  color: CanvasText !important;
}
@media (max-width: 640px) {
  /* The player's height: less than its own choice, so that the answers begin on the first screen. */
  [data-testid=stMain] { --height: clamp(200px, 36vh, 360px); }
  [data-testid=stMainBlockContainer] { padding: .6rem 1rem 1.5rem; }
  [data-testid=stHeading] h1 { font-size: 1.6rem; }
}
</style>"""


def page(who: Visitor) -> None:
    """Show `who`, a rater, what there is to do."""
    st.html(STYLE)
    t = texts.load(who.language)
    desk = st.session_state.setdefault("desk", Desk())
    with reading(engine()) as session:
        seen = look(session, who.row_id, desk)
    if not seen.instructions_read:
        _language(t, who)
        _instructions(t, who, desk, seen)
    elif seen.assignment is None:
        _language(t, who)
        _end(t, who, desk, seen)
    else:
        _progress(t, who, seen)
        _rating(t, who, desk, seen)


def _language(t: Texts, who: Visitor) -> None:
    names = texts.languages()
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.segmented_control(
            t("language.label"), list(names), format_func=names.get, default=t.language, key="language",
            label_visibility="collapsed", width="content", required=True,
            on_change=lambda: set_language(engine(), who.row_id, st.session_state.language),
        )  # fmt: skip
    if st.session_state.language != t.language:
        st.rerun()  # changed in the window over the page: the page itself changes, too


def _progress(t: Texts, who: Visitor, seen: Look) -> None:
    """How far the rater is, and the way to the instructions (where the language is, too: a phone is narrow)."""
    with st.container(horizontal=True, vertical_alignment="center"):
        share = seen.progress.done / max(1, seen.progress.total)
        st.progress(share, text=t("rating.progress", done=seen.progress.done, total=seen.progress.total))
        if st.button(t("rating.how_to"), icon=":material/help:", key="how_to"):
            instructions.reminder(t, seen.study_text, functools.partial(_language, t, who))


def _instructions(t: Texts, who: Visitor, desk: Desk, seen: Look) -> None:
    with reading(engine()) as session:
        clip = example_clip(session, who.row_id)
    example = desk.source("example", clip, who.viewer) if clip else None

    instructions.page(
        t, example, seen.study_text, seen.progress.practice_total,
        on_done=lambda: note_instructions_read(engine(), who.row_id),
    )  # fmt: skip


def _rating(t: Texts, who: Visitor, desk: Desk, seen: Look) -> None:
    """The clip and the answer panel; one run of the page per saved answer."""
    assignment, upcoming, done = seen.assignment, seen.upcoming, seen.progress.done
    _notice(t, desk, seen)
    left, right = st.columns([11, 8], gap="medium")
    source = desk.source(assignment.id, assignment.clip, who.viewer)
    with left:
        player(
            source,
            key="clip",
            upcoming=desk.source(upcoming.id, upcoming.clip, who.viewer) if upcoming else None,
            autoplay=desk.saved_here > 0 and desk.revising is None,
            texts=t.section("player"),
            on_event=functools.partial(desk.note_error, assignment.id),
            events=("error",),  # that the clip has ended concerns the answer panel, which hears it in the browser
        )
        if assignment.id in desk.failed:
            st.warning(t("rating.clip_error"), icon=":material/sync_problem:")
    with right:
        answer_panel(
            t,
            answer_key=seen.answer_key,
            clip_id=source.id,
            answer=saving.as_filled_in(seen.answer) if seen.answer else None,
            watching_optional=seen.answer is not None,
            can_undo=seen.can_undo,
            revising=desk.revising is not None,
            outcome=desk.outcome,
            progress=t("rating.progress", done=done, total=seen.progress.total) if done else "",
            on_save=functools.partial(_save, t, who, desk),
            on_undo=functools.partial(_undo, who, desk),
            on_leave=functools.partial(_leave, desk),
        )
    desk.keep_only(assignment.id, upcoming.id if upcoming else None)


def _notice(t: Texts, desk: Desk, seen: Look) -> None:
    """At most one message over the clip, about where in the work the rater is."""
    done = seen.progress.done
    if desk.revising is not None:
        st.info(t("rating.revising"), icon=":material/undo:")
    elif seen.assignment.kind == "practice":
        number, total = seen.progress.practice_done + 1, seen.progress.practice_total
        st.info(t("rating.practice", number=number, total=total), icon=":material/school:")
    elif done == 0 and seen.progress.practice_total:
        st.info(t("rating.practice_over"), icon=":material/flag:")
    elif done and done % BREAK_EVERY == 0:
        st.info(t("rating.break", done=done), icon=":material/coffee:")


def _save(t: Texts, who: Visitor, desk: Desk, payload: dict) -> None:
    desk.outcome = saving.save(engine(), who.row_id, payload, t)
    if desk.outcome.saved:
        desk.saved_here += 1
    if desk.outcome.settled:
        desk.revising = None


def _undo(who: Visitor, desk: Desk, payload: dict) -> None:
    try:
        assignment_id, _ = unseal(payload.get("key"))
    except ValueError:
        return
    with reading(engine()) as session:
        earlier = previous(session, who.row_id, assignment_id)
    if earlier is not None:
        desk.revising, desk.outcome = earlier, None


def _leave(desk: Desk, _payload: dict) -> None:
    desk.revising = desk.outcome = None


def _end(t: Texts, who: Visitor, desk: Desk, seen: Look) -> None:
    """Nothing left to do, or nothing yet."""
    with reading(engine()) as session:
        done = rated_ever(session, who.row_id)
    with st.container(horizontal_alignment="center"):
        if not done:
            st.title(t("end.nothing_yet_title"), anchor=False, text_alignment="center")
            st.write(t("end.nothing_yet"))
        else:
            st.title(t("end.title"), anchor=False, text_alignment="center")
            st.progress(1.0)
            st.write(t("end.count_one") if done == 1 else t("end.count", done=done))
            st.write(t("end.more"))
        if desk.outcome and desk.outcome.message:
            st.warning(desk.outcome.message, icon=":material/info:")
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.button(t("end.look_again"), icon=":material/refresh:", type="primary")
            if seen.can_undo:
                st.button(
                    t("end.change_last"), icon=":material/undo:",
                    on_click=lambda: _undo(who, desk, {"key": seal(0, 0)}),
                )  # fmt: skip

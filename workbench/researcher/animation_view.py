"""Animations: the one that is being made, the one to look at, another one beside it, and the files to take away."""

from pathlib import Path

import streamlit as st
from sqlalchemy import select

from db import animations
from db.animations import Animation
from db.models import Corpus
from db.session import reading
from workbench import media
from workbench.performance import STAGE, Ticket
from workbench.player import PlayerSource, player
from workbench.researcher import notices
from workbench.session import Visitor, engine

POLL_S = 0.3
EXPORTS = {"mp4": ("Film with sound (.mp4)", "video/mp4"), "glb": ("For 3D programs (.glb)", "model/gltf-binary")}


def show_ticket() -> None:
    """How far the animation is that was asked for, with a way to stop it; what became of it when it is done."""
    ticket: Ticket | None = st.session_state.get("animation ticket")
    if ticket is None:
        return
    if not ticket.done:
        _progress("animation ticket")
        return
    del st.session_state["animation ticket"]
    if ticket.error:
        if ticket.error == "stopped":
            st.info("Stopped; nothing was kept.", icon=":material/stop_circle:")
        else:
            notices.refusal(ValueError(ticket.error))
        return
    st.session_state["shown animation"] = ticket.request["animation"]
    st.session_state["fresh animation"] = ticket.request["animation"]
    st.rerun()


@st.fragment(run_every=POLL_S)
def _progress(key: str) -> None:
    ticket: Ticket | None = st.session_state.get(key)
    if ticket is None or ticket.done:
        st.rerun()
    st.progress(ticket.progress, f"{ticket.message[:1].upper()}{ticket.message[1:]}")
    if st.button("Stop", icon=":material/stop_circle:", key=f"stop {key}"):
        STAGE.cancel(ticket)


def show_animations(who: Visitor) -> None:
    """The animation to look at, and the list of those there are."""
    listed = animations.list_animations()
    if not listed:
        with st.container(border=True):
            st.markdown("**Nothing was animated yet.**")
            st.write("Choose a model, speech and a style; the face then appears here, and can be taken away as a "
                     "film, as vertices, or for Blender.")  # fmt: skip
        _put_away_list()
        return
    by_id = {animation.id: animation for animation in listed}
    fresh = st.session_state.pop("fresh animation", None)
    if fresh in by_id:
        st.session_state["animation choice"] = fresh
    left, right = st.columns(2)
    chosen = left.selectbox("Animation", list(by_id), format_func=lambda key: words(by_id[key]), key="animation choice")
    animation = by_id[chosen]
    beside = _to_compare(animation, listed)
    other = right.selectbox(
        "Beside it", [None, *beside], key=f"beside {chosen}",
        format_func=lambda key: words(by_id[key]) if key else "nothing",
        help="Another animation of the same speech",
    )  # fmt: skip
    _show(animation, by_id.get(other), who, autoplay=fresh == chosen)
    _marks(animation)
    _files(animation)
    _put_away_list()


def words(animation: Animation) -> str:
    """An animation in one line."""
    about = animation.about
    face = "" if about["face"] == about["subject"] else f" on {about['face']}"
    when = about["created_at"][5:16].replace("T", " ")
    return f"{style_words(about)}{face} · {about['name'][:24]} · {about['run']} · {when}"


def style_words(about: dict) -> str:
    """In which style: "happy 0.3, F1"; "F1"; "0.5 F1 + 0.5 F3"."""
    if about.get("other"):
        return f"{about['weight']:g} {about['subject']} + {1 - about['weight']:g} {about['other']}"
    if about["emotion"] is None:
        return about["subject"]
    intensity = "" if about["emotion"] == "neutral" or about["intensity"] == 1 else f" {about['intensity']:g}"
    return f"{about['emotion']}{intensity}, {about['subject']}"


def _to_compare(animation: Animation, listed: list[Animation]) -> list[str]:
    about = animation.about
    same = ("corpus", "frames", "audio_s", "name", "n_vertices")
    return [
        other.id for other in listed
        if other.id != animation.id and all(other.about[key] == about[key] for key in same)
    ]  # fmt: skip


def _show(animation: Animation, other: Animation | None, who: Visitor, autoplay: bool) -> None:
    with reading(engine()) as session:
        corpus = session.scalar(select(Corpus).where(Corpus.name == animation.about["corpus"]))
    if corpus is None or corpus.n_vertices != animation.about["n_vertices"]:
        st.info("The corpus with this face's triangles is not in this workbench; the files can still be taken away.",
                icon=":material/videocam_off:")  # fmt: skip
        return
    player(
        _source(animation, corpus, who), key="animation player", autoplay=autoplay, height=440,
        compare=_source(other, corpus, who) if other else None,
        labels=(_label(animation), _label(other)) if other else None,
    )  # fmt: skip


def _label(animation: Animation) -> str:
    return f"{animation.about['run']}: {style_words(animation.about)}"


def _source(animation: Animation, corpus: Corpus, who: Visitor) -> PlayerSource:
    # Made once per browser session: fresh addresses at every run would load it anew.
    known = st.session_state.setdefault("animation sources", {})
    if animation.id not in known:
        known[animation.id] = media.animation_source(animation, corpus, who.viewer)
    return known[animation.id]


def _marks(animation: Animation) -> None:
    about = animation.about
    marks = [text for text, holds in (
        ("synthetic corpus", about["synthetic"]), ("simulated labels", about["simulated"]),
        ("random audio encoder", about["random_encoder"]),
    ) if holds]  # fmt: skip
    badges = " ".join(f":orange-badge[:material/science: {mark}]" for mark in marks)
    exaggerated = " :orange-badge[:material/warning: exaggerated]" if about["exaggerated"] else ""
    st.markdown(
        f"{badges}{exaggerated} {about['audio_s']:.1f} s of speech, {about['frames']} frames, spoken as "
        f"{style_words(about)}; run {about['run']}, epoch {about['epoch']}."
    )


def _files(animation: Animation) -> None:
    with st.container(horizontal=True):
        motion = animations.file_of(animation.id, "motion")
        if motion is not None:
            st.download_button(
                "Vertices (.npy)", lambda: motion.read_bytes(), _file_name(animation, "npy"), on_click="ignore",
                icon=":material/download:", help=f"{motion.stat().st_size / 1e6:.0f} MB, (T, 3V) float32",
            )  # fmt: skip
        for kind in EXPORTS:
            _export(animation, kind)
        if st.button("Put away", icon=":material/archive:", help="Off the list; it can be brought back"):
            animations.put_away(animation.id)
            notices.once("Put away; it is under “Put away” below.", ":material/archive:")
            st.rerun()
    key = f"export ticket {animation.id}"
    ticket: Ticket | None = st.session_state.get(key)
    if ticket is not None and not ticket.done:
        _progress(key)
    elif ticket is not None:
        del st.session_state[key]
        if ticket.error and ticket.error != "stopped":
            notices.refusal(ValueError(ticket.error))
        elif ticket.result:
            st.rerun()


def _export(animation: Animation, kind: str) -> None:
    title, mime = EXPORTS[kind]
    path = animations.file_of(animation.id, kind)
    if path is not None:
        st.download_button(title, lambda: Path(path).read_bytes(), _file_name(animation, kind), mime,
                           on_click="ignore", icon=":material/download:", key=f"take {kind}")  # fmt: skip
    elif st.button(title, icon=":material/movie:" if kind == "mp4" else ":material/view_in_ar:", key=f"make {kind}"):
        st.session_state[f"export ticket {animation.id}"] = STAGE.ask(do="export", animation=animation.id, kind=kind)
        st.rerun()


def _file_name(animation: Animation, ending: str) -> str:
    about = animation.about
    stem = "".join(letter if letter.isalnum() else "-" for letter in about["name"].rpartition(".")[0] or about["name"])
    style = "".join(letter if letter.isalnum() or letter in ".+" else "-" for letter in style_words(about))
    return f"{stem[:40]}-{style}.{ending}"


def _put_away_list() -> None:
    away = animations.list_animations(put_away=True)
    if not away:
        return
    with st.expander(f"Put away ({len(away)})", icon=":material/archive:"):
        for animation in away[:50]:
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.write(words(animation))
            if right.button("Bring back", key=f"back {animation.id}"):
                animations.put_away(animation.id, away=False)
                st.rerun()

"""One clip to look at: the player, its sound with the trim, its original ratings, and the facts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from db import catalogue, clips
from db.models import Clip
from db.preprocess import SAMPLE_RATE
from db.session import reading
from workbench import media
from workbench.player import PlayerSource, player
from workbench.researcher import charts
from workbench.session import Visitor, engine

STATUS_ICONS = {
    "usable": ":material/check_circle:",
    "outlier": ":material/filter_alt_off:",
    "broken": ":material/broken_image:",
}


def show_clip(clip: Clip, who: Visitor, key: str) -> None:
    """Player on the left, what is known of the clip on the right."""
    left, right = st.columns([11, 9], gap="large")
    with left:
        show_player(clip, who, key)
        _sound(clip)
    with right:
        _status(clip)
        _facts(clip)
        _scores(clip)
        _labels(clip)


def show_player(clip: Clip, who: Visitor, key: str, height: int | None = None) -> None:
    """The clip in the player, or why it cannot be played."""
    if not (clip.playback_path or clip.video_path):
        st.info(
            f"{clip.name} cannot be played: the corpus has no motion for it that could be used.",
            icon=":material/videocam_off:",
        )
        return
    player(source_of(clip, who), key=key, height=height)


def source_of(clip: Clip, who: Visitor) -> PlayerSource:
    """The clip's addresses, made once per browser session: fresh ones at every run would load it anew."""
    known = st.session_state.setdefault("clip sources", {})
    name = (clip.id, clip.playback_path, clip.audio_path, clip.video_path, clip.corpus.sha256)
    if name not in known:
        source = media.clip_source(clip, who.viewer)
        known[name] = replace(source, topology_id=f"corpus-{clip.corpus_id}-{clip.corpus.sha256[:12]}")
        while len(known) > 200:
            del known[next(iter(known))]
    return known[name]


def _status(clip: Clip) -> None:
    st.subheader(clip.name, anchor=False)
    reason = f": {clip.status_reason}" if clip.status_reason else ""
    text = f"{clip.status.capitalize()}{reason}"
    if clip.status == "usable":
        st.success("Usable: raters are asked about it", icon=STATUS_ICONS["usable"])
    else:
        st.warning(f"{text}. Raters are not asked about it.", icon=STATUS_ICONS[clip.status])
    with reading(engine()) as session:
        problems = catalogue.clip_problems(session, clip)
    for problem in problems:
        if problem != clip.status_reason:
            st.caption(f":material/info: {problem}")


def _facts(clip: Clip) -> None:
    fps = clip.corpus.frames_per_second
    cut = clip.source_frames - clip.first_frame - clip.n_frames
    st.markdown(
        f"""
| | |
| --- | --- |
| Subject, sentence | {clip.subject.name}, {clip.sentence} ({_take(clip)}) |
| Speech | {clip.n_frames / fps:.2f} s, {clip.n_frames} frames at {fps:g} per second |
| Recorded | {clip.source_duration_s:.2f} s of sound, {clip.source_frames} frames |
| Trimmed | {clip.first_frame} frames ({clip.first_frame / fps:.2f} s) before, {cut} ({cut / fps:.2f} s) after |
| Level | {clip.gain_db:+.1f} dB to reach -3 dB {clip.corpus.loudness} |
"""
    )
    with st.expander("Files", icon=":material/folder_open:"):
        paths = {
            "Motion": clip.vertices_path,
            "Recorded sound": clip.source_audio_path,
            "Prepared sound": clip.audio_path,
        }
        for what, path in paths.items():
            st.caption(what)
            st.code(path or "none", language=None, wrap_lines=True)


def _take(clip: Clip) -> str:
    return "emotional take" if clip.sentence.startswith("e") else "neutral take"


def _sound(clip: Clip) -> None:
    if not clip.audio_path and not clip.source_audio_path:
        st.caption("No sound.")
        return
    try:
        low, high, duration_s, recorded = _outline(clip.id, clip.source_audio_sha256 or "", clip.audio_path or "")
    except (OSError, ValueError) as error:
        st.warning(str(error), icon=":material/volume_off:")
        return
    fps = clip.corpus.frames_per_second
    start = clip.first_frame / fps
    kept = (start, start + clip.n_frames / fps) if recorded and clip.n_frames else None
    st.plotly_chart(
        charts.waveform_figure(low, high, duration_s, kept),
        config=charts.config(f"{clip.name}-waveform"),
        key="waveform",
    )
    st.caption(
        "The sound as recorded. Grey stretches are silence; they were cut off, with the frames that go with them."
        if recorded
        else "The sound as prepared: without the silence at both ends. The recording itself is not there at present."
    )


@st.cache_data(max_entries=500, show_spinner=False)
def _outline(clip_id: int, sha256: str, audio_path: str) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Lowest and highest samples, seconds, and whether it is the recording (else what was made of it)."""
    with reading(engine()) as session:
        clip = catalogue.find_clip(session, clip_id)
    recorded = True
    try:
        samples = clips.load_audio(clip, trimmed=False)
    except (OSError, ValueError):  # the disk with the source is not always there
        samples, recorded = clips.load_audio(clip), False
    return *catalogue.waveform(samples), len(samples) / SAMPLE_RATE, recorded


def _scores(clip: Clip) -> None:
    scores = {rating.adjective: rating.score for rating in clip.original_ratings}
    if not scores:
        st.caption("The corpus has no original ratings for this clip.")
        return
    st.markdown("**Original ratings**")
    if any(scores.values()):
        st.plotly_chart(
            charts.scores_figure(scores), config=charts.config(f"{clip.name}-original-ratings"), key="scores"
        )
    else:
        st.caption(f"All {len(scores)} adjectives were rated zero, which makes the clip an outlier.")


def _labels(clip: Clip) -> None:
    with reading(engine()) as session:
        labels = catalogue.clip_labels(session, clip)
    if labels.empty:
        return
    st.markdown("**Label releases**")
    labels["label"] = labels["label"].where(labels["label"].notna(), "no label (tie)")
    st.dataframe(
        pd.DataFrame(labels[["release", "label", "votes", "intensity"]]),
        hide_index=True,
        column_config={
            "release": "Release", "label": "Label", "votes": "Votes",
            "intensity": st.column_config.NumberColumn("Mean intensity", format="%.2f"),
        },
    )  # fmt: skip

"""Clips: what a corpus has, filtered and sorted, and any clip of it to play."""

import pandas as pd
import streamlit as st

from db import catalogue
from db.catalogue import NO_LABEL, ClipFilter, CorpusCounts
from db.corpus.problems import NOTE_KINDS
from db.models import Corpus, LabelRelease
from db.session import reading
from labeling.emotions import EMOTIONS
from workbench.researcher import notices, places
from workbench.researcher.choosing import choose
from workbench.researcher.clip_view import show_clip
from workbench.researcher.downloads import downloads
from workbench.session import Visitor, engine

PAGE = 200  # clips in the table at a time
ORDERS = {
    "clip": "Name", "subject": "Subject", "sentence": "Sentence", "duration_s": "Duration",
    "status": "Status", "label": "Label", "gain_db": "Level change",
}  # fmt: skip


def page(who: Visitor) -> None:
    """Corpus, filters, table, and the clip that was chosen in it."""
    st.title("Clips", anchor=False)
    with reading(engine()) as session:
        corpora = catalogue.corpora(session)
    if not corpora:
        notices.nothing_here(
            "There is no corpus yet.",
            "Make the demo corpus, or import one that lies on this machine; its clips then appear here.",
            places.IMPORT, "Import a corpus",
        )  # fmt: skip
        return
    wanted_clip = places.asked_for("clip")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        corpus = choose("corpus", corpora, "Corpus", width=320)
        with reading(engine()) as session:
            counts = catalogue.corpus_counts(session, corpus)
            releases = catalogue.releases_of(session, corpus.id)
    _summary(corpus, counts)
    if counts.problems:
        _problems(corpus, counts)
    wanted = _filters(corpus, releases)
    chosen = _table(corpus, wanted, who, wanted_clip)
    if chosen is None:
        st.caption("Choose a clip in the table to play it.")
        return
    with reading(engine()) as session:
        clip = catalogue.find_clip(session, chosen)
    if clip is not None:
        st.divider()
        show_clip(clip, who, key="clip player")


def _summary(corpus: Corpus, counts: CorpusCounts) -> None:
    with st.container(horizontal=True, gap="large"):
        st.metric("Clips", f"{counts.total:,}", width="content")
        st.metric("Usable", f"{counts.clips.get('usable', 0):,}", width="content")
        st.metric("Outliers", f"{counts.clips.get('outlier', 0):,}", width="content",
                  help="All original ratings are zero: the paper leaves such clips out.")  # fmt: skip
        st.metric("Broken", f"{counts.clips.get('broken', 0):,}", width="content",
                  help="Motion or sound is missing or damaged.")  # fmt: skip
        st.metric("Subjects", counts.subjects, width="content")
        st.metric("Speech", f"{counts.duration_s / 60:.1f} min", width="content")
    notices.synthetic_notice(corpus=corpus.name if corpus.synthetic else None)
    scale = f"{corpus.mm_per_unit:g} mm per unit" if corpus.mm_per_unit else "not known"
    with st.expander("About this corpus", icon=":material/info:"):
        st.markdown(
            f"""
{corpus.description}

| | |
| --- | --- |
| Imported | {corpus.imported_at:%Y-%m-%d %H:%M} UTC from `{corpus.source}` |
| Mesh | {corpus.n_vertices:,} vertices, {corpus.n_faces:,} triangles, {corpus.frames_per_second:g} frames per second |
| Normalisation | {corpus.normalisation}; scale {scale} |
| Sound | 16 kHz mono, silence cut off at both ends, level -3 dB ({corpus.loudness}) |
| Licence | {corpus.licence or "not stated"} |
| Fingerprint | `{corpus.sha256[:16]}` over all that was read |
"""
        )


def _problems(corpus: Corpus, counts: CorpusCounts) -> None:
    with reading(engine()) as session:
        found = catalogue.problems_of(session, corpus.id)
    notes = found["kind"].isin(NOTE_KINDS)
    title = f"What the import found: {(~notes).sum()} problems, {notes.sum()} notes"
    with st.expander(title, icon=":material/report:"):
        found["what"] = notes.map({True: "note", False: "problem"})
        found = found.sort_values("what", ascending=False, kind="stable")
        st.dataframe(
            found[["what", "clip", "message"]], hide_index=True, height="content" if len(found) < 9 else 320,
            placeholder="",
            column_config={
                "what": st.column_config.TextColumn("", width="small"),
                "clip": st.column_config.TextColumn("Clip", width="small"),
                "message": st.column_config.TextColumn("What was found", width="large"),
            },
        )  # fmt: skip


def _filters(corpus: Corpus, releases: list[LabelRelease]) -> ClipFilter:
    with reading(engine()) as session:
        subjects = catalogue.subject_names(session, corpus.id)
    with st.container(border=True):
        first = st.columns([2, 3, 2, 3])
        words = first[0].text_input("Search", placeholder="name or reason", key="words", icon=":material/search:")
        chosen = first[1].multiselect("Subjects", subjects, placeholder="all", key="subjects")
        takes = first[2].multiselect("Takes", catalogue.TAKES, placeholder="all", key="takes")
        statuses = first[3].multiselect("Status", catalogue.STATUSES, placeholder="all", key="statuses")
        release, labels = None, []
        if releases:
            second = st.columns([5, 5])
            with second[0]:
                release = choose("release", releases, "Labels from the release")
            labels = second[1].multiselect(
                "Emotion", [*EMOTIONS, NO_LABEL], placeholder="all", key="labels",
                format_func=lambda label: "no label" if label == NO_LABEL else label,
            )  # fmt: skip
    return ClipFilter(
        corpus.id, tuple(chosen), tuple(takes), tuple(statuses), release.id if release else None, tuple(labels), words
    )


def _table(corpus: Corpus, wanted: ClipFilter, who: Visitor, asked_clip: int | None) -> int | None:
    """The table, a page at a time; returns the id of the clip that is chosen in it."""
    with reading(engine()) as session:
        total = catalogue.count_clips(session, wanted)
    if total == 0:
        st.info("No clip fits these filters.", icon=":material/search_off:")
        return asked_clip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        orders = [order for order in ORDERS if order != "label" or wanted.release_id is not None]
        order = st.selectbox("Sort by", orders, format_func=ORDERS.get, width=180, key="order")
        descending = st.toggle("Descending", key="descending")
        pages = -(-total // PAGE)
        number = 1
        if pages > 1:
            key = f"page of {pages} {hash((wanted, order, descending, asked_clip))}"
            start = _page_of(asked_clip, wanted, order, descending)
            number = st.number_input(f"Page (of {pages:,})", 1, pages, start, key=key, width=150)
        st.space("stretch")
        downloads(
            f"clips-{corpus.name}", lambda: _export(wanted), who, what="clips", help="All clips that fit the filters"
        )
    with reading(engine()) as session:
        found = catalogue.list_clips(
            session, wanted, order=order, descending=descending, offset=PAGE * (number - 1), limit=PAGE
        )
    key = f"clips {hash((wanted, order, descending, number))}"
    at = found.index[found["clip_id"] == asked_clip]
    picked = st.dataframe(
        _shown(found), hide_index=True, height=min(38 + 35 * len(found), 318), on_select="rerun",
        selection_mode="single-row", key=key, placeholder="", column_config=_columns(),
        selection_default={"selection": {"rows": [int(at[0])]}} if len(at) else None,
    )  # fmt: skip
    shown_to = PAGE * (number - 1) + len(found)
    st.caption(f"{total:,} clips" if pages == 1 else f"Clips {PAGE * (number - 1) + 1:,} to {shown_to:,} of {total:,}")
    rows = picked.selection.rows
    if rows and rows[0] < len(found):
        return int(found["clip_id"].iloc[rows[0]])
    return asked_clip


def _page_of(clip_id: int | None, wanted: ClipFilter, order: str, descending: bool) -> int:
    """The page of the table that has the clip which the address asks for; the first if it has none."""
    if clip_id is None:
        return 1
    with reading(engine()) as session:
        place = catalogue.place_of(session, wanted, clip_id, order=order, descending=descending)
    return 1 if place is None else place // PAGE + 1


def _export(wanted: ClipFilter) -> pd.DataFrame:
    with reading(engine()) as session:
        return catalogue.export_clips(session, wanted)


def _shown(found: pd.DataFrame) -> pd.DataFrame:
    columns = ["clip", "subject", "sentence", "take", "status", "label", "duration_s", "frames", "gain_db", "reason"]
    return found[[column for column in columns if column in found]]


def _columns() -> dict:
    return {
        "clip": st.column_config.TextColumn("Clip", pinned=True),
        "subject": "Subject",
        "sentence": "Sentence",
        "take": "Take",
        "status": "Status",
        "label": "Label",
        "duration_s": st.column_config.NumberColumn("Duration", format="%.2f s"),
        "frames": "Frames",
        "gain_db": st.column_config.NumberColumn("Level change", format="%+.1f dB"),
        "reason": st.column_config.TextColumn("Why it is left out", width="large"),
    }

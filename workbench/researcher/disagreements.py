"""Where raters differ: divided clips, ties, clips that nobody could judge; each with all its ratings, to look at."""

import pandas as pd
import streamlit as st

from db import catalogue
from db.models import Clip, LabelingRound
from db.session import reading, writing
from labeling import agreement, followups, votes
from labeling.emotions import EMOTIONS
from workbench.researcher import notices, places
from workbench.researcher.clip_view import show_player
from workbench.researcher.downloads import downloads
from workbench.researcher.round_data import answers_at, mark_of
from workbench.session import Visitor, engine

TIES, DIVIDED, UNJUDGED = "Ties", "All disagreements", "Cannot tell, broken"
EXPLAINED = """
A clip is **tied** when all its votes are in and no emotion has most of them. The policy *adjudicate* leaves such a clip
without a label until a **further rater** decides: somebody who has not voted on it yet, who sees it like any other clip
and does not know how the others voted. Nobody overrules a vote, and you decide no tie from this page, where the others'
votes can be seen. If you are to be that person, create yourself as a rater, choose your name here, and rate the clip
through your personal link.
"""


def show_disagreements(labelling_round: LabelingRound, who: Visitor) -> None:
    """A list to choose from, and the chosen clip with its ratings."""
    answers = answers_at(mark_of(labelling_round.id))
    counted = votes.votes(answers)
    if counted.empty:
        st.info("There are no votes yet.", icon=":material/pending:")
        return
    with reading(engine()) as session:
        tied = votes.tied_clips(session, labelling_round.id)
    divided = agreement.disagreements(counted)
    lists = {
        TIES: len(tied),
        DIVIDED: len(divided),
        UNJUDGED: answers.loc[answers["problem"].notna(), "clip"].nunique(),
    }
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen = st.segmented_control(
            "Show", list(lists), default=TIES if tied else DIVIDED, key="which disagreements",
            format_func=lambda name: f"{name} ({lists[name]:,})", label_visibility="collapsed",
        )  # fmt: skip
        st.space("stretch")
        downloads(f"{labelling_round.name}-disagreements", lambda: divided, who, what="disagreements")
    if chosen == TIES:
        _ask_all(labelling_round, len(tied), who)
    ids = dict(zip(answers["clip"], answers["clip_id"], strict=True))
    if chosen == UNJUDGED:
        clip_id = _unjudged(answers, votes.broken_clips(answers))
    else:
        shown = divided[divided["clip"].map(ids).isin(tied)] if chosen == TIES else divided
        clip_id = _divided(shown, ids, set(tied))
    if clip_id is not None:
        _clip(labelling_round, clip_id, answers, clip_id in tied, who)


def _ask_all(labelling_round: LabelingRound, n_tied: int, who: Visitor) -> None:
    with st.expander("How ties are decided", icon=":material/help:"):
        st.markdown(EXPLAINED)
    if n_tied == 0:
        st.success("No clip is tied at present.", icon=":material/check_circle:")
    elif labelling_round.closed_at is not None:
        st.caption(":material/lock: The round is closed: no further rater can be asked.")
    elif st.button(
        "Ask a further rater about every tie", type="primary", icon=":material/how_to_vote:",
        help="Each goes to the rater of the round with the least to do who has not voted on it",
    ):  # fmt: skip
        with writing(engine()) as session:
            found = followups.adjudicate_all(session, labelling_round.id, who.viewer)
        waiting = n_tied - found
        more = f" {waiting:,} wait until another rater joins the round." if waiting else ""
        notices.once(f"{found:,} ties were given to further raters.{more}", ":material/how_to_vote:")
        st.rerun()


def _divided(shown: pd.DataFrame, ids: dict[str, int], tied: set[int]) -> int | None:
    if shown.empty:
        return None
    table = shown.assign(tied=["tie to decide" if ids[clip] in tied else "" for clip in shown["clip"]])
    picked = st.dataframe(
        table, hide_index=True, on_select="rerun", selection_mode="single-row", key=f"divided {len(shown)}",
        height="content" if len(shown) < 9 else 330, column_order=["clip", *EMOTIONS, "intensity_range", "tied"],
        column_config={
            "clip": st.column_config.TextColumn("Clip", pinned=True),
            **{emotion: st.column_config.NumberColumn(emotion, width="small") for emotion in EMOTIONS},
            "intensity_range": st.column_config.NumberColumn("Intensities differ by"),
            "tied": "",
        },
    )  # fmt: skip
    rows = picked.selection.rows
    if rows and rows[0] < len(table):
        return int(ids[table["clip"].iloc[rows[0]]])
    st.caption("Choose a clip to play it and to see who said what.")
    return None


def _unjudged(answers: pd.DataFrame, broken: dict[str, str]) -> int | None:
    said = answers[answers["problem"].notna()].sort_values(["clip", "rater"])
    if said.empty:
        st.success("Every answer so far names an emotion.", icon=":material/check_circle:")
        return None
    table = said.assign(
        what=said["problem"].map({"cannot_tell": "cannot tell", "broken_clip": "broken clip"}),
        excluded=said["clip"].isin(broken),
    )
    picked = st.dataframe(
        table, hide_index=True, on_select="rerun", selection_mode="single-row", key=f"unjudged {len(table)}",
        height="content" if len(table) < 9 else 330, column_order=["clip", "rater", "what", "reason", "excluded"],
        column_config={
            "clip": st.column_config.TextColumn("Clip", pinned=True), "rater": "Rater", "what": "Answer",
            "reason": st.column_config.TextColumn("Reason", width="large"),
            "excluded": st.column_config.CheckboxColumn("Left out", help="Two raters call it broken"),
        },
    )  # fmt: skip
    st.caption(
        "A further rater is asked in place of each “cannot tell”. A clip that two raters call broken is left out of "
        "Algorithm 1."
    )
    rows = picked.selection.rows
    return int(table["clip_id"].iloc[rows[0]]) if rows and rows[0] < len(table) else None


def _clip(labelling_round: LabelingRound, clip_id: int, answers: pd.DataFrame, tied: bool, who: Visitor) -> None:
    with reading(engine()) as session:
        clip = catalogue.find_clip(session, clip_id)
        standing = followups.clip_votes(session, labelling_round.id, clip_id)
    st.divider()
    left, right = st.columns([9, 11], gap="large")
    with left:
        show_player(clip, who, key="disagreement player")
    with right:
        st.subheader(clip.name, anchor=False)
        _ratings(answers[answers["clip_id"] == clip_id])
        if standing.open:
            names = ", ".join(a.rater.name if a.rater else "nobody yet" for a in _with_raters(standing.open))
            st.info(f"Waits for {names}.", icon=":material/pending:")
        if tied and labelling_round.closed_at is None:
            _ask_one(labelling_round, clip, set(answers.loc[answers["clip_id"] == clip_id, "rater_id"]), who)
        places.link(places.CLIPS, "All about this clip", corpus=clip.corpus_id, clip=clip.id)


def _with_raters(assignments: list) -> list:
    with reading(engine()) as session:
        merged = [session.merge(assignment, load=False) for assignment in assignments]
        for assignment in merged:
            assignment.rater  # noqa: B018  loaded while the session is there
        return merged


def _ratings(of_clip: pd.DataFrame) -> None:
    kinds = {
        "vote": "vote",
        "adjudication": "further vote",
        "repeat": "repeat (no vote)",
        "practice": "practice (no vote)",
    }
    answer = of_clip["emotion"].where(of_clip["emotion"].notna(), of_clip["problem"].str.replace("_", " "))
    table = of_clip.assign(kind=of_clip["kind"].map(kinds), answer=answer)
    st.dataframe(
        table.sort_values(["slot", "rater"], na_position="last"), hide_index=True, height="content", placeholder="",
        column_order=["rater", "answer", "intensity", "kind", "reason", "plays"], key="ratings of clip",
        column_config={
            "rater": "Rater", "answer": "Answer", "intensity": "Intensity", "kind": "Kind", "reason": "Reason",
            "plays": st.column_config.NumberColumn("Plays", help="How often the clip was played to its end"),
        },
    )  # fmt: skip


def _ask_one(labelling_round: LabelingRound, clip: Clip, voted: set[int], who: Visitor) -> None:
    with reading(engine()) as session:
        raters = catalogue.raters(session)
    able = raters[(raters["link"] == "works") & ~raters["rater_id"].isin(voted)]
    names = {None: "whoever has the least to do", **dict(zip(able["rater_id"], able["rater"], strict=True))}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rater_id = st.selectbox("Ask a further rater", list(names), format_func=names.get, width=280)
        if not st.button("Ask", icon=":material/how_to_vote:"):
            return
    try:
        with writing(engine()) as session:
            asked = followups.adjudicate(
                session, labelling_round.id, clip.id, who.viewer, None if rater_id is None else int(rater_id)
            )
            name = asked.rater.name if asked.rater else None
    except ValueError as error:
        notices.refusal(error)
        return
    notices.once(
        f"{clip.name} was given to {name}." if name else f"{clip.name} waits until another rater joins the round.",
        ":material/how_to_vote:",
    )
    st.rerun()

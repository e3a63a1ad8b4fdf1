"""Progress and agreement: how far a round is, how well its raters agree, and where they do not."""

import pandas as pd
import streamlit as st

from db import catalogue
from db.models import LabelingRound
from db.session import reading
from labeling import votes
from workbench.researcher import notices, places
from workbench.researcher.agreement_view import show_agreement
from workbench.researcher.choosing import choose
from workbench.researcher.disagreements import show_disagreements
from workbench.researcher.round_data import mark_of, raters_at
from workbench.researcher.round_files import show_files
from workbench.session import Visitor, engine

LIVE_S = 5.0
VIEWS = ("Progress", "Agreement", "Disagreements and ties", "Files")


def page(who: Visitor) -> None:
    """One round, in four views."""
    st.title("Progress and agreement", anchor=False)
    with reading(engine()) as session:
        rounds = catalogue.rounds(session)
    if not rounds:
        notices.nothing_here(
            "There is no labelling round yet.",
            "A round hands the clips of a corpus out to raters; what they answer then appears here.",
            places.RATERS, "Create raters and start a round",
        )  # fmt: skip
        return
    labelling_round = choose("round", rounds, "Labelling round", _title_of, width=420)
    with reading(engine()) as session:
        simulated = int(votes.rater_progress(session, labelling_round.id)["simulated"].sum())
    corpus = labelling_round.corpus
    notices.synthetic_notice(corpus=corpus.name if corpus.synthetic else None, simulated_raters=simulated)
    tabs = dict(zip(VIEWS, st.tabs(VIEWS, key="view", on_change="rerun"), strict=True))
    views = {
        "Progress": lambda: _live_progress(labelling_round),
        "Agreement": lambda: show_agreement(labelling_round, who),
        "Disagreements and ties": lambda: show_disagreements(labelling_round, who),
        "Files": lambda: show_files(labelling_round, who),
    }
    for name, tab in tabs.items():
        if tab.open:
            with tab:
                views[name]()


def _title_of(labelling_round: LabelingRound) -> str:
    return f"{labelling_round.name} ({labelling_round.corpus.name}{', closed' if labelling_round.closed_at else ''})"


@st.fragment(run_every=LIVE_S)
def _live_progress(labelling_round: LabelingRound) -> None:
    with reading(engine()) as session:
        clips = votes.clip_progress(session, labelling_round.id)
        raters = votes.rater_progress(session, labelling_round.id)
        ties = len(votes.tied_clips(session, labelling_round.id))
    done, total = int(raters["votes_done"].sum()), int(clips["slots"].sum())
    st.progress(done / max(total, 1), text=f"**{done:,}** of {total:,} votes")
    with st.container(horizontal=True, gap="large"):
        st.metric("Clips complete", f"{int(clips['complete'].sum()):,} of {len(clips):,}", width="content")
        st.metric("Ties to decide", f"{ties:,}", width="content",
                  help="All votes are in, and no emotion has most of them.")  # fmt: skip
        st.metric("Votes without a rater", f"{int(clips['waiting'].sum()):,}", width="content",
                  help="Everybody in the round has rated the clip already: add a rater to the round.")  # fmt: skip
    st.markdown("**Raters**")
    _rater_table(raters, labelling_round)
    st.markdown("**Clips**")
    _clip_table(clips)
    if labelling_round.closed_at is None:
        st.caption(f":material/autorenew: Renewed every {LIVE_S:g} seconds.")


def _rater_table(raters: pd.DataFrame, labelling_round: LabelingRound) -> None:
    details = raters_at(mark_of(labelling_round.id))
    shown = raters.assign(seconds=raters["rater"].map(details["seconds"]))
    shown["same_emotion"] = 100.0 * raters["rater"].map(details["same_emotion"]).astype(float)
    shown["share"] = 100.0 * shown["votes_done"] / shown["votes"].clip(lower=1)
    shown["repeated"] = [f"{d} of {t}" for d, t in zip(shown["repeats_done"], shown["repeats"], strict=True)]
    shown["note"] = [
        ", ".join(word for word, holds in (("simulated", row.simulated), ("withdrawn", row.revoked)) if holds)
        for row in shown.itertuples()
    ]
    st.dataframe(
        shown, hide_index=True, placeholder="", height="content" if len(shown) < 12 else 440, key="rater progress",
        column_order=["rater", "share", "votes_done", "votes", "seconds", "repeated", "same_emotion", "last_at",
                      "note"],
        column_config={
            "rater": st.column_config.TextColumn("Rater", pinned=True),
            "share": st.column_config.ProgressColumn("Progress", format="%.0f%%", min_value=0, max_value=100),
            "votes_done": "Rated", "votes": "Given",
            "seconds": st.column_config.NumberColumn("Pace", format="%.0f s", help="Median time from one answer to the "
                                                     "next, without breaks of more than five minutes"),
            "repeated": st.column_config.TextColumn("Repeats", help="Hidden repeats that were rated"),
            "same_emotion": st.column_config.NumberColumn("Consistent", format="%.0f%%", help="Share of the hidden "
                                                          "repeats with the same emotion as the first time"),
            "last_at": st.column_config.DatetimeColumn("Last answer (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC"),
            "note": "",
        },
    )  # fmt: skip


def _clip_table(clips: pd.DataFrame) -> None:
    only_open = st.toggle("Only clips that wait for votes", value=True, key="only open")
    shown = clips[~clips["complete"]] if only_open else clips
    if shown.empty:
        st.caption("All clips have their votes.")
        return
    st.dataframe(
        shown, hide_index=True, height="content" if len(shown) < 8 else 300, key="clip progress",
        column_order=["clip", "subject", "answered", "slots", "waiting"],
        column_config={
            "clip": st.column_config.TextColumn("Clip", pinned=True), "subject": "Subject", "answered": "Votes",
            "slots": "Wanted", "waiting": st.column_config.NumberColumn("Without a rater"),
        },
    )  # fmt: skip
    st.caption(f"{len(shown):,} clips")

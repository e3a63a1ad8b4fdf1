"""A round's ratings as files, out and in, and simulated raters for synthetic corpora."""

import pandas as pd
import streamlit as st

from db import catalogue
from db.models import LabelingRound
from db.session import reading
from labeling import exchange, votes
from workbench import jobs
from workbench.researcher.downloads import downloads
from workbench.researcher.job_view import show_jobs
from workbench.session import Visitor, engine


def show_files(labelling_round: LabelingRound, who: Visitor) -> None:
    """Exports, and simulated answers where they are allowed."""
    name = labelling_round.name

    def ratings(revisions: str) -> pd.DataFrame:
        with reading(engine()) as session:
            return exchange.ratings_export(votes.answers(session, labelling_round.id, revisions))

    def assignments() -> pd.DataFrame:
        with reading(engine()) as session:
            return catalogue.assignments(session, labelling_round.id)

    st.markdown("**Export**")
    with st.container(horizontal=True):
        downloads(f"{name}-ratings", lambda: ratings("newest"), who, what="ratings", label="Ratings",
                  help="The newest answer to each assignment; practice and repeats are marked")  # fmt: skip
        downloads(f"{name}-ratings-all-revisions", lambda: ratings("all"), who, what="ratings-all-revisions",
                  label="Ratings with all corrections")  # fmt: skip
        downloads(f"{name}-assignments", assignments, who, what="assignments", label="Assignments",
                  help="Who was asked about which clip, in which order, and what became of it")  # fmt: skip
    if labelling_round.corpus.synthetic and labelling_round.closed_at is None:
        st.divider()
        _simulate(labelling_round, who)


def _simulate(labelling_round: LabelingRound, who: Visitor) -> None:
    st.markdown("**Simulated raters** :orange-badge[:material/science: simulated]")
    with reading(engine()) as session:
        raters = votes.rater_progress(session, labelling_round.id)
    command = ["labeling.simulate", "--corpus", labelling_round.corpus.name, "--round", labelling_round.name]
    if not raters["simulated"].any():
        _fill_in(labelling_round, command, who)
        return
    waiting = int((raters["votes"] - raters["votes_done"])[raters["simulated"]].sum())
    st.write(f"The simulated raters of this round have {waiting:,} votes to give. They err as people do.")
    if st.button("Let them rate", icon=":material/smart_toy:", disabled=not waiting):
        jobs.start(engine(), f"Simulated raters in {labelling_round.name}", command, who.viewer)
        st.rerun()
    show_jobs(who, "labeling.simulate", limit=3)


def _fill_in(labelling_round: LabelingRound, command: list[str], who: Visitor) -> None:
    """Offer to hand the open clips of a round of people to simulated raters."""
    st.write(
        "This corpus is synthetic, so a program can play raters. They take over every clip that is still open in this "
        "round; what people rated stays. Wherever their answers count, the pages say so."
    )
    n_raters = max(5, labelling_round.votes_per_clip)
    if st.button("Let simulated raters do the rest", icon=":material/smart_toy:",
                 disabled=labelling_round.closed_at is not None):  # fmt: skip
        command = [*command, "--raters", str(n_raters), "--fill-in"]
        jobs.start(engine(), f"Simulated raters in {labelling_round.name}", command, who.viewer)
        st.rerun()
    show_jobs(who, "labeling.simulate", limit=3)

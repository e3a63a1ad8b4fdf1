"""Studies: A/B and MOS studies designed, launched, watched without results, unblinded deliberately, analysed."""

import pandas as pd
import streamlit as st
from sqlalchemy import select

from db.models import Corpus
from db.session import reading
from db.study_models import Study
from evaluation.study import drafts
from workbench import jobs
from workbench.researcher import notices, places
from workbench.researcher.choosing import choose
from workbench.researcher.job_view import live_jobs
from workbench.researcher.study_draft import show_draft
from workbench.researcher.study_new import new_study
from workbench.researcher.study_results import show_results
from workbench.researcher.study_running import show_running
from workbench.session import Visitor, engine

KINDS = {"ab": "A/B", "mos": "MOS"}


def page(who: Visitor) -> None:
    """The studies there are, a new one, and the chosen one according to how far it is."""
    st.title("Studies", anchor=False)
    jobs.refresh(engine())
    with reading(engine()) as session:
        studies = drafts.list_studies(session)
        corpora = session.scalars(select(Corpus).order_by(Corpus.name)).all()
        running = [job.id for job in jobs.list_jobs(session)
                   if job.status == "running" and job.command[0].startswith("evaluation.study")]  # fmt: skip
    if running:
        live_jobs(who, running)
    if not corpora:
        notices.nothing_here("There is no corpus yet.", "A study shows clips, and what systems made of them.",
                             places.IMPORT, "Import a corpus")  # fmt: skip
        return
    if not studies:
        notices.nothing_here(
            "No study was designed yet.",
            "People compare what systems made of the same speech (A/B), or rate it (MOS). The paper's two studies are "
            "presets; a planner says beforehand how sure the result will be.",
        )  # fmt: skip
        new_study(list(corpora), who, expanded=True)
        return
    st.dataframe(_table(studies), hide_index=True, width="stretch", height=min(240, 40 + 36 * len(studies)))
    new_study(list(corpora), who)
    study = choose("study", studies, "Study", lambda one: f"{one.name}, version {one.version}")
    if study.corpus.synthetic:
        notices.synthetic_notice(corpus=study.corpus.name)
    if study.status == "draft":
        show_draft(study, who)
        return
    watching, results = st.tabs(["How it goes", "Results"])
    with watching:
        show_running(study, who)
    with results:
        show_results(study, who)


def _table(studies: list[Study]) -> pd.DataFrame:
    return pd.DataFrame([
        {
            "Study": one.name, "Version": one.version, "Kind": KINDS[one.kind], "Corpus": one.corpus.name,
            "Status": one.status, "Participants": one.design["participants"], "Launched": one.launched_at,
            "Unblinded": one.unblinded_at,
        }
        for one in studies
    ])  # fmt: skip

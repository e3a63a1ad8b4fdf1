"""Evaluate: systems compared in numbers, clip by clip, in the style encoder's space, and as a report."""

import streamlit as st
from sqlalchemy import select

from db.models import Corpus
from db.predictions import list_sets
from db.session import reading
from evaluation.report_data import PARTS
from workbench import jobs
from workbench.researcher import notices, places
from workbench.researcher.choosing import choose
from workbench.researcher.evaluate_clips import show_clips
from workbench.researcher.evaluate_make import make_predictions, run_everything
from workbench.researcher.evaluate_report import show_report
from workbench.researcher.evaluate_scores import Evaluated, read_scores, show_scores
from workbench.researcher.evaluate_style import show_style
from workbench.researcher.job_view import live_jobs
from workbench.session import Visitor, engine

MODULES = ("evaluation.scores", "evaluation.report", "eavanet.predict", "eavanet.describe", "eavanet.speed",
           "db.predictions", "workbench.pipeline")  # fmt: skip


def page(who: Visitor) -> None:
    """What is running, what to compare, and the comparison from four sides."""
    st.title("Evaluate", anchor=False)
    jobs.refresh(engine())
    _running(who)
    with reading(engine()) as session:
        corpora = session.scalars(select(Corpus).order_by(Corpus.name)).all()
    if not corpora:
        notices.nothing_here("There is no corpus yet.", "Import one first; then label it, train on it, and compare.",
                             places.IMPORT, "Import a corpus")  # fmt: skip
        return
    left, right = st.columns([2, 3])
    with left:
        corpus = choose("corpus", corpora, "Corpus")
    with right:
        part = st.segmented_control(
            "Part of the split", list(PARTS), default="biwi-a", required=True, key="evaluated part",
            format_func=PARTS.get, help="BIWI-A: held-out clips of subjects that were trained on. BIWI-B: unseen "
            "subjects, each clip under every condition subject.",
        )  # fmt: skip
    with reading(engine()) as session:
        known = list_sets(session, corpus.id)
    if not known:
        notices.nothing_here(
            "Nothing was predicted on this corpus yet.",
            "A finished run predicts a part of its split, or predictions of another system are brought in as files. "
            "“Everything” trains the three systems with their demo presets, and does all the rest.",
        )  # fmt: skip
        make_predictions(corpus, who, expanded=True)
        run_everything(corpus, who)
        return
    evaluated = read_scores(corpus, part, known, who)
    _marks(corpus, evaluated)
    names = ("Scores", "Clip by clip", "Style", "Report")
    scores, clips, style, report = st.tabs(names)
    with scores:
        show_scores(evaluated, who)
        make_predictions(corpus, who)
    with clips:
        show_clips(evaluated, who)
    with style:
        show_style(known, who)
    with report:
        show_report(corpus, who)
        run_everything(corpus, who)


def _running(who: Visitor) -> None:
    with reading(engine()) as session:
        running = [job.id for job in jobs.list_jobs(session) if job.status == "running" and job.command[0] in MODULES]
    if running:
        live_jobs(who, running)


def _marks(corpus: Corpus, evaluated: Evaluated) -> None:
    if corpus.synthetic:
        notices.synthetic_notice(corpus=corpus.name)
    if any(one.row.simulated for one in evaluated.systems):
        st.markdown(
            ":orange-badge[:material/science: Simulated] The labels come from simulated raters, not from people."
        )

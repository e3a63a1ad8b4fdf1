"""From a finished run to numbers: predictions made here, predictions of other systems, and everything at once."""

import streamlit as st

from db.models import Corpus
from db.session import reading
from eavanet.standing import list_runs
from evaluation.report_data import PARTS
from workbench import jobs, pipeline
from workbench.researcher import notices, places
from workbench.session import Visitor, engine

ALPHAS = {"as labelled": None, "neutral (alpha 0)": 0.0, "alpha 0.3": 0.3}


def make_predictions(corpus: Corpus, who: Visitor, expanded: bool = False) -> None:
    """A run predicts a part of its split, or a folder of another system's predictions is brought in."""
    with st.expander("Add predictions", icon=":material/add:", expanded=expanded):
        ours, others = st.tabs(["Of a run", "Of another system"])
        with ours:
            _predict(corpus, who)
        with others:
            _import(corpus, who)


def _predict(corpus: Corpus, who: Visitor) -> None:
    runs = [run for run in list_runs(engine(), archived=False)
            if run.row.corpus_id == corpus.id and (run.folder / "run.json").is_file()]  # fmt: skip
    if not runs:
        st.write("No run has a checkpoint on this corpus.")
        places.link(places.TRAIN, "Train a system")
        return
    names = {run.row.name: run for run in reversed(runs)}
    left, middle, right = st.columns(3)
    name = left.selectbox("Run", list(names), key="predicting run")
    part = middle.selectbox("Part", list(PARTS), format_func=PARTS.get, key="predicted part")
    emotional = names[name].row.system == "eavanet"
    alpha = "as labelled"
    if emotional:
        help_text = "Eq. (8) of the paper compares alpha 0, 0.3 and 1"
        alpha = right.selectbox("Emotion", list(ALPHAS), key="predicted alpha", help=help_text)
    command = ["eavanet.predict", "--checkpoint", name, "--part", part]
    if ALPHAS[alpha] is not None:
        command += ["--intensity", f"{ALPHAS[alpha]:g}"]
    if st.button("Predict", type="primary", icon=":material/play_arrow:"):
        jobs.start(engine(), f"Predict {PARTS[part]} with {name}", command, who.viewer)
        st.rerun()


def _import(corpus: Corpus, who: Visitor) -> None:
    st.write(
        "Any system takes part by its files: one `.npy` per clip, (T, 3V), named `<subject>_<sentence>.npy` or "
        "`<subject>_<sentence>_condition_<subject>.npy`, in a folder on this machine."
    )
    left, right = st.columns([2, 1])
    folder = left.text_input("Folder", key="imported folder", placeholder="/data/voca-predictions")
    system = right.text_input("System", key="imported system", placeholder="VOCA", max_chars=64)
    if st.button("Bring in", icon=":material/upload:", disabled=not (folder.strip() and system.strip())):
        command = ["db.predictions", "import", folder.strip(), "--system", system.strip(), "--corpus", corpus.name]
        jobs.start(engine(), f"Predictions of {system.strip()}", command, who.viewer)
        st.rerun()


def run_everything(corpus: Corpus, who: Visitor) -> None:
    """One button from a label release to the report."""
    with st.expander("Everything at once", icon=":material/rocket_launch:"):
        with reading(engine()) as session:
            missing = pipeline.what_is_missing(session, corpus)
            running = any(
                job.status == "running" and job.command[0] == "workbench.pipeline" for job in jobs.list_jobs(session)
            )
        if missing:
            notices.nothing_here("Not yet.", missing, places.RELEASES, "Label releases")
            return
        st.write(
            "Trains EavaNet, FaceFormer and CodeTalker with their demo presets on the newest release and split, "
            "predicts BIWI-A and BIWI-B, measures speed, and writes the report. What is done already is not done "
            "again. On the demo corpus and two processor cores this takes about half an hour."
        )
        st.code(f"python -m workbench.pipeline --corpus {corpus.name}", language="bash")
        if st.button("Do everything", icon=":material/rocket_launch:", disabled=running):
            jobs.start(
                engine(), f"Everything on {corpus.name}", ["workbench.pipeline", "--corpus", corpus.name], who.viewer
            )
            st.rerun()

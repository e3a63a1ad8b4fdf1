"""Fig. 2 and Fig. 3 to look into: where the style encoder puts clips, and which tokens it turns to."""

from pathlib import Path

import streamlit as st

from db.result_models import PredictionSet, TrainingRun
from db.session import reading
from db.store import stored_path
from evaluation.attention import mean_scores
from evaluation.description import Description, NoDescription, read_description
from evaluation.interactive_figures import interactive_attention_figure, interactive_style_figure
from workbench import jobs
from workbench.researcher import places
from workbench.researcher.choosing import choose
from workbench.session import Visitor, engine

PARTS = ("train", "validation", "biwi-a")
# What the browser's download button of a figure makes; the report has PDF and PNG as well.
AS_FILE = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "scale": 2}}


def show_style(known: list[PredictionSet], who: Visitor) -> None:
    """Both figures of a run's style encoder; or how to get them."""
    runs = {one.run.id: one.run for one in known if one.run is not None and one.run.system == "eavanet"}
    if not runs:
        st.caption("Needs a run of EavaNet that was trained here, with predictions on this corpus.")
        return
    run = choose("described run", list(reversed(runs.values())), "Run", lambda row: row.name)
    folder = Path(stored_path(run.folder)) / "description"
    try:
        description = _read(str(folder), _stamp(folder))
    except NoDescription:
        _offer(run, who)
        return
    parts = [part for part in (*PARTS, "biwi-b") if part in set(description.part)]
    chosen = st.pills("Clips of", parts, selection_mode="multi", default=[p for p in PARTS if p in parts],
                      key="described parts")  # fmt: skip
    if not chosen:
        st.caption("Choose at least one part.")
        return
    shown = description.of(*chosen)
    _embedding(shown, run, tuple(chosen), _stamp(folder))
    st.subheader("Which style tokens each emotion turns to", anchor=False)
    figure = interactive_attention_figure(_scores(shown, str(folder), tuple(chosen), _stamp(folder)))
    st.plotly_chart(figure, key="attention", config=AS_FILE)
    st.caption("Fig. 3 of the paper: mean attention scores per head, with 95% intervals over clips.")


def _embedding(shown: Description, run: TrainingRun, parts: tuple[str, ...], stamp: float) -> None:
    st.subheader("Clips in the style encoder's space", anchor=False)
    positions, apart = _projected(shown, run.name, parts, stamp)
    event = st.plotly_chart(
        interactive_style_figure(shown, positions), key="style space", on_select="rerun", selection_mode="points",
        config=AS_FILE,
    )  # fmt: skip
    words = [f"{name} {value}" for name, value in apart.items()]
    st.caption(
        f"Fig. 2 of the paper: t-SNE of {len(shown.clip)} clips. Silhouette, from -1 to 1: {'; '.join(words)}. Click a "
        "point to look at its clip."
    )
    points = event["selection"]["points"] if event else []
    if points:
        name = points[0]["customdata"]
        st.markdown(f"**{name}**")
        clip_id = _clip_id(run.corpus_id, name)
        if clip_id is not None:
            places.link(places.CLIPS, f"Play {name}", clip=clip_id)


def _clip_id(corpus_id: int, name: str) -> int | None:
    from sqlalchemy import select

    from db.models import Clip

    with reading(engine()) as session:
        return session.scalar(select(Clip.id).where(Clip.corpus_id == corpus_id, Clip.name == name))


def _offer(run: TrainingRun, who: Visitor) -> None:
    st.write("The clips of this run were not put through its style encoder yet; that takes seconds.")
    if st.button("Describe", type="primary", icon=":material/scatter_plot:"):
        jobs.start(engine(), f"Describe {run.name}", ["eavanet.describe", "--checkpoint", run.name], who.viewer)
        st.rerun()


def _stamp(folder: Path) -> float:
    path = folder / "description.json"
    return path.stat().st_mtime if path.exists() else 0.0


@st.cache_data(max_entries=4, show_spinner=False)
def _read(folder: str, stamp: float) -> Description:
    return read_description(Path(folder))


@st.cache_data(max_entries=8, show_spinner="Placing the clips")
def _projected(_shown: Description, run: str, parts: tuple[str, ...], stamp: float):
    from evaluation.embedding import project, silhouettes  # scikit-learn, only when somebody looks

    found = silhouettes(_shown)
    apart = {
        "by emotion": found.emotion, "by speaker": found.subject,
        "by emotion, untrained": found.emotion_untrained, "by speaker, untrained": found.subject_untrained,
    }  # fmt: skip
    words = {name: "undefined" if one is None else f"{one.estimate:.2f}" for name, one in apart.items()}
    return project(_shown.embedding), words


@st.cache_data(max_entries=8, show_spinner="Averaging")
def _scores(_shown: Description, folder: str, parts: tuple[str, ...], stamp: float):
    return mean_scores(_shown)

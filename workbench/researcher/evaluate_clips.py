"""Clip by clip: which clips are hard, and one of them to look at beside the truth, with a heat map and curves."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from sqlalchemy import select

from db.clips import load_template, load_topology, load_vertices, regions
from db.models import Clip
from db.predictions import load_prediction, predictions_of
from db.result_models import Prediction
from db.session import reading
from evaluation.ablation import upper_face_displacement
from evaluation.mouth import find_mouth, mouth_opening
from evaluation.score_table import METRICS, per_clip
from evaluation.scores import LIPS, UPPER_FACE
from workbench import media
from workbench.player import PlayerSource, player
from workbench.researcher.clip_view import source_of
from workbench.researcher.evaluate_scores import Evaluated, System
from workbench.session import Visitor, engine

TRUTH_COLOUR = "#5b6675"
COLOURS = ("#c8553d", "#2a7f9e", "#6a994e", "#8e5ea2", "#e09f3e", "#386641")


def show_clips(evaluated: Evaluated, who: Visitor) -> None:
    """The clips by error, and the chosen one."""
    if not evaluated.systems:
        st.caption("Choose systems that have scores.")
        return
    metric = st.selectbox(
        "Sorted by", [name for name in METRICS if name != "fdd"], index=1, key="clip metric",
        format_func=lambda name: METRICS[name].title,
    )  # fmt: skip
    table = clip_table(evaluated, metric)
    asked = st.query_params.get("clip")
    chosen = st.dataframe(
        table, hide_index=True, width="stretch", height=280, on_select="rerun", selection_mode="single-row",
        key=f"clips {evaluated.part} {metric}",
        column_config={one.label: st.column_config.NumberColumn(one.label, format="%.3g") for one in evaluated.systems},
    )  # fmt: skip
    rows = chosen["selection"]["rows"]
    names = table["clip"].tolist()
    name = names[rows[0]] if rows and rows[0] < len(names) else asked if asked in names else None
    if name is None:
        st.caption("Choose a clip in the table to see it beside the truth. The largest errors are on top.")
        return
    st.query_params["clip"] = name
    with reading(engine()) as session:
        clip = session.scalar(select(Clip).where(Clip.corpus_id == evaluated.corpus.id, Clip.name == name))
        predictions = {one.label: _of_clip(session, one, clip) for one in evaluated.systems}
    st.subheader(name, anchor=False)
    left, right = st.columns([11, 9], gap="large")
    with left:
        _look(clip, predictions, who)
    with right:
        _curves(clip, predictions)


def clip_table(evaluated: Evaluated, metric: str) -> pd.DataFrame:
    """A row per clip, the errors of each system (means over condition subjects); the hardest clips first."""
    tables = []
    for one in evaluated.systems:
        found = per_clip(one.table).set_index("clip")
        tables.append(found[metric].rename(one.label))
        about = found[["subject", "emotion"]]
    table = pd.concat([about, *tables], axis=1, join="inner").reset_index()
    order = table[[one.label for one in evaluated.systems]].mean(axis=1).sort_values(ascending=False).index
    return table.loc[order].reset_index(drop=True)


def _of_clip(session, one: System, clip: Clip) -> list[Prediction]:
    return [row for row in predictions_of(session, one.row.id) if row.clip_id == clip.id]


def _look(clip: Clip, predictions: dict[str, list[Prediction]], who: Visitor) -> None:
    label, *others = predictions
    if others:
        names = [label, *others]
        label = st.segmented_control("Beside the truth", names, default=label, required=True, key="beside the truth")
    rows = {_condition(row): row for row in predictions[label]}
    condition = None
    if len(rows) > 1:
        own = [name for name in rows if name == clip.subject.name]
        names = [*own, *(name for name in rows if name not in own)]
        condition = st.selectbox("Condition subject", names, key=f"condition {label} {clip.id}")
    row = rows[condition] if condition in rows else next(iter(rows.values()))
    as_heat = st.toggle("Heat map of the distance to the truth", key="as heat map")
    limit = None
    if as_heat:
        unit = "mm" if clip.corpus.mm_per_unit else "corpus units"
        scale = clip.corpus.mm_per_unit or 1.0
        height = float(np.ptp(load_template(clip.subject)[:, 1])) * scale
        limit = st.slider(f"Darkest at ({unit})", 0.005 * height, 0.1 * height, 0.03 * height, format="%.3g",
                          key=f"heat limit {clip.corpus_id}") / scale  # fmt: skip
    player(
        source_of(clip, who), key="evaluated clip", compare=_source(row, who), labels=("Truth", label), heat=limit,
        height=440,
    )  # fmt: skip


def _condition(row: Prediction) -> str:
    return row.condition_subject.name if row.condition_subject else "none"


def _source(row: Prediction, who: Visitor) -> PlayerSource:
    # Made once per browser session: fresh addresses at every run would load it anew.
    known = st.session_state.setdefault("prediction sources", {})
    if row.id not in known:
        known[row.id] = media.prediction_source(row, who.viewer)
    return known[row.id]


def _curves(clip: Clip, predictions: dict[str, list[Prediction]]) -> None:
    found = region_curves(clip, {label: _own(clip, rows) for label, rows in predictions.items() if rows})
    for title, curves in found.items():
        st.plotly_chart(curve_figure(title, curves, clip.corpus.frames_per_second), key=f"curve {title}")
    if not found:
        st.caption("The corpus has no lips and no upper face by name, so there are no curves.")


def _own(clip: Clip, rows: list[Prediction]) -> Prediction:
    """Under the clip's own subject as condition, where there is that, else under the first."""
    return next((row for row in rows if row.condition_subject_id == clip.subject_id), rows[0])


def region_curves(clip: Clip, rows: dict[str, Prediction]) -> dict[str, dict[str, np.ndarray]]:
    """By title, then by system (the truth first): a value per frame, in corpus units."""
    template = load_template(clip.subject)
    motions = {"Truth": load_vertices(clip), **{label: load_prediction(row) for label, row in rows.items()}}
    known, found = regions(clip.corpus), {}
    if LIPS in known:
        try:
            mouth = find_mouth(template, known[LIPS], load_topology(clip.corpus)[0])
            found["Mouth opening"] = {name: mouth_opening(motion, mouth) for name, motion in motions.items()}
        except ValueError:  # lips without an opening between them
            pass
    if UPPER_FACE in known:
        found["Upper face: distance from rest"] = {
            name: upper_face_displacement(motion, template, known[UPPER_FACE]) for name, motion in motions.items()
        }
    return found


def curve_figure(title: str, curves: dict[str, np.ndarray], fps: float) -> go.Figure:
    """One line per system over time, the truth in grey."""
    figure = go.Figure()
    colours = dict(zip([name for name in curves if name != "Truth"], COLOURS * 3, strict=False))
    for name, values in curves.items():
        line = {"color": colours.get(name, TRUTH_COLOUR), "width": 2, "dash": "dot" if name == "Truth" else "solid"}
        figure.add_scatter(x=np.arange(len(values)) / fps, y=values, name=name, mode="lines", line=line)
    return figure.update_layout(
        title={"text": title, "font": {"size": 14}}, height=250, margin={"l": 10, "r": 10, "t": 40, "b": 10},
        xaxis_title="s", legend={"orientation": "h", "y": -0.3},
    )  # fmt: skip

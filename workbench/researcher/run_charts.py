"""Figures of trainings: what was measured per epoch, of one run or of several."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

# Train and validation of one run; runs beside each other take Streamlit's own series of colours.
COLOURS = {"training": "#9aa3b5", "validation": "#4c6fd6", "the template's": "#d55e00"}
RUN_COLOURS = ("#4c6fd6", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b0a400", "#7a7f8c")

# Title -> curves (name -> key of the metrics), the unit, and whether the axis begins at zero. A figure that has nothing
# to show is left out: each system has its own losses.
CURVES: dict[str, tuple[dict[str, str], str, bool]] = {
    "Loss": ({"training": "train/total", "validation": "validation/total"}, "the sum that is minimised", False),
    "Loss of vertices": ({"training": "train/vertex", "validation": "validation/vertex"}, "Eq. (6)", False),
    "Loss of emotion": ({"training": "train/emotion", "validation": "validation/emotion"}, "cross-entropy", False),
    "Loss of motion": (
        {"training": "train/motion", "validation": "validation/motion"}, "mean squared error, taught", False,
    ),
    "Loss of codes": (
        {"training": "train/codes", "validation": "validation/codes"}, "mean squared error of code vectors", False,
    ),
    "Lip vertex error": (
        {"validation": "validation/lip_vertex_error", "the template's": "validation/lip_vertex_error_of_template"},
        "corpus units squared", False,
    ),
    "Emotions recognised": ({"validation": "validation/emotion_accuracy"}, "share of clips", True),
    "Learning rate": ({"training": "learning_rate"}, "", True),
}  # fmt: skip
# Of a stage in which motion is learned as codes, before speech is.
CODE_CURVES: dict[str, tuple[dict[str, str], str, bool]] = {
    "Rebuilt from codes": (
        {"training": "train/reconstruction", "validation": "validation/reconstruction"}, "mean absolute error", False,
    ),
    "Loss of the codebook": (
        {"training": "train/codebook", "validation": "validation/codebook"}, "squared distance", False,
    ),
    "Codes in use": ({"validation": "validation/perplexity"}, "perplexity", True),
}  # fmt: skip
MACHINE_CURVES: dict[str, tuple[dict[str, str], str, bool]] = {
    "Time per epoch": ({"training": "seconds", "validation": "epoch_seconds"}, "seconds", True),
    "Waiting for data": ({"training": "waiting_for_data"}, "share of the time", True),
    "Memory": ({"training": "memory_mb"}, "MB, the most so far", True),
}
_ALL = CURVES | CODE_CURVES | MACHINE_CURVES


def heading(title: str) -> str:
    """A figure's title with its unit, which then needs no room beside the axis."""
    unit = _ALL[title][1]
    return f"**{title}**" + (f" :gray[{unit}]" if unit else "")


def curve(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Epochs and values of one number; epochs that do not have it are left out."""
    found = [(int(entry["epoch"]), float(entry[key])) for entry in metrics if entry.get(key) is not None]
    return [epoch for epoch, _ in found], [value for _, value in found]


def run_figure(title: str, metrics: Sequence[Mapping[str, Any]], best: int | None = None) -> go.Figure | None:
    """One of the curves above of a run, with a line at its best epoch; None if nothing of it was measured."""
    curves, _, from_zero = _ALL[title]
    names = {"training": "training part", "validation": "whole epoch"} if title == "Time per epoch" else {}
    figure = _figure(from_zero)
    for name, key in curves.items():
        epochs, values = curve(metrics, key)
        if epochs:
            dash = "dash" if name == "the template's" else "solid"
            _add(figure, names.get(name, name), epochs, values, COLOURS[name], dash)
    if not figure.data:
        return None
    if best is not None:
        figure.add_vline(best, line={"width": 1, "dash": "dot", "color": "rgba(128, 136, 150, .8)"})
    return _few_epochs(figure).update_layout(showlegend=len(figure.data) > 1)


def compared_figure(title: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> go.Figure | None:
    """One of CURVES of several runs (name -> metrics): of validation, or of training where that is all there is."""
    curves, _, from_zero = CURVES[title]
    key = curves.get("validation") or curves["training"]
    figure = _figure(from_zero)
    for number, (name, metrics) in enumerate(runs.items()):
        epochs, values = curve(metrics, key)
        if epochs:
            _add(figure, name, epochs, values, RUN_COLOURS[number % len(RUN_COLOURS)], "solid")
    return _few_epochs(figure).update_layout(showlegend=True) if figure.data else None


def _figure(from_zero: bool) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=240, margin={"l": 0, "r": 8, "t": 0, "b": 0}, hovermode="x unified", uirevision="kept",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "font": {"size": 11}},
    )  # fmt: skip
    figure.update_xaxes(title={"text": "epoch", "standoff": 4}, fixedrange=True, tickformat="d")
    return figure.update_yaxes(
        rangemode="tozero" if from_zero else "normal", exponentformat="power", fixedrange=True, nticks=6
    )


def _few_epochs(figure: go.Figure) -> go.Figure:
    """Ticks at whole epochs only, where Plotly would put some between them."""
    last = max(max(trace.x) for trace in figure.data)
    return figure.update_xaxes(dtick=1) if last < 8 else figure


def _add(figure: go.Figure, name: str, epochs: list[int], values: list[float], colour: str, dash: str) -> None:
    figure.add_scatter(
        x=epochs, y=values, name=name, mode="lines+markers" if len(epochs) < 2 else "lines",
        line={"width": 2, "color": colour, "dash": dash}, marker={"size": 6},
        hovertemplate="%{y:.5g}",
    )  # fmt: skip

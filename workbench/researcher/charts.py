"""Figures for the pages, each from plain values to a Plotly figure; colours for emotions are the same everywhere."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from labeling.emotions import EMOTIONS

# Okabe and Ito's colours, as in .streamlit/config.toml: told apart by people with any kind of colour vision.
EMOTION_COLOURS = dict(zip(EMOTIONS, ("#e69f00", "#d55e00", "#0072b2", "#7a7f8c"), strict=True))
ACCENT, QUIET, RAISED = "#4c6fd6", "rgba(128, 136, 150, .45)", "#009e73"
_CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "displayModeBar": False,
}


def config(file_name: str) -> dict:
    """Plotly's own options: no tool bar in the way; a picture saved from the chart has a name."""
    return {**_CONFIG, "toImageButtonOptions": {"filename": file_name}}


def _figure(height: int, **layout) -> go.Figure:
    figure = go.Figure()
    margin = layout.pop("margin", {"l": 8, "r": 8, "t": 8, "b": 8})
    return figure.update_layout(height=height, margin=margin, showlegend=False, **layout)


def waveform_figure(
    low: np.ndarray, high: np.ndarray, duration_s: float, kept: tuple[float, float] | None = None
) -> go.Figure:
    """The outline of a sound of `duration_s` seconds; what lies outside `kept` (start, end in s) was cut off."""
    figure = _figure(150, hovermode=False)
    times = np.linspace(0, duration_s, len(low), endpoint=False)
    # One closed outline: half as many points as two lines, and no seam where they are filled.
    figure.add_scatter(
        x=np.concatenate([times, times[::-1]]), y=np.concatenate([high, low[::-1]]), mode="lines", fill="toself",
        line={"width": 0.6, "color": ACCENT}, fillcolor=ACCENT, hoverinfo="skip",
    )  # fmt: skip
    if kept is not None:
        for start, end in ((0.0, kept[0]), (kept[1], duration_s)):
            if end - start > 1e-3:
                figure.add_vrect(start, end, fillcolor=QUIET, line_width=0, layer="above")
    figure.update_xaxes(range=[0, duration_s], title="seconds", zeroline=False)
    return figure.update_yaxes(range=[-1, 1], tickvals=[-1, 0, 1], fixedrange=True)


def scores_figure(scores: Mapping[str, float], highest: float = 5.0) -> go.Figure:
    """The corpus's own scores of a clip, one bar per adjective, the strongest first."""
    ordered = sorted(scores.items(), key=lambda item: (item[1], item[0]))
    names, values = [name for name, _ in ordered], [value for _, value in ordered]
    figure = _figure(60 + 21 * len(names))
    figure.add_bar(
        x=values, y=names, orientation="h", marker_color=ACCENT, text=[f"{value:.2g}" for value in values],
        textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(dtick=1)
    return figure.update_xaxes(range=[0, highest * 1.06], fixedrange=True, title=f"score, 0 to {highest:g}")


def counts_figure(counts: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Clips per emotion, side by side for each of `counts`, such as {"before": {...}, "after": {...}}."""
    figure = _figure(260, barmode="group", bargap=0.3, bargroupgap=0.08)
    for number, (name, values) in enumerate(counts.items()):
        emotions = [emotion for emotion in EMOTIONS if emotion in values]
        figure.add_bar(
            name=name, x=emotions, y=[values[emotion] for emotion in emotions],
            text=[values[emotion] for emotion in emotions], textposition="outside", cliponaxis=False,
            marker={"color": [EMOTION_COLOURS[e] for e in emotions], "opacity": 1.0 if number else 0.4},
            hovertemplate=f"%{{x}}, {name}: %{{y}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(title="clips", rangemode="tozero", fixedrange=True)
    return figure.update_xaxes(fixedrange=True)


def adjectives_figure(counts: Mapping[str, int], shown: int = 15) -> go.Figure:
    """Clips per adjective of the corpus, the most frequent at the top; beyond `shown`, the rest is one bar."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rest = sum(number for _, number in ordered[shown:])
    ordered = [*ordered[:shown], *([("others", rest)] if rest else [])][::-1]
    figure = _figure(60 + 21 * len(ordered))
    figure.add_bar(
        x=[number for _, number in ordered], y=[name for name, _ in ordered], orientation="h", marker_color=ACCENT,
        text=[number for _, number in ordered], textposition="outside", cliponaxis=False,
        hovertemplate="%{y}: %{x}<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(dtick=1, fixedrange=True)
    return figure.update_xaxes(title="clips", fixedrange=True)


def subjects_figure(subjects: pd.DataFrame, threshold: float) -> go.Figure:
    """Scores of subjects with their intervals, the highest at the top, and the threshold they must exceed.

    `subjects` has `subject`, `score`, `low`, `high` (NaN where there is no interval) and `selected`.
    """
    rows = subjects.dropna(subset="score").sort_values(["score", "subject"])
    figure = _figure(90 + 26 * len(rows), hovermode="closest")
    # Filled and open, so that it does not hang on the colour.
    for selected, colour, symbol, name in (
        (True, RAISED, "circle", "selected"), (False, "#8a909c", "circle-open", "not selected"),
    ):  # fmt: skip
        part = rows[rows["selected"] == selected]
        figure.add_scatter(
            x=part["score"], y=part["subject"], mode="markers", name=name,
            marker={"size": 11, "color": colour, "symbol": symbol, "line": {"width": 2}},
            error_x={
                "type": "data", "symmetric": False, "array": (part["high"] - part["score"]).fillna(0),
                "arrayminus": (part["score"] - part["low"]).fillna(0), "color": colour, "thickness": 1.6, "width": 4,
            },
            customdata=part[["low", "high"]], hovertemplate=f"%{{y}}: %{{x:.2f}} (%{{customdata[0]:.2f}} to "
            f"%{{customdata[1]:.2f}}), {name}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(threshold, line={"dash": "dash", "color": "#d55e00", "width": 1.5})
    figure.add_annotation(
        x=threshold, y=1, yref="paper", text=f"must exceed {threshold:g}", showarrow=False, yanchor="bottom",
        font={"color": "#d55e00", "size": 12},
    )  # fmt: skip
    figure.update_layout(margin={"l": 8, "r": 8, "t": 28, "b": 8})
    figure.update_yaxes(categoryorder="array", categoryarray=list(rows["subject"]), fixedrange=True, dtick=1)
    return figure.update_xaxes(range=[0.8, 5.2], tickvals=[1, 2, 3, 4, 5], title="mean intensity, 1 to 5")


def square_figure(
    values: np.ndarray, names: Sequence[str], *, colour_title: str, number_format: str = ".2f"
) -> go.Figure:
    """A square table as a heat map: agreement between raters (NaN where there is none), or emotions confused."""
    figure = _figure(120 + 44 * len(names))
    shown = np.asarray(values, dtype=float)
    texts = [["" if np.isnan(v) else format(v, number_format) for v in row] for row in shown]
    figure.add_heatmap(
        z=shown, x=list(names), y=list(names), text=texts, texttemplate="%{text}", colorscale="Blues", xgap=2, ygap=2,
        zmin=0, zmax=1, colorbar={"title": {"text": colour_title, "side": "right"}, "thickness": 10},
        hovertemplate="%{y} and %{x}: %{text}<extra></extra>", hoverongaps=False,
    )  # fmt: skip
    figure.update_xaxes(type="category", side="top", fixedrange=True)
    return figure.update_yaxes(type="category", autorange="reversed", fixedrange=True)


def shares_figure(done: pd.DataFrame) -> go.Figure:
    """How far each rater is: `rater`, `done`, `total`; one bar per rater, in the order given."""
    figure = _figure(60 + 30 * len(done), barmode="overlay")
    share = (done["done"] / done["total"].clip(lower=1)).to_numpy()
    figure.add_bar(x=np.ones(len(done)), y=done["rater"], orientation="h", marker_color=QUIET, hoverinfo="skip")
    figure.add_bar(
        x=share, y=done["rater"], orientation="h", marker_color=ACCENT, customdata=done[["done", "total"]],
        text=[f"{d} of {t}" for d, t in zip(done["done"], done["total"], strict=True)], textposition="inside",
        insidetextanchor="start", hovertemplate="%{y}: %{customdata[0]} of %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(range=[0, 1], tickformat=".0%", fixedrange=True)
    return figure.update_yaxes(autorange="reversed", fixedrange=True, dtick=1)

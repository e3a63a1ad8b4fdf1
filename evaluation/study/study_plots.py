"""Study results to look into, for the app and HTML reports: hover for the interval's kind and size (Plotly)."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from evaluation.palette import BLUE, GREY
from evaluation.study.analysis import AbResults, MosResults
from evaluation.study.two_way import StudyInterval

_LINE = "rgba(128,128,128,0.4)"
Line = tuple[str, StudyInterval]


def preference_plot(results: AbResults) -> go.Figure:
    """The share that prefers the first system of each comparison, in percent, a panel per question."""
    panels: dict[str, list[Line]] = {}
    for one in results.preferences:
        panels.setdefault(one.question, []).append((one.comparison, one.share))
    figure = _figure(panels, (0, 100), 100.0, "%{x:.1f}%")
    figure.add_vline(x=50, line={"color": GREY, "width": 1, "dash": "dash"})
    figure.update_xaxes(title_text="preference for the first system (%)")
    return figure


def opinion_plot(results: MosResults) -> go.Figure:
    """The mean score of each condition, a panel per question."""
    panels: dict[str, list[Line]] = {}
    for one in results.opinions:
        panels.setdefault(one.question, []).append((one.condition, one.mean))
    figure = _figure(panels, results.scale, 1.0, "%{x:.2f}")
    figure.update_xaxes(title_text="mean opinion score")
    return figure


def _figure(panels: dict[str, list[Line]], ends: tuple[float, float], factor: float, shown: str) -> go.Figure:
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), shared_yaxes="all", horizontal_spacing=0.05)
    for column, lines in enumerate(panels.values(), start=1):
        figure.add_trace(_points(lines, factor, shown), 1, column)
    figure.update_xaxes(range=list(ends), gridcolor=_LINE, zeroline=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    most = max(len(lines) for lines in panels.values())
    # A transparent ground and no colour of text: the page's own, light or dark.
    figure.update_layout(showlegend=False, height=140 + 44 * most, margin={"l": 10, "r": 10, "t": 40, "b": 10},
                         paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)")  # fmt: skip
    return figure


def _points(lines: list[Line], factor: float, shown: str) -> go.Scatter:
    found = [one for _, one in lines]
    above = [0.0 if one.high is None else factor * (one.high - one.estimate) for one in found]
    below = [0.0 if one.low is None else factor * (one.estimate - one.low) for one in found]
    marks = ["circle" if one.low is not None else "circle-open" for one in found]
    return go.Scatter(
        x=[factor * one.estimate for one in found], y=[name for name, _ in lines], mode="markers",
        marker={"color": BLUE, "size": 9, "symbol": marks},
        error_x={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 2, "width": 0},
        text=[f"{_ends(one, factor)}n = {one.n}<br>{one.method}" for one in found],
        hovertemplate=f"<b>%{{y}}</b><br>{shown} %{{text}}<extra></extra>",
    )  # fmt: skip


def _ends(one: StudyInterval, factor: float) -> str:
    return "" if one.low is None or one.high is None else f"[{factor * one.low:.2f}, {factor * one.high:.2f}]<br>"

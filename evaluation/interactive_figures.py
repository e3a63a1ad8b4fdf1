"""Fig. 2 and Fig. 3 to look into, for the app and the HTML report: hover for a clip's name, click to play it.

The data of a click is the clip's name (`customdata`). Colours and marks are those of the printed figures (`figures`).
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from evaluation.description import Description
from evaluation.emotions import in_order
from evaluation.palette import COLOURS, look


def interactive_style_figure(description: Description, positions: np.ndarray) -> go.Figure:
    """Fig. 2: style embeddings in the plane (N, 2), by emotion and by speaker; both zoom together.

    Raises ValueError if there is not a position for each clip.
    """
    if positions.shape != (len(description.clip), 2):
        raise ValueError(f"positions {positions.shape} of {len(description.clip)} clips: expected one (x, y) for each")
    figure = make_subplots(1, 2, subplot_titles=("By emotion", "By speaker"), shared_xaxes="all", shared_yaxes="all",
                           horizontal_spacing=0.04)  # fmt: skip
    panels = (
        (description.emotion, in_order(description.emotion), "emotion"),
        (description.subject, sorted(set(description.subject)), "speaker"),
    )
    for column, (groups, order, title) in enumerate(panels, start=1):
        for group, (colour, (_, mark)) in look(order).items():
            figure.add_trace(_dots(description, positions, groups == group, group, colour, mark, title), 1, column)
    # t-SNE's axes mean nothing
    hidden = {"showticklabels": False, "ticks": "", "showgrid": False, "zeroline": False, "showline": True,
              "mirror": True, "linecolor": _LINE}  # fmt: skip
    figure.update_xaxes(**hidden)
    figure.update_yaxes(**hidden, scaleanchor="x", scaleratio=1)
    figure.update_layout(_LAYOUT, legend_groupclick="toggleitem", dragmode="pan", height=480)
    return figure


def interactive_attention_figure(scores: pd.DataFrame) -> go.Figure:
    """Fig. 3: mean attention score of each token, a panel per emotion, a colour per head, whiskers for intervals.

    scores: as `attention.mean_scores` gives them. Raises ValueError if there are none.
    """
    if scores.empty:
        raise ValueError("no attention scores to draw; is the part of the split empty?")
    emotions = in_order(scores["emotion"])
    rows = -(-len(emotions) // 2)
    titles = [f"{emotion} ({scores[scores['emotion'] == emotion]['n'].iloc[0]} clips)" for emotion in emotions]
    figure = make_subplots(rows, 2, subplot_titles=titles, shared_xaxes=True, shared_yaxes=True,
                           vertical_spacing=0.12, horizontal_spacing=0.04)  # fmt: skip
    for number, emotion in enumerate(emotions):
        for head, part in scores[scores["emotion"] == emotion].groupby("head"):
            figure.add_trace(_head(part, int(head), first=number == 0), number // 2 + 1, number % 2 + 1)
    figure.update_yaxes(range=[0, 1], gridcolor=_LINE, zeroline=False)
    figure.update_xaxes(dtick=1, showgrid=False, showline=True, linecolor=_LINE)
    figure.update_xaxes(title_text="style token", row=rows)
    figure.update_yaxes(title_text="mean attention score", col=1)
    figure.update_layout(_LAYOUT, barmode="group", height=120 + 230 * rows)
    return figure


_LINE = "rgba(128,128,128,0.4)"
# A transparent ground and no colour of text: the page's own, light or dark.
_LAYOUT = {"margin": {"l": 10, "r": 10, "t": 40, "b": 10}, "paper_bgcolor": "rgba(0,0,0,0)",
           "plot_bgcolor": "rgba(0,0,0,0)"}  # fmt: skip


def _dots(
    description: Description, positions: np.ndarray, chosen: np.ndarray, name: str, colour: str, mark: str, title: str
) -> go.Scatter:
    told = zip(description.emotion[chosen], description.part[chosen], strict=True)
    about = [f"{emotion}, {part}" for emotion, part in told]
    return go.Scatter(
        x=positions[chosen, 0], y=positions[chosen, 1], mode="markers", name=name, legendgroup=title,
        legendgrouptitle_text=title.capitalize(), customdata=description.clip[chosen].tolist(), text=about,
        hovertemplate="<b>%{customdata}</b><br>%{text}<extra></extra>",
        marker={"color": colour, "symbol": mark, "size": 9, "line": {"color": "white", "width": 0.5}},
    )  # fmt: skip


def _head(part: pd.DataFrame, head: int, first: bool) -> go.Bar:
    whiskers = None
    if part["low"].notna().all():
        whiskers = {"type": "data", "symmetric": False, "array": (part["high"] - part["score"]).astype(float).tolist(),
                    "arrayminus": (part["score"] - part["low"]).astype(float).tolist(), "thickness": 1,
                    "width": 0}  # fmt: skip
    return go.Bar(
        x=part["token"].tolist(), y=part["score"].tolist(), name=f"head {head}", legendgroup=f"head {head}",
        showlegend=first, marker_color=COLOURS[(head - 1) % len(COLOURS)], error_y=whiskers,
        hovertemplate=f"token %{{x}}, head {head}<br>%{{y:.3f}}<extra></extra>",
    )  # fmt: skip

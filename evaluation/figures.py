"""Fig. 2 and Fig. 3 as files for a paper: SVG, PDF and PNG, the same bytes whenever they are made from the same data.

Vector text stays text in PDF (TrueType fonts, as publishers ask for), nothing carries a date or a random name, and
sizes are those of a two-column page. The same figures to look into are in `interactive_figures`.
"""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from db import store
from evaluation.description import Description
from evaluation.embedding import Silhouettes
from evaluation.emotions import in_order
from evaluation.intervals import Interval
from evaluation.palette import COLOURS, look

FORMATS = ("svg", "pdf", "png")
DOTS_PER_INCH = 300
WIDTH = 7.0  # inches: both columns
STYLE: dict[str, Any] = {
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "eavanet", "svg.fonttype": "path",
    "font.family": "DejaVu Sans", "font.size": 8,
    "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7.5, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "figure.dpi": 100,
}  # fmt: skip
# What each format would otherwise note of the moment and the machine.
_NO_TRACE = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
             "png": {"Software": None}}  # fmt: skip


def style_figure(
    description: Description, positions: np.ndarray, separation: Silhouettes | None = None, note: str = ""
) -> Figure:
    """Fig. 2: the clips' style embeddings in the plane (N, 2), by emotion on the left, by speaker on the right.

    separation: silhouettes for the panels' titles. note: a line below, such as that the corpus is synthetic.
    Raises ValueError if there is not a position for each clip.
    """
    if positions.shape != (len(description.clip), 2):
        raise ValueError(f"positions {positions.shape} of {len(description.clip)} clips: expected one (x, y) for each")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        by_emotion, by_subject = (separation.emotion, separation.subject) if separation else (None, None)
        _scatter(left, positions, description.emotion, in_order(description.emotion), "By emotion", by_emotion)
        _scatter(right, positions, description.subject, sorted(set(description.subject)), "By speaker", by_subject)
        _note(figure, note)
    return figure


def attention_figure(scores: pd.DataFrame, note: str = "") -> Figure:
    """Fig. 3: the mean attention score of each token, a panel per emotion, a colour per head.

    scores: as `attention.mean_scores` gives them; whiskers are its intervals. Raises ValueError if there are none.
    """
    if scores.empty:
        raise ValueError("no attention scores to draw; is the part of the split empty?")
    emotions, heads = in_order(scores["emotion"]), sorted(scores["head"].unique())
    with matplotlib.rc_context(STYLE):
        rows = -(-len(emotions) // 2)
        figure = Figure(figsize=(WIDTH, 0.6 + 1.75 * rows), layout="constrained")
        panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, emotion in zip(panels, emotions, strict=False):
            _bars(panel, scores[scores["emotion"] == emotion], heads, emotion)
        for panel in panels[len(emotions) :]:
            panel.set_axis_off()
        figure.supxlabel("style token", fontsize=8)
        figure.supylabel("mean attention score", fontsize=8)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(heads), frameon=False)
        _note(figure, note)
    return figure


def save_figure(figure: Figure, folder: Path, name: str, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write the figure in each format, and return the files. Raises ValueError for an unknown format."""
    written = []
    for kind in formats:
        path = folder / f"{name}.{kind}"
        with store.atomic_write(path) as partial:
            partial.write_bytes(figure_bytes(figure, kind))
        written.append(path)
    return written


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as an SVG, PDF or PNG file. Raises ValueError for another format."""
    if kind not in FORMATS:
        raise ValueError(f"format {kind!r}: expected one of {', '.join(FORMATS)}")
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=_NO_TRACE[kind], facecolor="white")
    return buffer.getvalue()


def _scatter(
    panel: Axes, positions: np.ndarray, groups: np.ndarray, order: list[str], title: str, found: Interval | None
) -> None:
    for group, (colour, (mark, _)) in look(order).items():
        x, y = positions[groups == group].T
        panel.scatter(x, y, s=18, color=colour, marker=mark, alpha=0.8, linewidths=0.3, edgecolors="white",
                      label=group)  # fmt: skip
    panel.set_title(title if found is None else f"{title} (silhouette {shown(found)})")
    panel.set_aspect("equal", "datalim")
    panel.set_xticks([])  # t-SNE's axes mean nothing
    panel.set_yticks([])
    panel.spines[["top", "right"]].set_visible(True)
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=min(len(order), 5), frameon=False,
                 handletextpad=0.2, columnspacing=1.0)  # fmt: skip


def shown(found: Interval) -> str:
    """A silhouette as figures print it: 0.79 [0.71, 0.84], with a true minus."""
    text = f"{found.estimate:.2f}"
    if found.low is not None:
        text += f" [{found.low:.2f}, {found.high:.2f}]"
    return text.replace("-", "\N{MINUS SIGN}")


def _bars(panel: Axes, rows: pd.DataFrame, heads: list[int], emotion: str) -> None:
    width = 0.8 / len(heads)
    for number, head in enumerate(heads):
        of_head = rows[rows["head"] == head].sort_values("token")
        place = of_head["token"] + (number - (len(heads) - 1) / 2) * width
        panel.bar(place, of_head["score"], width, color=COLOURS[number % len(COLOURS)], label=f"head {head}")
        if of_head["low"].notna().all():
            low, high = of_head["low"].astype(float), of_head["high"].astype(float)
            panel.vlines(place, low, high, color="black", linewidth=0.5)
    panel.set_title(f"{emotion} ({rows['n'].iloc[0]} clips)")
    panel.set_xticks(sorted(rows["token"].unique()))
    panel.tick_params(axis="x", length=0)
    panel.set_ylim(0, 1)


def _note(figure: Figure, note: str) -> None:
    if note:
        height = 0.13 / figure.get_figheight()  # a line, kept free of everything else
        figure.get_layout_engine().set(rect=(0, height, 1, 1 - height))
        figure.text(0.995, 0.005, note, ha="right", va="bottom", fontsize=6, color="#555555")

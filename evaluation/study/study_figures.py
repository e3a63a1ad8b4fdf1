"""Study results as figures for a paper (matplotlib): points with their default intervals, a panel per question.

The same figures to look into are in `study_plots`; files are written by `evaluation.figures.save_figure`.
"""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.figures import STYLE, WIDTH
from evaluation.palette import BLUE, GREY
from evaluation.study.analysis import AbResults, MosResults, Study
from evaluation.study.two_way import StudyInterval

Line = tuple[str, StudyInterval]


def study_figure(study: Study) -> Figure:
    """Preferences or opinions of a study, as its rules have it; simulated answers are marked."""
    note = next((note for note in study.notes if note.startswith("Simulated")), "")
    draw = preference_figure if isinstance(study.kept, AbResults) else opinion_figure
    return draw(study.kept, note)


def preference_figure(results: AbResults, note: str = "") -> Figure:
    """The share that prefers the first system of each comparison, in percent."""
    panels: dict[str, list[Line]] = {}
    for one in results.preferences:
        panels.setdefault(one.question, []).append((one.comparison, one.share))
    return _figure(panels, "preference for the first system (%)", (0, 100), 100.0, 50.0, note)


def opinion_figure(results: MosResults, note: str = "") -> Figure:
    """The mean score of each condition."""
    panels: dict[str, list[Line]] = {}
    for one in results.opinions:
        panels.setdefault(one.question, []).append((one.condition, one.mean))
    return _figure(panels, "mean opinion score", results.scale, 1.0, None, note)


def _figure(
    panels: dict[str, list[Line]], label: str, ends: tuple[float, float], factor: float, middle: float | None, note: str
) -> Figure:
    with matplotlib.rc_context(STYLE):
        most = max(len(lines) for lines in panels.values())
        figure = Figure(figsize=(WIDTH, 0.9 + 0.32 * most + (0.15 if note else 0)), layout="constrained")
        drawn = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (question, lines) in zip(drawn, panels.items(), strict=True):
            _panel(axes, lines, factor)
            axes.set_title(question)
            axes.set_xlim(*ends)
            axes.set_xlabel(label)
            if middle is not None:
                axes.axvline(middle, color=GREY, linewidth=0.6, linestyle="--", zorder=0)
        if note:
            figure.supxlabel(note, fontsize=6, color="#555555")
    return figure


def _panel(axes: Axes, lines: list[Line], factor: float) -> None:
    for place, (_, found) in enumerate(lines):
        if found.low is not None and found.high is not None:
            axes.hlines(place, factor * found.low, factor * found.high, color=BLUE, linewidth=1.2)
        axes.plot([factor * found.estimate], [place], "o", color=BLUE, markersize=4,
                  markerfacecolor=BLUE if found.low is not None else "white")  # fmt: skip
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)

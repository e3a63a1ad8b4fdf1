"""The paper's Figures 2 to 4 for a report, as files; or why one cannot be drawn yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from evaluation.report_data import ReportData

TITLES = {
    "2": "Style embeddings by emotion and by speaker (t-SNE)",
    "3": "Attention scores of the style tokens by emotion and head",
    "4": "Predicted faces side by side, with heat maps of the distance to the truth",
}
PARTS_DRAWN = ("train", "validation", "biwi-a")


@dataclass(frozen=True)
class Drawn:
    """files: by format, none if the figure is missing; caption: with what it shows; missing: why, and what to do."""

    key: str
    title: str
    files: dict[str, Path]
    caption: str = ""
    missing: str = ""


def draw(session: Session, data: ReportData, key: str, folder: Path, formats: Iterable[str]) -> Drawn:
    """Figure `key` ("2", "3" or "4") into `folder`."""
    return {"2": _embeddings, "3": _attention, "4": _faces}[key](session, data, folder, tuple(formats))


def _embeddings(session: Session, data: ReportData, folder: Path, formats: tuple[str, ...]) -> Drawn:
    if data.description is None:
        return Drawn("2", TITLES["2"], {}, missing=data.no_description)
    from evaluation.embedding import project, silhouettes
    from evaluation.figures import save_figure, style_figure

    shown = data.description.of(*PARTS_DRAWN)
    apart = silhouettes(shown)
    figure = style_figure(shown, project(shown.embedding), apart, _mark(data))
    files = save_figure(figure, folder, "figure-2", formats)
    caption = (
        f"{len(shown.clip)} clips of {', '.join(PARTS_DRAWN)}. Silhouette by emotion {_silhouette(apart.emotion)}, by "
        f"speaker {_silhouette(apart.subject)}; of the style encoder before training "
        f"{_silhouette(apart.emotion_untrained)} and {_silhouette(apart.subject_untrained)}."
    )
    return Drawn("2", TITLES["2"], _by_format(files), caption)


def _silhouette(found) -> str:
    from evaluation.figures import shown

    return "undefined" if found is None else shown(found)


def _attention(session: Session, data: ReportData, folder: Path, formats: tuple[str, ...]) -> Drawn:
    if data.description is None:
        return Drawn("3", TITLES["3"], {}, missing=data.no_description)
    from evaluation.attention import difference_between_emotions, mean_scores
    from evaluation.figures import attention_figure, save_figure

    shown = data.description.of(*PARTS_DRAWN)
    files = save_figure(attention_figure(mean_scores(shown), _mark(data)), folder, "figure-3", formats)
    caption = (
        f"Means over {len(shown.clip)} clips with 95% intervals. Mean difference between emotions "
        f"{difference_between_emotions(shown):.3f}, on a scale from 0 (all emotions alike) up."
    )
    return Drawn("3", TITLES["3"], _by_format(files), caption)


def _faces(session: Session, data: ReportData, folder: Path, formats: tuple[str, ...]) -> Drawn:
    from evaluation.render import CannotRender
    from evaluation.render_rows import comparison_figure

    part = next((part for part in data.parts.values() if part.predicted), None)
    if part is None:
        return Drawn("4", TITLES["4"], {}, missing=next(iter(data.parts.values())).why)
    from evaluation.figures import save_figure

    try:
        figure, caption = comparison_figure(session, part.clips, part.predicted, _mark(data))
    except CannotRender as error:
        return Drawn("4", TITLES["4"], {}, missing=str(error))
    return Drawn("4", TITLES["4"], _by_format(save_figure(figure, folder, "figure-4", formats)), caption)


def _mark(data: ReportData) -> str:
    return "; ".join(data.marks)


def _by_format(files: Iterable[Path]) -> dict[str, Path]:
    return {path.suffix.lstrip("."): path for path in files}

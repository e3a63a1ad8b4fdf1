"""Fig. 4: a few frames of one clip, the truth and each system, with heat maps of the distance to the truth."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.clips import load_template, load_topology, load_vertices, regions
from db.models import Clip
from db.predictions import load_prediction, predictions_of
from evaluation.figures import STYLE, WIDTH
from evaluation.render import HEAT, Look, Painter, distances
from evaluation.report_data import Scored
from evaluation.scores import LIPS

FRAMES = 4
PIXELS = 384
TALLEST = 8.5  # inches, for all rows: a page
TRUTH = "GT"


def comparison_figure(
    session: Session, clips: Sequence[Clip], systems: Sequence[Scored], note: str = "", clip_name: str | None = None
) -> tuple[Figure, str]:
    """The figure and its caption; a row for the truth, two for each system: faces, and their heat maps.

    clip_name: by default the clip on which the first system is nearest to its own mean error, which is neither its best
    nor its worst. Raises CannotRender where nothing can be drawn, ValueError for a clip that a system does not have.
    """
    clip = _chosen(clips, systems[0], clip_name)
    truth = load_vertices(clip)
    motions = {one.system: _motion(session, one, clip) for one in systems}
    moments = _moments(truth, clip)
    template = load_template(clip.subject)
    triangles, colours = load_topology(clip.corpus)
    errors = {name: [distances(motion[k], truth[k]) for k in moments] for name, motion in motions.items()}
    limit = float(np.quantile(np.concatenate([one for each in errors.values() for one in each]), 0.995)) or 1.0
    with Painter(Look(triangles, template, colours, size=PIXELS)) as painter:
        faces = {
            name: [painter.draw(motion[k]) for k in moments] for name, motion in ({TRUTH: truth} | motions).items()
        }
    with Painter(Look(triangles, template, limit=limit, size=PIXELS)) as painter:
        heats = {
            name: [painter.draw(motions[name][k], error) for k, error in zip(moments, errors[name], strict=True)]
            for name in motions
        }
    scale = clip.corpus.mm_per_unit
    figure = _composed(faces, heats, moments, clip, limit * (scale or 1.0), "mm" if scale else "corpus units", note)
    caption = (
        f"Clip {clip.name}, frames {', '.join(map(str, moments))}, where the mouth opens most. Heat maps: distance of "
        f"each vertex to the truth, one scale for all, cut at its 99.5th percentile."
    )
    return figure, caption


def _chosen(clips: Sequence[Clip], system: Scored, name: str | None) -> Clip:
    by_name = {clip.name: clip for clip in clips}
    if name is not None:
        if name not in by_name:
            raise ValueError(f"clip {name}: expected one of {', '.join(by_name)}")
        return by_name[name]
    means = system.table.groupby("clip")["vertex_error"].mean()
    middle = (means - means.mean()).abs().sort_values(kind="stable").index[0]
    return by_name[middle]


def _motion(session: Session, system: Scored, clip: Clip) -> NDArray:
    rows = [row for row in predictions_of(session, system.predictions.id) if row.clip_id == clip.id]
    if not rows:
        raise ValueError(f"{system.system}: has no prediction of {clip.name}")
    return load_prediction(rows[0])


def _moments(truth: NDArray, clip: Clip) -> list[int]:
    """Frames at which the lips are farthest from rest, one in each stretch of the clip."""
    lips = regions(clip.corpus).get(LIPS)
    rest = load_template(clip.subject)
    chosen = np.arange(truth.shape[1]) if lips is None else np.asarray(lips)
    moved = distances(np.asarray(truth)[:, chosen], rest[chosen]).mean(axis=1)
    stretches = np.array_split(np.arange(len(truth)), min(FRAMES, len(truth)))
    return [int(stretch[np.argmax(moved[stretch])]) for stretch in stretches]


def _composed(
    faces: dict[str, list[NDArray]],
    heats: dict[str, list[NDArray]],
    moments: list[int],
    clip: Clip,
    limit: float,
    unit: str,
    note: str,
) -> Figure:
    rows = [(TRUTH, faces[TRUTH])]
    for name in heats:
        rows += [(name, faces[name]), ("", heats[name])]
    rows = _cropped(rows)
    tall = rows[0][1][0].shape[0] / rows[0][1][0].shape[1]
    with matplotlib.rc_context(STYLE):
        side = min(WIDTH / (len(moments) + 1.2), TALLEST / (tall * len(rows)))
        size = (side * len(moments) + 1.4, side * tall * len(rows) + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.08)  # room for the names on the left
        panels = figure.subplots(len(rows), len(moments), squeeze=False)
        for line, (name, images) in zip(panels, rows, strict=True):
            for panel, image in zip(line, images, strict=True):
                panel.imshow(image)
                panel.set_xticks([])
                panel.set_yticks([])
                panel.spines[:].set_visible(False)
            line[0].set_ylabel(name)
        for panel, moment in zip(panels[0], moments, strict=True):
            panel.set_title(f"{moment / clip.corpus.frames_per_second:.2f} s")
        colours = ScalarMappable(Normalize(0, limit), colormaps[HEAT])
        figure.colorbar(colours, ax=panels, shrink=0.5, label=f"distance to the truth ({unit})")
        if note:
            figure.supxlabel(note, fontsize=7)
    return figure


def _cropped(rows: list[tuple[str, list[NDArray]]]) -> list[tuple[str, list[NDArray]]]:
    """All pictures cut to what is not white in any of them."""
    drawn = np.min([image.min(axis=2) for _, images in rows for image in images], axis=0) < 250
    down, across = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    cut = (slice(max(0, down[0] - 4), down[-1] + 5), slice(max(0, across[0] - 4), across[-1] + 5))
    return [(name, [image[cut] for image in images]) for name, images in rows]

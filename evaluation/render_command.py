"""What `python -m evaluation.render` does: films of clips, truth and systems side by side, in parallel processes."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db import store
from db.clips import load_template, load_topology
from db.corpus.npy import read_vertices
from db.models import Clip, Corpus
from db.predictions import list_sets, predictions_of
from db.progress import show_progress
from db.result_models import PredictionSet
from db.session import DatabaseUnusable, open_database, reading
from evaluation import render
from evaluation.render import SIZE, CannotRender, Look, Painter, check_graphics, distances, write_film
from evaluation.report_data import find_corpus

HEATS = ("none", "truth", "neutral")
TRUTH = "GT"


@dataclass(frozen=True)
class Shot:
    """One film, with everything that a process needs to make it. motions: file and first frame, from left to right."""

    out: Path
    motions: tuple[tuple[Path, int], ...]
    n_frames: int
    template: NDArray
    triangles: NDArray
    colours: NDArray | None
    fps: float
    sound: Path | None
    heat: str
    limit: float
    size: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    try:
        check_graphics()
        films = _render(given)
    except KeyboardInterrupt:
        print("stopped; films that are whole stay", file=sys.stderr)
        return 130
    except (ValueError, OSError, CannotRender, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(films) if given.json else "\n".join(film["file"] for film in films))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.render", description=render.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--corpus", help="default: the only one")
    parser.add_argument("--sets", default="", help="prediction sets, with commas (default: the truth alone)")
    parser.add_argument("--clips", default="", help="with commas (default: all that the sets share)")
    parser.add_argument("--without-truth", action="store_true", help="leave out the truth on the left")
    parser.add_argument("--heat", choices=HEATS, default="none", help="colour by the distance to this")
    parser.add_argument(
        "--limit",
        type=float,
        help="distance at the end of the colours, in corpus units (default: 3%% of the template's height)",
    )
    parser.add_argument("--size", type=int, default=SIZE, help=f"of each face, pixels, even (default: {SIZE})")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1), help="films at a time")
    parser.add_argument("--out", type=Path, required=True, help="folder; a film that is there is drawn anew")
    parser.add_argument("--json", action="store_true")
    return parser  # fmt: skip


def _render(given: argparse.Namespace) -> list[dict]:
    if given.size < 16 or given.size % 2:
        raise ValueError(f"--size {given.size}: expected an even number from 16 on")
    engine = open_database()
    with reading(engine) as session:
        corpus = find_corpus(session, given.corpus)
        shots = list(_shots(session, corpus, given))
    engine.dispose()
    # spawn: VTK's state does not survive a fork
    with ProcessPoolExecutor(max(1, given.workers), mp_context=get_context("spawn")) as pool, \
            show_progress("drawing") as progress:  # fmt: skip
        waiting = {pool.submit(shoot, shot): shot for shot in shots}
        frames = {}
        for number, done in enumerate(as_completed(waiting), start=1):
            frames[waiting[done].out] = done.result()
            progress(number, len(shots), waiting[done].out.name)
    hidden = given.heat == "truth"  # what the heat is measured against
    return [
        {"file": str(shot.out), "frames": frames[shot.out], "faces": len(shot.motions) - hidden} for shot in shots
    ]


def _shots(session: Session, corpus: Corpus, given: argparse.Namespace) -> Iterator[Shot]:
    sets = _sets(session, corpus, given.sets)
    by_clip = [{row.clip: row for row in reversed(predictions_of(session, one.id))} for one in sets]
    clips = set.intersection(*(set(rows) for rows in by_clip)) if by_clip else set(_usable(corpus))
    wanted = [name for name in given.clips.split(",") if name]
    unknown = sorted(set(wanted) - {clip.name for clip in clips})
    if unknown:
        raise ValueError(f"--clips {', '.join(unknown)}: not in {given.sets or f'corpus {corpus.name}'}")
    if given.without_truth and not sets:
        raise ValueError("--without-truth needs --sets: there would be nothing to see")
    triangles, colours = load_topology(corpus)
    for clip in sorted(clips, key=lambda clip: clip.name):
        if wanted and clip.name not in wanted:
            continue
        template = load_template(clip.subject)
        motions = [(store.stored_path(rows[clip].path), rows[clip].first_frame) for rows in by_clip]
        truth = (store.stored_path(clip.vertices_path), clip.first_frame)
        motions = motions if given.without_truth else [truth, *motions]
        reference = [truth] if given.heat == "truth" else []  # the last, and not shown
        yield Shot(
            given.out / f"{clip.name}.mp4", tuple([*motions, *reference]), clip.n_frames, template, triangles, colours,
            corpus.frames_per_second, store.stored_path(clip.audio_path) if clip.audio_path else None, given.heat,
            given.limit or 0.03 * float(np.ptp(template[:, 1])), given.size,
        )  # fmt: skip


def _sets(session: Session, corpus: Corpus, names: str) -> list[PredictionSet]:
    known = {one.name: one for one in list_sets(session, corpus.id)}
    wanted = [name for name in names.split(",") if name]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"--sets {', '.join(unknown)}: corpus {corpus.name} has {', '.join(known) or 'none'}")
    return [known[name] for name in wanted]


def _usable(corpus: Corpus) -> list[Clip]:
    return [clip for clip in corpus.clips if clip.status == "usable" and clip.vertices_path]


def shoot(shot: Shot) -> int:
    """Make one film; gives its frames. Raises ValueError or OSError as reading and `write_film` do."""
    motions = [read_vertices(path, len(shot.template))[first : first + shot.n_frames] for path, first in shot.motions]
    return write_film(shot.out, _frames(shot, motions), shot.fps, shot.sound)


def _frames(shot: Shot, motions: list[NDArray]) -> Iterator[NDArray[np.uint8]]:
    reference = motions.pop() if shot.heat == "truth" else None
    warm = shot.heat != "none"
    look = Look(shot.triangles, shot.template, None if warm else shot.colours, shot.limit if warm else None, shot.size)
    with ExitStack() as stack:
        painter = stack.enter_context(Painter(look))
        for k in range(shot.n_frames):
            against = shot.template if reference is None else reference[k]
            faces = [painter.draw(motion[k], distances(motion[k], against) if warm else None) for motion in motions]
            yield np.hstack(faces)

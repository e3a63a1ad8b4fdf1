"""The launch: films are drawn, then everything is frozen in one transaction, or nothing is.

Films lie in `<data root>/studies/<name>-v<version>/` under names that are hashes of what they were drawn from, so that
a launch which was cut off goes on where it was. All films of a clip have the same camera, length, sound and number of
bytes, whatever system moves the face.
"""

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db import events, store
from db.clips import load_audio, load_template, load_topology
from db.corpus.digest import sha256_of
from db.corpus.wav import write_audio
from db.models import Clip, Corpus, now
from db.progress import Progress
from db.session import reading, writing
from db.study_models import Stimulus, Study, StudyItem, StudySlot, StudySystem
from evaluation.render import pad_to
from evaluation.render_command import Shot, shoot
from evaluation.study.choosing import Choice, choose
from evaluation.study.design import Design
from evaluation.study.order import row_of

RATE = 16_000  # samples per second of a clip's sound
_ROOM = 16  # bytes, so that a padding box fits behind the longest film, too
_RENDERER = 1  # changes when films of the same motion come out differently


@dataclass(frozen=True)
class Film:
    """One stimulus to be drawn: which, from what, and where it comes to lie. shift_ms: how late its sound is."""

    clip: str
    system: str
    shift_ms: int
    shot: Shot
    path: Path  # padded, as it is shown


def launch(engine: Engine, study_id: int, actor: str, workers: int = 2, progress: Progress | None = None) -> Study:
    """Draw what is not drawn yet, freeze and hash, and open the study; repeated after a crash, it goes on.

    For a launched study it draws films that were deleted anew, and fails if they do not come out as they were.
    Raises ValueError (BadDesign) with what is missing, CannotRender, or OSError; then the study is as it was.
    """
    with reading(engine) as session:
        study = session.get_one(Study, study_id)
        design = Design.from_dict(study.design)
        choice = choose(session, design, session.get_one(Corpus, study.corpus_id))
        films = list(films_of(study, design, choice))
    draw([film for film in films if not film.path.is_file()], workers, progress)
    pad(films)
    if study.launched_at is not None:
        _check_restored(engine, study_id)
        return study
    made = {(film.clip, film.system, film.shift_ms > 0): film for film in films}
    with writing(engine) as session:
        frozen = freeze(session, study_id, design, choice, {key: film.path for key, film in made.items()}, actor)
    shutil.rmtree(folder(study) / "raw", ignore_errors=True)
    return frozen


def folder(study: Study) -> Path:
    """Where a study's films lie."""
    return store.data_root() / "studies" / f"{store.checked_name(study.name, 'study')}-v{study.version}"


def films_of(study: Study, design: Design, choice: Choice) -> Iterator[Film]:
    """Every film that the design needs, those of catch trials among them."""
    triangles, colours = load_topology((*choice.clips, *choice.practice)[0].corpus)
    for clip in (*choice.clips, *choice.practice):
        template = load_template(clip.subject)
        wanted = [(system.name, 0) for system in design.systems]
        if design.catch.count and clip in choice.clips:
            wanted.append((design.catch_system, design.catch.shift_ms))
        for system, shift_ms in wanted:
            source = choice.sources[clip.name, system]
            about = [_RENDERER, source.sha256, source.first_frame, clip.n_frames, clip.source_audio_sha256,
                     clip.gain_db, shift_ms, design.size, clip.corpus.sha256, clip.subject.name]  # fmt: skip
            name = hashlib.sha256(events.canonical_json(about).encode()).hexdigest()[:32] + ".mp4"
            sound = store.stored_path(clip.audio_path or "")
            if shift_ms:
                sound = _late_sound(clip, shift_ms, folder(study) / "raw" / f"{name}.wav")
            shot = Shot(
                folder(study) / "raw" / name, ((source.path, source.first_frame),), clip.n_frames, template, triangles,
                colours, clip.corpus.frames_per_second, sound, "none", 1.0, design.size,
            )  # fmt: skip
            yield Film(clip.name, system, shift_ms, shot, folder(study) / name)


def _late_sound(clip: Clip, shift_ms: int, path: Path) -> Path:
    """The clip's sound with silence before it, cut at the same length."""
    samples = load_audio(clip)
    late = np.concatenate([np.zeros(RATE * shift_ms // 1000, samples.dtype), samples])[: len(samples)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, late, RATE)
    return path


def draw(films: list[Film], workers: int, progress: Progress | None) -> None:
    """Draw films in parallel processes; those whose raw film is whole are not drawn again."""
    # Two systems with the very same motion (all intensities of a neutral clip, for one) share a film.
    waiting = list({film.path: film for film in films if not film.shot.out.is_file()}.values())
    if not waiting:
        return
    # spawn: VTK's state does not survive a fork
    with ProcessPoolExecutor(max(1, min(workers, os.cpu_count() or 1)), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(shoot, film.shot): film for film in waiting}
        try:
            for number, done in enumerate(as_completed(running), start=1):
                done.result()
                if progress is not None:
                    progress(number, len(waiting), running[done].clip)  # not the system: others may look on
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def pad(films: list[Film]) -> None:
    """Give all films of a clip the same number of bytes. Those that lie there already stay as they are."""
    for clip in {film.clip for film in films}:
        of_clip = [film for film in films if film.clip == clip]
        there = {film.path.stat().st_size for film in of_clip if film.path.is_file()}
        raw = [film for film in of_clip if not film.path.is_file()]
        size = max([*there, *(film.shot.out.stat().st_size + _ROOM for film in raw)]) if not there else max(there)
        for film in raw:
            with store.atomic_write(film.path) as partial:
                shutil.copyfile(film.shot.out, partial)
                pad_to(partial, size)


def freeze(
    session: Session, study_id: int, design: Design, choice: Choice, films: dict[tuple[str, str, bool], Path],
    actor: str,
) -> Study:  # fmt: skip
    """Write down systems, clips, films and places, hash it all, and open the study.

    films: (clip, system, late) -> file. Raises ValueError if the study is no draft, or was edited meanwhile.
    """
    study = session.scalar(select(Study).where(Study.id == study_id).with_for_update())
    if study is None or study.launched_at is not None or study.design != design.as_dict():
        raise ValueError("the study was edited or launched while its films were drawn; look at it and launch it again")
    systems = _add_systems(session, study, design, choice)
    hashes = _add_films(session, study, choice, systems, films)
    session.add_all(StudySlot(study_id=study.id, number=number, row=row_of(design, number))
                    for number in range(design.participants))  # fmt: skip
    names = tuple(clip.name for clip in choice.clips)
    frozen = dataclasses.replace(design, clips=dataclasses.replace(design.clips, names=names))
    study.design = frozen.as_dict()
    sets = {name: one.sha256 if one else None for name, one in choice.sets.items()}
    everything = events.canonical_json({"design": study.design, "films": sorted(hashes), "sets": sets})
    study.design_sha256 = hashlib.sha256(everything.encode()).hexdigest()
    study.status, study.launched_at = "running", now()
    session.flush()
    events.record(session, actor, "study.launched", {
        "study": study.id, "name": study.name, "version": study.version, "design_sha256": study.design_sha256,
        "films": len(hashes),
    })  # fmt: skip
    return study


def _add_systems(session: Session, study: Study, design: Design, choice: Choice) -> dict[str, StudySystem]:
    systems = {}
    for position, system in enumerate(design.systems):
        one = choice.sets[system.name]
        systems[system.name] = StudySystem(
            study_id=study.id, name=system.name, position=position, set_id=one.id if one else None,
            set_sha256=one.sha256 if one else None,
        )  # fmt: skip
    session.add_all(systems.values())
    session.flush()
    return systems


def _add_films(
    session: Session, study: Study, choice: Choice, systems: dict[str, StudySystem],
    films: dict[tuple[str, str, bool], Path],
) -> list[str]:  # fmt: skip
    items = {}
    for role, clips in (("main", choice.clips), ("practice", choice.practice)):
        for position, clip in enumerate(clips):
            items[clip.name] = StudyItem(study_id=study.id, clip_id=clip.id, role=role, position=position)
    session.add_all(items.values())
    session.flush()
    length = {clip.name: round(1000 * clip.n_frames / clip.corpus.frames_per_second)
              for clip in (*choice.clips, *choice.practice)}  # fmt: skip
    root, hashes = store.data_root(), []
    for (clip, system, late), path in films.items():
        hashes.append(sha256_of(path))
        stored = path.relative_to(root) if path.is_relative_to(root) else path
        session.add(Stimulus(
            study_id=study.id, item_id=items[clip].id, system_id=systems[system].id, shifted=late, path=str(stored),
            sha256=hashes[-1], n_bytes=path.stat().st_size, duration_ms=length[clip],
        ))  # fmt: skip
    session.flush()
    return hashes


def missing_stimuli(session: Session, study_id: int) -> list[str]:
    """Films of a launched study that are gone, or have another size: a sentence for each."""
    problems = []
    for stimulus in session.scalars(select(Stimulus).where(Stimulus.study_id == study_id).order_by(Stimulus.id)):
        path = store.stored_path(stimulus.path)
        if not path.is_file():
            problems.append(f"{path}: is gone; launch the study again to draw it anew")
        elif path.stat().st_size != stimulus.n_bytes:
            problems.append(f"{path}: has another size than at the launch; remove it and launch the study again")
    return problems


def _check_restored(engine: Engine, study_id: int) -> None:
    with reading(engine) as session:
        for stimulus in session.scalars(select(Stimulus).where(Stimulus.study_id == study_id)):
            path = store.stored_path(stimulus.path)
            if not path.is_file() or sha256_of(path) != stimulus.sha256:
                raise ValueError(
                    f"{path}: does not come out as it was at the launch (other predictions, or another version of the "
                    "renderer); put back a copy, or make a new version of the study"
                )

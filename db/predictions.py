"""What systems predicted: recording it, importing other programs' files, and reading it again.

    python -m db.predictions import DIR --system VOCA       files of any system, read in place
    python -m db.predictions list
    python -m db.predictions verify NAME                    are the files still those that were recorded?

A set is named by who made it; it is never silently replaced, since results and studies refer to it. Files are in the
peers' layout: `<subject>_<sentence>_condition_<subject>.npy`, or `<subject>_<sentence>.npy` for systems that are not
conditioned on a speaker.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from db import events, store
from db.clips import MissingFile
from db.corpus.digest import sha256_of
from db.corpus.naming import parse_clip_name, subject_name
from db.corpus.npy import read_vertices
from db.models import Clip, Corpus, Split, SplitMember, Subject
from db.playback import encode_playback
from db.progress import Progress
from db.result_models import Prediction, PredictionSet

CONDITION = "_condition_"
AUDIOS = ("trimmed", "original")  # what a system was given: the imported sound, or the corpus's own file


@dataclass(frozen=True)
class PredictedFile:
    """One file that a system wrote: for which clip, under which condition subject, with how many frames.

    first_frame: where in the file the clip begins, if the file covers the silence before the speech as well.
    """

    clip: Clip
    condition: Subject | None
    path: Path
    n_frames: int
    first_frame: int = 0


def record_set(
    session: Session,
    files: Sequence[PredictedFile],
    *,
    name: str,
    system: str,
    corpus: Corpus,
    source: dict,
    run_id: int | None = None,
    part: str | None = None,
    emotion: str | None = None,
    intensity: float | None = None,
    simulated: bool = False,
    replace: bool = False,
    actor: str = "command",
    progress: Progress | None = None,
) -> PredictionSet:
    """Store that `system` predicted `files`. The same files under the same name give the stored set again.

    Raises ValueError for no file, or if the name stands for other predictions and `replace` is not set.
    """
    if not files:
        raise ValueError(f"predictions {name}: no file to record")
    hashes = []
    for number, file in enumerate(files, start=1):
        hashes.append(sha256_of(file.path))
        if progress:
            progress(number, len(files), file.path.name)
    total = _total(files, hashes)
    found = session.scalar(select(PredictionSet).where(PredictionSet.name == store.checked_name(name, "predictions")))
    if found is not None and found.sha256 == total and found.corpus_id == corpus.id:
        return found
    if found is not None and not replace:
        raise ValueError(
            f"predictions {name}: exist, and the files are not those that were recorded then; take another name, or "
            "replace them (--replace) if no result that you keep was made from them"
        )
    row = found or PredictionSet(name=name)
    row.system, row.corpus_id, row.run_id, row.part = system, corpus.id, run_id, part
    row.emotion, row.intensity = emotion, intensity
    row.synthetic, row.simulated, row.source, row.sha256 = corpus.synthetic, simulated, source, total
    session.add(row)
    session.flush()
    session.execute(delete(Prediction).where(Prediction.set_id == row.id))
    for file, sha256 in zip(files, hashes, strict=True):
        session.add(Prediction(
            set_id=row.id, clip_id=file.clip.id, condition_subject_id=file.condition.id if file.condition else None,
            path=_stored(file.path), sha256=sha256, n_frames=file.n_frames, first_frame=file.first_frame,
        ))  # fmt: skip
    told = {"name": name, "system": system, "corpus": corpus.name, "files": len(files), "sha256": total}
    events.record(session, actor, "predictions.replaced" if found else "predictions.recorded", told)
    return row


def refuse_other_source(session: Session, name: str, source: dict, replace: bool) -> None:
    """Before anything is predicted: raises ValueError if `name` stands for what was made otherwise than `source`.

    The folders in it may differ, as a data root can be moved.
    """
    found = session.scalar(select(PredictionSet).where(PredictionSet.name == name))
    if found is None or replace:
        return
    asked = json.loads(json.dumps(source))  # as the stored one came out of the database
    other = [key for key in asked if key not in ("folder", "checkpoint") and asked[key] != found.source.get(key)]
    if other:
        raise ValueError(
            f"predictions {name}: exist and were made otherwise ({', '.join(other)}); take another --name, or replace "
            "them (--replace) if no result that you keep was made from them"
        )


def list_sets(session: Session, corpus_id: int | None = None) -> list[PredictionSet]:
    """The recorded sets, oldest first, with corpus and run ready to be read after the session is closed."""
    query = select(PredictionSet).order_by(PredictionSet.id)
    query = query.options(joinedload(PredictionSet.corpus), joinedload(PredictionSet.run))
    return list(session.scalars(query if corpus_id is None else query.where(PredictionSet.corpus_id == corpus_id)))


def predictions_of(session: Session, set_id: int) -> list[Prediction]:
    """A set's predictions by clip and condition subject, ready to be loaded after the session is closed."""
    query = (
        select(Prediction)
        .where(Prediction.set_id == set_id)
        .join(Clip, Clip.id == Prediction.clip_id)
        .options(
            joinedload(Prediction.clip).joinedload(Clip.corpus),
            joinedload(Prediction.clip).joinedload(Clip.subject).joinedload(Subject.corpus),
            joinedload(Prediction.condition_subject),
        )
        .order_by(Clip.name, Prediction.id)
    )
    return list(session.scalars(query))


def load_prediction(prediction: Prediction) -> np.ndarray:
    """The predicted motion (T, V, 3) of the clip's T frames, a view of a memory map in corpus units.

    A longer file is cut, as the official metric does. Raises MissingFile if it is gone, ValueError if it has become
    another one or is shorter than the clip.
    """
    clip, path = prediction.clip, store.stored_path(prediction.path)
    if not path.exists():
        raise MissingFile(f"{path}: this prediction of {clip.name} is gone; predict again, or connect its disk")
    vertices = read_vertices(path, clip.corpus.n_vertices)
    if len(vertices) != prediction.n_frames:
        raise ValueError(
            f"{path}: {len(vertices)} frames, {prediction.n_frames} when it was recorded; record it again (--replace)"
        )
    if len(vertices) < prediction.first_frame + clip.n_frames:
        raise ValueError(f"{path}: {_shortfall(clip, len(vertices), prediction.first_frame)}")
    return vertices[prediction.first_frame : prediction.first_frame + clip.n_frames]


def prediction_playback(session: Session, prediction_id: int) -> Path | None:
    """The prediction packed for the player, made when it is first asked for; None if it cannot be read any more.

    The files lie in <data root>/predictions/.playback and can be removed at any time.
    """
    prediction = session.get(Prediction, prediction_id)
    if prediction is None:
        return None
    path = store.data_root() / "predictions" / ".playback" / f"{prediction.sha256}-{prediction.first_frame}.bin"
    if not path.exists():
        try:
            motion = load_prediction(prediction)
        except (MissingFile, ValueError, OSError):
            return None
        packed = encode_playback(motion, prediction.clip.corpus.frames_per_second)
        with store.atomic_write(path) as partial:
            partial.write_bytes(packed)
    return path


def changed_files(session: Session, row: PredictionSet) -> list[str]:
    """Which files of a set are gone, or not those that were recorded; in words."""
    wrong = []
    for prediction in predictions_of(session, row.id):
        path = store.stored_path(prediction.path)
        if not path.exists():
            wrong.append(f"{path}: is gone")
        elif sha256_of(path) != prediction.sha256:
            wrong.append(f"{path}: is not the file that was recorded")
    return wrong


# Other systems' predictions -------------------------------------------------------------------------------------------


def read_folder(
    session: Session, folder: Path, corpus: Corpus, *, audio: str | None = None, wanted: Iterable[str] | None = None
) -> tuple[list[PredictedFile], list[str]]:
    """The predictions in `folder` for clips of `corpus`, and notes on what was passed over.

    audio: "trimmed" or "original", what the system was given; None finds it out from the lengths. wanted: names of
    clips that must be there, and no others. Raises ValueError that names every file that does not fit.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    paths = sorted(folder.glob("*.npy"))
    if not paths:
        raise ValueError(f"{folder}: no .npy file in it; expected <subject>_<sentence>[_condition_<subject>].npy")
    clips = {clip.name: clip for clip in session.scalars(
        select(Clip).where(Clip.corpus_id == corpus.id).options(joinedload(Clip.corpus))
    )}  # fmt: skip
    subjects = {row.name: row for row in session.scalars(select(Subject).where(Subject.corpus_id == corpus.id))}
    names = set(wanted) if wanted is not None else None
    found, notes, wrong = [], [], []
    for path in paths:
        try:
            clip, condition = _named(path, clips, subjects, corpus)
            if clip.status != "usable" or (names is not None and clip.name not in names):
                notes.append(f"{path.name}: passed over, the clip is {_why_not(clip)}")
                continue
            found.append(PredictedFile(clip, condition, path.resolve(), len(read_vertices(path, corpus.n_vertices))))
        except ValueError as error:
            wrong.append(str(error))
    if names is not None and (missing := sorted(names - {file.clip.name for file in found})):
        wrong.append(f"no prediction for {_few(missing)}; predict them, or ask for fewer clips")
    if wrong:
        raise ValueError(f"{folder}: {_few(wrong, '; ')}")
    if not found:
        raise ValueError(f"{folder}: no file in it is of a usable clip that was asked for; {_few(notes, '; ')}")
    return _aligned(found, audio or _audio_of(found), folder), notes


def import_folder(
    session: Session,
    folder: Path,
    corpus: Corpus,
    *,
    system: str,
    name: str,
    audio: str | None = None,
    split: Split | None = None,
    part: str | None = None,
    replace: bool = False,
    actor: str = "command",
    progress: Progress | None = None,
) -> tuple[PredictionSet, list[str]]:
    """Record another system's folder of predictions, which stays where it is; with notes on what was passed over.

    With `split` and `part`, exactly that part's clips must be there. Raises ValueError as `read_folder` and
    `record_set` do; nothing is stored then.
    """
    wanted = None
    if split is not None:
        wanted = session.scalars(
            select(Clip.name).join(SplitMember, SplitMember.clip_id == Clip.id)
            .where(SplitMember.split_id == split.id, SplitMember.part == part, Clip.status == "usable")
        ).all()  # fmt: skip
    files, notes = read_folder(session, folder, corpus, audio=audio, wanted=wanted)
    row = record_set(
        session, files, name=name, system=system, corpus=corpus, part=part, replace=replace, actor=actor,
        source={"folder": str(folder.resolve()), "split": split.name if split else None}, progress=progress,
    )  # fmt: skip
    return row, notes


def _named(path: Path, clips: dict, subjects: dict, corpus: Corpus) -> tuple[Clip, Subject | None]:
    stem, _, conditioned = path.stem.partition(CONDITION)
    name = "_".join(parse_clip_name(stem))
    if name not in clips:
        raise ValueError(f"{path.name}: corpus {corpus.name} has no clip {name}; is it another corpus's?")
    if not conditioned:
        return clips[name], None
    condition = subjects.get(subject_name(conditioned))
    if condition is None:
        raise ValueError(f"{path.name}: corpus {corpus.name} has no subject {conditioned}")
    return clips[name], condition


def _why_not(clip: Clip) -> str:
    return f"{clip.status} ({clip.status_reason})" if clip.status != "usable" else "not among those asked for"


def _audio_of(files: list[PredictedFile]) -> str:
    """Which sound the lengths speak for; for corpora without silence it makes no difference."""
    to_trimmed = sum(abs(file.n_frames - file.clip.n_frames) for file in files)
    to_original = sum(abs(file.n_frames - file.clip.source_frames) for file in files)
    return "original" if to_original < to_trimmed else "trimmed"


def _aligned(files: list[PredictedFile], audio: str, folder: Path) -> list[PredictedFile]:
    begins = [file.clip.first_frame if audio == "original" else 0 for file in files]
    short = [
        f"{file.path.name}: {_shortfall(file.clip, file.n_frames, begin)}"
        for file, begin in zip(files, begins, strict=True)
        if file.n_frames < begin + file.clip.n_frames
    ]
    if short:
        raise ValueError(f"{folder}: {_few(short, '; ')}")
    return [
        PredictedFile(file.clip, file.condition, file.path, file.n_frames, begin)
        for file, begin in zip(files, begins, strict=True)
    ]


def _shortfall(clip: Clip, n_frames: int, begin: int) -> str:
    where = f" from frame {begin}" if begin else ""
    return f"{n_frames} frames, {clip.name} needs {clip.n_frames}{where}; predict it again with all of its sound"


def _stored(path: Path) -> str:
    """As tables keep paths: relative to the data root for what lies below it."""
    path, root = path.resolve(), store.data_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _total(files: Sequence[PredictedFile], hashes: list[str]) -> str:
    lines = sorted(
        f"{file.clip.name} {file.condition.name if file.condition else ''} {file.first_frame} {sha256}\n"
        for file, sha256 in zip(files, hashes, strict=True)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _few(items: Sequence[str], between: str = ", ") -> str:
    return between.join(items[:5]) + (f"{between}and {len(items) - 5} more" if len(items) > 5 else "")


if __name__ == "__main__":
    from db.prediction_command import main

    raise SystemExit(main())

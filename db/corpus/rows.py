"""The database's side of an import: rows for corpus, subjects, clips, original ratings and problems."""

from pathlib import Path

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from db import events, store
from db.corpus.errors import UnusableCorpus
from db.corpus.problems import Problem
from db.corpus.report import Report
from db.corpus.source import CorpusSource
from db.models import Clip, Corpus, ImportProblem, OriginalRating, Subject, now

GONE = "no longer in the corpus folder when it was imported again"


def find_corpus(session: Session, name: str) -> Corpus | None:
    """The corpus of that name, or None."""
    return session.scalar(select(Corpus).where(Corpus.name == name))


def files_present(session: Session, corpus: Corpus) -> bool:
    """Whether everything that the import made is still in the data root."""
    if not (store.corpus_folder(corpus.name) / "topology.bin").is_file():
        return False
    columns = (Clip.audio_path, Clip.playback_path, Clip.vertices_path)
    stored = session.execute(select(*columns).where(Clip.corpus_id == corpus.id))
    # What is read in place is the corpus itself, which may have moved.
    made = [path for row in stored for path in row if path and path.startswith("corpora/")]
    return all(store.stored_path(path).exists() for path in made)


def store_corpus(
    session: Session,
    source: CorpusSource,
    clips: list[dict],
    report: Report,
    loudness: str,
    sha256: str,
    again: bool,
    actor: str,
) -> Corpus:
    """Write all rows of one import. With `again`, rows of the same name keep their identity, and so their ratings.

    `clips` has one dict per clip of `source`, in its order: the columns of `Clip` besides its keys.
    """
    corpus = find_corpus(session, source.name)
    if corpus is not None and not again:
        raise UnusableCorpus(
            f"another import of a corpus named '{source.name}' ended while this one ran; nothing was "
            "changed. Look at that one, then import again if needed"
        )
    corpus = corpus or Corpus(name=source.name)
    for key, value in _corpus_columns(source, loudness, sha256).items():
        setattr(corpus, key, value)
    session.add(corpus)
    session.flush()
    subjects = _store_subjects(session, corpus, source)
    _store_clips(session, corpus, subjects, source, clips)
    session.execute(delete(ImportProblem).where(ImportProblem.corpus_id == corpus.id))
    session.add_all(
        ImportProblem(corpus_id=corpus.id, clip=problem.clip, kind=problem.kind, message=problem.message)
        for problem in report.problems
    )
    events.record(
        session,
        actor,
        "corpus.updated" if again else "corpus.imported",
        {"corpus": source.name, "sha256": sha256, "clips": len(clips), "problems": len(report.serious)},
    )
    session.flush()
    return corpus


def _corpus_columns(source: CorpusSource, loudness: str, sha256: str) -> dict:
    return {
        "source": str(source.folder),
        "layout": source.layout,
        "synthetic": source.synthetic,
        "licence": source.licence,
        "description": source.description,
        "frames_per_second": source.frames_per_second,
        "n_vertices": source.n_vertices,
        "n_faces": len(source.faces),
        "normalisation": source.normalisation,
        "mm_per_unit": source.mm_per_unit,
        "loudness": loudness,
        "sha256": sha256,
        "imported_at": now(),
    }


def _store_subjects(session: Session, corpus: Corpus, source: CorpusSource) -> dict[str, Subject]:
    subjects = {row.name: row for row in session.scalars(select(Subject).where(Subject.corpus_id == corpus.id))}
    rows = {name: row for row, name in enumerate(sorted(source.templates))}
    for name in source.subjects:
        subjects.setdefault(name, Subject(corpus_id=corpus.id, name=name))
    for name, subject in subjects.items():
        subject.template_row = rows.get(name)
    session.add_all(subjects.values())
    session.flush()
    return subjects


def _store_clips(
    session: Session, corpus: Corpus, subjects: dict[str, Subject], source: CorpusSource, clips: list[dict]
) -> None:
    known = {row.name: row for row in session.scalars(select(Clip).where(Clip.corpus_id == corpus.id))}
    session.execute(delete(OriginalRating).where(OriginalRating.clip_id.in_([row.id for row in known.values()])))
    clips_stored = []
    for found, columns in zip(source.clips, clips, strict=True):
        clip = known.pop(found.name, None) or Clip(corpus_id=corpus.id)
        clip.subject_id = subjects[found.subject].id
        for key, value in columns.items():
            setattr(clip, key, value)
        clips_stored.append(clip)
    session.add_all(clips_stored)
    # One flush for all: raters wait for the write lock meanwhile.
    session.flush()
    ratings = [
        {"clip_id": clip.id, "adjective": adjective, "score": score}
        for clip in clips_stored
        for adjective, score in source.original_ratings.get(clip.name, {}).items()
    ]
    if ratings:
        session.execute(insert(OriginalRating), ratings)
    for clip in known.values():
        # A clip that somebody may have rated stays in the table.
        clip.status, clip.status_reason = "broken", GONE
        clip.vertices_path = clip.audio_path = clip.playback_path = None


def path_in_place(path: Path) -> str:
    """How a row names a file that is read where it lies: absolute, or relative if that is within the data root."""
    root = store.data_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def move_corpus(session: Session, corpus: Corpus, folder: Path, actor: str) -> bool:
    """Point an import to the folder where the same files now lie; returns whether they lay elsewhere."""
    before = Path(corpus.source)
    if before == folder:
        return False
    for clip in session.scalars(select(Clip).where(Clip.corpus_id == corpus.id)):
        for column in ("vertices_path", "source_audio_path"):
            path = getattr(clip, column) and store.stored_path(getattr(clip, column))
            if path and path.is_relative_to(before):
                setattr(clip, column, path_in_place(folder / path.relative_to(before)))
    corpus.source = str(folder)
    events.record(session, actor, "corpus.moved", {"corpus": corpus.name, "from": str(before), "to": str(folder)})
    return True


def stored_report(session: Session, corpus: Corpus) -> Report:
    """The report of an import, from what it stored."""
    clips = list(session.scalars(select(Clip).where(Clip.corpus_id == corpus.id)))
    n_subjects = session.scalar(select(func.count()).where(Subject.corpus_id == corpus.id))
    report = Report(
        corpus.name,
        corpus.source,
        corpus.layout,
        corpus.synthetic,
        corpus.normalisation,
        corpus.frames_per_second,
        corpus.n_vertices,
        corpus.n_faces,
        n_subjects,
        len(clips),
    )
    for clip in clips:
        report.clips[clip.status] += 1
        if clip.status == "usable":
            report.frames += clip.n_frames
    report.duration_s = report.frames / corpus.frames_per_second
    problems = session.scalars(
        select(ImportProblem).where(ImportProblem.corpus_id == corpus.id).order_by(ImportProblem.id)
    )
    report.problems = [Problem(row.kind, row.message, row.clip) for row in problems]
    return report

"""A corpus with clips to rate and raters to rate them, straight into a database: no files, no audio."""

from sqlalchemy import Engine

from db import access
from db.models import Clip, Corpus, Subject
from db.session import writing


def add_corpus(session, n_subjects: int = 2, n_clips: int = 5, name: str = "c", synthetic: bool = False) -> Corpus:
    """`n_clips` playable clips (e01, e02, ...) of each of F1, F2, ..."""
    corpus = Corpus(name=name, source="nowhere", layout="peers", synthetic=synthetic, frames_per_second=25.0,
                    n_vertices=3, n_faces=1, normalisation="none", sha256="0" * 64)  # fmt: skip
    for s in range(1, n_subjects + 1):
        subject = Subject(name=f"F{s}", corpus=corpus)
        for number in range(1, n_clips + 1):
            Clip(corpus=corpus, subject=subject, name=f"F{s}_e{number:02d}", sentence=f"e{number:02d}",
                 status="usable", playback_path="x")  # fmt: skip
    session.add(corpus)
    session.flush()
    return corpus


def add_raters(session, n: int) -> list[int]:
    """`n` raters with links; their ids."""
    raters = [access.add_rater(session, f"rater-{number}", actor="test")[0] for number in range(1, n + 1)]
    session.flush()
    return [rater.id for rater in raters]


def new_world(engine: Engine, n_raters: int = 5, **corpus) -> tuple[int, list[int]]:
    """(corpus id, rater ids), committed."""
    with writing(engine) as session:
        return add_corpus(session, **corpus).id, add_raters(session, n_raters)

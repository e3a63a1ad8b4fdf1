"""A tiny corpus in the database with labels and a split: what training needs, in a second."""

import zlib
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from db import playback, store
from db.corpus.wav import write_audio
from db.models import Clip, Corpus, LabelRelease, ReleaseLabel, Split, SplitMember, Subject
from db.session import writing

V = 9
EMOTIONS = ("happy", "angry", "sadness", "neutral")
SUBJECTS = ("F1", "F3", "M2")  # M2 is in no training part


def make_world(
    engine: Engine, *, sentences: int = 6, emotions: tuple[str, ...] = EMOTIONS, fps: float = 25.0, name: str = "tiny"
) -> None:
    """Store a corpus `name` with three subjects, whose clips move with their sound's loudness and their emotion."""
    with writing(engine) as session:
        corpus = Corpus(
            name=name, source="made by the tests", layout="peers", synthetic=True, frames_per_second=fps, n_vertices=V,
            n_faces=2, normalisation="none", mm_per_unit=None, sha256="c" * 64,
        )
        release = LabelRelease(
            name="labels", policy="paper", minimum_votes=3, allow_partial=False, threshold=3.0, ratings_sha256="0" * 64,
            n_ratings=0, n_ties=0, simulated=True, summary={}, sha256="1" * 64, created_by="tests",
        )
        split = Split(name="split", seed=0, sha256="2" * 64)
        session.add(corpus)
        session.flush()
        release.corpus_id = split.corpus_id = corpus.id
        session.add_all([release, split])
        session.flush()
        for row, subject_name in enumerate(SUBJECTS):
            subject = Subject(corpus=corpus, name=subject_name, template_row=row)
            session.add(subject)
            for number in range(sentences):
                emotion = emotions[(number + row) % len(emotions)]
                clip = _make_clip(corpus, subject, f"e{number + 1:02d}", emotion, 10 + 3 * number)
                session.add(clip)
                session.flush()
                session.add(_label(release, clip, emotion))
                part = "biwi-b" if subject_name == "M2" else "validation" if number == sentences - 1 else "train"
                session.add(SplitMember(split_id=split.id, clip_id=clip.id, part=part))
    _write_shared(store.corpus_folder(name))


def template(row: int) -> np.ndarray:
    """The neutral face (V, 3) of subject number `row`."""
    return np.random.default_rng(row).uniform(-0.5, 0.5, (V, 3)).astype(np.float32)


def _make_clip(corpus: Corpus, subject: Subject, sentence: str, emotion: str, n_frames: int) -> Clip:
    name = f"{subject.name}_{sentence}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    opening = 0.5 + 0.5 * np.sin(np.arange(n_frames) * rng.uniform(0.5, 0.9))
    per_frame = round(16_000 / corpus.frames_per_second)
    samples = np.repeat(opening, per_frame) * rng.normal(0, 0.2, n_frames * per_frame)
    moved = np.zeros((n_frames, V, 3), np.float32)
    moved[:, :4, 1] = -0.1 * opening[:, None]
    moved[:, 4:, EMOTIONS.index(emotion) % 3] += 0.05 * (1 + EMOTIONS.index(emotion))
    folder = store.corpus_folder(corpus.name)
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / "vertices").mkdir(exist_ok=True)
    np.save(folder / "vertices" / f"{name}.npy", moved + template(subject.template_row))
    write_audio(folder / "audio" / f"{name}.wav", samples.astype(np.float32), 16_000)
    return Clip(
        corpus=corpus, subject=subject, name=name, sentence=sentence, status="usable",
        vertices_path=str(_relative(folder / "vertices" / f"{name}.npy")),
        audio_path=str(_relative(folder / "audio" / f"{name}.wav")),
        source_frames=n_frames, n_frames=n_frames, source_duration_s=n_frames / corpus.frames_per_second,
    )


def _relative(path: Path) -> Path:
    return path.relative_to(store.data_root())


def _label(release: LabelRelease, clip: Clip, emotion: str) -> ReleaseLabel:
    votes = {key: 3 if key == emotion else 0 for key in EMOTIONS}
    return ReleaseLabel(
        release_id=release.id, clip_id=clip.id, label=emotion, tie=False, n_votes=3, mean_intensity=4.0, **votes
    )


def _write_shared(folder: Path) -> None:
    np.save(folder / "templates.npy", np.stack([template(row) for row in range(len(SUBJECTS))]))
    faces = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.uint32)
    (folder / "topology.bin").write_bytes(playback.encode_topology(faces, None))
    (folder / "regions").mkdir(exist_ok=True)
    (folder / "regions" / "lve.txt").write_text("0, 1, 2, 3")

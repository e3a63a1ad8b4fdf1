"""A data root with clips, a round and raters, made in a second: what the rating benchmarks and page tests run on.

The clips are a face-like surface that nods and opens its mouth to a tone; all of them share one file per kind, so
that a world of hundreds of clips is as quickly made as one of five. Nothing here is meant to look like anybody.
"""

import os
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from db import access, store
from db.models import Clip, Corpus, Subject
from db.playback import encode_playback, encode_topology
from db.session import open_database, writing
from labeling import assignment

FPS = 25.0
SMALL = (24, 30)
BIWI_SIZE = (123, 190)  # 23,370 vertices, as many as BIWI's
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class World:
    """A data root with a labelling round in it."""

    root: Path
    engine: Engine
    round_id: int
    tokens: dict[int, str]  # rater id -> the token of the personal link
    bytes_per_clip: int  # playback file + sound


def make_world(
    root: Path, *, n_raters: int, n_clips: int, votes_per_clip: int = 3, practice_clips: int = 2,
    repeat_share: float = 0.0, grid: tuple[int, int] = SMALL, duration_s: float = 1.0, language: str = "en",
    instructions_read: bool = False,
) -> World:
    """Fill the data root `root`, and point EAVANET_DATA of this process at it."""
    os.environ["EAVANET_DATA"] = str(root)
    engine = open_database()
    folder = store.corpus_folder("bench")
    sizes = _write_files(folder, grid, duration_s)
    with writing(engine) as session:
        corpus = _corpus(grid)
        session.add(corpus)
        session.flush()
        _add_clips(session, corpus, n_clips, duration_s)
        tokens = {}
        for number in range(1, n_raters + 1):
            rater, token = access.add_rater(session, f"rater-{number:02d}", language=language, actor="command")
            if instructions_read:
                rater.instructions_read_at = rater.created_at
            tokens[rater.id] = token
        session.flush()
        labelling_round = assignment.create_round(
            session, corpus_id=corpus.id, name="bench", rater_ids=list(tokens), votes_per_clip=votes_per_clip,
            repeat_share=repeat_share, practice_clips=practice_clips, seed=1, actor="command",
        )
        round_id = labelling_round.id
    return World(root, engine, round_id, tokens, sizes)


def _corpus(grid: tuple[int, int]) -> Corpus:
    rows, columns = grid
    return Corpus(
        name="bench", source="made by benchmarks/rating_world.py", layout="peers", synthetic=True,
        frames_per_second=FPS, n_vertices=rows * columns, n_faces=2 * (rows - 1) * (columns - 1),
        normalisation="none", mm_per_unit=1.0, sha256="0" * 64,
    )


def _add_clips(session, corpus: Corpus, n_clips: int, duration_s: float) -> None:
    subjects = [Subject(corpus_id=corpus.id, name=f"F{number}") for number in range(1, 6)]
    session.add_all(subjects)
    session.flush()
    for number in range(n_clips):
        subject, sentence = subjects[number % 5], f"{'e' if number % 2 else ''}{number // 10 + 1:02d}"
        session.add(
            Clip(
                corpus_id=corpus.id, subject_id=subject.id, name=f"{subject.name}_{sentence}", sentence=sentence,
                status="usable", playback_path="corpora/bench/playback/all.bin",
                audio_path="corpora/bench/audio/all.wav", n_frames=round(duration_s * FPS),
                source_frames=round(duration_s * FPS), source_duration_s=duration_s,
            )
        )
    session.flush()


def _write_files(folder: Path, grid: tuple[int, int], duration_s: float) -> int:
    for name in ("playback", "audio"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    vertices, faces = moving_face(grid, round(duration_s * FPS))
    playback = encode_playback(vertices, FPS)
    (folder / "playback" / "all.bin").write_bytes(playback)
    (folder / "topology.bin").write_bytes(encode_topology(faces, None))
    return len(playback) + _write_tone(folder / "audio" / "all.wav", duration_s)


def moving_face(grid: tuple[int, int], n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A nodding mask with a moving mouth: vertices (n_frames, V, 3) float32 in mm, faces (F, 3) uint32."""
    rows, columns = grid
    v, u = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    x, y = 75 * np.sin(1.35 * u), 100 * v
    z = 90 * np.cos(1.35 * u) * np.sqrt(1 - 0.6 * v**2) + 22 * np.exp(-(u**2 / 0.02 + (v + 0.05) ** 2 / 0.05))
    resting = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    mouth = np.exp(-(u**2 / 0.08 + (v + 0.45) ** 2 / 0.01)).reshape(-1)
    below = np.where(v.reshape(-1) < -0.45, -1.0, 1.0)
    t = np.arange(n_frames) / FPS
    opening = 4 * (1 + np.sin(2 * np.pi * 3.1 * t)) + 2 * np.sin(2 * np.pi * 7.3 * t)
    frames = np.repeat(resting[None], n_frames, axis=0)
    frames[:, :, 1] += opening[:, None] * (mouth * below)
    frames[:, :, 2] += (3 * np.sin(2 * np.pi * 0.8 * t))[:, None] * resting[:, 1] / 100
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    lower = np.stack([corner, corner + 1, corner + columns], axis=1)
    upper = np.stack([corner + 1, corner + columns + 1, corner + columns], axis=1)
    return frames.astype(np.float32), np.concatenate([lower, upper]).astype(np.uint32)


def _write_tone(path: Path, duration_s: float) -> int:
    t = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    samples = 0.3 * np.sin(2 * np.pi * 180 * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * t))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path.stat().st_size

"""A launched study with films that a browser can play: half a second of a moving block of colour, and a tone."""

import wave
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, select

from db import store
from db.session import reading
from db.study_models import Stimulus, Study
from evaluation.render import pad_to, write_film
from evaluation.study.design import Design
from tests.study_world import launched

FRAMES, SIZE = 12, 96  # as long as the clips of `study_world`


def film_study(engine: Engine, design: Design, name: str = "pilot") -> Study:
    """As `study_world.launched`, with real films; all of an item have one size, as after a real launch."""
    study = launched(engine, design, name)
    tone = _tone(store.data_root() / "tone.wav")
    with reading(engine) as session:
        films = session.execute(
            select(Stimulus.path, Stimulus.item_id, Stimulus.id).where(Stimulus.study_id == study.id)
        ).all()
    by_item: dict[int, list[Path]] = {}
    for stored, item, number in films:
        path = store.stored_path(stored)
        path.unlink()
        write_film(path, _pictures(number), 25.0, tone)
        by_item.setdefault(item, []).append(path)
    for paths in by_item.values():
        size = max(path.stat().st_size for path in paths) + 64
        for path in paths:
            pad_to(path, size)
    return study


def _pictures(number: int):
    for frame in range(FRAMES):
        picture = np.full((SIZE, SIZE, 3), 230, np.uint8)
        picture[10 + 3 * frame : 40 + 3 * frame, 30:66] = (40 * number % 256, 90, 255 - 20 * number % 256)
        yield picture


def _tone(path: Path) -> Path:
    samples = 0.2 * np.sin(2 * np.pi * 300 * np.arange(int(16_000 * FRAMES / 25)) / 16_000)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return path

"""Animations that researchers made of recordings: a folder each, with what was asked for and what came out.

    <data root>/animations/<id>/about.json     settings, and what made it
                                speech.wav     the recording, 16 kHz mono
                                motion.npy     (T, 3V) float32, corpus units
                                motion.bin     the same for the player, see `db.playback`
                                face.mp4, face.glb     once somebody asked for them
                                put-away       is there while the animation is put away
    <data root>/animations/recordings/<SHA-256>.<ending>     what was uploaded or recorded, as it came

An id is random; nothing that a visitor types becomes part of a path.
"""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db import store

FILES = {"about": "about.json", "speech": "speech.wav", "motion": "motion.npy", "playback": "motion.bin",
         "mp4": "face.mp4", "glb": "face.glb"}  # fmt: skip
ENDINGS = ("wav", "mp3", "ogg", "oga", "opus", "flac", "m4a", "aac", "webm", "mp4")
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Animation:
    """One animation; `about` as in its file."""

    id: str
    folder: Path
    about: dict[str, Any]

    @property
    def put_away(self) -> bool:
        """Whether it was taken off the list."""
        return (self.folder / "put-away").exists()


def animations_folder() -> Path:
    """Where animations lie."""
    return store.data_root() / "animations"


def new_id() -> str:
    """An id that nobody can guess and no other animation has."""
    return secrets.token_hex(16)


def folder_of(animation_id: str) -> Path:
    """Where an animation lies, or would. Raises ValueError for something that is no id."""
    if not _ID.fullmatch(animation_id):
        raise ValueError(f"animation {animation_id[:40]!r}: is no id of an animation")
    return animations_folder() / animation_id


def file_of(animation_id: str, kind: str) -> Path | None:
    """One of its files (see FILES), or None if there is none."""
    path = folder_of(animation_id) / FILES[kind]
    return path if path.is_file() else None


def find_animation(animation_id: str) -> Animation | None:
    """The animation, or None if it is not there or not whole."""
    folder = folder_of(animation_id)
    try:
        return Animation(animation_id, folder, json.loads((folder / "about.json").read_text()))
    except (OSError, ValueError):
        return None


def list_animations(put_away: bool = False) -> list[Animation]:
    """Those on the list, or those that were put away, newest first."""
    ids = [path.name for path in animations_folder().glob("*") if _ID.fullmatch(path.name)]
    found = [animation for animation in map(find_animation, ids) if animation and animation.put_away == put_away]
    return sorted(found, key=lambda animation: animation.about["created_at"], reverse=True)


def put_away(animation_id: str, away: bool = True) -> None:
    """Take it off the list, or bring it back; its files stay. Raises ValueError if there is none."""
    if find_animation(animation_id) is None:
        raise ValueError("this animation is not there any more")
    mark = folder_of(animation_id) / "put-away"
    mark.touch() if away else mark.unlink(missing_ok=True)


def keep_recording(data: bytes, name: str) -> Path:
    """Store an uploaded recording, as it came, under a name of ours; the same bytes are kept once.

    Raises ValueError for an empty file, or an ending (of the visitor's file name) that is no sound's.
    """
    ending = name.rpartition(".")[2].lower()
    if ending not in ENDINGS:
        raise ValueError(f"{name[-60:]}: expected sound, with a name that ends in {', '.join(ENDINGS)}")
    if not data:
        raise ValueError(f"{name[-60:]}: the file is empty")
    path = animations_folder() / "recordings" / f"{hashlib.sha256(data).hexdigest()}.{ending}"
    if not path.exists():
        with store.atomic_write(path) as partial:
            partial.write_bytes(data)
    return path

"""Hashes of what an import reads, by which a later import knows that nothing, or what, has changed."""

import hashlib
import json
from pathlib import Path

from db.corpus.source import CorpusSource
from db.corpus.vl import frame_paths
from db.progress import Progress


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; of a folder of frames, over their names and hashes in the order of their numbers."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    total = hashlib.sha256()
    for frame in frame_paths(path):
        total.update(f"{frame.name} {hashlib.sha256(frame.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def digests_of(source: CorpusSource, progress: Progress | None = None) -> dict[str, str]:
    """SHA-256 of every file (or sequence) of the corpus, by its path below the corpus's folder."""
    paths = [*source.files, *clip_paths(source)]
    digests = {}
    for number, path in enumerate(paths, start=1):
        digests[path.relative_to(source.folder).as_posix()] = sha256_of(path)
        if progress:
            progress(number, len(paths), path.name)
    return digests


def clip_paths(source: CorpusSource) -> list[Path]:
    """All files (or sequences) of all clips."""
    return [path for clip in source.clips for path in (clip.vertices_path, clip.audio_path) if path]


def total_digest(settings: dict, digests: dict[str, str]) -> str:
    """One hash over how and what was read; equal exactly if an import would give the same again."""
    canonical = json.dumps({"settings": settings, "files": digests}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What changed between two sets of hashes, in words."""
    changed = [f"{path} changed" for path in after if path in before and before[path] != after[path]]
    added = [f"{path} is new" for path in after if path not in before]
    gone = [f"{path} is gone" for path in before if path not in after]
    return changed + added + gone

"""How a run's prediction of one validation clip grows better: small files for the player, one per improvement.

    <run>/samples/epoch-0012.playback     the predicted face, as `db.playback` packs it
    <run>/samples/sample.json             which clip it is

They are to be looked at, nothing is computed from them. Early epochs change more than late ones, so when there are too
many, those go that are closest to their neighbours on a scale of doublings; the first and the newest stay.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from db import store
from db.playback import encode_playback

KEPT = 24
SHARE = 0.02  # of the time of training that samples may take
_ABOUT = "sample.json"


@dataclass
class SampleWriter:
    """Writes the samples of a run into its `folder`, and sees that they cost little."""

    folder: Path
    _cost_s: float = 0.0
    _written_at: float = -math.inf

    def due(self) -> bool:
        """Whether enough time has gone by since the last sample for what that one took."""
        return time.monotonic() - self._written_at >= self._cost_s / SHARE

    def write(self, epoch: int, vertices: np.ndarray, fps: float, about: dict[str, Any]) -> None:
        """Keep the face (T, V, 3) as it is predicted after `epoch`. Raises OSError if it cannot be written."""
        start = time.monotonic()
        where = self.folder / "samples"
        for path, content in (
            (where / f"epoch-{epoch:04d}.playback", encode_playback(vertices, fps)),
            (where / _ABOUT, json.dumps(about).encode()),
        ):
            with store.atomic_write(path) as partial:
                partial.write_bytes(content)
        for old in set(sampled_epochs(self.folder)) - set(thinned(sampled_epochs(self.folder))):
            sample_path(self.folder, old).unlink(missing_ok=True)
        self._written_at = time.monotonic()
        self._cost_s = self._written_at - start


def sample_path(folder: Path, epoch: int) -> Path:
    """Where a run's sample after `epoch` is, or would be."""
    return folder / "samples" / f"epoch-{epoch:04d}.playback"


def sampled_epochs(folder: Path) -> list[int]:
    """The epochs of which a run has a sample, in order."""
    return sorted(int(path.stem.removeprefix("epoch-")) for path in (folder / "samples").glob("epoch-*.playback"))


def sampled_clip(folder: Path) -> dict[str, Any] | None:
    """What the samples show ("clip", "emotion", "style"), or None if there are none."""
    try:
        return json.loads((folder / "samples" / _ABOUT).read_text())
    except (OSError, ValueError):
        return None


def thinned(epochs: Sequence[int], kept: int = KEPT) -> list[int]:
    """At most `kept` of `epochs` (in order, from 1): the first, the last, and what lies evenly in doublings between."""
    left = list(epochs)
    while len(left) > max(2, kept):
        gaps = [math.log(after / before) for before, after in zip(left[:-2], left[2:], strict=True)]
        del left[1 + gaps.index(min(gaps))]
    return left


class Shown(Protocol):
    """What the choice of the clip needs to know of one."""

    @property
    def name(self) -> str: ...
    @property
    def emotion(self) -> str: ...
    @property
    def n_frames(self) -> int: ...


def telling_clip(clips: Sequence[Shown], fps: float) -> int:
    """Which clip to look at: one that is not neutral, if there is one, and of about four seconds."""

    def unsuited(index: int) -> tuple[bool, float, str]:
        clip = clips[index]
        return clip.emotion == "neutral", abs(clip.n_frames / fps - 4.0), clip.name

    return min(range(len(clips)), key=unsuited)

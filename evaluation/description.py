"""What a style encoder made of every clip, read from the files that `python -m eavanet.describe` writes."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("clip", "subject", "emotion", "part")


class NoDescription(ValueError):
    """The folder holds no description of a style encoder, or a damaged one; the message says what to do."""


@dataclass(frozen=True)
class Description:
    """N clips as a style encoder sees them.

    clip, subject, emotion, part: names (N,). embedding, untrained: (N, D), by the trained encoder and by one before
    training. scores: (N, heads, tokens), attention over the style tokens. source: checkpoint, data and seed.
    """

    clip: NDArray[np.str_]
    subject: NDArray[np.str_]
    emotion: NDArray[np.str_]
    part: NDArray[np.str_]
    embedding: NDArray[np.float32]
    untrained: NDArray[np.float32]
    scores: NDArray[np.float32]
    source: dict[str, Any]

    def of(self, *parts: str) -> "Description":
        """The clips of these parts of the split only. Raises NoDescription if there is none."""
        kept = np.isin(self.part, parts)
        if not kept.any():
            raise NoDescription(f"no clip of {', '.join(parts)}; there are clips of {', '.join(np.unique(self.part))}")
        arrays = (*NAMES, "embedding", "untrained", "scores")
        return Description(**{name: getattr(self, name)[kept] for name in arrays}, source=self.source)


def read_description(folder: Path) -> Description:
    """The description in `folder` (a run's `description`). Raises NoDescription if it is missing or damaged."""
    try:
        source = json.loads((folder / "description.json").read_text())
        embeddings, attention = (_arrays(folder / name) for name in ("embeddings.npz", "attention.npz"))
        found = Description(
            **{name: embeddings[name] for name in (*NAMES, "embedding", "untrained")},
            scores=attention["scores"], source=source,
        )  # fmt: skip
        same = np.array_equal(found.clip, attention["clip"])
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise NoDescription(f"{folder}: no {missing}; run python -m eavanet.describe first") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise NoDescription(f"{folder}: damaged ({error}); run python -m eavanet.describe again") from error
    lengths = {len(getattr(found, name)) for name in (*NAMES, "embedding", "untrained", "scores")}
    if not same or lengths != {len(found.clip)} or (found.embedding.ndim, found.scores.ndim) != (2, 3):
        raise NoDescription(f"{folder}: its files are not of the same clips; run python -m eavanet.describe again")
    return found


def _arrays(path: Path) -> dict[str, NDArray]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}

"""From the database to batches: the clips of a split with their labels, loaded ahead of the training step.

A clip's motion is read from its memory map as displacement from the subject's template (the V_i - m of Eq. (6)); its
audio features are computed once and kept (see `feature_cache`).
"""

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from db.clips import load_audio, load_template, load_topology, load_vertices
from eavanet.feature_cache import FeatureCache
from eavanet.padding import pad_sequences
from eavanet.sampling import PlannedBatch
from eavanet.split import LabelledClip, LabelledSplit
from eavanet.split import load_split as load_split  # readers of data look for it here

Item, Loaded = TypeVar("Item"), TypeVar("Loaded")


@dataclass(frozen=True)
class Face:
    """What is needed to show a prediction without the database.

    templates: (subjects, V, 3) float32; triangles: (F, 3); colours: (V, 3) uint8 or None.
    """

    templates: Tensor
    triangles: Tensor
    colours: Tensor | None


def load_face(split: LabelledSplit) -> Face:
    """The corpus's triangles and the training subjects' templates, in the model's order."""
    rows = {clip.subject: clip.row.subject for clip in split.parts["train"]}
    templates = np.stack([load_template(rows[name]) for name in split.subjects]).astype(np.float32)
    triangles, colours = load_topology(split.corpus)
    return Face(
        torch.from_numpy(templates),
        torch.from_numpy(triangles.astype(np.int64)),
        None if colours is None else torch.from_numpy(np.array(colours)),
    )


class ClipStore:
    """Motion and audio features of clips, by clip. Features stay in memory; motion is read each time."""

    def __init__(self, cache: FeatureCache):
        self.cache = cache
        self._templates: dict[str, np.ndarray] = {}
        self._features: dict[str, Tensor] = {}

    def displacements(self, clip: LabelledClip) -> Tensor:
        """(T, 3V) float32: the clip's motion from its subject's template, V - m in Eq. (6)."""
        if clip.subject not in self._templates:
            self._templates[clip.subject] = load_template(clip.row.subject)
        vertices = load_vertices(clip.row)  # (T, V, 3), a memory map
        moved = np.empty(vertices.shape, dtype=np.float32)
        np.subtract(vertices, self._templates[clip.subject], out=moved, casting="same_kind")
        return torch.from_numpy(moved).flatten(1)

    def features(self, clip: LabelledClip) -> Tensor:
        """(states per frame x T, C) frozen audio features."""
        if clip.name not in self._features:
            self._features[clip.name] = self.cache.features(load_audio(clip.row), clip.n_frames)
        return self._features[clip.name]


@dataclass
class Batch:
    """B clips ready for a step. Lengths stay on the CPU (see `padding`); everything else is on the device.

    style and style_frames are None for systems that take no style from another clip.
    """

    clips: list[LabelledClip]
    features: Tensor  # (B, states per frame x T, C)
    target: Tensor  # (B, T, 3V)
    n_frames: Tensor  # (B,)
    speaker: Tensor  # (B,)
    emotion: Tensor  # (B,)
    style: Tensor | None  # (B, T', 3V)
    style_frames: Tensor | None  # (B,)
    weights: Tensor  # (B,) each clip's part of the loss

    def to(self, device: torch.device) -> "Batch":
        """On the device, from pinned memory where that lets the copy run beside the computation."""
        if device.type == "cpu":
            return self
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self._to_move()}
        return dataclasses.replace(self, **moved)

    def pinned(self) -> "Batch":
        return dataclasses.replace(self, **{name: tensor.pin_memory() for name, tensor in self._to_move()})

    def _to_move(self) -> Iterator[tuple[str, Tensor]]:
        for name in ("features", "target", "speaker", "emotion", "style", "weights"):
            if getattr(self, name) is not None:
                yield name, getattr(self, name)


class Loader:
    """Makes batches in background threads, `ahead` batches before they are asked for.

    Reading and converting vertices happens in numpy, which lets the training step run meanwhile. waited_s counts the
    time for which a step had to wait for its batch.
    """

    def __init__(
        self,
        store: ClipStore,
        targets: list[LabelledClip],
        pool: list[LabelledClip],
        subjects: tuple[str, ...],
        emotions: tuple[str, ...],
        device: torch.device,
        workers: int = 2,
        ahead: int = 4,
    ):
        self.store, self.targets, self.pool = store, targets, pool
        self.subjects, self.emotions, self.device = subjects, emotions, device
        self.workers, self.ahead = workers, ahead
        self.waited_s = 0.0

    def batches(self, plan: Iterable[PlannedBatch]) -> Iterator[Batch]:
        """The planned batches in order, on the device. The plan may be endless; it is read as far as needed."""
        for batch in self._ahead(self._load, plan):
            yield batch.to(self.device)

    def motions(self, clips: Iterable[LabelledClip]) -> Iterator[tuple[LabelledClip, Tensor]]:
        """Each clip with its displacements (T, 3V) on the device."""
        for clip, motion in self._ahead(lambda clip: (clip, self.store.displacements(clip)), clips):
            yield clip, motion.to(self.device)

    def _ahead(self, load: Callable[[Item], Loaded], items: Iterable[Item]) -> Iterator[Loaded]:
        """load(item) for each item, in order, `ahead` of them at work or ready."""
        items = iter(items)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="loader") as threads:
            waiting: deque[Future[Loaded]] = deque()
            try:
                waiting.extend(threads.submit(load, item) for item in itertools.islice(items, self.ahead))
                while waiting:
                    start = time.perf_counter()
                    loaded = waiting.popleft().result()
                    self.waited_s += time.perf_counter() - start
                    waiting.extend(threads.submit(load, item) for item in itertools.islice(items, 1))
                    yield loaded
            finally:
                for future in waiting:
                    future.cancel()

    def _load(self, planned: PlannedBatch) -> Batch:
        targets = [self.targets[pair.target] for pair in planned.pairs]
        styles = [self.pool[pair.style] for pair in planned.pairs if pair.style is not None]
        features, _ = pad_sequences([self.store.features(clip) for clip in targets])
        target, n_frames = pad_sequences([self.store.displacements(clip) for clip in targets])
        style, style_frames = None, None
        if styles:
            style, style_frames = pad_sequences([self.store.displacements(clip) for clip in styles])
        batch = Batch(
            targets, features, target, n_frames,
            torch.tensor([self.subjects.index(clip.subject) for clip in targets]),
            torch.tensor([self.emotions.index(clip.emotion) for clip in targets]),
            style, style_frames, torch.tensor(planned.weights),
        )  # fmt: skip
        return batch.pinned() if self.device.type == "cuda" else batch

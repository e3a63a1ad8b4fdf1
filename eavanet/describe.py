"""`python -m eavanet.describe`: what the style encoder makes of every clip, as files, for Fig. 2 and Fig. 3.

    <run>/description/embeddings.npz     clip, subject, emotion, part (N,); embedding, untrained (N, D)
    <run>/description/attention.npz      clip, subject, emotion, part (N,); scores (N, heads, tokens), sum to 1
    <run>/description/description.json   which checkpoint, data and seed they come from

The clips are all labelled ones of the split that the model was trained on. "untrained" is the embedding by a style
encoder of the same make with its weights as they are before training: what of the grouping in Fig. 2 is in the motion
itself. The files need no torch to be read.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from db import store
from db.clips import load_template, load_vertices
from db.session import DatabaseUnusable, open_database, reading
from eavanet.checkpoint import Checkpoint, check_topology, load_checkpoint
from eavanet.distributed import chosen_device
from eavanet.model import EavaNet
from eavanet.progress import Progress
from eavanet.run import find_checkpoint
from eavanet.split import PARTS, LabelledClip, LabelledSplit, load_split
from eavanet.style import StyleEncoder


def main(arguments: list[str] | None = None) -> int:
    """Describe a checkpoint's styles; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        summary = _describe(given)
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary) if given.json else f"styles of {summary['clips']} clips in {summary['folder']}")
    return 0


def describe(checkpoint: Checkpoint, split: LabelledSplit, progress: Progress | None = None) -> dict[str, np.ndarray]:
    """The style encoder's view of every labelled clip of the split, in the order train, validation, BIWI-A, BIWI-B.

    Gives clip, subject, emotion, part (N,), embedding, untrained (N, D) and scores (N, heads, tokens), float32.
    """
    trained = checkpoint.model.style_encoder
    untrained = untrained_encoder(checkpoint.model, checkpoint.manifest["seed"])
    clips = [(part, clip) for part in PARTS for clip in split.parts[part]]
    embedding, before, scores = [], [], []
    for clip, motion in _motions([clip for _, clip in clips], next(trained.parameters()).device):
        n_frames = torch.tensor([motion.shape[1]])
        with torch.inference_mode():
            style = trained(motion, n_frames)
            before.append(untrained(motion, n_frames).embedding[0].cpu().numpy())
        embedding.append(style.embedding[0].cpu().numpy())
        scores.append(style.scores[0].cpu().numpy())
        if progress:
            progress.advance(clip.name)
    return {
        "clip": np.array([clip.name for _, clip in clips]),
        "subject": np.array([clip.subject for _, clip in clips]),
        "emotion": np.array([clip.emotion for _, clip in clips]),
        "part": np.array([part for part, _ in clips]),
        "embedding": np.stack(embedding).astype(np.float32),
        "untrained": np.stack(before).astype(np.float32),
        "scores": np.stack(scores).astype(np.float32),
    }


def untrained_encoder(model: EavaNet, seed: int) -> StyleEncoder:
    """An encoder of the same make with new weights from `seed`, on the same device.

    What training measures of the data before its first step (the unit of motion) is kept: it is not learned.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = StyleEncoder(model.config.n_vertices, model.config.style)
    for name, buffer in model.style_encoder.named_buffers():
        fresh.get_buffer(name).copy_(buffer)
    return fresh.to(next(model.parameters()).device).eval()


def _motions(clips: list[LabelledClip], device: torch.device) -> Iterator[tuple[LabelledClip, Tensor]]:
    """Each clip with its displacements from the subject's template, (1, T, 3V) float32 as in training."""
    templates: dict[str, np.ndarray] = {}
    for clip in clips:
        if clip.subject not in templates:
            templates[clip.subject] = load_template(clip.row.subject)
        moved = load_vertices(clip.row) - templates[clip.subject]
        yield clip, torch.from_numpy(moved.astype(np.float32)).flatten(1)[None].to(device)


def _describe(given: argparse.Namespace) -> dict:
    checkpoint = load_checkpoint(find_checkpoint(given.checkpoint), chosen_device(given.device))
    if not hasattr(checkpoint.model, "style_encoder"):
        raise ValueError(f"{checkpoint.folder}: a system without a style encoder; only EavaNet can be described")
    split = _open_split(checkpoint)
    check_topology(checkpoint, split.corpus.n_vertices, f"corpus {split.corpus.name}")
    out = given.out or _folder_of(checkpoint.folder)
    if out.exists() and not (out.is_dir() and ((out / "description.json").exists() or not any(out.iterdir()))):
        raise ValueError(f"{out}: holds something else, which would be replaced; choose another folder (--out)")
    with Progress(sum(len(clips) for clips in split.parts.values()), "clip") as progress:
        found = describe(checkpoint, split, progress)
    names = {key: found[key] for key in ("clip", "subject", "emotion", "part")}
    with store.atomic_folder(out) as partial:
        np.savez(partial / "embeddings.npz", **names, embedding=found["embedding"], untrained=found["untrained"])
        np.savez(partial / "attention.npz", **names, scores=found["scores"])
        summary = {
            "checkpoint": str(checkpoint.folder),
            "checkpoint_sha256": checkpoint.manifest["files"]["model.safetensors"],
            **{key: checkpoint.manifest[key] for key in ("run", "epoch", "seed", "corpus", "release", "split")},
            "clips": len(found["clip"]),
            "parts": {part: len(split.parts[part]) for part in PARTS},
            "left_out": split.left_out,
            "files": {path.name: _sha256(path) for path in sorted(partial.glob("*.npz"))},
        }
        (partial / "description.json").write_text(json.dumps(summary, indent=1))
    return summary | {"folder": str(out)}


def _open_split(checkpoint: Checkpoint) -> LabelledSplit:
    """The data that the model was trained on. Raises ValueError if it has become other data, or has no clip."""
    engine = open_database()
    with reading(engine) as session:
        split = load_split(session, *(checkpoint.manifest[key]["name"] for key in ("corpus", "release", "split")))
    engine.dispose()
    for key in ("corpus", "release", "split"):
        if getattr(split, key).sha256 != checkpoint.manifest[key]["sha256"]:
            raise ValueError(
                f"{key} {getattr(split, key).name} has changed since the model was trained; its parts and labels are "
                "not those of the training any more"
            )
    if not any(split.parts.values()):
        raise ValueError(f"split {split.split.name} has no labelled clip")
    return split


def _folder_of(checkpoint: Path) -> Path:
    """Beside the checkpoints of a run; within a checkpoint that lies by itself."""
    return (checkpoint.parent if (checkpoint.parent / "run.json").exists() else checkpoint) / "description"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.describe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", help="a run's name or a folder (default: the newest run's best)")
    parser.add_argument("--out", type=Path, help="folder (default: description in the run's folder)")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="print description.json")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

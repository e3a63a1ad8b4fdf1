"""What `python -m eavanet.peers.published` does: a published file becomes a run with one checkpoint."""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sqlalchemy import select
from sqlalchemy.orm import Session
from torch import Tensor, nn

from db.clips import load_template, load_topology
from db.models import Corpus, Subject
from db.session import DatabaseUnusable, open_database, reading, writing
from eavanet.audio import AudioEncoder
from eavanet.checkpoint import save_checkpoint
from eavanet.data import Face
from eavanet.peers import published
from eavanet.peers.published import UnusablePublished, fill, read_published, speech_encoder
from eavanet.records import register
from eavanet.run import Run, environment
from eavanet.system import System
from eavanet.systems import SYSTEMS, find_system


def main(arguments: list[str] | None = None) -> int:
    """Take a published file; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        summary = take(
            given.file, given.name, tuple(given.subjects.split(",")), given.corpus, given.system,
            given.frames_per_second,
        )  # fmt: skip
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary) if given.json else _told(summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.peers.published", description=published.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("file", type=Path, help="biwi.pth, biwi_stage2.pth.tar, vocaset.pth, ...")
    parser.add_argument("--subjects", required=True, help="condition subjects in the order of training, with commas")
    parser.add_argument("--name", required=True, help="of the run that it becomes")
    parser.add_argument("--corpus", help="whose subjects and triangles these are (default: the only one)")
    peers = ", ".join(name for name, system in SYSTEMS.items() if not system.emotional)
    parser.add_argument("--system", help=f"{peers} (default: what the file's tensors tell)")
    parser.add_argument("--frames-per-second", type=float, help="default: what the file's positions tell")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


def take(
    path: Path,
    name: str,
    subjects: tuple[str, ...],
    corpus: str | None = None,
    system: str | None = None,
    frames_per_second: float | None = None,
) -> dict[str, Any]:
    """Make run `name` of the published file at `path`, and its row in the database; gives a summary.

    subjects: of the corpus, in the order of the model's training. Raises UnusablePublished for a file that cannot be
    taken, ValueError for a run that exists, or for subjects, faces or a frame rate that do not fit the corpus.
    """
    run = Run(name)
    if run.exists:
        raise ValueError(f"run {name} exists; take another --name")
    tensors = read_published(path)
    recognised = _recognised(path, tensors, system)
    engine = open_database()
    try:
        with reading(engine) as session:
            row = _corpus(session, corpus)
            face = _face(session, row, subjects)
        try:
            config = recognised.published_config(tensors, subjects, frames_per_second)
        except ValueError as error:
            raise UnusablePublished(f"{path}: {error}") from error
        _check_fit(config, row, path)
        model = _model(recognised, config, tensors, path)
        with run.locked():
            folder = run.epoch_folder(0)
            save_checkpoint(folder, model, face, {}, _manifest(run, recognised, row, model, path))
            run.keep(folder, folder)
        with writing(engine) as session:
            register(session, name, message=f"published file {path.name}")
    finally:
        engine.dispose()
    return {
        "run": name, "system": recognised.title, "checkpoint": str(folder), "corpus": row.name,
        "subjects": list(subjects), "frames_per_second": config.frames_per_second, "vertices": config.n_vertices,
        "parameters": sum(parameter.numel() for parameter in model.parameters()), "tensors": len(tensors),
    }  # fmt: skip


def _recognised(path: Path, tensors: Mapping[str, Tensor], wanted: str | None) -> System:
    asked = find_system(wanted) if wanted else None
    found = next((system for system in SYSTEMS.values() if system.recognises(tensors)), None)
    if found is None:
        raise UnusablePublished(f"{path}: its tensors are neither FaceFormer's nor CodeTalker's; is it another model?")
    if asked is not None and asked is not found:
        raise UnusablePublished(f"{path}: is {found.title}'s, not {asked.title}'s")
    return found


def _corpus(session: Session, name: str | None) -> Corpus:
    known = session.scalars(select(Corpus).order_by(Corpus.name)).all()
    chosen = [corpus for corpus in known if name in (None, corpus.name)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(corpus.name for corpus in known) or "none; import one first"
    raise ValueError(f"--corpus {name}: is not there; corpora: {names}" if name else f"--corpus: choose one of {names}")


def _face(session: Session, corpus: Corpus, subjects: tuple[str, ...]) -> Face:
    rows = {row.name: row for row in session.scalars(select(Subject).where(Subject.corpus_id == corpus.id))}
    unknown = [name for name in subjects if name not in rows or rows[name].template_row is None]
    if unknown:
        raise ValueError(
            f"--subjects {', '.join(unknown)}: corpus {corpus.name} has no such subject with a template; it has "
            f"{', '.join(sorted(rows))}"
        )
    triangles, colours = load_topology(corpus)
    return Face(
        torch.from_numpy(np.stack([load_template(rows[name]) for name in subjects]).astype(np.float32)),
        torch.from_numpy(triangles.astype(np.int64)),
        None if colours is None else torch.from_numpy(np.array(colours)),
    )


def _check_fit(config: Any, corpus: Corpus, path: Path) -> None:
    if config.n_vertices != corpus.n_vertices:
        raise UnusablePublished(
            f"{path}: makes faces of {config.n_vertices} vertices, corpus {corpus.name} has {corpus.n_vertices}; it "
            "was trained on another corpus"
        )
    if config.frames_per_second != corpus.frames_per_second:
        raise UnusablePublished(
            f"{path}: makes {config.frames_per_second:g} frames per second, corpus {corpus.name} has "
            f"{corpus.frames_per_second:g}; it was trained on another corpus (or give --frames-per-second)"
        )


def _model(system: System, config: Any, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    try:
        encoder = speech_encoder(tensors)
    except UnusablePublished as error:
        raise UnusablePublished(f"{path}: {error}") from error
    model = system.make_model(config, encoder)
    fill(model, tensors, path, system.published_name)
    return model.eval()


def _manifest(run: Run, system: System, corpus: Corpus, model: nn.Module, path: Path) -> dict[str, Any]:
    encoder: AudioEncoder = model.audio_encoder
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "run": run.name,
        "system": system.name,
        "epoch": 0,
        "published": {"file": path.name, "sha256": sha256},
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "synthetic": corpus.synthetic},
        "encoder": {"name": f"that of {path.name}", "random": False, "frozen_sha256": encoder.frozen_sha256()},
        "environment": environment(torch.device("cpu")),
    }


def _told(summary: dict[str, Any]) -> str:
    return (
        f"run {summary['run']}: {summary['system']}, {summary['parameters'] / 1e6:.1f} M parameters, "
        f"{summary['vertices']} vertices, {summary['frames_per_second']:g} frames per second, condition subjects "
        f"{', '.join(summary['subjects'])}\npredict with it: python -m eavanet.predict --checkpoint {summary['run']}"
    )

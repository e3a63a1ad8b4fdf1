"""`python -m eavanet.predict`: a checkpoint's predictions for a split, as files in the peers' layout.

    <out>/<subject>_<sentence>_condition_<condition subject>.npy      (T, 3V) float32
    <out>/predictions.json                                            what made them

They are recorded in the database as a set, by whose name evaluation and studies find them. EavaNet's style is the
lookup table's entry of the clip's label; FaceFormer's and CodeTalker's is the condition subject's. The template is
the clip's own subject's, so that unseen subjects keep their face and borrow a seen speaker as condition.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import store
from db.clips import load_audio, load_template
from db.corpus.npy import write_array
from db.models import Subject
from db.predictions import PredictedFile, record_set, refuse_other_source
from db.result_models import TrainingRun
from db.session import DatabaseUnusable, open_database, reading, writing
from eavanet.checkpoint import Checkpoint, check_topology, load_checkpoint
from eavanet.data import LabelledClip, LabelledSplit, load_split
from eavanet.distributed import chosen_device
from eavanet.generate import Manner, check_speaks, latent_motion, speaker_index, style_for, vertices
from eavanet.progress import Progress
from eavanet.run import find_checkpoint

PARTS = ("train", "validation", "biwi-a", "biwi-b")


def main(arguments: list[str] | None = None) -> int:
    """Predict a split; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        summary = _predict(given)
    except KeyboardInterrupt:
        print("stopped; files that are whole stay, nothing was recorded", file=sys.stderr)
        return 130
    except (ValueError, OSError, DatabaseUnusable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(summary) if given.json else f"{summary['files']} predictions in {summary['folder']}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m eavanet.predict", description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="a run's name or a folder (default: the newest run's best)")
    parser.add_argument("--part", choices=PARTS, default="biwi-a", help="of the split (default: biwi-a)")
    parser.add_argument("--conditions", help="condition subjects, with commas; all: every one that the model knows "
                        "(default: a seen subject itself, and all for an unseen one)")
    parser.add_argument("--emotion", help="EavaNet: for all clips (default: each clip's label)")
    parser.add_argument("--intensity", type=float, default=1.0, help="EavaNet: 0 neutral, 1 the emotion, above 1 "
                        "exaggerated")
    parser.add_argument("--blend", metavar="SUBJECT", help="FaceFormer and CodeTalker: mix in this speaker's style")
    parser.add_argument("--weight", type=float, default=0.5, help="with --blend: the condition subject's own part of "
                        "the style, 0 to 1 (default: 0.5)")
    parser.add_argument("--corpus", help="default: the one that the model was trained on")
    parser.add_argument("--release", help="default: the one that the model was trained on")
    parser.add_argument("--split", help="default: the one that the model was trained on")
    parser.add_argument("--name", help="of the set (default: run, part, and what else was asked for)")
    parser.add_argument("--out", type=Path, help="folder (default: predictions/<name> in the data root)")
    parser.add_argument("--replace", action="store_true", help="in the place of what the name stood for")
    parser.add_argument("--device", help="cpu, cuda or cuda:<number> (default: a GPU if there is one)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser  # fmt: skip


def _predict(given: argparse.Namespace) -> dict:
    checkpoint = load_checkpoint(find_checkpoint(given.checkpoint), chosen_device(given.device))
    check_speaks(checkpoint)
    split = _open_split(given, checkpoint)
    check_topology(checkpoint, split.corpus.n_vertices, f"corpus {split.corpus.name}")
    if split.corpus.frames_per_second != checkpoint.model.config.frames_per_second:
        raise ValueError(
            f"corpus {split.corpus.name} has {split.corpus.frames_per_second} frames per second, the model makes "
            f"{checkpoint.model.config.frames_per_second}"
        )
    pairs = planned(split.parts[given.part], checkpoint.model.config.subjects, given.conditions)
    if not pairs:
        raise ValueError(f"split {split.split.name} has no labelled clip in {given.part}")
    manners = [_manner(given, checkpoint, clip) for clip, _ in pairs]
    asked = {(condition, manner) for (_, condition), manner in zip(pairs, manners, strict=True)}
    for subject, manner in sorted(asked, key=repr):
        style_for(checkpoint.model, subject, manner)  # refused before anything is written
    name = store.checked_name(given.name or _default_name(given, checkpoint), "predictions")
    out = given.out or store.data_root() / "predictions" / name
    summary = {
        "name": name,
        "checkpoint": str(checkpoint.folder),
        "checkpoint_sha256": checkpoint.manifest["files"]["model.safetensors"],
        "folder": str(out),
        "part": given.part,
        "system": checkpoint.system.name,
        **_asked(given, checkpoint),
        "files": len(pairs),
        **{key: checkpoint.manifest[key] for key in ("run", "epoch", "corpus", "encoder")},
        **{key: checkpoint.manifest[key] for key in ("release", "split", "published") if key in checkpoint.manifest},
    }
    engine = open_database()
    with reading(engine) as session:
        refuse_other_source(session, name, summary, given.replace)
    with Progress(len(pairs), "prediction") as progress:
        written = []
        for path in write_predictions(checkpoint, pairs, out, manners):
            progress.advance(path.name)
            written.append(path)
    with store.atomic_write(out / "predictions.json") as partial:
        partial.write_text(json.dumps(summary, indent=1))
    with writing(engine) as session:
        _record(session, summary, split, list(zip(pairs, written, strict=True)), given, checkpoint)
    engine.dispose()
    return summary


def _manner(given: argparse.Namespace, checkpoint: Checkpoint, clip: LabelledClip) -> Manner:
    emotion = given.emotion or (clip.emotion if checkpoint.system.emotional else None)
    return Manner(emotion, given.intensity, given.blend, given.weight if given.blend else 1.0)


def _asked(given: argparse.Namespace, checkpoint: Checkpoint) -> dict:
    """What the summary says of the manner."""
    if checkpoint.system.emotional:
        return {
            "emotion": given.emotion or "label", "intensity": given.intensity, "exaggerated": given.intensity > 1
        }  # fmt: skip
    return {"blend": given.blend, "weight": given.weight} if given.blend else {}


def _default_name(given: argparse.Namespace, checkpoint: Checkpoint) -> str:
    asked = [checkpoint.manifest["run"], given.part, given.emotion]
    if given.intensity != 1:
        asked.append(f"alpha-{given.intensity:g}".replace(".", "_"))
    if given.blend:
        asked.append(f"blend-{given.blend}-{given.weight:g}".replace(".", "_"))
    return "-".join(filter(None, asked))


def _record(
    session: Session,
    summary: dict,
    split: LabelledSplit,
    written: list,
    given: argparse.Namespace,
    checkpoint: Checkpoint,
) -> None:
    """Store the set: what was predicted, from which checkpoint, and the hashes of the files."""
    run = session.scalar(select(TrainingRun).where(TrainingRun.name == summary["run"]))
    subjects = {row.name: row for row in session.scalars(
        select(Subject).where(Subject.corpus_id == split.corpus.id)
    )}  # fmt: skip
    files = [
        PredictedFile(clip.row, subjects[condition], path, clip.n_frames) for (clip, condition), path in written
    ]
    record_set(
        session, files, name=summary["name"], system=checkpoint.system.title, corpus=split.corpus, source=summary,
        run_id=run.id if run else None, part=given.part, emotion=given.emotion, intensity=summary.get("intensity"),
        simulated=split.release.simulated, replace=given.replace,
    )  # fmt: skip


def write_predictions(
    checkpoint: Checkpoint,
    pairs: list[tuple[LabelledClip, str]],
    out: Path,
    manners: list[Manner],
) -> Iterator[Path]:
    """Predict each (clip, condition subject) in its manner; write its file in one step and give the path after each."""
    for (clip, condition), manner in zip(pairs, manners, strict=True):
        style = style_for(checkpoint.model, condition, manner)
        speaker = speaker_index(checkpoint.model, condition)
        latent = latent_motion(checkpoint.model, load_audio(clip.row), speaker, style, n_frames=clip.n_frames)
        frames = list(vertices(checkpoint, latent, load_template(clip.row.subject)))
        path = out / f"{clip.name}_condition_{condition}.npy"
        with store.atomic_write(path) as partial:
            write_array(partial, np.concatenate(frames).reshape(clip.n_frames, -1))
        yield path


def planned(
    clips: list[LabelledClip], subjects: tuple[str, ...], conditions: str | None
) -> list[tuple[LabelledClip, str]]:
    """Which clip is predicted with which condition subject. Raises ValueError for one that the model does not know."""
    asked = subjects if conditions == "all" else tuple(conditions.split(",")) if conditions else None
    unknown = set(asked or ()) - set(subjects)
    if unknown:
        raise ValueError(f"condition subject {', '.join(sorted(unknown))}: the model knows {', '.join(subjects)}")
    return [
        (clip, condition)
        for clip in clips
        for condition in (asked or ((clip.subject,) if clip.subject in subjects else subjects))
    ]


def _open_split(given: argparse.Namespace, checkpoint: Checkpoint) -> LabelledSplit:
    corpus = given.corpus or checkpoint.manifest["corpus"]["name"]
    same = corpus == checkpoint.manifest["corpus"]["name"]
    known = {key: checkpoint.manifest.get(key, {}).get("name") if same else None for key in ("release", "split")}
    engine = open_database()
    with reading(engine) as session:
        split = load_split(session, corpus, given.release or known["release"], given.split or known["split"])
    engine.dispose()
    return split


if __name__ == "__main__":
    # A job that is cancelled gets SIGTERM; like Ctrl-C, it must leave nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())

"""Score a folder of predictions against a folder of truth: files in, figures out, no database.

This is what `python -m evaluation.metrics` runs. Files are in the peers' layout: the truth as
`<subject>_<sentence>.npy`, a prediction as the same or as `<subject>_<sentence>_condition_<subject>.npy`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from db.corpus.errors import BadFile
from db.corpus.indices import read_indices
from db.corpus.naming import parse_clip_name, subject_name
from db.corpus.npy import read_vertices
from db.corpus.pickles import read_pickle
from evaluation.metrics import ClipScores, Scores, pool, score_clip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        scores = pool(scores_of_folders(
            options.truth, options.prediction, options.templates, options.lips, options.upper_face,
            options.clips.split(",") if options.clips else None, options.condition,
        ))  # fmt: skip
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(scores)) if options.json else _as_text(scores))
    return 0


def scores_of_folders(
    truth: Path,
    prediction: Path,
    templates: Path,
    lips: Path,
    upper_face: Path,
    clips: list[str] | None = None,
    condition: str | None = None,
) -> Iterator[ClipScores]:
    """The components of every clip, one at a time, so that memory stays flat.

    clips: names such as F2_e37; all of the truth by default. condition: the speaker identity that the model was
    given, where there is a prediction for several. All files are found and matched before the first is scored.
    Raises ValueError (BadFile) that names the file for whatever is missing or does not fit.
    """
    pairs = _matched(truth, prediction, clips, condition)
    neutral = _read_templates(templates)
    for name in pairs:
        subject, _ = parse_clip_name(name)
        if subject not in neutral:
            raise ValueError(f"{templates.name}: no template for {subject}, whose clip {name} is to be scored; it has "
                             f"{', '.join(sorted(neutral))}")
    n_vertices = len(next(iter(neutral.values())))
    regions = read_indices(lips, n_vertices), read_indices(upper_face, n_vertices)
    for name, (true_file, predicted_file) in tqdm(pairs.items(), unit="clip", disable=None):
        reference, predicted = read_vertices(true_file, n_vertices), read_vertices(predicted_file, n_vertices)
        try:
            scores = score_clip(predicted, reference, neutral[parse_clip_name(name)[0]], *regions)
        except ValueError as error:
            raise ValueError(f"{predicted_file.name}: {error}") from error
        if not (np.isfinite(scores.vertex_error).all() and np.isfinite(scores.fdd)):
            guilty = predicted_file if np.isfinite(reference).all() else true_file
            raise ValueError(f"{guilty.parent.name}/{guilty.name}: has values that are no numbers (NaN or infinite); "
                             "write it again, or leave the clip out with --clips")
        yield scores


def _matched(truth: Path, prediction: Path, clips: list[str] | None, condition: str | None) -> dict:
    for folder, option in ((truth, "--truth"), (prediction, "--prediction")):
        if not folder.is_dir():
            raise ValueError(f"{option} {folder}: no such folder")
    names = clips or sorted(path.stem for path in truth.glob("*.npy"))
    if not names:
        raise ValueError(f"--truth {truth}: no .npy file in it; expected <subject>_<sentence>.npy")
    missing = [name for name in names if not (truth / f"{name}.npy").is_file()]
    if missing:
        raise ValueError(f"--truth {truth}: no {_few(missing)}")
    found = {name: _prediction_of(prediction, name, condition) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ValueError(f"--prediction {prediction}: {len(missing)} of {len(names)} clips have no prediction: "
                         f"{_few(missing)}; predict them, or name the clips to score with --clips")
    return {name: (truth / f"{name}.npy", path) for name, path in found.items()}


def _prediction_of(folder: Path, name: str, condition: str | None) -> Path | None:
    if condition is not None:
        wanted = folder / f"{name}_condition_{condition}.npy"
        return wanted if wanted.is_file() else None
    plain = folder / f"{name}.npy"
    conditioned = sorted(folder.glob(f"{name}_condition_*.npy"))
    if plain.is_file() or not conditioned:
        return plain if plain.is_file() else None
    if len(conditioned) > 1:
        subjects = ", ".join(path.stem.rpartition("_")[2] for path in conditioned)
        raise ValueError(f"{name}: predictions under {len(conditioned)} condition subjects ({subjects}); "
                         "say which to score with --condition")
    return conditioned[0]


def _read_templates(path: Path) -> dict[str, np.ndarray]:
    content = read_pickle(path)
    if not isinstance(content, dict) or not content:
        raise BadFile(f"{path.name}: holds {type(content).__name__}, expected a dict from subject to vertices")
    templates = {}
    for subject, vertices in content.items():
        values = np.asarray(vertices)
        if values.dtype.kind != "f" or values.size == 0 or values.size % 3:
            raise BadFile(f"{path.name}: the template of {subject_name(subject)} is {values.dtype} {values.shape}, "
                          "expected (V, 3) coordinates")
        templates[subject_name(subject)] = values.reshape(-1, 3)
    if len({len(values) for values in templates.values()}) > 1:
        raise BadFile(f"{path.name}: templates of different vertex counts; they must share the corpus's topology")
    return templates


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _as_text(scores: Scores) -> str:
    return "\n".join([
        f"clips             {scores.clips}",
        f"frames            {scores.frames}",
        f"vertex error      {scores.vertex_error:.6e}   mean squared distance, lower is better",
        f"lip vertex error  {scores.lip_vertex_error:.6e}   largest squared lip distance per frame, lower is better",
        f"FDD               {scores.fdd: .6e}  truth minus prediction, closer to 0 is better",
        f"|FDD|             {scores.fdd_absolute:.6e}   mean of the absolute values",
    ])  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.metrics",
        description="Vertex error, lip vertex error and FDD of predicted vertex files, as the official script "
        "computes them. A prediction longer than the truth is cut; a shorter one is an error.",
    )
    parser.add_argument("--truth", type=Path, required=True, help="folder of <subject>_<sentence>.npy")
    parser.add_argument("--prediction", type=Path, required=True,
                        help="folder of the same names, or <subject>_<sentence>_condition_<subject>.npy")
    parser.add_argument("--templates", type=Path, required=True, help="templates.pkl: a dict from subject to vertices")
    parser.add_argument("--lips", type=Path, required=True, help="vertex indices of the lips (lve.txt)")
    parser.add_argument("--upper-face", type=Path, required=True, help="vertex indices of the upper face (fdd.txt)")
    parser.add_argument("--clips", help="comma separated names to score; default: all of the truth")
    parser.add_argument("--condition", metavar="SUBJECT", help="which condition subject's predictions to score")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser

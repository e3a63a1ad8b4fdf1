"""The files beside the sequences that both layouts share: regions, original ratings, and what is plainly missing."""

from pathlib import Path

from db import store
from db.corpus.errors import BadFile, UnusableCorpus
from db.corpus.indices import read_indices
from db.corpus.original_ratings import HOW_TO, is_outlier, read_original_ratings
from db.corpus.problems import Problem
from db.corpus.settings import DEFAULT_FRAMES_PER_SECOND, CorpusToml, ImportOptions
from db.corpus.source import ClipSource, CorpusSource

USUAL_REGIONS = {"lve": "the lip vertex error", "fdd": "the upper-face dynamics deviation"}
_LISTED = 10


def described(toml: CorpusToml, options: ImportOptions, folder: Path) -> dict:
    """The fields of CorpusSource that corpus.toml and the options decide together."""
    stated, given = toml.frames_per_second, options.frames_per_second
    if stated and given and stated != given:
        raise UnusableCorpus(f"corpus.toml says {stated:g} frames per second, --fps {given:g}; correct one of them")
    name = options.name or toml.name or folder.name
    return {
        "folder": folder,
        "name": _usable_name(name, bool(options.name or toml.name)),
        "synthetic": toml.synthetic,
        "licence": toml.licence,
        "description": toml.description,
        "frames_per_second": float(given or stated or DEFAULT_FRAMES_PER_SECOND),
        "mm_per_unit": toml.mm_per_unit,
    }


def _usable_name(name: str, chosen: bool) -> str:
    try:
        return store.checked_name(name, "corpus")
    except ValueError as error:
        if chosen:
            raise
        raise UnusableCorpus(f"the folder's name {name!r} cannot name a corpus; give a name with --name") from error


def add_companions(source: CorpusSource, renaming: dict[str, str]) -> None:
    """Read regions and original ratings into `source`, and note what they and the clips lack."""
    toml = source.folder / "corpus.toml"
    source.files += [toml] if toml.exists() else []
    _add_regions(source)
    _add_original_ratings(source, renaming)
    source.problems += missing_sequences(source.clips)
    for subject in source.subjects:
        if subject not in source.templates and not any(f"subject {subject}:" in p.message for p in source.problems):
            source.problems.append(
                Problem(
                    "missing_template",
                    f"subject {subject}: no template, so nothing can be trained on or predicted for this subject; "
                    "labelling works. Add the template and import again",
                )
            )


def _add_regions(source: CorpusSource) -> None:
    files = sorted((source.folder / "regions").glob("*.txt")) or sorted(source.folder.glob("*/regions/*.txt"))
    paths = {path.stem: path for path in files}
    lips = sorted([*source.folder.glob("*_lip.pkl"), *source.folder.glob("regions/*_lip.pkl")])
    if "lve" not in paths and lips:
        paths["lve"] = lips[0]
    for name, path in paths.items():
        try:
            source.regions[name] = read_indices(path, source.n_vertices)
        except BadFile as error:
            source.problems.append(Problem("region", str(error)))
        source.files.append(path)
    for name in USUAL_REGIONS.keys() - paths.keys():
        source.problems.append(
            Problem("missing_regions", f"regions/{name}.txt is missing: {USUAL_REGIONS[name]} cannot be computed")
        )


def _add_original_ratings(source: CorpusSource, renaming: dict[str, str]) -> None:
    path = source.folder / "original_ratings.csv"
    if not path.exists():
        source.problems.append(
            Problem("missing_ratings", f"no original_ratings.csv, so outliers cannot be recognised. {HOW_TO}")
        )
        return
    source.files.append(path)
    try:
        ratings = read_original_ratings(path)
    except BadFile as error:
        # Half of the ratings would silently turn outliers into usable clips.
        raise UnusableCorpus(str(error)) from error
    known = {clip.name for clip in source.clips}
    unknown = []
    for name, scores in ratings.items():
        subject, _, sentence = name.rpartition("_")
        name = f"{subject}_{renaming.get(sentence, sentence)}"
        source.original_ratings[name] = scores
        if name in known and is_outlier(scores):
            source.problems.append(Problem("outlier", f"{name}: all {len(scores)} original ratings are zero", name))
        elif name not in known:
            unknown.append(name)
    if unknown:
        source.problems.append(
            Problem(
                "unknown_rating",
                f"original_ratings.csv rates {len(unknown)} clips that are not there: {_listed(unknown)}",
            )
        )


def missing_sequences(clips: list[ClipSource]) -> list[Problem]:
    """One note per subject that lacks sentences which other subjects have."""
    sentences = {clip.sentence for clip in clips}
    spoken: dict[str, set[str]] = {}
    for clip in clips:
        spoken.setdefault(clip.subject, set()).add(clip.sentence)
    return [
        Problem(
            "missing_sequences",
            f"{subject}: no {_listed(sorted(sentences - have))}, which other subjects have",
        )
        for subject, have in sorted(spoken.items())
        if sentences - have
    ]


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")

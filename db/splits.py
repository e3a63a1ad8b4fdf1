"""Splits (the paper's IV.A): train, validation and BIWI-A from the selected subjects, BIWI-B from the others.

8 : 1 : 1, stratified by subject and emotion: in each part, every subject, every emotion and every pair of them has
its share, rounded up or down. Which clips of a pair go where is decided by a hash of seed and clip, so that the same
clips and seed give the same split on any machine, in any order, for ever.
"""

import csv
import hashlib
import io
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import events, store
from db.models import Clip, LabelRelease, ReleaseLabel, ReleaseSubject, Split, SplitMember, Subject
from db.rounding import controlled_rounding

PARTS = ("train", "validation", "biwi-a", "biwi-b")
PAPER_BIWI_B = 30  # clips of unseen subjects, in the paper


@dataclass(frozen=True, order=True)
class LabelledClip:
    """What a split needs to know of a clip: its name, who speaks, and the emotion that the raters agreed on."""

    name: str
    subject: str
    emotion: str


def make_split(
    clips: Iterable[LabelledClip], selected: Iterable[str], *, seed: int = 0, biwi_b: int = PAPER_BIWI_B
) -> dict[str, str]:
    """The part of each clip: clip name -> "train", "validation", "biwi-a" or "biwi-b".

    All clips of the `selected` subjects are divided: of n clips, floor(0.8 n) train, floor(0.1 n) validate, the rest
    is BIWI-A (146, 18 and 19 of the paper's 183). Of the other subjects' clips, `biwi_b` are BIWI-B; the others
    are in no part. Raises ValueError for a clip that is there twice, no clip of a selected subject, or too few others.
    """
    clips, selected = sorted(clips), set(selected)
    if len({clip.name for clip in clips}) != len(clips):
        raise ValueError("a clip is there twice; expected one label per clip")
    seen = [clip for clip in clips if clip.subject in selected]
    unseen = [clip for clip in clips if clip.subject not in selected]
    if not seen:
        raise ValueError(f"no labelled clip of the selected subjects ({', '.join(sorted(selected)) or 'none'}); "
                         "a split needs at least one selected subject with labelled clips")  # fmt: skip
    if not 0 <= biwi_b <= len(unseen):
        raise ValueError(f"{biwi_b} clips are wanted for BIWI-B, but the subjects that are not selected have "
                         f"{len(unseen)} labelled ones; ask for 0 to {len(unseen)}")  # fmt: skip
    n_train, n_validation = len(seen) * 8 // 10, len(seen) // 10
    test = draw_stratified(seen, len(seen) - n_train - n_validation, f"{seed}:biwi-a")
    rest = [clip for clip in seen if clip not in test]
    validation = draw_stratified(rest, n_validation, f"{seed}:validation")
    parts = {clip.name: "train" for clip in rest}
    parts |= {clip.name: "validation" for clip in validation}
    parts |= {clip.name: "biwi-a" for clip in test}
    parts |= {clip.name: "biwi-b" for clip in draw_stratified(unseen, biwi_b, f"{seed}:biwi-b")}
    return dict(sorted(parts.items()))


def draw_stratified(clips: Iterable[LabelledClip], count: int, seed: str) -> set[LabelledClip]:
    """`count` of `clips`, in which each subject, emotion and pair of them has its share, rounded up or down."""
    cells: dict[tuple[str, str], list[LabelledClip]] = {}
    for clip in clips:
        cells.setdefault((clip.subject, clip.emotion), []).append(clip)
    total = sum(map(len, cells.values()))
    if count == 0 or total == 0:
        return set()
    subjects, emotions = (sorted({key[axis] for key in cells}) for axis in (0, 1))
    shares = [[Fraction(len(cells.get((s, e), [])) * count, total) for e in emotions] for s in subjects]
    numbers = controlled_rounding(shares, random.Random(seed))
    drawn: set[LabelledClip] = set()
    for subject, row in zip(subjects, numbers, strict=True):
        for emotion, number in zip(emotions, row, strict=True):
            shuffled = sorted(cells.get((subject, emotion), []), key=lambda clip: _lot(seed, clip))
            drawn.update(shuffled[:number])
    return drawn


def _lot(seed: str, clip: LabelledClip) -> str:
    return hashlib.sha256(f"{seed}:{clip.name}".encode()).hexdigest()


# Stored splits ------------------------------------------------------------------------------------------------------


def split_release(
    session: Session,
    release: LabelRelease,
    name: str,
    *,
    seed: int = 0,
    biwi_b: int = PAPER_BIWI_B,
    actor: str = "command",
) -> Split:
    """Divide the usable, labelled clips of a label release and store the split under `name`.

    Clips without a label (open ties) and outliers are in no part. Raises ValueError as `make_split` does.
    """
    rows = session.execute(
        select(Clip.name, Subject.name, ReleaseLabel.label)
        .join(ReleaseLabel, ReleaseLabel.clip_id == Clip.id)
        .join(Subject, Subject.id == Clip.subject_id)
        .where(ReleaseLabel.release_id == release.id, ReleaseLabel.label.is_not(None), Clip.status == "usable")
    )
    clips = [LabelledClip(*row) for row in rows]
    selected = session.scalars(
        select(Subject.name)
        .join(ReleaseSubject, ReleaseSubject.subject_id == Subject.id)
        .where(ReleaseSubject.release_id == release.id, ReleaseSubject.selected)
    )
    parts = make_split(clips, selected, seed=seed, biwi_b=biwi_b)
    return store_split(session, release.corpus_id, name, parts, seed=seed, release_id=release.id, actor=actor)


def store_split(
    session: Session,
    corpus_id: int,
    name: str,
    parts: Mapping[str, str],
    *,
    seed: int | None = None,
    release_id: int | None = None,
    actor: str = "command",
) -> Split:
    """Store clip name -> part as the split `name` of a corpus; a stored split is never changed.

    Raises ValueError for a name that is taken, an unknown part, or a clip that the corpus does not have.
    """
    store.checked_name(name, "split")
    if session.scalar(select(Split.id).where(Split.corpus_id == corpus_id, Split.name == name)) is not None:
        raise ValueError(f"a split named {name!r} exists, and splits are never changed; choose another name")
    unknown_parts = sorted(set(parts.values()) - set(PARTS))
    if unknown_parts:
        raise ValueError(f"part {unknown_parts[0]!r}: expected one of {', '.join(PARTS)}")
    ids = dict(session.execute(select(Clip.name, Clip.id).where(Clip.corpus_id == corpus_id)).all())
    missing = sorted(set(parts) - set(ids))
    if missing:
        raise ValueError(f"clip {missing[0]}{_more(missing)}: not in this corpus; is the split made for another one?")
    if not parts:
        raise ValueError("the split has no clip")
    split = Split(corpus_id=corpus_id, name=name, release_id=release_id, seed=seed, sha256=split_digest(parts))
    session.add(split)
    session.flush()
    session.add_all(SplitMember(split_id=split.id, clip_id=ids[clip], part=part) for clip, part in parts.items())
    session.flush()
    events.record(session, actor, "split.stored", {"split": name, "sha256": split.sha256, "clips": len(parts)})
    return split


def split_digest(parts: Mapping[str, str]) -> str:
    """SHA-256 over which clip is in which part, whatever their order."""
    lines = "".join(f"{clip},{part}\n" for clip, part in sorted(parts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def parts_of(session: Session, split: Split) -> dict[str, str]:
    """A stored split as clip name -> part."""
    rows = session.execute(
        select(Clip.name, SplitMember.part)
        .join(SplitMember, SplitMember.clip_id == Clip.id)
        .where(SplitMember.split_id == split.id)
        .order_by(Clip.name)
    )
    return dict(rows.all())


# Files --------------------------------------------------------------------------------------------------------------


def to_csv(parts: Mapping[str, str]) -> str:
    """A split as CSV, `clip,part`, sorted by part and clip; `from_csv` reads it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["clip", "part"])
    rows.writerows(sorted(parts.items(), key=lambda item: (PARTS.index(item[1]), item[0])))
    return text.getvalue()


def from_csv(text: str) -> dict[str, str]:
    """Clip name -> part from CSV with the columns `clip` and `part`; other columns are ignored.

    A byte order mark and semicolons are understood. Raises ValueError with the line number for anything else.
    """
    text = text.removeprefix("\ufeff")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    if not {"clip", "part"} <= set(rows.fieldnames or []):
        raise ValueError(f"header {','.join(rows.fieldnames or [])[:80]!r}: expected the columns clip and part")
    parts: dict[str, str] = {}
    for row in rows:
        clip, part = (row["clip"] or "").strip(), (row["part"] or "").strip()
        if part not in PARTS:
            raise ValueError(f"line {rows.line_num}: part {part!r}, expected one of {', '.join(PARTS)}")
        if not clip or clip in parts:
            problem = "is there twice; a clip can be in one part only" if clip else "no clip is named"
            raise ValueError(f"line {rows.line_num}: {clip} {problem}".replace("  ", " "))
        parts[clip] = part
    return parts


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""

"""What a clip is called: `<subject>_<sentence>`, and the numberings that other projects made of it."""

import re

from db.corpus.errors import UnusableCorpus

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_NUMBER = re.compile(r"\d{1,3}")
FACEXHUBERT_OFFSET = 40  # F1_01..F1_80, of which 41-80 are e01-e40


def clip_name(subject: str, sentence: str) -> str:
    """The name of a clip everywhere: in files, tables and exports."""
    return f"{subject}_{sentence}"


def parse_clip_name(stem: str) -> tuple[str, str]:
    """Subject and sentence of a file name without its ending.

    The last "_" divides; earlier ones become "-" (`FaceTalk_170725_TA_sentence01`: FaceTalk-170725-TA).
    Raises ValueError for a name that cannot be divided or has other characters.
    """
    subject, _, sentence = stem.rpartition("_")
    subject = subject.replace("_", "-")
    for part, what in ((subject, "subject"), (sentence, "sentence")):
        if not _NAME.fullmatch(part):
            raise ValueError(
                f"{stem[:80]!r}: no {what} can be read from this name; expected <subject>_<sentence> in letters, "
                "digits and '-', such as F1_e01. Rename the file"
            )
    return subject, sentence


def subject_name(name: object) -> str:
    """A subject's name as templates give it, in the form that clips use."""
    text = name.decode("latin1") if isinstance(name, bytes) else str(name)
    return text.replace("_", "-")


def sentence_renaming(sentences: set[str], sentences_are: str | None, numbering: str | None) -> dict[str, str]:
    """What each sentence of the files is called in the workbench: `e01`.. emotional, `01`.. neutral takes.

    sentences_are: "emotional" or "neutral", where all names lack the "e" (as FaceDiffuser writes them).
    numbering: "facexhubert" for 1-80, of which 41-80 are the emotional takes.
    Raises UnusableCorpus where the names alone do not tell, and says what to pass.
    """
    numbered = {name for name in sentences if _NUMBER.fullmatch(name)}
    if numbering == "facexhubert":
        return {name: _from_facexhubert(name) for name in sentences}
    if sentences_are == "emotional":
        return {name: f"e{int(name):02d}" if name in numbered else name for name in sentences}
    if sentences and numbered == sentences and sentences_are is None:
        raise UnusableCorpus(_question(numbered))
    return {name: name for name in sentences}


def _from_facexhubert(name: str) -> str:
    if not _NUMBER.fullmatch(name) or not 1 <= int(name) <= 2 * FACEXHUBERT_OFFSET:
        raise UnusableCorpus(f"sentence {name!r}: FaceXHuBERT numbers sentences from 01 to 80; leave out --numbering")
    number = int(name)
    return f"e{number - FACEXHUBERT_OFFSET:02d}" if number > FACEXHUBERT_OFFSET else f"{number:02d}"


def _question(numbered: set[str]) -> str:
    highest = max(numbered, key=int)
    if int(highest) > FACEXHUBERT_OFFSET:
        return (
            f"sentences are numbered up to {highest} without an 'e'; if this is FaceXHuBERT's numbering, where "
            "41-80 are e01-e40, pass --numbering facexhubert; if not, say --sentences-are emotional or neutral"
        )
    return (
        f"sentences are numbered up to {highest} and none has an 'e'; FaceDiffuser drops it, and neutral takes "
        "never had it. Say which these are: --sentences-are emotional or --sentences-are neutral"
    )

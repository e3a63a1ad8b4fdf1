"""What an import found wrong, and what it merely wants to be known."""

from dataclasses import dataclass

# Kinds that take nothing away from the clip or the corpus; all other kinds want somebody to act.
NOTE_KINDS = frozenset(
    {
        "length_trimmed",
        "missing_sequences",
        "unknown_rating",
        "missing_ratings",
        "missing_regions",
        "assumed",
        "outlier",
    }
)


@dataclass(frozen=True)
class Problem:
    """kind: a short word to filter by; message: for the person who has to put it right; clip: where it concerns one."""

    kind: str
    message: str
    clip: str | None = None

    @property
    def is_note(self) -> bool:
        return self.kind in NOTE_KINDS

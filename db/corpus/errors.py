"""What can be wrong with a corpus: one file (`BadFile`), or all of it (`UnusableCorpus`).

Both say what was found, what was expected, the likely cause and what to do.
"""

from pathlib import Path


class UnusableCorpus(ValueError):
    """The corpus as a whole cannot be read; nothing was imported."""


class BadFile(ValueError):
    """One file cannot be used. `kind` is the short word under which an import stores the problem."""

    def __init__(self, message: str, kind: str = "unreadable"):
        super().__init__(message)
        self.kind = kind


def shown(path: Path) -> str:
    """`path` as messages show it: with the folder it lies in, which is enough to find it in a corpus."""
    return f"{path.parent.name}/{path.name}"

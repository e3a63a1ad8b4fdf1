"""A table of a report, before it is Markdown, LaTeX, CSV, JSON or HTML: cells that know where they come from."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from evaluation.intervals import Interval


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and all that stands behind it.

    text: as printed. value: unrounded and unscaled, None for words. low, high: its interval; method: in words; n:
    values, groups: what was resampled. sources: hashes of what it was computed from, by what that is. published: it is
    the paper's, not ours. missing: why there is nothing, and what to do; then text is a dash.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    groups: int | None = None
    method: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    published: bool = False
    missing: str = ""

    def record(self) -> dict[str, Any]:
        """The cell as JSON, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "", {}, False)}

    @property
    def about(self) -> str:
        """One line for people who ask what this number is."""
        if self.missing:
            return self.missing
        parts = [
            self.method,
            "" if self.n is None else f"n = {self.n}",
            "" if self.groups is None or self.groups == self.n else f"{self.groups} groups",
            "" if self.value is None else f"unrounded {self.value:.6g}",
            *(f"{what} {sha[:12]}" for what, sha in sorted(self.sources.items())),
        ]
        return "; ".join(filter(None, parts))


@dataclass(frozen=True)
class Table:
    """columns: heads, the first for the rows' names. rows: as many cells each. notes: lines below the table."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.key}: a row of {len(row)} cells under {len(self.columns)} columns")

    @property
    def missing(self) -> list[str]:
        """What cannot be filled, and why, each once."""
        return list(dict.fromkeys(cell.missing for row in self.rows for cell in row if cell.missing))

    def record(self) -> dict[str, Any]:
        """The table as JSON."""
        return {
            "key": self.key, "title": self.title, "columns": list(self.columns),
            "rows": [[cell.record() for cell in row] for row in self.rows], "notes": list(self.notes),
            "missing": self.missing,
        }  # fmt: skip


def word(text: str, published: bool = False) -> Cell:
    """A cell of words."""
    return Cell(text, published=published)


def number(value: float, digits: int = 2, scale: float = 1.0, *, published: bool = False, **more: Any) -> Cell:
    """A cell with a number alone."""
    return Cell(f"{value / scale:.{digits}f}", value=float(value), published=published, **more)


def estimate(found: Interval, digits: int = 2, scale: float = 1.0, sources: dict[str, str] | None = None) -> Cell:
    """A cell with an estimate and its interval."""
    text = f"{found.estimate / scale:.{digits}f}"
    if found.low is not None and found.high is not None:
        text += f" [{found.low / scale:.{digits}f}, {found.high / scale:.{digits}f}]"
    return Cell(text, found.estimate, found.low, found.high, found.n, found.groups, found.method, dict(sources or {}))


def nothing(why: str) -> Cell:
    """A cell that cannot be filled."""
    return Cell("\N{EN DASH}", missing=why)


def row(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Cells as a row."""
    return tuple(cells)

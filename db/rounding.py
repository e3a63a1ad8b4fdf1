"""Controlled rounding: whole numbers for a table of fractions, with all margins right (Cox 1987).

Cox, L. H.: A constructive procedure for unbiased controlled rounding. JASA 82 (1987), 520-524.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

Table = list[list[Fraction]]


def controlled_rounding(table: Sequence[Sequence[Fraction]], rng: random.Random) -> list[list[int]]:
    """Round every entry of `table` (rows of exact fractions >= 0, with a whole sum) up or down.

    Every row's and every column's sum is then also rounded up or down, the total stays what it is, and each entry is
    rounded up with a probability equal to its fraction. Raises ValueError if the total is no whole number.
    """
    total = sum((value for row in table for value in row), Fraction(0))
    if total.denominator != 1:
        raise ValueError(f"the entries sum to {total}, expected a whole number")
    if not table or not table[0]:
        return [list(map(floor, row)) for row in table]
    fractions = _with_margins([[value - floor(value) for value in row] for row in table])
    while (cycle := _find_cycle(fractions)) is not None:
        _shift(fractions, cycle, rng)
    return [[floor(value) + int(fractions[i][j]) for j, value in enumerate(row)] for i, row in enumerate(table)]


def _with_margins(table: Table) -> Table:
    """The table with one row and one column more that bring every row's and column's sum to a whole number."""
    rows = [[*row, ceil(sum(row)) - sum(row)] for row in table]
    last = [ceil(sum(column)) - sum(column) for column in zip(*rows, strict=True)]
    return [*rows, last]


def _find_cycle(table: Table) -> list[tuple[int, int]] | None:
    """Fractional cells that follow each other along rows and columns in turn, and close; None if all are whole.

    A row or column with a whole sum that has one fractional cell has another, so the walk never gets stuck.
    """
    start = next(((i, j) for i, row in enumerate(table) for j, value in enumerate(row) if value % 1), None)
    if start is None:
        return None
    path, along_row = [start], True
    while True:
        i, j = path[-1]
        if along_row:
            step = next((i, k) for k, value in enumerate(table[i]) if value % 1 and k != j)
        else:
            step = next((k, j) for k, row in enumerate(table) if row[j] % 1 and k != i)
        path.append(step)
        along_row = not along_row
        # Closed when the next step would run along a line that the path already left by.
        line = 0 if along_row else 1
        for first in range(len(path) - 3, -1, -1):
            if path[first][line] == step[line] and (len(path) - first) % 2 == 0:
                return path[first:]


def _shift(table: Table, cycle: list[tuple[int, int]], rng: random.Random) -> None:
    """Move as much as possible around the cycle, up here and down there, so that one cell becomes whole."""
    up, down = cycle[0::2], cycle[1::2]
    forth = min([1 - table[i][j] for i, j in up] + [table[i][j] for i, j in down])
    back = min([table[i][j] for i, j in up] + [1 - table[i][j] for i, j in down])
    # Chances inverse to the distances leave each cell's expected value as it is.
    amount = forth if rng.random() < back / (forth + back) else -back
    for i, j in up:
        table[i][j] += amount
    for i, j in down:
        table[i][j] -= amount

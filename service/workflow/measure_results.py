"""Rows of counts as cells of a measure: pure. A cell is the whole (stratifier "") or one value of a stratifier."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]
"""(stratifier, value, counts...); parts of a large period give several rows for one cell."""


@dataclass(frozen=True)
class Cell:
    """counts: code of a population -> how many; each is part of the one before. score: hundredths, None where there is
    none; unit: % or d.
    """

    counts: tuple[tuple[str, int], ...]
    score: int | None = None
    unit: str = ""


Cells = dict[tuple[str, str], Cell]
"""(stratifier, value) -> cell"""


def _summed(rows: Iterable[Row], columns: Sequence[int]) -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        counts = found.setdefault((row[0], row[1]), [0] * len(columns))
        for place, column in enumerate(columns):
            counts[place] += int(row[column])
    return found


def _counted(rows: Sequence[Row], column: int) -> Cells:
    cells = {at: Cell((("initial-population", counts[0]),)) for at, counts in _summed(rows, (column,)).items()}
    return {at: cell for at, cell in cells.items() if cell.counts[0][1] or at[0] == ""}


def _share(rows: Sequence[Row], columns: tuple[int, int, int]) -> Cells:
    names = ("initial-population", "denominator", "numerator")
    return {
        at: Cell(tuple(zip(names, counts, strict=True)), hundredths(100 * counts[2], counts[1]), "%")
        for at, counts in _summed(rows, columns).items()
        if counts[0] or at[0] == ""
    }


def hundredths(number: int, of: int) -> int | None:
    """number / of with two decimals, halves up; exact."""
    return None if of == 0 else (200 * number + of) // (2 * of)


def made(rows: Sequence[Row]) -> Cells:
    return _counted(rows, 2)


def unfit(rows: Sequence[Row]) -> Cells:
    return _share(rows, (2, 3, 4))


def people(rows: Sequence[Row]) -> Cells:
    return _share(rows, (2, 2, 3))


def still(rows: Sequence[Row]) -> Cells:
    return _share(rows, (4, 5, 6))


def unmet(rows: Sequence[Row]) -> Cells:
    return _share(rows, (2, 2, 3))


NOT_YET = -1
Durations = dict[tuple[str, str], Counter[int]]


def durations(rows: Sequence[Row]) -> Durations:
    """Whole hours (NOT_YET: not so far) -> how many, for each cell."""
    found: Durations = {}
    for dim, value, hours, count in rows:
        found.setdefault((dim, value), Counter())[NOT_YET if hours is None else int(hours)] += int(count)
    return found


def percentile(found: Durations, share: int) -> Cells:
    """Nearest rank: the smallest value with at least `share` percent of all values at or below it; in days."""
    cells: Cells = {}
    for at, hours in found.items():
        total = sum(hours.values())
        number = total - hours[NOT_YET]
        score = hundredths(_ranked(hours, -(-number * share // 100)), 24) if number else None
        cells[at] = Cell((("initial-population", total), ("measure-population", number)), score, "d")
    return cells


def _ranked(hours: Counter[int], rank: int) -> int:
    for value in sorted(hours):
        rank -= hours[value] if value != NOT_YET else 0
        if rank <= 0 and value != NOT_YET:
            return value
    raise ValueError("no values")

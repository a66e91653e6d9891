"""Which counts are not shown because few people stand behind them, nor what they could be worked out from: pure.

A count of 1 to limit - 1 is small. Of counts that are parts of each other also what is left may be small. Where the
counts of a stratifier add up to one that is shown, others are left out until those that are hidden are many together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from service.workflow.measure_results import Cell, Cells


@dataclass(frozen=True)
class Shown:
    """A cell as it may leave. shown: how many of its counts, from the first; the score only with all of them."""

    cell: Cell
    shown: int

    @property
    def whole(self) -> bool:
        return self.shown == len(self.cell.counts)


def guarded(cells: Cells, limit: int) -> dict[tuple[str, str], Shown]:
    """limit: 1 or less shows all."""
    found = {at: Shown(cell, _first_small(cell, limit)) for at, cell in cells.items()}
    for dim in sorted({at[0] for at in cells if at[0]}):
        keys = sorted(at for at in cells if at[0] == dim)
        depth = max(len(cells[at].counts) for at in keys)
        for place in range(depth):
            _beside(found, keys, place, limit)
    return found


def _first_small(cell: Cell, limit: int) -> int:
    former: int | None = None
    for place, (_, count) in enumerate(cell.counts):
        if 0 < count < limit or (former is not None and 0 < former - count < limit):
            return place
        former = count
    return len(cell.counts)


def _beside(found: dict[tuple[str, str], Shown], keys: list[tuple[str, str]], place: int, limit: int) -> None:
    """Hides the smallest of what is shown until the hidden ones are `limit` together, and two at least."""
    while True:
        hidden = [at for at in keys if found[at].shown <= place and _count(found, at, place)]
        if not hidden or (len(hidden) > 1 and sum(_count(found, at, place) for at in hidden) >= limit):
            return
        rest = [at for at in keys if found[at].shown > place and _count(found, at, place)]
        if not rest:
            return
        least = min(rest, key=lambda at: (_count(found, at, place), at))
        found[least] = Shown(found[least].cell, place)


def _count(found: Mapping[tuple[str, str], Shown], at: tuple[str, str], place: int) -> int:
    counts = found[at].cell.counts
    return counts[place][1] if place < len(counts) else 0

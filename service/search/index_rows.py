"""The index rows of one resource, as plain data: made by values.py, written by service/store/commit.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexRows:
    """keys: `ix`. dates: (key, lo_us, hi_us), half-open. strings: (key, normalised value). numbers: (key, lo, hi).
    edges: (edge number, key of the target resource).
    """

    keys: tuple[int, ...] = ()
    dates: tuple[tuple[int, int, int], ...] = ()
    strings: tuple[tuple[int, str], ...] = ()
    numbers: tuple[tuple[int, float, float], ...] = ()
    edges: tuple[tuple[int, int], ...] = ()

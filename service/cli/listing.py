"""What listings of the command line share: columns as wide as their longest cell, under a heading."""

from collections.abc import Iterable, Sequence


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines for a terminal; the last column is as long as it is."""
    lines = [heading, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(heading) - 1)]
    return "\n".join("  ".join([*map(str.ljust, line, widths), line[-1]]).rstrip() for line in lines)

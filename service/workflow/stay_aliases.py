"""Keys under which one stay came -> which of them it goes on under. Pure; the same for every order of the edges.

Facts: ../shared/facts/adt.md 1.1 (A41 A42 A50), 1.6; rows of the table stay_alias.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Edge:
    """What comes under `stay` belongs to `target`, since at_us."""

    stay: str
    target: str
    at_us: int


def canonical(edges: Iterable[Edge]) -> dict[str, str]:
    """Every key of the edges -> the end of its chain. Of two targets the later told holds; a ring opens at its latest.

    A ring comes of a number that was given back: V1 became V2, V2 became V1.
    """
    latest: dict[str, Edge] = {}
    for edge in sorted(edges, key=lambda e: (e.at_us, e.stay, e.target)):
        latest[edge.stay] = edge
    onward: dict[str, str] = {}
    for edge in sorted(latest.values(), key=lambda e: (e.at_us, e.stay, e.target)):
        if _end(edge.target, onward) != edge.stay:
            onward[edge.stay] = edge.target
    keys = {key for edge in latest.values() for key in (edge.stay, edge.target)}
    return {key: _end(key, onward) for key in keys}


def _end(key: str, onward: dict[str, str]) -> str:
    while key in onward:
        key = onward[key]
    return key


def groups(keys: Collection[str], ends: dict[str, str]) -> dict[str, frozenset[str]]:
    """End of the chain -> all keys that lead to it."""
    found: dict[str, set[str]] = {}
    for key in keys:
        found.setdefault(ends.get(key, key), set()).add(key)
    return {end: frozenset(members) for end, members in found.items()}

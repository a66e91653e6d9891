"""The index rows of a resource while they are collected, and what the functions that add to them have in common."""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from service.search.keys import Keys

Emit = Callable[[Sequence[Any], "Rows"], bool]
"""Adds the rows of the values; true when the resource holds a value of the parameter (for :missing)."""


class Rows(NamedTuple):
    """Rows so far, as ordered sets."""

    keys: dict[int, None]
    dates: dict[tuple[int, int, int], None]
    strings: dict[tuple[int, str], None]
    numbers: dict[tuple[int, float, float], None]
    edges: dict[tuple[int, int], None]


class Context(NamedTuple):
    rtype: str
    keys: Keys
    base_url: str
    zone: tzinfo

"""How often a source may try, and a client from one source: check T24 of ../shared/facts/security.md 1.1.

Token buckets in this process. A client's bucket counts per source: nobody can lock a client out by using its name.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import ceil

PER_SOURCE = 600
PER_CLIENT = 160
"""Requests in a minute, which is also the burst."""
MOST_BUCKETS = 20_000
"""The longest unused are forgotten first: a flood of names must not fill the memory."""


@dataclass
class Buckets:
    """Token buckets of one size: `per_minute` at once, refilled evenly."""

    per_minute: int
    _levels: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def wait_s(self, key: str, now_us: int) -> int:
        """Takes one; 0, or the whole seconds after which it is worth trying again."""
        level, at_us = self._levels.get(key, (float(self.per_minute), now_us))
        level = min(self.per_minute, level + max(now_us - at_us, 0) * self.per_minute / 60_000_000)
        enough = level >= 1
        self._levels[key] = (level - 1 if enough else level, now_us)
        self._levels.move_to_end(key)
        if len(self._levels) > MOST_BUCKETS:
            self._levels.popitem(last=False)
        return 0 if enough else max(1, ceil((1 - level) * 60 / self.per_minute))


@dataclass
class Limits:
    """The limits of the token endpoint and its neighbours."""

    sources: Buckets = field(default_factory=lambda: Buckets(PER_SOURCE))
    clients: Buckets = field(default_factory=lambda: Buckets(PER_CLIENT))
    told: Buckets = field(default_factory=lambda: Buckets(1))
    """One audit row a minute and source about refusing it: a flood must not write."""

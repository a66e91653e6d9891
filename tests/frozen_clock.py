"""The clock of all tests: frozen, not in UTC, half an hour before a midnight that is followed by a change to DST."""

from datetime import datetime

START = datetime.fromisoformat("2026-03-07T23:30:00-08:00")
"""In Los Angeles; the clocks go forward at 02:00 on the next day."""


class FrozenClock:
    """A Clock that stands still until it is advanced, and numbers its ids."""

    def __init__(self, now: datetime = START) -> None:
        self._now_us = int(now.timestamp()) * 1_000_000 + now.microsecond
        self._ids = 0

    def now_us(self) -> int:
        return self._now_us

    def advance(self, us: int) -> None:
        """Move forward by microseconds (or back: a clock may be set)."""
        self._now_us += us

    def new_id(self) -> str:
        """00000000-0000-4000-8000-000000000001, ...2, ...: the shape of a UUID, the same in each run."""
        self._ids += 1
        return f"00000000-0000-4000-8000-{self._ids:012d}"

"""The clock and the id source, injected everywhere so that tests run frozen."""

import time
import uuid
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        ...

    def new_id(self) -> str:
        """A new FHIR logical id: 1-64 of A-Z a-z 0-9 - ."""
        ...


class SystemClock:
    """Wall time and random UUIDs."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def new_id(self) -> str:
        return str(uuid.uuid4())


def instant(us: int) -> str:
    """FHIR instant in UTC with microseconds, of microseconds since the epoch."""
    seconds, micros = divmod(us, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{micros:06d}Z"


def utc(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, tz=UTC)

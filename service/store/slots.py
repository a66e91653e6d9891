"""Numbers of versions: unique over processes, in order of time; and the audit chain of each slot (decisions.md 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EPOCH_US = 1_577_836_800_000_000  # 2020-01-01: leaves room in 63 bits until 2091
_LAST_TICK = (1 << 51) - 1  # 63 bits hold no later instant

HEAD = "SELECT seq, digest FROM audit WHERE slot = ? ORDER BY seq DESC LIMIT 1"
"""The last row of a slot's audit chain, for Slot.chain_on."""


@dataclass
class Slot:
    """The leased number of this process, and what it counts: vids and its audit chain."""

    number: int
    last_tick: int = 0
    counter: int = 0
    audit_seq: int = 0
    audit_head: bytes = b""
    last_job: int = 0

    def vid(self, now_us: int, previous: int = 0) -> int:
        """max(now, previous vid of the resource + 1, last vid of this slot + 1): never repeats, never runs back."""
        tick = max(now_us - EPOCH_US, self.last_tick, (previous >> 12) + 1 if previous else 0)
        if tick == self.last_tick:
            self.counter += 1
            if self.counter > 15:
                tick, self.counter = tick + 1, 0
        else:
            self.counter = 0
        self.last_tick = tick
        return (tick << 12) | (self.number << 4) | self.counter

    def chain_on(self, head: Sequence[Any] | None) -> None:
        """The audit chain goes on behind the row that was found by HEAD."""
        self.audit_seq, self.audit_head = tuple(head) if head else (0, b"")

    def copy(self) -> "Slot":
        return Slot(**vars(self))


def updated_us(vid: int) -> int:
    """meta.lastUpdated of a version, microseconds since 1970."""
    return (vid >> 12) + EPOCH_US


def vid_at(us: int) -> int:
    """The smallest vid of an instant."""
    return min(max(us - EPOCH_US, 0), _LAST_TICK) << 12

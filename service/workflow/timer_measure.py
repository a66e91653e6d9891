"""How timers of a kind were met: how many in time, how long it took. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.store.timers import StoredTimer


@dataclass(frozen=True)
class Measure:
    """within: done in time. late: done or still to do after its time. waiting: still in time. Minutes from the start.

    from_receipt_p95: from the receipt of the message, where the payload keeps that; the rest is the hospital's time.
    """

    count: int
    within: int
    late: int
    waiting: int
    p50: float | None = None
    p95: float | None = None
    from_receipt_p95: float | None = None

    @property
    def share(self) -> float | None:
        """Of those that are decided."""
        decided = self.within + self.late
        return self.within / decided if decided else None


def measure(timers: Iterable[StoredTimer], now_us: int) -> Measure:
    every = list(timers)
    within = sum(1 for t in every if t.state == "met")
    waiting = sum(1 for t in every if t.state == "running" and t.due_us >= now_us)
    ended = [(t, t.ended_us) for t in every if t.ended_us is not None]
    took = sorted((at - t.start_us) / 60e6 for t, at in ended)
    ours = sorted((at - int(t.payload["received_us"])) / 60e6 for t, at in ended if "received_us" in t.payload)
    return Measure(
        len(every), within, len(every) - within - waiting, waiting, _at(took, 0.5), _at(took, 0.95), _at(ours, 0.95)
    )


def _at(values: list[float], share: float) -> float | None:
    """The smallest value that so large a share does not exceed."""
    return values[min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))] if values else None

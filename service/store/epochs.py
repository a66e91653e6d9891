"""Reads of the counters in access_epoch: what a decision relied on, checked again when its Change commits."""

from collections.abc import Iterable

from service.store.dialect import marks
from service.store.engine import Store


async def epoch(store: Store, subject: int) -> int:
    """How often a Change bumped the subject (a resource key, or a key of a question that was asked); 0: never."""
    rows = await store.fetch("SELECT epoch FROM access_epoch WHERE subject = ?", (subject,))
    return int(rows[0][0]) if rows else 0


async def several(store: Store, subjects: Iterable[int]) -> dict[int, int]:
    """As `epoch`, of each subject."""
    wanted = sorted(set(subjects))
    if not wanted:
        return {}
    sql = f"SELECT subject, epoch FROM access_epoch WHERE subject IN ({marks(len(wanted))})"
    return dict.fromkeys(wanted, 0) | {int(key): int(count) for key, count in await store.fetch(sql, tuple(wanted))}

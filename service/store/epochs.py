"""Reads of the counters in access_epoch: what a decision relied on, checked again when its Change commits."""

from service.store.engine import Store


async def epoch(store: Store, subject: int) -> int:
    """How often a Change bumped the subject (a resource key, or a key of a question that was asked); 0: never."""
    rows = await store.fetch("SELECT epoch FROM access_epoch WHERE subject = ?", (subject,))
    return int(rows[0][0]) if rows else 0

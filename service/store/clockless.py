"""Reads of open Tasks that no clock of a referral was ever started for; for the workflow's own decisions."""

from collections.abc import Sequence
from typing import NamedTuple

from service.store.dialect import marks
from service.store.engine import Store

ANY_CLOCK = "referral-stalled"
"""The clock that runs whatever an open referral waits for."""


class Clockless(NamedTuple):
    fhir_id: str
    version: int
    body: bytes


async def open_tasks(store: Store, statuses: Sequence[str], after: str, limit: int) -> list[Clockless]:
    """In the order of their ids, behind `after`."""
    keys = [store.keys.token("Task", "status", None, status) for status in statuses]
    rows = await store.fetch(
        "SELECT v.fhir_id, v.version, v.body FROM ix d JOIN version v ON v.vid = d.vid "
        f"WHERE d.key IN ({marks(len(keys))}) AND v.rtype = 'Task' AND v.fhir_id > ? "
        "AND NOT EXISTS (SELECT 1 FROM timer t WHERE t.subject = 'Task/' || v.fhir_id AND t.kind = ?) "
        "ORDER BY v.fhir_id LIMIT ?",
        (*keys, after, ANY_CLOCK, limit),
    )
    return [Clockless(str(row[0]), int(row[1]), bytes(row[2])) for row in rows]

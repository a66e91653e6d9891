"""SQL of the versions that events tell of.

For service/notify/deciding.py, which asks again under the subscriber's restriction; never to be told.
"""

from collections.abc import Sequence
from typing import NamedTuple

from service.store.dialect import marks
from service.store.engine import Store


class Version(NamedTuple):
    """Which version an event tells of, and the version of the resource's head; nothing of this is told to anybody."""

    vid: int
    rtype: str
    fhir_id: str
    version: int
    op: int
    patient: int | None
    """Of the head; a version before it may have been another's."""
    of: int | None
    head: int
    deleted: int
    patient_epoch: int
    of_epoch: int

    @property
    def epochs(self) -> dict[int, int]:
        """Access epochs of its patients, as they were when this was read."""
        both = ((self.patient, self.patient_epoch), (self.of, self.of_epoch))
        return {key: epoch for key, epoch in both if key is not None}

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fhir_id}"


_VERSIONS = (
    "SELECT v.vid, v.rtype, v.fhir_id, v.version, v.op, r.patient, v.patient, r.version, r.deleted, "
    "COALESCE((SELECT a.epoch FROM access_epoch a WHERE a.subject = r.patient), 0), "
    "COALESCE((SELECT b.epoch FROM access_epoch b WHERE b.subject = v.patient), 0) "
    "FROM version v JOIN resource r ON r.key = v.key WHERE v.vid IN "
)


async def by_vid(store: Store, vids: Sequence[int]) -> dict[int, Version]:
    """What the vids are."""
    if not vids:
        return {}
    return {one[0]: Version(*one) for one in await store.fetch(f"{_VERSIONS}({marks(len(vids))})", tuple(vids))}


async def waiting(store: Store, key: int, *, limit: int) -> dict[int, Version]:
    """As `by_vid`, of what deliveries.waiting() gives at the same moment; something may come between two statements."""
    first = "SELECT vid FROM event_waiting WHERE subscription = ? AND kind = 'event' ORDER BY id LIMIT ?"
    sql = f"{_VERSIONS}(SELECT w.vid FROM ({first}) w)"
    return {one[0]: Version(*one) for one in await store.fetch(sql, (key, limit))}


async def before(store: Store, vids: Sequence[int]) -> dict[int, bytes]:
    """Bodies of the versions before these, where there are such: what changed, never to be told."""
    if not vids:
        return {}
    sql = (
        "SELECT v.vid, p.body FROM version v JOIN version p ON p.key = v.key AND p.version = v.version - 1 "
        f"WHERE v.vid IN ({marks(len(vids))})"
    )
    return {one[0]: bytes(one[1]) for one in await store.fetch(sql, tuple(vids)) if one[1] is not None}


async def stays_told(store: Store, key: int, after: int, last: int) -> list[tuple[str, int]]:
    """(reference of an Encounter, vid) of the events behind number `after` that went out with content."""
    sql = (
        "SELECT v.fhir_id, v.vid FROM subscription_event e JOIN version v ON v.vid = e.vid WHERE e.subscription = ? "
        "AND e.number > ? AND e.number <= ? AND e.emptied = 0 AND v.rtype = 'Encounter' ORDER BY e.number"
    )
    return [(f"Encounter/{fhir_id}", int(vid)) for fhir_id, vid in await store.fetch(sql, (key, after, last))]

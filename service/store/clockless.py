"""Reads of open Tasks that no clock of a referral was ever started for; for the workflow's own decisions."""

from typing import NamedTuple

from service.store.engine import Store

ANY_CLOCK = "referral-stalled"
"""The clock that runs whatever an open referral waits for."""
# The page is cut before anything else is looked at: of a million Tasks a few have no clock, or none.
_PAGE = (
    "SELECT v.vid, v.fhir_id, v.version, CASE WHEN EXISTS (SELECT 1 FROM timer t "
    "WHERE t.subject = 'Task/' || v.fhir_id AND t.kind = ?) THEN NULL ELSE v.body END "
    "FROM (SELECT vid FROM ix WHERE key = ? AND vid > ? ORDER BY vid LIMIT ?) d CROSS JOIN version v "
    "WHERE v.vid = d.vid ORDER BY v.vid"
)


class Looked(NamedTuple):
    """body: None where a clock was started."""

    vid: int
    fhir_id: str
    version: int
    body: bytes | None


async def page(store: Store, status: str, after: int, limit: int) -> list[Looked]:
    """The next current Tasks of this status, oldest version first, behind the vid `after`."""
    key = store.keys.token("Task", "status", None, status)
    return [Looked(*row) for row in await store.fetch(_PAGE, (ANY_CLOCK, key, after, limit), heavy=True)]

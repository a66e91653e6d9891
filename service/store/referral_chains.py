"""Reads of chains of referrals: the Tasks that are part of a Task, and which of them had been accepted.

For the workflow's own decisions: no caller's restriction applies, nothing of it is shown.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from service.search.keys import edge
from service.store.dialect import marks
from service.store.engine import Store

_PART_OF = edge("Task", "part-of")


class Part(NamedTuple):
    """A current Task that names another in partOf. labels: its bits. author: key of the organization that wrote it."""

    version: int
    body: bytes
    labels: int
    author: int


def subject(store: Store, reference: str) -> int:
    """Whose epoch counts the parts of a Task: a new part bumps it, who looks at all of them relies on it."""
    return store.keys.of("chain", reference)


async def parts(store: Store, reference: str) -> list[Part]:
    """Current Tasks with this Task in partOf, in a fixed order."""
    rows = await store.fetch(
        "SELECT v.version, v.body, r.labels, r.source_org FROM ref e JOIN version v ON v.vid = e.vid "
        "JOIN resource r ON r.key = v.key WHERE e.param = ? AND e.target = ? ORDER BY v.fhir_id",
        (_PART_OF, store.keys.resource(reference)),
    )
    return [Part(int(version), bytes(body), int(labels), int(author)) for version, body, labels, author in rows]


async def once(store: Store, references: Sequence[str], status: str) -> set[str]:
    """Those of the Tasks that had this status in one of their versions."""
    if not references:
        return set()
    keys = {store.keys.resource(reference): reference for reference in references}
    sql = f"SELECT v.key, v.body FROM version v WHERE v.key IN ({marks(len(keys))}) AND v.body IS NOT NULL"
    rows = await store.fetch(sql, tuple(keys))
    return {keys[key] for key, body in rows if orjson.loads(body).get("status") == status}

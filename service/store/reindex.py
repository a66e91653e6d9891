"""Index rows made anew: which definitions the rows of this database follow, and the current versions batch by batch.

Progress commits with each batch, so that a run that was killed goes on where it stood.
"""

from typing import Any, NamedTuple

from service.store.change import Statement
from service.store.engine import Store

_MADE_BY, _PROGRESS = "index_made_by", "index_progress"
_FIRST = -(2**63)


class Current(NamedTuple):
    """A current version: what its rows are made of."""

    key: int
    reference: str
    version: int
    body: bytes
    source_org: int


class State(NamedTuple):
    """made_by: digest of service/search/definition.py that all rows follow. after: key of the last resource done."""

    made_by: str
    after: int


async def state(store: Any, wanted: str) -> State:
    """`store`: anything with fetch. Progress towards other definitions than the wanted ones does not count."""
    rows = dict(await store.fetch("SELECT name, value FROM meta WHERE name IN (?, ?)", (_MADE_BY, _PROGRESS)))
    made_for, _, after = str(rows.get(_PROGRESS, "")).partition(" ")
    return State(str(rows.get(_MADE_BY, "")), int(after) if made_for == wanted else _FIRST)


async def is_current(store: Any, wanted: str) -> bool:
    """Whether every stated search finds every resource: the rows follow these definitions, or there are none."""
    found = await state(store, wanted)
    return found.made_by == wanted or not await store.fetch("SELECT key FROM resource LIMIT 1")


async def count(store: Store, after: int) -> int:
    rows = await store.fetch("SELECT count(*) FROM resource WHERE deleted = 0 AND key > ?", (after,), heavy=True)
    return int(rows[0][0])


async def batch(store: Store, after: int, limit: int) -> list[Current]:
    """The next current versions in order of their keys."""
    rows = await store.fetch(
        "SELECT r.key, r.rtype, r.fhir_id, r.version, v.body, r.source_org FROM resource r JOIN version v "
        "ON v.vid = r.vid WHERE r.deleted = 0 AND r.key > ? ORDER BY r.key LIMIT ?",
        (after, limit),
        heavy=True,
    )
    return [Current(row[0], f"{row[1]}/{row[2]}", row[3], bytes(row[4]), row[5]) for row in rows]


def reached(wanted: str, after: int) -> Statement:
    return _put(_PROGRESS, f"{wanted} {after}")


def made(wanted: str) -> Statement:
    return _put(_MADE_BY, wanted)


def _put(name: str, text: str) -> Statement:
    return Statement(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, text),
    )

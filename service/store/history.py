"""Versions in order of time: of one resource, of types, of the whole service; restriction included on every path.

A version is shown where the caller sees the resource's head and the version's own labels are cleared. What a restricted
caller sees is found from the panel's patients and the caller's own writes where these are few, else by looking through
the newest versions, at most MAX_SCANNED of them: more is refused, never cut short.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.errors import Category, FhirError, Issue
from service.search.restriction import Restriction, See
from service.store.database import WRITER, TooCostly
from service.store.dialect import marks
from service.store.engine import Store
from service.store.read import Found
from service.store.slots import EPOCH_US, vid_at
from service.store.visible import Sql, join, labels_cleared, visible_any

WINDOWS = (2_000, 20_000, 78_000)
"""Versions looked through in one go: the first holds a page for most callers."""
MAX_SCANNED = sum(WINDOWS)
MAX_DRIVEN = 10_000
"""Resources of the panel's patients, or of the caller's own, up to which these lead to the versions."""

_COLUMNS = (
    "v.key, v.rtype, v.fhir_id, v.version, v.vid, CASE WHEN v.op = 3 THEN 1 ELSE 0 END, v.body, v.patient, v.labels, "
    "v.source_org"
)
_TOO_COSTLY = (
    "The history looks at too many versions: narrow it by _since, or ask for the history of one type or resource."
)


@dataclass(frozen=True)
class Asked:
    """key: of one resource, 0 for all of `types`. since: microseconds, inclusive. at: [lo, hi) in microseconds.

    up: oldest first. after: what follows this in the order: a version number of one resource, a vid elsewhere.
    top: no vid above it is shown.
    """

    types: tuple[str, ...]
    limit: int
    key: int = 0
    since: int | None = None
    at: tuple[int, int] | None = None
    up: bool = False
    after: int | None = None
    top: int | None = None


async def complete_until(store: Store) -> int | None:
    """The largest vid up to which no write can still appear; None: no such doubt (SQLite commits in order of vid)."""
    return (await horizon(store))[0]


async def horizon(store: Store) -> tuple[int | None, int | None]:
    """(see complete_until, since when the oldest write is at work or None).

    On PostgreSQL a vid is given before the commit. The snapshot of this statement is older than its look at who writes:
    what it does not see is either still at work (and began before its vids were given), or has newer vids than it saw.
    """
    if store.db.name != "postgresql":
        return None, None
    sql = (
        "SELECT (SELECT max(vid) FROM version), (SELECT min(extract(epoch FROM xact_start) * 1000000)::int8 "
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND xact_start IS NOT NULL "
        "AND (backend_xid IS NOT NULL OR application_name = ?))"
    )
    newest, running_us = (await store.fetch(sql, (WRITER,)))[0]
    newest = newest or 0
    return (newest if running_us is None else min(newest, vid_at(running_us) - 1)), running_us


async def versions(store: Store, asked: Asked, restriction: Restriction) -> list[Found]:
    """At most `limit` versions in the order asked for. Raises FhirError too-costly (503)."""
    try:
        if asked.key:
            return await _rows(
                store, _heads(store), [("r.key = ?", [asked.key]), _seen(asked.types, restriction)], asked
            )
        opened = tuple(t for t in asked.types if restriction.unrestricted or restriction.rule(t) is See.OPEN)
        closed = tuple(t for t in asked.types if t not in opened and restriction.rule(t) is not None)
        if restriction.unrestricted and len(opened) > 1:
            return await _looked_through(store, replace(asked, types=opened), restriction, WINDOWS)
        found = [one for t in opened for one in await _of_type(store, t, asked, restriction)]
        if closed:
            found += await _restricted(store, replace(asked, types=closed), restriction)
    except TooCostly as error:
        raise _too_costly() from error
    return sorted(found, key=lambda one: one.vid, reverse=not asked.up)[: asked.limit]


def _too_costly() -> FhirError:
    return FhirError(Category.UNAVAILABLE, [Issue(_TOO_COSTLY, code="too-costly")], reason="too-costly")


def _heads(store: Store) -> str:
    """Versions and their heads, in this order: SQLite takes the tables of a CROSS JOIN as they stand."""
    return f"version v {'CROSS ' if store.db.name == 'sqlite' else ''}JOIN resource r ON r.key = v.key"


async def _of_type(store: Store, rtype: str, asked: Asked, restriction: Restriction) -> list[Found]:
    return await _rows(store, _heads(store), [("v.rtype = ?", [rtype]), _seen((rtype,), restriction)], asked)


async def _restricted(store: Store, asked: Asked, restriction: Restriction) -> list[Found]:
    """Who sees much finds a page among the newest; who sees little is led by what it could see."""
    found, end = await _window(store, asked, restriction, WINDOWS[0])
    if end is None or len(found) >= asked.limit:
        return found
    keys, params = _driver(restriction, all_="ALL ")
    count = f"SELECT count(*) FROM (SELECT key FROM ({keys}) k LIMIT ?) c"
    if (await store.fetch(count, (*params, MAX_DRIVEN + 1), heavy=True))[0][0] <= MAX_DRIVEN:
        return await _driven(store, asked, restriction)
    more = replace(asked, after=end, limit=asked.limit - len(found))
    return found + await _looked_through(store, more, restriction, WINDOWS[1:])


async def _driven(store: Store, asked: Asked, restriction: Restriction) -> list[Found]:
    # Materialised, since both planners would rather walk all versions in their order.
    cross = "CROSS " if store.db.name == "sqlite" else ""
    keys, params = _driver(restriction)
    within = join(_range(asked, "h"), (f"r.rtype IN ({marks(len(asked.types))})", list(asked.types)))
    source = (
        f"WITH c AS MATERIALIZED (SELECT h.vid AS vid FROM ({keys}) d {cross}JOIN resource r ON r.key = d.key "
        f"{cross}JOIN version h ON h.key = r.key WHERE {within[0]}) "
    )
    driven = f"c {cross}JOIN version v ON v.vid = c.vid {cross}JOIN resource r ON r.key = v.key"
    conditions = [_seen(asked.types, restriction)]
    return await _rows(store, driven, conditions, asked, with_=(source, [*params, *within[1]]))


def _driver(restriction: Restriction, *, all_: str = "") -> Sql:
    """Keys of all resources that this caller could see: of the panel's patients, and written by itself."""
    subjects, own = restriction.subjects or (0,), restriction.own or (0,)
    sql = (
        "SELECT key FROM resource WHERE patient IN (SELECT patient FROM panel WHERE subject IN "
        f"({marks(len(subjects))}) AND start_us <= ? AND end_us > ?) "
        f"UNION {all_}SELECT key FROM resource WHERE source_org IN ({marks(len(own))})"
    )
    return sql, [*subjects, restriction.now_us, restriction.now_us - restriction.grace_us, *own]


async def _looked_through(store: Store, asked: Asked, restriction: Restriction, windows: Sequence[int]) -> list[Found]:
    """By windows of versions, until the page is full or none is left."""
    found: list[Found] = []
    for window in windows:
        more, end = await _window(store, replace(asked, limit=asked.limit - len(found)), restriction, window)
        found += more
        if end is None or len(found) >= asked.limit:
            return found
        asked = replace(asked, after=end)
    raise _too_costly()


async def _window(store: Store, asked: Asked, restriction: Restriction, window: int) -> tuple[list[Found], int | None]:
    """What is seen among the next so many versions, and the vid of the last of them; None: no more follow."""
    kind: Sql = ("v.rtype = ?", [asked.types[0]]) if len(asked.types) == 1 else ("", [])
    end = await _end_of_window(store, asked, kind, window)
    stop: Sql = ("", []) if end is None else (f"v.vid {'<=' if asked.up else '>='} ?", [end])
    return await _rows(store, _heads(store), [kind, stop, _seen(asked.types, restriction)], asked), end


async def _end_of_window(store: Store, asked: Asked, kind: Sql, window: int) -> int | None:
    condition, params = join(kind, _range(asked, "v"))
    order = "ASC" if asked.up else "DESC"
    sql = f"SELECT v.vid FROM version v WHERE {condition} ORDER BY v.vid {order} LIMIT 1 OFFSET ?"
    rows = await store.fetch(sql, (*params, window - 1), heavy=True)
    return int(rows[0][0]) if rows else None


async def _rows(
    store: Store, source: str, conditions: Sequence[Sql], asked: Asked, *, with_: Sql = ("", [])
) -> list[Found]:
    condition, params = join(*conditions, _range(asked, "v"), _current_at(asked))
    order = f"{'v.version' if asked.key else 'v.vid'} {'ASC' if asked.up else 'DESC'}"
    sql = f"{with_[0]}SELECT {_COLUMNS} FROM {source} WHERE {condition} ORDER BY {order} LIMIT ?"
    rows = await store.fetch(sql, (*with_[1], *params, asked.limit), heavy=not asked.key, varying=True)
    return [_found(row) for row in rows]


def _found(row: Sequence[Any]) -> Found:
    key, rtype, fhir_id, version, vid, deleted, body, patient, labels, source_org = row
    return Found(key, rtype, fhir_id, version, vid, bool(deleted), body, patient, labels, source_org)


def _range(asked: Asked, alias: str) -> Sql:
    """Bounds of the order and of time: all on the column that an index holds."""
    column = f"{alias}.version" if asked.key else f"{alias}.vid"
    bounds: list[Sql] = []
    if asked.after is not None:
        bounds.append((f"{column} {'>' if asked.up else '<'} ?", [asked.after]))
    if asked.since is not None:
        bounds.append((f"{alias}.vid >= ?", [_vid(asked.since)]))
    if asked.at is not None:
        bounds.append((f"{alias}.vid < ?", [_vid(asked.at[1])]))
    if asked.top is not None:
        bounds.append((f"{alias}.vid <= ?", [asked.top]))
    sql, params = join(*bounds)
    return (sql, params) if bounds else ("", [])


def _current_at(asked: Asked) -> Sql:
    """Its successor, if any, came after the range had begun."""
    if asked.at is None:
        return "", []
    successor = "SELECT 1 FROM version n WHERE n.key = v.key AND n.version = v.version + 1 AND n.vid < ?"
    return f"NOT EXISTS ({successor})", [_vid(min(asked.at[0] + 1, asked.at[1]))]


def _vid(us: int) -> int:
    """The smallest vid of an instant; 0 where it lies before all of them."""
    return vid_at(us) if us > EPOCH_US else 0


def _seen(types: Sequence[str], restriction: Restriction) -> Sql:
    """What the caller sees of each type, by its head; and the labels of the version itself."""
    return join(visible_any("r", types, restriction), labels_cleared("v", restriction))

"""The record of one patient in pages: the Patient, what refers to it, and the directory entries that the record names.

The order is by type and id, so that a page link holds a place which no write moves: each resource comes once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.errors import Category, FhirError, Issue
from service.search.compartment import compartment_edges, main_date
from service.search.restriction import Restriction
from service.store.database import TooCostly
from service.store.dialect import marks
from service.store.engine import Store
from service.store.read import Found
from service.store.slots import EPOCH_US, vid_at
from service.store.visible import Sql, join, visible_any

_COLUMNS = "v.key, v.rtype, v.fhir_id, v.version, v.vid, 0, v.body, v.patient, v.labels, v.source_org"
PATIENT, RECORD, DIRECTORY = range(3)
Place = tuple[int, str, str]
"""Stage, type and id of the last resource of a page."""
START: Place = (PATIENT, "", "")


@dataclass(frozen=True)
class Asked:
    """patient: key. record, directory: types wanted of each; all: record types that may name directory entries.

    since: microseconds, inclusive. period: [lo, hi) in microseconds that the main date must meet, where there is one.
    """

    patient: int
    with_patient: bool
    record: tuple[str, ...]
    directory: tuple[str, ...]
    all: tuple[str, ...]
    limit: int
    since: int | None = None
    period: tuple[int, int] | None = None
    after: Place = START


async def everything(store: Store, asked: Asked, restriction: Restriction) -> list[tuple[int, Found]]:
    """(stage, resource) in order, at most `limit`. restriction: narrowed to what the scopes let the caller read."""
    found: list[tuple[int, Found]] = []
    store = store.reading(restriction)
    try:
        for stage in range(asked.after[0], DIRECTORY + 1):
            left = asked.limit - len(found)
            place = asked.after if stage == asked.after[0] else (stage, "", "")
            if left > 0:
                rows = await _STAGES[stage](store, replace(asked, limit=left, after=place), restriction)
                found += [(stage, one) for one in rows]
    except TooCostly as error:
        text = "The record took too long to gather: narrow it by _type, start or _since."
        raise FhirError(Category.UNAVAILABLE, [Issue(text, code="too-costly")], reason="too-costly") from error
    return found


async def _patient(store: Store, asked: Asked, restriction: Restriction) -> list[Found]:
    if not asked.with_patient:
        return []
    head: Sql = ("r.key = ? AND r.deleted = 0", [asked.patient])
    return await _heads(store, asked, head, ("Patient",), restriction)


async def _record(store: Store, asked: Asked, restriction: Restriction) -> list[Found]:
    if not asked.record:
        return []
    condition, params = join(
        _of_record(asked.patient, asked.record, "v"),
        visible_any("v", asked.record, restriction),
        _meets(store, asked, asked.record, "v"),
        _since(asked),
        _behind(asked, "v"),
    )
    sql = f"SELECT {_COLUMNS} FROM version v WHERE {condition} ORDER BY v.rtype, v.fhir_id LIMIT ?"
    return [_found(row) for row in await store.fetch(sql, (*params, asked.limit), heavy=True)]


async def _directory(store: Store, asked: Asked, restriction: Restriction) -> list[Found]:
    """Named by what the caller sees of the record in that period, and by the Patient."""
    if not asked.directory:
        return []
    inner, params = join(
        _of_record(asked.patient, asked.all, "w"),
        visible_any("w", asked.all, restriction),
        _meets(store, asked, asked.all, "w"),
    )
    own = "SELECT p.vid FROM resource p WHERE p.key = ? AND p.deleted = 0"
    record = f"SELECT w.vid FROM version w WHERE {inner} UNION {own}" if asked.all else own
    values = [*(params if asked.all else []), asked.patient]
    # Led by the references: SQLite would rather walk all entries of the directory's types in their order.
    cross = "CROSS " if store.db.name == "sqlite" else ""
    named = f"(SELECT DISTINCT f.target AS key FROM ref f WHERE f.vid IN ({record})) n"
    source = (f"{named} {cross}JOIN resource r ON r.key = n.key", values)
    return await _heads(store, asked, ("r.deleted = 0", []), asked.directory, restriction, source)


async def _heads(
    store: Store,
    asked: Asked,
    which: Sql,
    types: Sequence[str],
    restriction: Restriction,
    source: Sql = ("resource r", []),
) -> list[Found]:
    condition, params = join(which, visible_any("r", types, restriction), _since(asked), _behind(asked, "r"))
    sql = (
        f"SELECT {_COLUMNS} FROM {source[0]} JOIN version v ON v.vid = r.vid WHERE {condition} "
        "ORDER BY r.rtype, r.fhir_id LIMIT ?"
    )
    return [_found(row) for row in await store.fetch(sql, (*source[1], *params, asked.limit), heavy=True)]


_STAGES = (_patient, _record, _directory)


def _of_record(patient: int, types: Sequence[str], alias: str) -> Sql:
    edges = [number for rtype in types for number in compartment_edges(rtype)]
    sql = f"{alias}.vid IN (SELECT e.vid FROM ref e WHERE e.target = ? AND e.param IN ({marks(len(edges))}))"
    return sql, [patient, *edges]


def _meets(store: Store, asked: Asked, types: Sequence[str], alias: str) -> Sql:
    """The main date meets the period; what has no date is not left out."""
    dates = [(rtype, main_date(rtype)) for rtype in types]
    keys = [store.keys.values(rtype, code) for rtype, code in dates if code]
    if asked.period is None or not keys:
        return "", []
    own = f"SELECT 1 FROM ix_date d WHERE d.vid = {alias}.vid AND d.key IN ({marks(len(keys))})"
    sql = f"(NOT EXISTS ({own}) OR EXISTS ({own} AND d.lo < ? AND d.hi > ?))"
    return sql, [*keys, *keys, asked.period[1], asked.period[0]]


def _since(asked: Asked) -> Sql:
    if asked.since is None or asked.since <= EPOCH_US:
        return "", []
    return "v.vid >= ?", [vid_at(asked.since)]


def _behind(asked: Asked, alias: str) -> Sql:
    _, rtype, fhir_id = asked.after
    if not rtype:
        return "", []
    return f"({alias}.rtype > ? OR ({alias}.rtype = ? AND {alias}.fhir_id > ?))", [rtype, rtype, fhir_id]


def _found(row: Sequence[Any]) -> Found:
    return Found(row[0], row[1], row[2], row[3], row[4], False, *row[6:10])

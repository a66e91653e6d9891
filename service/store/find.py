"""Criteria -> SQL: searches in keyset order, with the caller's Restriction inside (design D, ../shared/stack.md 3).

The query is driven from its rarest key; where nothing rare is asked and the caller's panel is small, from the panel's
patients through their compartment edges. Everything else is an EXISTS, so that no join can multiply rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles.catalog import catalog
from service.errors import Category, FhirError, Issue
from service.search.criteria import (
    Between,
    Clause,
    Criteria,
    HasDate,
    HasEdge,
    HasId,
    HasKey,
    HasString,
    Include,
    Position,
    Updated,
)
from service.search.keys import PATIENT_EDGE, edge
from service.search.restriction import Restriction, See
from service.store.database import TooCostly
from service.store.dialect import marks
from service.store.engine import Store
from service.store.read import Found
from service.store.slots import vid_at
from service.store.visible import Sql, join, visible

MAX_INCLUDED = 1000
SMALL_PANEL = 2000
SMALL_OWN = 2000
TINY_PANEL, MANY_EDGES = 200, 500
_COMMON = 4
"""From this rank on a key is too common to drive a restricted query: status, the type marker."""

_COLUMNS = "v.key, v.rtype, v.fhir_id, v.version, v.vid, 0, v.body, v.patient"
_PANEL_FROM = "version v"
_TOO_COSTLY = "The search took too long. Add a criterion such as patient, owner, identifier or _lastUpdated."


@dataclass(frozen=True)
class Page:
    """matches in order; next: position after which the next page starts, or None; total only if asked."""

    matches: list[Found]
    included: list[Found]
    next: Position | None
    total: int | None


async def search(
    store: Store, criteria: Criteria, restriction: Restriction, *, include_restriction: Restriction
) -> Page:
    """include_restriction: what the caller may see of included types (scopes differ by type)."""
    try:
        return await _search(store, criteria, restriction, include_restriction)
    except TooCostly as error:
        raise FhirError(Category.UNAVAILABLE, [Issue(_TOO_COSTLY, code="too-costly")]) from error


async def _search(store: Store, criteria: Criteria, restriction: Restriction, wider: Restriction) -> Page:
    source, condition, params = await _compile(store, criteria, restriction)
    total = None
    if criteria.total != "none":
        sql = f"SELECT count(*) FROM {source} WHERE {condition}"
        total = int((await store.fetch(sql, tuple(params), heavy=True))[0][0])
    if criteria.count == 0:
        return Page([], [], None, total)
    # Ordered by the driver's own column, so that the index order is the order of the page and nothing is sorted.
    order, after = _order(criteria, "v" if source == _PANEL_FROM else "d")
    page_condition, page_params = join((condition, list(params)), after)
    sql = f"SELECT {_COLUMNS} FROM {source} WHERE {page_condition} ORDER BY {order} LIMIT ?"
    rows = await store.fetch(sql, (*page_params, criteria.count + 1), heavy=criteria.sort[0].by == "_id")
    matches = [_found(row) for row in rows[: criteria.count]]
    following: Position | None = None
    if len(rows) > criteria.count:
        last = matches[-1]
        following = (last.fhir_id if criteria.sort[0].by == "_id" else last.vid, last.vid)
    included = await _included(store, criteria.includes, matches, wider)
    return Page(matches, included, following, total)


def _found(row: Sequence[Any]) -> Found:
    return Found(row[0], row[1], row[2], row[3], row[4], False, row[6], row[7])


def _order(criteria: Criteria, alias: str) -> tuple[str, Sql]:
    column = "v.fhir_id" if criteria.sort[0].by == "_id" else f"{alias}.vid"
    down = criteria.sort[0].down
    after: Sql = ("", [])
    if criteria.after is not None:
        after = (f"{column} {'<' if down else '>'} ?", [criteria.after[0]])
    return f"{column} {'DESC' if down else 'ASC'}", after


# --- the driver ----------------------------------------------------------------------------------------------------


async def _compile(store: Store, criteria: Criteria, restriction: Restriction) -> tuple[str, str, list[Any]]:
    """FROM text, WHERE text and parameters: one row per matching current version, as alias v."""
    driver = _rarest(criteria.clauses)
    rest = [c for c in criteria.clauses if c is not driver]
    rtype = criteria.rtype
    access = visible("v", rtype, restriction)
    if restriction.rule(rtype) in (See.PANEL, See.PARTY) and not restriction.unrestricted:
        small = SMALL_PANEL if _rank(driver) >= _COMMON else await _small_beside(store, driver)
        source = await _panel_source(store, rtype, restriction, small) if small else None
        if source is not None:
            every = [c for c in criteria.clauses if not isinstance(c, HasId)]
            condition = join((source[0], source[1]), *map(_exists, every), access)
            return _PANEL_FROM, *condition
    if driver is None or isinstance(driver, Updated):
        marker = HasKey((store.keys.marker(rtype),), 9)
        source_sql, params = _drive_key(marker.keys)
    elif isinstance(driver, HasKey):
        source_sql, params = _drive_key(driver.keys)
    elif isinstance(driver, HasEdge):
        source_sql, params = _drive_edge(driver)
    elif isinstance(driver, HasId):
        keys = [store.keys.resource(f"{rtype}/{i}") for i in driver.ids]
        source_sql = f"(SELECT vid FROM resource WHERE key IN ({marks(len(keys))}) AND deleted = 0)"
        params = list(keys)
    else:
        assert isinstance(driver, HasDate | HasString)
        source_sql, params = _drive_rows(driver)
    if isinstance(driver, Updated):
        rest = list(criteria.clauses)
    condition = join(*map(_exists, rest), access)
    # SQLite takes the tables of a CROSS JOIN in this order. Keys and edges are of one type: v.rtype need not be asked.
    cross = "CROSS " if store.db.name == "sqlite" else ""
    return f"{source_sql} d {cross}JOIN version v ON v.vid = d.vid", condition[0], [*params, *condition[1]]


def _rank(clause: Clause | None) -> int:
    match clause:
        case HasId():
            return 0
        case HasKey(_, rank, False):
            return rank
        case HasEdge(_, _, False):
            return 1
        case HasString():
            return 3
        case HasDate(_, any_of) if all(not b.negate for b in any_of):
            return 6
        case _:
            return 9


def _rarest(clauses: Sequence[Clause]) -> Clause | None:
    usable = [c for c in clauses if _rank(c) < 9 or isinstance(c, Updated)]
    return min(usable, key=_rank, default=None)


def _drive_key(keys: tuple[int, ...]) -> Sql:
    """Vids under a key, in index order; several keys are merged, each vid once."""
    if len(keys) == 1:
        return "(SELECT vid FROM ix WHERE key = ?)", [keys[0]]
    return f"(SELECT DISTINCT vid FROM ix WHERE key IN ({marks(len(keys))}))", list(keys)


def _drive_edge(clause: HasEdge) -> Sql:
    distinct = "" if len(clause.params) == len(clause.targets) == 1 else "DISTINCT "
    sql = (
        f"(SELECT {distinct}vid FROM ref WHERE param IN ({marks(len(clause.params))}) "
        f"AND target IN ({marks(len(clause.targets))}))"
    )
    return sql, [*clause.params, *clause.targets]


def _drive_rows(clause: HasDate | HasString) -> Sql:
    table = "ix_date" if isinstance(clause, HasDate) else "ix_str"
    fits, params = _fits_date(clause, "") if isinstance(clause, HasDate) else _fits_string(clause, "")
    return f"(SELECT DISTINCT vid FROM {table} WHERE key = ? AND {fits})", [clause.key, *params]


async def _small_beside(store: Store, driver: Clause | None) -> int:
    """A panel of so many rows is a better driver than a reference that leads from more resources than a few pages."""
    if not isinstance(driver, HasEdge):
        return 0
    edges, params = _drive_edge(driver)
    hits = await store.fetch(f"SELECT count(*) FROM (SELECT 1 FROM {edges} e LIMIT ?) c", (*params, MANY_EDGES))
    return TINY_PANEL if hits[0][0] >= MANY_EDGES else 0


async def _panel_source(store: Store, rtype: str, restriction: Restriction, small: int) -> Sql | None:
    """`v.vid IN (...)` over the panel's patients and the caller's own writes, or None where either is large."""
    subjects, own = restriction.subjects or (0,), restriction.own or (0,)
    own_keys = [store.keys.author(rtype, key) for key in own]
    count = (
        f"SELECT (SELECT count(*) FROM (SELECT 1 FROM panel WHERE subject IN ({marks(len(subjects))}) LIMIT ?) a), "
        f"(SELECT count(*) FROM (SELECT 1 FROM ix WHERE key IN ({marks(len(own_keys))}) LIMIT ?) b)"
    )
    panel, mine = (await store.fetch(count, (*subjects, small + 1, *own_keys, SMALL_OWN + 1)))[0]
    if panel > small or mine > SMALL_OWN:
        return None
    now = restriction.now_us
    members = f"SELECT patient FROM panel WHERE subject IN ({marks(len(subjects))}) AND start_us <= ? AND end_us > ?"
    written = f"SELECT vid FROM ix WHERE key IN ({marks(len(own_keys))})"
    params: list[Any] = [*subjects, now, now]
    if rtype == "Patient":
        seen = f"SELECT vid FROM resource WHERE deleted = 0 AND key IN ({members})"
    else:
        seen = f"SELECT vid FROM ref WHERE param = ? AND target IN ({members})"
        params = [edge(rtype, PATIENT_EDGE), *params]
    return f"v.vid IN ({seen} UNION {written})", [*params, *own_keys]


# --- the clauses -------------------------------------------------------------------------------------------------


def _exists(clause: Clause) -> Sql:
    match clause:
        case HasKey(keys, _, negate):
            sql = f"EXISTS (SELECT 1 FROM ix k WHERE k.vid = v.vid AND k.key IN ({marks(len(keys))}))"
            return ("NOT " if negate else "") + sql, list(keys)
        case HasEdge(params, targets, negate):
            sql = (
                f"EXISTS (SELECT 1 FROM ref k WHERE k.vid = v.vid AND k.param IN ({marks(len(params))}) "
                f"AND k.target IN ({marks(len(targets))}))"
            )
            return ("NOT " if negate else "") + sql, [*params, *targets]
        case HasDate():
            fits, values = _fits_date(clause, "k.")
            return f"EXISTS (SELECT 1 FROM ix_date k WHERE k.vid = v.vid AND k.key = ? AND {fits})", [
                clause.key,
                *values,
            ]
        case HasString():
            fits, values = _fits_string(clause, "k.")
            return f"EXISTS (SELECT 1 FROM ix_str k WHERE k.vid = v.vid AND k.key = ? AND {fits})", [
                clause.key,
                *values,
            ]
        case HasId(ids):
            return f"v.fhir_id IN ({marks(len(ids))})", list(ids)
        case Updated(any_of):
            return _either([_updated(low, high) for low, high in any_of])
    raise NotImplementedError(type(clause).__name__)


def _updated(low: int | None, high: int | None) -> Sql:
    return join(
        ("v.vid >= ?", [vid_at(low)]) if low is not None else ("", []),
        ("v.vid < ?", [vid_at(high)]) if high is not None else ("", []),
    )


def _fits_date(clause: HasDate, prefix: str) -> Sql:
    return _either([_between(b, prefix) for b in clause.any_of])


def _between(b: Between, prefix: str) -> Sql:
    bounds: list[Sql] = []
    for column, sign, value in (
        ("lo", ">=", b.lo_ge),
        ("lo", "<", b.lo_lt),
        ("hi", "<=", b.hi_le),
        ("hi", ">", b.hi_gt),
    ):
        if value is not None:
            bounds.append((f"{prefix}{column} {sign} ?", [value]))
    sql, params = join(*bounds)
    return (f"NOT ({sql})" if b.negate else sql), params


def _fits_string(clause: HasString, prefix: str) -> Sql:
    return _either([_string(value, clause.match, prefix) for value in clause.values])


def _string(value: str, match: str, prefix: str) -> Sql:
    if match == "exact":
        return f"{prefix}val = ?", [value]
    return f"{prefix}val >= ? AND {prefix}val < ?", [value, value + "\U0010ffff"]


def _either(alternatives: list[Sql]) -> Sql:
    if len(alternatives) == 1:
        return alternatives[0]
    return "(" + " OR ".join(f"({sql})" for sql, _ in alternatives) + ")", [p for _, ps in alternatives for p in ps]


# --- includes ------------------------------------------------------------------------------------------------------


async def _included(
    store: Store, includes: Sequence[Include], matches: Sequence[Found], restriction: Restriction
) -> list[Found]:
    """Each included resource once, never one that is a match; only what the caller may see."""
    seen = {found.key for found in matches}
    out: list[Found] = []
    for include in includes:
        if not matches:
            break
        find = _reverse if include.reverse else _forward
        for found in await find(store, include, matches, restriction):
            if found.key not in seen:
                seen.add(found.key)
                out.append(found)
        if len(out) > MAX_INCLUDED:
            text = f"More than {MAX_INCLUDED} included resources: ask for a smaller _count or fewer includes."
            raise FhirError(Category.MALFORMED, [Issue(text, code="too-costly")])
    return out


def _edges(include: Include) -> list[int]:
    return [edge(include.rtype, code) for code in catalog().types[include.rtype].search[include.param].stored_as]


async def _forward(store: Store, include: Include, matches: Sequence[Found], restriction: Restriction) -> list[Found]:
    params = _edges(include)
    targets = catalog().types[include.rtype].search[include.param].targets
    if "Any" in targets:
        targets = tuple(catalog().types)
    wanted = [t for t in targets if include.target in (None, t)]
    readable = [(t, visible("r", t, restriction)) for t in wanted]
    either = _either([join(("r.rtype = ?", [t]), access) for t, access in readable] or [("1 = 0", [])])
    sql = (
        "SELECT DISTINCT r.key, r.rtype, r.fhir_id, v.version, v.vid, 0, v.body, v.patient FROM ref e "
        "JOIN resource r ON r.key = e.target JOIN version v ON v.vid = r.vid "
        f"WHERE e.vid IN ({marks(len(matches))}) AND e.param IN ({marks(len(params))}) AND r.deleted = 0 "
        f"AND {either[0]} "
        "LIMIT ?"
    )
    values = (*(m.vid for m in matches), *params, *either[1], MAX_INCLUDED + 1)
    return [_found(row) for row in await store.fetch(sql, values)]


async def _reverse(store: Store, include: Include, matches: Sequence[Found], restriction: Restriction) -> list[Found]:
    params = _edges(include)
    condition, values = join(("v.rtype = ?", [include.rtype]), visible("v", include.rtype, restriction))
    sql = (
        f"SELECT DISTINCT {_COLUMNS} FROM ref e JOIN version v ON v.vid = e.vid "
        f"WHERE e.param IN ({marks(len(params))}) AND e.target IN ({marks(len(matches))}) AND {condition} LIMIT ?"
    )
    rows = await store.fetch(sql, (*params, *(m.key for m in matches), *values, MAX_INCLUDED + 1))
    return [_found(row) for row in rows]

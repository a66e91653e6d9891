"""How a search is driven: from its rarest clause, from a small panel, or from all resources of the type in order.

A chain that nothing rarer beats is resolved first: the few resources it may lead to become its targets. Where they are
many, almost every resource leads to one of them, and the scan in order finds its page soon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search.criteria import AnyOf, Clause, HasDate, HasEdge, HasId, HasKey, HasString, Linked, Updated
from service.search.keys import PATIENT_EDGE, edge
from service.search.restriction import Restriction, See
from service.store.dialect import marks
from service.store.find_asked import MAX_RESOLVED, Asked
from service.store.find_clauses import At, Compiler
from service.store.find_drivers import NEVER_DRIVES, SCANNED, SURE, Driver, driver, every, flat, rank
from service.store.visible import Sql, join

SMALL_PANEL = 2000
SMALL_OWN = 2000
TINY_PANEL, MANY = 200, 500
FEW = 5_000
"""So many candidates are taken as they are; with more, the scan follows the order of the page."""
TARGETS = 1_000
"""A chain that leads to at most so many resources is replaced by them."""
SOURCES = 3_000
"""So many sources of a _has are followed to what they lead to."""
LOOKED_AT = 3
_COMMON = 4
"""From this rank on a key is too common to drive a restricted query: status, the type marker."""


@dataclass(frozen=True)
class Plan:
    """clauses: all, chains replaced. others: those that the driver does not answer. few: whether it holds few rows."""

    asked: Asked
    driver: Driver
    clauses: tuple[Clause, ...]
    others: tuple[Clause, ...]
    few: bool | None = None

    def rows(self, compiler: Compiler, at: At) -> tuple[str, Sql]:
        """FROM text and WHERE: one row per resource that matches; `at` is its row (row() makes it).

        The parameters are those of the whole. What else is asked of `at` must be asked before.
        """
        where = conditions(self.asked, compiler, self.others, at)
        table = f"{self.driver.table} d"
        if at.used:
            table += f" {compiler.join} version v ON v.vid = d.vid"
        return table, (where[0], [*self.driver.params, *where[1]])


def row() -> At:
    return At("v", "d.vid")


def conditions(asked: Asked, compiler: Compiler, clauses: Sequence[Clause], at: At) -> Sql:
    """What is quickly said comes first, chains last: SQLite asks in this order.

    Keys, edges and values are of one type each, and every driver is of the type: it need not be asked.
    """
    rows = [c for c in clauses if isinstance(c, HasKey | HasEdge | HasDate | HasId | Updated)]
    others = [c for c in clauses if not isinstance(c, HasKey | HasEdge | HasDate | HasId | Updated)]
    access = compiler.access(at, asked.rtype, asked.restriction)
    return join(compiler.all_of(rows, at), access, compiler.all_of(others, at))


async def plan(asked: Asked, *, by_vid: bool = True) -> Plan:
    """by_vid: the page is in order of vid (or of no importance), so that an index key is a driver however common."""
    clauses = tuple(await _resolved(asked, flat(asked.clauses)))
    restriction, rtype = asked.restriction, asked.rtype
    if restriction.rule(rtype) in (See.PANEL, See.PARTY) and not restriction.unrestricted:
        small = await _small(asked, min(clauses, key=rank, default=None))
        panel = await _panel(asked, small) if small > 0 else None
        if panel is not None:
            return Plan(asked, panel, clauses, clauses, few=True)
    chosen, start, few = await _chosen(asked, clauses, by_vid=by_vid)
    if start is None:
        return Plan(asked, every(rtype, asked.store.keys), clauses, clauses)
    others = tuple(c for c in clauses if c is not chosen or not start.answers)
    return Plan(asked, start, clauses, others, few)


async def is_few(made: Plan) -> bool:
    """Whether the driver holds fewer than FEW rows."""
    if made.few is not None:
        return made.few
    sql = f"SELECT count(*) FROM (SELECT 1 FROM ({made.driver.sql}) u LIMIT ?) c"
    return int((await made.asked.fetch(sql, [*made.driver.params, FEW], heavy=False))[0][0]) < FEW


# --- the choice ----------------------------------------------------------------------------------------------------


Choice = tuple[Clause | None, Driver | None, bool | None]
"""What drives, None: all of the type; and whether it holds few rows, None: it was not counted."""


async def _chosen(asked: Asked, clauses: Sequence[Clause], *, by_vid: bool) -> Choice:
    able = [(c, one) for c in sorted(clauses, key=rank) if (one := _driver(asked, c)) is not None]
    if not able:
        return None, None, None
    best, first = able[0]
    if isinstance(best, HasId):
        return best, first, True
    if by_vid and rank(best) <= SURE and first.ordered:
        return best, first, None
    likely = [pair for pair in able if rank(pair[0]) < SCANNED][:LOOKED_AT]
    if likely:
        counts = await _counts(asked, likely)
        least = min(counts)
        if least < FEW:
            return *likely[counts.index(least)], True
    for scanned, one in (pair for pair in able if rank(pair[0]) >= SCANNED):
        if (held := await _held(asked, one)) is not None:
            return scanned, held, True
    streams = [pair for pair in likely if pair[1].ordered]
    return (*streams[0], False) if streams else (None, None, False)


async def _held(asked: Asked, scanned: Driver) -> Driver | None:
    """The vids themselves, so that a long scan is made once; None if they are many."""
    rows = await asked.fetch(f"SELECT vid FROM ({scanned.sql}) u LIMIT ?", [*scanned.params, FEW], heavy=True)
    vids = tuple({vid for (vid,) in rows})
    if len(rows) >= FEW:
        return None
    return Driver(f"SELECT vid FROM version WHERE vid IN ({marks(len(vids))})" if vids else NO_VID, vids, False)


async def _counts(asked: Asked, drivers: Sequence[tuple[Clause, Driver]]) -> list[int]:
    """Rows of each, counted to FEW."""
    each = ["(SELECT count(*) FROM (SELECT 1 FROM (" + one.sql + ") u LIMIT ?) c)" for _, one in drivers]
    params = [value for _, one in drivers for value in (*one.params, FEW)]
    sql = f"SELECT {', '.join(each)}"
    return list((await asked.fetch(sql, params, heavy=_slow([clause for clause, _ in drivers])))[0])


def _slow(clauses: Sequence[Clause]) -> bool:
    return any(rank(c) >= SCANNED or not isinstance(c, HasKey | HasEdge | HasId | HasString) for c in clauses)


def _driver(asked: Asked, clause: Clause) -> Driver | None:
    return driver(clause, asked.rtype, asked.store.keys, asked.store.db.name)


# --- chains --------------------------------------------------------------------------------------------------------


async def _resolved(asked: Asked, clauses: Sequence[Clause]) -> list[Clause]:
    """The clauses with each chain replaced that nothing rarer beats and that leads to few resources."""
    best = min((rank(c) for c in clauses if not linked(c)), default=NEVER_DRIVES)
    out = [c for c in clauses if not linked(c)]
    for clause in sorted((c for c in clauses if linked(c)), key=rank):
        found = await _targets(asked, clause) if rank(clause) < best else None
        if found is not None:
            best = min(best, rank(found))
        out.append(clause if found is None else found)
    return out


NOBODY = AnyOf(())
NO_VID = "SELECT vid FROM version WHERE 1 = 0"


def linked(clause: Clause) -> bool:
    return isinstance(clause, Linked) or (isinstance(clause, AnyOf) and any(map(linked, clause.clauses)))


async def _targets(asked: Asked, clause: Clause) -> Clause | None:
    if isinstance(clause, AnyOf):
        parts = [await _targets(asked, part) if linked(part) else part for part in clause.clauses]
        kept = tuple(part for part in parts if part is not None)
        return AnyOf(tuple(part for part in kept if part != NOBODY)) if len(kept) == len(parts) else None
    assert isinstance(clause, Linked)
    found = await (_sources(asked, clause) if clause.reverse else _ends(asked, clause))
    if found is None or asked.spent.resolved + len(found) > MAX_RESOLVED:
        return None
    asked.spent.resolved += len(found)
    if not found:
        return NOBODY
    return HasId(tuple(found)) if clause.reverse else HasEdge(clause.params, tuple(found))


async def _ends(asked: Asked, clause: Linked) -> list[Any] | None:
    """Keys of the resources at the end of a chain, None if they are many."""
    inner = await plan(asked.about(clause.rtype, clause.clauses))
    at = row()
    key = at.column("key")
    table, (where, params) = inner.rows(asked.compiler(), at)
    sql = f"SELECT {key} FROM {table} WHERE {where} LIMIT ?"
    rows = await asked.fetch(sql, [*params, TARGETS + 1], heavy=True)
    return None if len(rows) > TARGETS else [row[0] for row in rows]


async def _sources(asked: Asked, clause: Linked) -> list[Any] | None:
    """Ids of the resources to which the sources of a _has lead, None if they are many."""
    inner = await plan(asked.about(clause.rtype, clause.clauses))
    at = row()
    table, (where, params) = inner.rows(asked.compiler(), at)
    vids = await asked.fetch(f"SELECT {at.vid} FROM {table} WHERE {where} LIMIT ?", [*params, SOURCES + 1], heavy=True)
    if not vids or len(vids) > SOURCES:
        return None if vids else []
    sql = (
        f"SELECT DISTINCT t.fhir_id FROM ref e {asked.compiler().join} resource t ON t.key = e.target "
        f"WHERE e.vid IN ({marks(len(vids))}) AND e.param IN ({marks(len(clause.params))}) AND t.rtype = ? LIMIT ?"
    )
    values = [*(vid for (vid,) in vids), *clause.params, asked.rtype, TARGETS + 1]
    rows = await asked.fetch(sql, values, heavy=True)
    return None if len(rows) > TARGETS else [fhir_id for (fhir_id,) in rows]


# --- the caller's panel --------------------------------------------------------------------------------------------


async def _small(asked: Asked, best: Clause | None) -> int:
    """Up to how many members a panel drives: it also beats a reference that leads from more than a few pages."""
    if best is None or rank(best) >= _COMMON:
        return SMALL_PANEL
    start = _driver(asked, best)
    if start is None or rank(best) <= 0:
        return 0
    count = f"SELECT count(*) FROM (SELECT 1 FROM ({start.sql}) e LIMIT ?) c"
    hits = await asked.fetch(count, [*start.params, MANY], heavy=_slow([best]))
    if hits[0][0] < MANY:
        return 0
    return min(TINY_PANEL, SMALL_PANEL) if start.ordered else SMALL_PANEL


async def _panel(asked: Asked, small: int) -> Driver | None:
    """The panel's patients and the caller's own writes, or None where either is large."""
    restriction, rtype = asked.restriction, asked.rtype
    subjects, own = restriction.subjects or (0,), restriction.own or (0,)
    own_keys = [asked.store.keys.author(rtype, key) for key in own]
    count = (
        f"SELECT (SELECT count(*) FROM (SELECT 1 FROM panel WHERE subject IN ({marks(len(subjects))}) LIMIT ?) a), "
        f"(SELECT count(*) FROM (SELECT 1 FROM ix WHERE key IN ({marks(len(own_keys))}) LIMIT ?) b)"
    )
    panel, mine = (await asked.fetch(count, [*subjects, small + 1, *own_keys, SMALL_OWN + 1], heavy=False))[0]
    if panel > small or mine > SMALL_OWN:
        return None
    seen = _members(rtype, restriction)
    written = f"SELECT vid FROM ix WHERE key IN ({marks(len(own_keys))})"
    return Driver(f"{seen[0]} UNION ALL {written}", (*seen[1], *own_keys), ordered=False)


def _members(rtype: str, restriction: Restriction) -> Sql:
    """Vids of the resources of the panel's patients."""
    subjects, now = restriction.subjects or (0,), restriction.now_us
    ends = now - restriction.grace_us
    members = f"SELECT patient FROM panel WHERE subject IN ({marks(len(subjects))}) AND start_us <= ? AND end_us > ?"
    if rtype == "Patient":
        return f"SELECT vid FROM resource WHERE deleted = 0 AND key IN ({members})", [*subjects, now, ends]
    sql = f"SELECT vid FROM ref WHERE param = ? AND target IN ({members})"
    return sql, [edge(rtype, PATIENT_EDGE), *subjects, now, ends]

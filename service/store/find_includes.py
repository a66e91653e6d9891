"""_include and _revinclude: what comes with the matches, breadth-first; all includes of one step in two statements.

Source: https://hl7.org/fhir/R4/search.html#include. Each resource once, never one that is a match; only what the caller
may see of its type: a type that the scopes do not cover gives nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fhir_profiles.catalog import catalog
from service.errors import Category, FhirError, Issue
from service.search.criteria import Include
from service.search.keys import edge
from service.search.restriction import See
from service.store.dialect import marks
from service.store.find_asked import COLUMNS, Asked, as_found
from service.store.find_clauses import NEVER
from service.store.read import Found
from service.store.visible import Sql, either, join, visible_any

MAX_INCLUDED = 1000
MAX_STEPS = 4
"""How far :iterate leads from a match. What lies behind is refused, never left out."""

_MANY = f"More than {MAX_INCLUDED} included resources: ask for a smaller _count or fewer includes."
_FAR = f"An :iterate leads over more than {MAX_STEPS} references: leave it out and search again from what was included."


async def included(asked: Asked, includes: Sequence[Include], matches: Sequence[Found]) -> list[Found]:
    seen = {found.key for found in matches}
    out: list[Found] = []
    frontier, active = list(matches), [i for i in includes if i.rtype != "AuditEvent"]  # these are not stored
    steps = 0
    while frontier and active:
        found = await _forward(asked, [i for i in active if not i.reverse], frontier)
        found += await _backward(asked, [i for i in active if i.reverse], frontier)
        frontier = [one for one in {one.key: one for one in found}.values() if one.key not in seen]
        steps += bool(frontier)
        if steps > MAX_STEPS:
            raise _refusal(_FAR)
        seen |= {one.key for one in frontier}
        out += frontier
        if len(out) > MAX_INCLUDED:
            raise _refusal(_MANY)
        active = [i for i in active if i.iterate]
    return out


def _refusal(sentence: str) -> FhirError:
    return FhirError(Category.MALFORMED, [Issue(sentence, code="too-costly")])


async def _forward(asked: Asked, includes: Sequence[Include], frontier: Sequence[Found]) -> list[Found]:
    """An edge's number tells its type, so that edges of all types are followed at once."""
    types = {one.rtype for one in frontier}
    groups: dict[tuple[str, ...], set[int]] = {}
    for include in includes:
        if include.rtype in types:
            groups.setdefault(_targets(include), set()).update(_edges(include))
    if not groups:
        return []
    shown = visible_any(
        "r", sorted({t for targets in groups for t in targets}), asked.wider, fence=asked.compiler().fence
    )
    over = [_in("e.param", params, "r.rtype", targets) for targets, params in groups.items()]
    whole = [one.vid for one in frontier if not _in_part(asked, one)]
    condition, values = join(_listed("e.vid", whole), either(over), shown)
    sql = (
        f"SELECT DISTINCT r.vid FROM ref e {asked.compiler().join} resource r ON r.key = e.target "
        f"WHERE r.deleted = 0 AND {condition} LIMIT ?"
    )
    return await _bodies(asked, sql, values)


async def _backward(asked: Asked, includes: Sequence[Include], frontier: Sequence[Found]) -> list[Found]:
    """Include.target narrows from which included resources the way back is taken."""
    groups: dict[str | None, set[int]] = {}
    for include in includes:
        groups.setdefault(include.target, set()).update(_edges(include))
    ends = {target: [f.key for f in frontier if target in (None, f.rtype)] for target in groups}
    over = [_in("e.param", groups[target], "e.target", keys) for target, keys in ends.items() if keys]
    if not over:
        return []
    # What is shown in part only is not found over what it refers to.
    seen = replace(asked.wider, views=False)
    rtypes = sorted({include.rtype for include in includes})
    shown = visible_any("r", rtypes, seen, fence=asked.compiler().fence)
    condition, values = join(either(over), shown)
    come_from = f"{asked.compiler().join} version r ON r.vid = e.vid"
    sql = f"SELECT DISTINCT r.vid FROM ref e {come_from} WHERE {condition} LIMIT ?"
    return await _bodies(asked, sql, values)


async def _bodies(asked: Asked, vids: str, values: list[object]) -> list[Found]:
    join_version = f"{asked.compiler().join} version v ON v.vid = i.vid"
    sql = f"SELECT {COLUMNS} FROM ({vids}) i {join_version} ORDER BY v.vid DESC"
    rows = await asked.fetch(sql, [*values, MAX_INCLUDED + 1], heavy=False)
    return [as_found(one) for one in rows]


def _in_part(asked: Asked, found: Found) -> bool:
    """A minimum view (service/access/views.py): where its references lead is not told."""
    seen = asked.wider
    return not seen.unrestricted and seen.rule(found.rtype) is See.VIEW and found.source_org not in seen.own


def _edges(include: Include) -> list[int]:
    return [edge(include.rtype, code) for code in catalog().types[include.rtype].search[include.param].stored_as]


def _targets(include: Include) -> tuple[str, ...]:
    targets = catalog().types[include.rtype].search[include.param].targets
    if "Any" in targets:
        targets = tuple(catalog().types)
    return tuple(t for t in targets if include.target in (None, t))


def _in(column: str, values: Iterable[int], other: str, others: Sequence[object]) -> Sql:
    return join(_listed(column, list(values)), _listed(other, others))


def _listed(column: str, values: Sequence[object]) -> Sql:
    return (f"{column} IN ({marks(len(values))})", list(values)) if values else NEVER

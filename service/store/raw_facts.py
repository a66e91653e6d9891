"""Rows as they stand in panel, clearance and ref, without any decision: what the tripwire judges again by itself.

One statement for all that an answer holds, one more where Consents speak of references. On PostgreSQL requests that
wait share them, whoever asks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from service.search.clearance import DataKind, Rule
from service.search.keys import edge
from service.store.batches import Batch
from service.store.engine import Store

FOCUS = edge("Task", "focus")
_BY_REFERENCE = (DataKind.RELATED, DataKind.DEPENDENTS)
"""Rules that speak of what refers to their data, or the other way round: rare, and asked for apart."""


class PanelFact(NamedTuple):
    patient: int
    subject: int
    source: int
    start_us: int
    end_us: int
    basis: str
    role: str


@dataclass(frozen=True)
class Asked:
    """Keys: of patients, of who asks under whatever name, of the resources, and of those where Tasks may count.

    Without the last, panel rows that come from Tasks are left out.
    """

    patients: frozenset[int]
    names: frozenset[int]
    resources: frozenset[int]
    parties: frozenset[int]


@dataclass
class RawFacts:
    """edges: (resource, parameter, whom it names). through: the same of a Task whose focus is the resource.

    refers: (data of a rule, resource) where the first refers to the second; referred: the other way round.
    """

    panel: list[PanelFact]
    rules: list[Rule]
    edges: set[tuple[int, int, int]]
    through: set[tuple[int, int, int]]
    refers: set[tuple[int, int]]
    referred: set[tuple[int, int]]


async def raw_facts(store: Store, asked: Asked) -> RawFacts:
    """May hold more than was asked for: what others asked at the same time."""
    if store.db.name != "postgresql":
        return await _fetched(store, (asked,))
    batch = store.batches.get("raw facts")
    if not isinstance(batch, _Facts):
        batch = store.batches["raw facts"] = _Facts(store)
    found = await batch.get(asked)
    assert found is not None
    return found


class _Facts(Batch[Asked, RawFacts]):
    async def select(self, keys: list[Asked]) -> dict[Asked, RawFacts]:
        return dict.fromkeys(keys, await _fetched(self._store, keys))


_ZEROS = {count: ", 0" * count for count in (8, 7, 6)}
_PANEL = (
    "SELECT 1, p.patient, p.subject, p.source, p.start_us, p.end_us{six}, p.basis, p.role "
    "FROM panel p WHERE p.patient IN {list} AND p.subject IN {list}"
)
_ASSIGNED = f"{_PANEL} AND p.basis <> 'task'"
"""A member has one row of each open Task beside a handful of others."""
_RULES = (
    "SELECT 2, c.patient, c.consent, c.number, c.actor, c.also, c.labels, c.data_kind, c.data, c.grade, c.start_us, "
    "c.end_us, c.purpose, c.rtype FROM clearance c WHERE c.patient IN {list}"
)
_NAMED = (
    "SELECT 3, r.key, e.param, e.target{eight}, '', '' FROM resource r JOIN ref e ON e.vid = r.vid "
    "WHERE r.key IN {list} AND e.target IN {list}"
)
_THROUGH = (
    f"SELECT 4, f.target, o.param, o.target{{eight}}, '', '' FROM ref f JOIN ref o ON o.vid = f.vid "
    f"WHERE f.param = {FOCUS} AND f.target IN {{list}} AND o.target IN {{list}}"
)
_RELATED = (
    "SELECT 5, c.data, e.target{eight}, 0, '', '' FROM clearance c JOIN resource r ON r.key = c.data "
    "JOIN ref e ON e.vid = r.vid WHERE c.data_kind = 2 AND c.patient IN {list} AND e.target IN {list}",
    "SELECT 6, c.data, r.key{eight}, 0, '', '' FROM clearance c JOIN ref e ON e.target = c.data "
    "JOIN resource r ON r.vid = e.vid WHERE c.data_kind = 3 AND c.patient IN {list} AND r.key IN {list}",
)


@lru_cache
def _sql(postgresql: bool, parties: bool) -> str:
    """parties: also whom the resources name. One text for any number of keys: it is prepared once."""
    return _joined(postgresql, (_PANEL, _RULES, _NAMED, _THROUGH) if parties else (_ASSIGNED, _RULES))


@lru_cache
def _joined(postgresql: bool, parts: tuple[str, ...]) -> str:
    sql = " UNION ALL ".join(parts)
    keys = "(SELECT unnest(?::int8[]))" if postgresql else "(SELECT value FROM json_each(?))"
    sql = sql.format(list=keys, six=_ZEROS[6], eight=_ZEROS[8])
    return sql.replace(f"IN {keys}", "= ANY(?::int8[])") if postgresql else sql


async def _fetched(store: Store, several: Sequence[Asked]) -> RawFacts:
    postgresql = store.db.name == "postgresql"
    patients = _keys(postgresql, (key for one in several for key in one.patients))
    names = _keys(postgresql, (key for one in several for key in one.names))
    resources = _keys(postgresql, (key for one in several for key in one.resources))
    params: list[Any] = [patients, names, patients]
    parties = any(one.parties for one in several)
    if parties:
        named = _keys(postgresql, (key for one in several for key in one.parties))
        params += [named, names, named, names]
    facts = RawFacts([], [], set(), set(), set(), set())
    for row in await store.fetch(_sql(postgresql, parties), tuple(params)):
        _take(facts, tuple(row))
    if any(rule.data_kind in _BY_REFERENCE for rule in facts.rules):
        related = (patients, resources, patients, resources)
        for row in await store.fetch(_joined(postgresql, _RELATED), related):
            _take(facts, tuple(row))
    return facts


def _keys(postgresql: bool, keys: Iterable[int]) -> Any:
    unique = list(set(keys))
    return unique if postgresql else orjson.dumps(unique).decode()


def _take(facts: RawFacts, row: tuple[Any, ...]) -> None:
    kind, *values = row
    if kind == 1:
        facts.panel.append(PanelFact(*values[:5], *values[11:]))
    elif kind == 2:
        patient, consent, number, actor, also, labels, data_kind, data, grade, start, end, purpose, rtype = values
        rule = Rule(patient, consent, number, actor, also, purpose, labels, rtype, data_kind, data, grade, start, end)
        facts.rules.append(rule)
    elif kind > 4:
        (facts.refers if kind == 5 else facts.referred).add((values[0], values[1]))
    else:
        (facts.edges if kind == 3 else facts.through).add((values[0], values[1], values[2]))

"""SQL of a person's alerts: which ones, newest first by `sent`, and whether anything changed. Restriction inside.

Ids only: the resources themselves are read through the search interaction, which restricts and audits them again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search.keys import edge
from service.search.restriction import Restriction
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import Sql, join, visible

_TYPE = "Communication"
_RECIPIENT = edge(_TYPE, "recipient")
_LED = edge("EpisodeOfCare", "care-manager")
_LAST_ASSIGNMENT = "SELECT vid FROM (SELECT vid FROM ref WHERE param = ? AND target = ? ORDER BY vid DESC LIMIT 1) l"
_LAST_TAKEN_OVER = (
    "SELECT n.id FROM (SELECT id, key FROM notice WHERE recipient = ? AND channel = 'in-app' AND kind = 'alert' "
    "AND state IN ('sent', 'read') ORDER BY at_us DESC, id DESC LIMIT 1) n WHERE NOT EXISTS (SELECT 1 FROM resource r "
    "JOIN ref w ON w.vid = r.vid AND w.param = ? AND w.target = ? WHERE r.key = n.key)"
)
"""Of the newest one in the person's list, if it is such a one: nothing else says that it came."""


@dataclass(frozen=True)
class Whose:
    """Alerts of `category` (system, code) to any of `recipients` (relative references), as the caller may see them.

    person: of the caller. handed: vids of alerts that count too (handed_over.py); almost always none.
    """

    recipients: tuple[str, ...]
    category: tuple[str, str]
    restriction: Restriction
    person: str = ""
    handed: tuple[int, ...] = ()


async def page(
    store: Store, whose: Whose, *, only_new: bool, limit: int, before: tuple[int, str] | None = None
) -> list[str]:
    """Ids, newest first. before: (sent in microseconds, id) of the last alert of the page before."""
    position: Sql = ("", [])
    if before is not None:
        position = ("(d.lo < ? OR (d.lo = ? AND v.fhir_id < ?))", [before[0], before[0], before[1]])
    source, condition, params = _select(store, whose, only_new, position)
    sql = f"SELECT v.fhir_id FROM {source} WHERE {condition} ORDER BY d.lo DESC, v.fhir_id DESC LIMIT ?"
    rows = await store.fetch(sql, (*params, limit), heavy=True)
    return list(dict.fromkeys(row[0] for row in rows))


async def count_new(store: Store, whose: Whose, most: int) -> int:
    """How many are new; counts no further than `most`."""
    source, condition, params = _select(store, whose, True, ("", []))
    sql = f"SELECT count(*) FROM (SELECT v.vid FROM {source} WHERE {condition} LIMIT ?) n"
    return int((await store.fetch(sql, (*params, most), heavy=True))[0][0])


async def newest_change(store: Store, whose: Whose) -> tuple[int, ...]:
    """vids of the alerts that were made or changed last, one for each recipient at most. Costs an index step for each.

    Also of the person's last assignment: with it the predecessor's alerts come into the list, which are older. And the
    id of the newest notice, of an alert that went to somebody else.
    """
    seen = visible("v", _TYPE, whose.restriction)
    parts: list[str] = []
    params: list[Any] = []
    for recipient in whose.recipients:
        condition, values = join(
            ("e.param = ? AND e.target = ?", [_RECIPIENT, store.keys.resource(recipient)]),
            _has(store.keys.token(_TYPE, "category", *whose.category)),
            seen,
        )
        parts.append(
            "SELECT vid FROM (SELECT e.vid FROM ref e JOIN version v ON v.vid = e.vid "
            f"WHERE {condition} ORDER BY e.vid DESC LIMIT 1) n{len(parts)}"
        )
        params += values
    if whose.person:
        me = store.keys.resource(whose.person)
        parts += [_LAST_ASSIGNMENT, _LAST_TAKEN_OVER]
        params += [_LED, me, whose.person, _RECIPIENT, me]
    rows = await store.fetch(" UNION ALL ".join(parts), tuple(params)) if parts else []
    return tuple(sorted(int(row[0]) for row in rows))


def _select(store: Store, whose: Whose, only_new: bool, position: Sql) -> tuple[str, str, list[Any]]:
    """FROM text, WHERE text, parameters. New: not acknowledged and not retracted."""
    keys = store.keys
    conditions: list[Sql] = [("v.rtype = ?", [_TYPE]), _has(keys.token(_TYPE, "category", *whose.category))]
    if only_new:
        conditions.append(_has_not(keys.present(_TYPE, "received")))
        conditions.append(_has_not(keys.token(_TYPE, "status", None, "entered-in-error")))
    conditions += [visible("v", _TYPE, whose.restriction), position]
    condition, params = join(*conditions)
    targets: Sequence[int] = [keys.resource(recipient) for recipient in whose.recipients] or [0]
    handed = f" UNION SELECT vid FROM version WHERE vid IN ({marks(len(whose.handed))})" if whose.handed else ""
    source = (
        f"(SELECT {'' if handed else 'DISTINCT '}vid FROM ref WHERE param = ? AND target IN ({marks(len(targets))})"
        f"{handed}) e JOIN version v ON v.vid = e.vid JOIN ix_date d ON d.vid = v.vid AND d.key = ?"
    )
    return source, condition, [_RECIPIENT, *targets, *whose.handed, keys.values(_TYPE, "sent"), *params]


def _has(key: int) -> Sql:
    return "EXISTS (SELECT 1 FROM ix k WHERE k.vid = v.vid AND k.key = ?)", [key]


def _has_not(key: int) -> Sql:
    sql, params = _has(key)
    return f"NOT {sql}", params

"""SQL of a person's alerts: which ones, newest first by `sent`, and whether anything changed. Restriction inside.

Ids only: the resources themselves are read through the search interaction, which restricts and audits them again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search.keys import PATIENT_EDGE, edge
from service.search.restriction import Restriction
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import Sql, join, visible

_TYPE = "Communication"
_RECIPIENT = edge(_TYPE, "recipient")
_PATIENT = edge(_TYPE, PATIENT_EDGE)
_LED = edge("EpisodeOfCare", "care-manager")
_LEAD = "role = 'lead-care-manager' AND {0}.start_us <= ? AND {0}.end_us > ?"


@dataclass(frozen=True)
class Whose:
    """Alerts of `category` (system, code) to any of `recipients` (relative references), as the caller may see them.

    lead: the person whose members' alerts count too where they went to a lead care manager who is none any more.
    """

    recipients: tuple[str, ...]
    category: tuple[str, str]
    restriction: Restriction
    lead: str = ""


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


async def newest_change(store: Store, whose: Whose) -> int:
    """vid of the alert that was made or changed last; 0 where there is none. Costs one index step per recipient.

    Also of the person's last assignment: with it the predecessor's alerts come into the list, which are older.
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
    if whose.lead:
        parts.append("SELECT vid FROM (SELECT vid FROM ref WHERE param = ? AND target = ? ORDER BY vid DESC LIMIT 1) l")
        params += [_LED, store.keys.resource(whose.lead)]
    rows = await store.fetch(" UNION ALL ".join(parts), tuple(params)) if parts else []
    return max((int(row[0]) for row in rows), default=0)


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
    handed, more = _handed_over(keys.resource(whose.lead), whose.restriction.now_us) if whose.lead else ("", [])
    source = (
        f"(SELECT {'' if handed else 'DISTINCT '}vid FROM ref WHERE param = ? AND target IN ({marks(len(targets))})"
        f"{handed}) e JOIN version v ON v.vid = e.vid JOIN ix_date d ON d.vid = v.vid AND d.key = ?"
    )
    return source, condition, [_RECIPIENT, *targets, *more, keys.values(_TYPE, "sent"), *params]


def _handed_over(lead: int, now_us: int) -> Sql:
    """What went to people about members whom `lead` leads now, none of whom leads them any more: from the members.

    What went to `lead` is nearly all, and is taken out first, by the index alone.
    """
    mine, theirs = _LEAD.format("p"), _LEAD.format("s")
    sql = (
        " UNION SELECT h.vid FROM (SELECT m.vid FROM panel p JOIN ref m ON m.param = ? AND m.target = p.patient "
        f"WHERE p.subject = ? AND p.{mine} EXCEPT SELECT vid FROM ref WHERE param = ? AND target = ?) h "
        "JOIN version o ON o.vid = h.vid "
        "WHERE EXISTS (SELECT 1 FROM ref w JOIN resource q ON q.key = w.target AND q.rtype = 'Practitioner' "
        "WHERE w.vid = h.vid AND w.param = ?) "
        "AND NOT EXISTS (SELECT 1 FROM ref w JOIN panel s ON s.patient = o.patient AND s.subject = w.target "
        f"WHERE w.vid = h.vid AND w.param = ? AND s.{theirs})"
    )
    found = [_PATIENT, lead, now_us, now_us, _RECIPIENT, lead, _RECIPIENT, _RECIPIENT, now_us, now_us]
    return sql, found


async def is_handed_over(store: Store, reference: str, person: str, now_us: int) -> bool:
    """Whether the alert is one that the person acknowledges in the place of a former lead care manager."""
    handed, params = _handed_over(store.keys.resource(person), now_us)
    sql = f"SELECT 1 FROM resource r WHERE r.key = ? AND r.vid IN (SELECT 0{handed})"
    return bool(await store.fetch(sql, (store.keys.resource(reference), *params)))


def _has(key: int) -> Sql:
    return "EXISTS (SELECT 1 FROM ix k WHERE k.vid = v.vid AND k.key = ?)", [key]


def _has_not(key: int) -> Sql:
    sql, params = _has(key)
    return f"NOT {sql}", params

"""The Restriction as a condition of SQL: the one place where visibility becomes a WHERE, on every path.

`alias` is a table alias with columns key, vid, patient, labels, source_org: `resource`, or a current row of `version`.
"""

from typing import Any

from service.search.keys import edge
from service.search.restriction import Restriction, See
from service.store.dialect import marks

Sql = tuple[str, list[Any]]

PARTY_EDGES: dict[str, tuple[int, ...]] = {
    "Task": (edge("Task", "owner"), edge("Task", "requester")),
    "ServiceRequest": (edge("ServiceRequest", "requester"), edge("ServiceRequest", "performer")),
    "Communication": (edge("Communication", "sender"), edge("Communication", "recipient")),
}
"""Over which references a party is one, per type; a type that is absent is seen by its author only."""

_FOCUS = edge("Task", "focus")


def visible(alias: str, rtype: str, restriction: Restriction, *, vid: str = "") -> Sql:
    """Condition (and its parameters) under which the caller sees a resource of this type; "" means always."""
    if restriction.unrestricted:
        return "", []
    rule = restriction.rule(rtype)
    if rule is None:
        return "1 = 0", []
    if rule is See.OPEN:
        return "", []
    own = restriction.own or (0,)
    mine = f"{alias}.source_org IN ({marks(len(own))})"
    if rule is See.OWN:
        return mine, list(own)
    open_labels = f"({alias}.labels & {~restriction.cleared & 0x7FFFFFFF}) = 0"
    sql, params = _panel(alias, restriction)
    if rule is See.PARTY:
        party, party_params = _party(alias, rtype, restriction, vid or f"{alias}.vid")
        sql, params = f"{sql} AND {party}", params + party_params
    return f"({mine} OR ({open_labels} AND {sql}))", [*own, *params]


def _panel(alias: str, restriction: Restriction) -> Sql:
    subjects = restriction.subjects or (0,)
    return (
        f"EXISTS (SELECT 1 FROM panel p WHERE p.patient = {alias}.patient AND p.subject IN ({marks(len(subjects))}) "
        "AND p.start_us <= ? AND p.end_us > ?)",
        [*subjects, restriction.now_us, restriction.now_us],
    )


def _party(alias: str, rtype: str, restriction: Restriction, vid: str) -> Sql:
    subjects = restriction.subjects or (0,)
    edges = PARTY_EDGES.get(rtype, ())
    if not edges:
        return "1 = 0", []
    direct = (
        f"EXISTS (SELECT 1 FROM ref e WHERE e.vid = {vid} AND e.param IN ({marks(len(edges))}) "
        f"AND e.target IN ({marks(len(subjects))}))"
    )
    params: list[Any] = [*edges, *subjects]
    if rtype != "ServiceRequest":
        return direct, params
    task = PARTY_EDGES["Task"]
    through = (
        f"EXISTS (SELECT 1 FROM ref f JOIN ref o ON o.vid = f.vid WHERE f.param = ? AND f.target = {alias}.key "
        f"AND o.param IN ({marks(len(task))}) AND o.target IN ({marks(len(subjects))}))"
    )
    return f"({direct} OR {through})", [*params, _FOCUS, *task, *subjects]


def labels_cleared(alias: str, restriction: Restriction) -> Sql:
    """For former versions: their own labels count, beside the visibility of the head."""
    if restriction.unrestricted:
        return "", []
    own = restriction.own or (0,)
    return (
        f"({alias}.source_org IN ({marks(len(own))}) OR ({alias}.labels & {~restriction.cleared & 0x7FFFFFFF}) = 0)",
        list(own),
    )


def join(*conditions: Sql) -> Sql:
    """All of the conditions that say anything."""
    kept = [c for c in conditions if c[0]]
    return " AND ".join(c[0] for c in kept) or "1 = 1", [p for c in kept for p in c[1]]

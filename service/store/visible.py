"""The Restriction as a condition of SQL: the one place where visibility becomes a WHERE, on every path.

A resource is seen by its author, or over a relation (here) as far as Consents allow (visible_consent.py); then the
token's scopes narrow it (visible_scope.py). `alias` is a table alias with columns key, rtype, vid, patient, labels,
source_org: `resource`, or a current row of `version`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from service.search.keys import edge
from service.search.restriction import Restriction, See
from service.store.dialect import marks
from service.store.visible_consent import consented
from service.store.visible_scope import Sql as Sql
from service.store.visible_scope import scoped

PARTY_EDGES: dict[str, tuple[int, ...]] = {
    "Task": (edge("Task", "owner"), edge("Task", "requester")),
    "ServiceRequest": (edge("ServiceRequest", "requester"), edge("ServiceRequest", "performer")),
    "Communication": (edge("Communication", "sender"), edge("Communication", "recipient")),
}
"""Over which references a party is one, per type; a type that is absent is seen by its author only."""

_FOCUS = edge("Task", "focus")
NOTHING = "1 = 0"


def visible(alias: str, rtype: str, restriction: Restriction, *, vid: str = "", fence: str = "") -> Sql:
    """Condition (and its parameters) under which the caller sees a resource of this type; "" means always.

    fence: what ends the subquery on the panel where few rows are looked at; PostgreSQL would read a large panel whole.
    """
    if restriction.unrestricted:
        return "", []
    related = _related(alias, rtype, restriction, vid, fence)
    return related if related[0] == NOTHING else join(related, scoped(alias, rtype, restriction, vid=vid))


def _related(alias: str, rtype: str, restriction: Restriction, vid: str, fence: str) -> Sql:
    rule = restriction.rule(rtype)
    if rule is None:
        return NOTHING, []
    if rule is See.OPEN:
        return "", []
    own = restriction.own or (0,)
    mine = f"{alias}.source_org IN ({marks(len(own))})"
    if rule is See.OWN:
        return mine, list(own)
    relation = [_panel(alias, restriction, fence)]
    if rule is See.PARTY:
        relation.append(_party(alias, rtype, restriction, vid or f"{alias}.vid"))
    sql, params = join(*relation, consented(alias, restriction, vid=vid))
    return f"({mine} OR ({sql}))", [*own, *params]


def _panel(alias: str, restriction: Restriction, fence: str) -> Sql:
    subjects = restriction.subjects or (0,)
    return (
        f"EXISTS (SELECT 1 FROM panel p WHERE p.patient = {alias}.patient AND p.subject IN ({marks(len(subjects))}) "
        f"AND p.start_us <= ? AND p.end_us > ?{fence})",
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
    sql, params = consented(alias, restriction)
    return f"({alias}.source_org IN ({marks(len(own))}) OR {sql})", [*own, *params]


def join(*conditions: Sql) -> Sql:
    """All of the conditions that say anything."""
    kept = [c for c in conditions if c[0]]
    return " AND ".join(c[0] for c in kept) or "1 = 1", [p for c in kept for p in c[1]]


def either(alternatives: Sequence[Sql]) -> Sql:
    """Any of the conditions. Halved again and again: SQLite takes no expression that is a thousand deep."""
    if not alternatives:
        return "1 = 0", []
    if len(alternatives) == 1:
        return alternatives[0]
    half = len(alternatives) // 2
    (left, left_params), (right, right_params) = either(alternatives[:half]), either(alternatives[half:])
    return f"({left} OR {right})", [*left_params, *right_params]


def visible_any(alias: str, rtypes: Iterable[str], restriction: Restriction, *, fence: str = "") -> Sql:
    """Of one of these types, and visible as such; types under one rule share its condition."""
    groups: dict[str, tuple[list[str], list[Any]]] = {}
    for rtype in rtypes:
        condition, params = visible(alias, rtype, restriction, fence=fence)
        if condition != NOTHING:
            groups.setdefault(condition + repr(params), ([], [condition, params]))[0].append(rtype)
    return either(
        [
            join((f"{alias}.rtype IN ({marks(len(names))})", list(names)), (condition, params))
            for names, (condition, params) in groups.values()
        ]
    )

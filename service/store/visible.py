"""The Restriction as a condition of SQL: the one place where visibility becomes a WHERE, on every path.

A resource is seen by its author, or over a relation (here) as far as Consents allow (visible_consent.py); then the
token's scopes narrow it (visible_scope.py). `alias` is a table alias with columns key, rtype, vid, patient, labels,
source_org: `resource`, or a current row of `version`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from service.search.keys import CANDIDATE_EDGE, edge
from service.search.restriction import Restriction, See
from service.store.dialect import marks
from service.store.visible_consent import consented
from service.store.visible_scope import Sql as Sql
from service.store.visible_scope import scoped

PARTY_EDGES: dict[str, tuple[int, ...]] = {
    "Task": (edge("Task", "owner"), edge("Task", "requester"), edge("Task", CANDIDATE_EDGE)),
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
    related = ("", []) if restriction.unrestricted else _related(alias, rtype, restriction, vid, fence)
    reached = scoped(alias, rtype, restriction, vid=vid)
    if NOTHING in (related[0], reached[0]):
        return NOTHING, []
    return join(related, reached) if related[0] and reached[0] else related if related[0] else reached


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
    if rule is See.VIEW and not restriction.views:
        return mine, list(own)
    relation = _relation(alias, rtype, rule, restriction, vid or f"{alias}.vid", fence)
    sql, params = join(relation, consented(alias, restriction))
    return f"({mine} OR ({sql}))", [*own, *params]


def _relation(alias: str, rtype: str, rule: See, restriction: Restriction, vid: str, fence: str) -> Sql:
    """Whether the resource's patient is the caller's, as its rule demands.

    A Task gives its parties what names them, never the record: an open one would outlive an assignment that ended.
    """
    if rule is See.VIEW:
        return panel_row(f"{alias}.patient", restriction, OWNED, fence)
    party = join(panel_row(f"{alias}.patient", restriction, "", fence), _party(alias, rtype, restriction, vid))
    if rule is See.PARTY:
        return party
    assigned = panel_row(f"{alias}.patient", restriction, ASSIGNED, fence, grace_us=restriction.grace_us)
    return either([assigned, party]) if rtype in PARTY_EDGES else assigned


ASSIGNED = "p.basis <> 'task'"
"""Panel rows of enrolment and assignment."""
OWNED = "p.role = 'task-owner'"
"""Panel rows of those who are to fulfil a Task."""
LENT = "p.role = 'self'"
"""Rows that an organization gave itself while it had the member by another's: they say who is of a team, no more."""


def panel_row(patient: str, restriction: Restriction, which: str = "", fence: str = "", *, grace_us: int = 0) -> Sql:
    """Whether the caller has the patient now, by a row as `which` says. patient: an expression.

    A row of the person counts where the organization for which the person acts, or one that it is part of, has such a
    row as well (else what another organization assigned to the person would be seen in this one's name), or by itself
    where it is an emergency access. grace_us: an assignment that ended no longer ago counts as well.
    """
    subjects = restriction.subjects or (0,)
    kind, params = _standing(which, restriction.now_us, grace_us)
    beside, more = _beside(restriction, kind, params, fence)
    return (
        f"EXISTS (SELECT 1 FROM panel p WHERE p.patient = {patient} AND p.subject IN ({marks(len(subjects))}) "
        f"{kind}{beside}{fence})",
        [*subjects, *params, *more],
    )


def _beside(restriction: Restriction, kind: str, params: list[Any], fence: str) -> Sql:
    """What a row of a person needs; nothing where the caller is an organization."""
    people = set(restriction.subjects) - set(restriction.own)
    if not people:
        return "", []
    acting = [one for one in dict.fromkeys((*restriction.own, *restriction.actors)) if one not in people] or [0]
    other = f"SELECT 1 FROM panel o WHERE o.patient = p.patient AND o.subject IN ({marks(len(acting))}) "
    sql = f"p.basis = 'break-glass' OR EXISTS ({other}{kind.replace('p.', 'o.')}{fence})"
    mine = [one for one in restriction.own if one in restriction.subjects]
    first = f"p.subject IN ({marks(len(mine))}) OR " if mine else ""
    return f" AND ({first}{sql})", [*mine, *acting, *params]


def _standing(which: str, now_us: int, grace_us: int) -> Sql:
    until, ends = "p.end_us > ?", [now_us]
    if grace_us:
        until = "(p.end_us > ? OR (p.end_us > ? AND p.basis IN ('episode', 'care-team')))"
        ends = [now_us, now_us - grace_us]
    kind = f"AND {which} " if which else ""
    return f"{kind}AND NOT {LENT} AND p.start_us <= ? AND {until}", [now_us, *ends]


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

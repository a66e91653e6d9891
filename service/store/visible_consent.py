"""What the Consents in force say, as a condition of SQL: just what service/access/consent/decide.py decides.

How the rules in table `clearance` combine: service/search/clearance.py.
"""

from typing import Any

from service.search.clearance import GENERAL, LABEL_BITS, SPAN, DataKind
from service.search.restriction import Restriction
from service.store.dialect import marks
from service.store.visible_scope import Sql

_BITS = ", ".join(f"({bit})" for bit in (GENERAL, *(1 << number for number in range(LABEL_BITS))))
_UNKNOWN = GENERAL - (1 << LABEL_BITS)
"""Bits that are no label: nothing clears them."""
_BEYOND = GENERAL << 1
_FEW = DataKind.AUTHORED_BY


def consented(alias: str, restriction: Restriction) -> Sql:
    """Whether the Consents of the resource's patient let the caller have it; one boolean expression.

    alias: as in visible.py; its `labels` are those of the row. Data without label of a patient whose Consents deny
    nothing in general costs one step into an index; the rest is asked bit by bit.
    """
    fits, params = _fits(alias, restriction)
    quiet = (
        f"{alias}.labels = 0 AND NOT EXISTS (SELECT 1 FROM clearance cd WHERE cd.patient = {alias}.patient "
        f"AND (cd.labels & {GENERAL}) <> 0 AND (cd.grade & 1) = 1)"
    )
    deciding = (
        f"SELECT MAX(cg.m % {SPAN}) FROM (SELECT MAX(cl.grade) AS m FROM clearance cl "
        f"WHERE cl.patient = {alias}.patient AND (cl.labels & cb.column1) <> 0 AND {fits} GROUP BY cl.consent) cg"
    )
    missing = (
        f"SELECT 1 FROM (VALUES {_BITS}) cb WHERE (cb.column1 & ({alias}.labels | {GENERAL})) <> 0 "
        f"AND COALESCE(({deciding}), CASE WHEN cb.column1 = {GENERAL} THEN 0 ELSE 1 END) % 2 = 1"
    )
    known = f"{alias}.labels >= 0 AND {alias}.labels < {_BEYOND} AND ({alias}.labels & {_UNKNOWN | GENERAL}) = 0"
    return f"(({quiet}) OR ({known} AND NOT EXISTS ({missing})))", params


def _fits(alias: str, restriction: Restriction) -> Sql:
    """Whether rule `cl` speaks of this caller, purpose and instant, and of this resource; cheap facts first."""
    actors, purposes, now = restriction.actors or (0,), restriction.purposes, restriction.now_us
    subjects = marks(len(actors))
    team = (
        "EXISTS (SELECT 1 FROM panel ct WHERE ct.patient = cl.patient AND ct.source = cl.actor AND ct.basis = "
        f"'care-team' AND ct.subject IN ({subjects}) AND ct.start_us <= ? AND ct.end_us > ?)"
    )
    head = "SELECT 1 FROM resource ch JOIN ref ce ON ce.vid = ch.vid WHERE"
    spoken = (
        f"(cl.data_kind = {DataKind.ANY} "
        f"OR (cl.data_kind < {DataKind.AUTHORED_BY} AND cl.data = {alias}.key) "
        f"OR (cl.data_kind = {DataKind.AUTHORED_BY} AND cl.data = {alias}.source_org) "
        f"OR (cl.data_kind = {DataKind.RELATED} "
        f"AND EXISTS ({head} ch.key = cl.data AND ce.target = {alias}.key)) "
        f"OR (cl.data_kind = {DataKind.DEPENDENTS} "
        f"AND EXISTS ({head} ch.key = {alias}.key AND ce.target = cl.data)))"
    )
    sql = (
        f"cl.start_us <= ? AND cl.end_us > ? AND cl.purpose IN ({marks(1 + len(purposes))}) "
        f"AND cl.rtype IN ('', {alias}.rtype) AND (cl.actor IN (0, {subjects}) OR {team}) "
        f"AND cl.also IN (0, {subjects}) AND {spoken}"
    )
    params: list[Any] = [now, now, "", *purposes, *actors, *actors, now, now, *actors]
    return sql, params

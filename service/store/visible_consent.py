"""What the Consents in force say, as a condition of SQL: just what service/access/consent decides (table clearance)."""

from service.search.restriction import Restriction
from service.store.visible_scope import Sql


def consented(alias: str, restriction: Restriction, *, vid: str = "") -> Sql:
    """Whether the Consents of the resource's patient let the caller have it; "" means always. One boolean expression.

    alias: as in visible.py; its `labels` are those of the row.
    """
    return f"{alias}.labels = 0", []

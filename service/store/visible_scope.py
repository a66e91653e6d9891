"""What the scopes of the token leave, as a condition of SQL: query restrictions and the patient of the launch."""

from typing import Any

from service.search.restriction import Restriction

Sql = tuple[str, list[Any]]


def scoped(alias: str, rtype: str, restriction: Restriction, *, vid: str = "") -> Sql:
    """Whether the token's scopes reach the resource; "" means always."""
    return "", []

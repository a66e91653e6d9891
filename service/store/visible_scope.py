"""What the scopes of the token leave, as a condition of SQL: query restrictions and the patient of the launch.

service/access/scoping.py decides the same of a resource that is not stored.
"""

from typing import Any

from service.search.restriction import Reach, Restriction

Sql = tuple[str, list[Any]]

NEVER = "1 = 0"


def scoped(alias: str, rtype: str, restriction: Restriction, *, vid: str = "") -> Sql:
    """Whether the token's scopes reach the resource; "" means always. vid: where the row's vid also stands."""
    alternatives = restriction.narrowed.get(rtype)
    if alternatives is None:
        return "", []
    if not alternatives:
        return NEVER, []
    each = [_reach(alias, one, vid) for one in alternatives]
    return f"({' OR '.join(sql for sql, _ in each)})", [value for _, values in each for value in values]


def _reach(alias: str, reach: Reach, vid: str) -> Sql:
    """One alternative. Its clauses are keys and edges, which both databases are asked in the same words."""
    from service.store.find_clauses import At, Compiler  # above this module: it puts visibility onto what it follows

    # Aliases of their own: the alias asked about may be one of a search's compiler.
    compiler = Compiler("", _NOBODY, prefix="s")
    parts = [compiler.condition(each, At(alias, vid)) for each in reach.clauses]
    if reach.patient is not None:
        parts.append((f"{alias}.patient = ?", [reach.patient]))
    if not parts:
        return "1 = 1", []
    return "(" + " AND ".join(sql for sql, _ in parts) + ")", [value for _, values in parts for value in values]


_NOBODY = Restriction()

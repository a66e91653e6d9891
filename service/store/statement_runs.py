"""How the statements of a group's Changes are sent: few round trips, and those of a Change in its order. Pure."""

import re
from collections.abc import Generator, Iterable, Sequence
from functools import lru_cache
from typing import Any

from service.store.change import Statement
from service.store.columns import COLUMNS
from service.store.dialect import columns
from service.store.steps import DeleteIn, Insert, Part, Rows, Run, Step, Together

FEW = 2
"""Of more Changes the same statements go together, of all of them at once; then a round trip serves many."""

_GIVEN = re.compile(
    r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \((?:\?, )*\?\)( ON CONFLICT(?: \([\w, ]+\))? DO NOTHING)?"
)
_GONE = re.compile(r"DELETE FROM (\w+) WHERE (\w+) = \?")


def sent(changes: Sequence[Sequence[Statement]]) -> Generator[Step, Any, None]:
    """Steps for the statements of each Change; nobody looks at their answers."""
    if len(changes) > FEW:
        for sql, rows in _by_text(changes):
            yield _alone(sql, rows)
    else:
        for one in changes:
            yield from _joined(_by_text([one]))


def _by_text(changes: Iterable[Sequence[Statement]]) -> list[tuple[str, Rows]]:
    """Those of one Change in their order; what other Changes run by the same text runs along."""
    runs: list[tuple[str, Rows]] = []
    for statements in changes:
        at = 0
        for one in statements:
            at = next((n for n in range(at, len(runs)) if runs[n][0] == one.sql), len(runs))
            if at == len(runs):
                runs.append((one.sql, []))
            runs[at][1].append(one.params)
    return runs


def _joined(runs: Iterable[tuple[str, Rows]]) -> Generator[Step, Any, None]:
    """What inserts given rows looks for nothing: it may go in one statement with what is before it in other tables."""
    parts: list[Part] = []
    taken: set[str] = set()
    for sql, rows in runs:
        part = _part(sql, rows)
        if parts and (part is None or taken & _tables(sql) or not _inserts_given(sql)):
            yield Together(tuple(parts))
            parts, taken = [], set()
        if part is None:
            yield Run(sql, rows)
        else:
            parts.append(part)
            taken |= _tables(sql)
    if parts:
        yield Together(tuple(parts))


def _part(sql: str, rows: Rows) -> Part | None:
    """What can stand beside others in one statement."""
    if len(rows) == 1:
        fits = sql.startswith(("INSERT ", "UPDATE ", "DELETE ")) and sql.count("?") == len(rows[0])
        return Run(sql, rows) if fits else None
    one = _alone(sql, rows)
    return None if isinstance(one, Run) else one


def _alone(sql: str, rows: Rows) -> Insert | DeleteIn | Run:
    """Many rows of a plain INSERT or DELETE are one statement, not one for each row."""
    if len(rows) == 1:
        return Run(sql, rows)
    table, clause = _given(sql)
    if table and {len(row) for row in rows} == {len(COLUMNS[table])}:
        return Insert(table, rows, clause)
    table, column = _gone(sql)
    if table and {len(row) for row in rows} == {1}:
        return DeleteIn(table, column, sorted({row[0] for row in rows}))
    return Run(sql, rows)


@lru_cache(maxsize=1024)
def _given(sql: str) -> tuple[str, str]:
    """Table and ON CONFLICT of an INSERT of one row with all columns in order, which changes no other row."""
    found = _GIVEN.fullmatch(sql)
    if not found or found[1] not in COLUMNS or tuple(found[2].split(", ")) != columns(found[1]):
        return "", ""
    return found[1], (found[3] or "").strip()


@lru_cache(maxsize=1024)
def _gone(sql: str) -> tuple[str, str]:
    """Table and column of a DELETE by one number."""
    found = _GONE.fullmatch(sql)
    known = found and COLUMNS.get(found[1], {}).get(found[2]) == "int8"
    return (found[1], found[2]) if found and known else ("", "")


@lru_cache(maxsize=1024)
def _inserts_given(sql: str) -> bool:
    return sql.startswith("INSERT ") and " VALUES " in sql and "SELECT" not in sql.upper()


@lru_cache(maxsize=1024)
def _tables(sql: str) -> frozenset[str]:
    """All that it can touch, and perhaps more: there are no triggers, views or foreign keys."""
    return frozenset(re.findall(r"\w+", sql)) & COLUMNS.keys()

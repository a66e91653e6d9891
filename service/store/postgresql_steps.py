"""Runs the steps of a group commit on PostgreSQL, each as one statement (store/steps.py)."""

from functools import lru_cache
from typing import Any

from service.store.database import Row
from service.store.dialect import columns, dollars, pg_insert, pg_together, pg_update
from service.store.postgresql_pool import rows_of
from service.store.steps import (
    DeleteIn,
    DeletePairs,
    Epochs,
    Fetches,
    FetchIn,
    Insert,
    Part,
    Run,
    Step,
    Together,
    Update,
)

Connection = Any
"""asyncpg.Connection"""

_NOT_LOCKED = ("version", "label_rule")
_BORN = (
    "INSERT INTO access_epoch (subject, epoch) SELECT s, 0 FROM unnest(?::int8[]) AS s "
    "ON CONFLICT (subject) DO NOTHING RETURNING subject, epoch"
)
_PAIRS = "DELETE FROM ix USING unnest(?::int8[], ?::int8[]) AS d(key, vid) WHERE ix.key = d.key AND ix.vid = d.vid"


async def run_step(con: Connection, step: Step) -> Any:
    match step:
        case Fetches(parts):
            return await _fetches(con, parts)
        case FetchIn(table, names, column, values):
            return rows_of(await con.fetch(dollars(_rows(table, names, column)), list(values)))
        case Run(sql, rows) if len(rows) > 1:
            return await con.executemany(dollars(sql), rows)
        case Together(parts):
            return await _together(con, parts)
        case _:
            return await _together(con, (step,))


async def _together(con: Connection, parts: tuple[Part, ...]) -> list[Row]:
    texts, values = zip(*map(_sql, parts), strict=True)
    in_order = [value for some in (*reversed(values[1:]), values[0]) for value in some]
    return rows_of(await con.fetch(pg_together(texts), *in_order))


def _sql(part: Part) -> tuple[str, list[Any]]:
    """Text with `?`, and the values."""
    match part:
        case Insert(table, rows, on_conflict, returning, params):
            arrays = list(zip(*rows, strict=True)) if rows else [()] * len(columns(table))
            return pg_insert(table, on_conflict, returning), [*arrays, *params]
        case Update(table, changed, key, rows):
            return pg_update(table, changed, key), list(zip(*rows, strict=True))
        case DeleteIn(table, column, values):
            return f"DELETE FROM {table} WHERE {column} = ANY(?::int8[])", [list(values)]
        case DeletePairs(pairs):
            return _PAIRS, list(zip(*pairs, strict=True))
        case Run(sql, rows):
            return sql, list(rows[0])


# --- what a group locks and reads -----------------------------------------------------------------------------------


async def _fetches(con: Connection, parts: tuple[FetchIn | Epochs, ...]) -> list[list[Row]]:
    """One statement. A row that is locked is read as it is then, however old the snapshot of the statement."""
    values = [list(part.values) for part in parts]
    at = next((number for number, part in enumerate(parts) if isinstance(part, Epochs)), None)
    if at is None:
        return list((await con.fetch(_fetched(tuple(map(_select, parts)), ""), *values))[0])
    [answers] = await con.fetch(_fetched(tuple(map(_select, parts)), _BORN), values[at], *values)
    found = list(answers)
    missed = sorted(set(values[at]) - {row[0] for row in found[at]})
    if missed:
        # Made by another process since this statement began: locked and read now.
        found[at] += await run_step(con, FetchIn("access_epoch", "subject, epoch", "subject", missed))
    return found


@lru_cache(maxsize=256)
def _fetched(selects: tuple[str, ...], born: str) -> str:
    """Run in the order of the list, as PostgreSQL computes its columns: nowhere promised, a test holds it."""
    rows = ", ".join(f"ARRAY({select})" for select in selects)
    return dollars(f"WITH born AS ({born}) SELECT {rows}" if born else f"SELECT {rows}")


def _select(part: FetchIn | Epochs) -> str:
    if isinstance(part, FetchIn):
        return f"SELECT ROW(q.*) FROM ({_rows(part.table, part.columns, part.column)}) q"
    there = _rows("access_epoch", "subject, epoch", "subject")
    return f"SELECT ROW(b.*) FROM born b UNION ALL SELECT ROW(q.*) FROM ({there}) q"


@lru_cache
def _rows(table: str, names: str, column: str) -> str:
    lock = "" if table in _NOT_LOCKED else " FOR UPDATE"
    return f"SELECT {names} FROM {table} WHERE {column} = ANY(?::int8[]) ORDER BY {column}{lock}"

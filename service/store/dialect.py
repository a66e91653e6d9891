"""SQL text of the commit steps, made once per shape from the SQLModel tables."""

from functools import lru_cache

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, Text
from sqlalchemy.types import Double

from service.store.tables import metadata

_PG_TYPES = {BigInteger: "int8", SmallInteger: "int2", Text: "text", LargeBinary: "bytea", Double: "float8"}


@lru_cache
def columns(table: str) -> tuple[str, ...]:
    return tuple(column.name for column in metadata.tables[table].columns)


@lru_cache(maxsize=512)
def lite_insert(table: str, on_conflict: str, returning: str, count: int) -> str:
    """`count` rows by placeholders."""
    names = columns(table)
    rows = ", ".join([f"({marks(len(names))})"] * count)
    back = f" RETURNING {returning}" if returning else ""
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {rows} {on_conflict}{back}"


@lru_cache
def pg_insert(table: str, on_conflict: str, returning: str) -> str:
    """All rows in one statement, a column an array; a `?` in on_conflict is the parameter after the columns."""
    names = columns(table)
    on_conflict = on_conflict.replace("?", f"${len(names) + 1}::int8")
    arrays = ", ".join(f"${i}::{pg_type(table, name)}[]" for i, name in enumerate(names, 1))
    back = f" RETURNING {returning}" if returning else ""
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) {on_conflict}{back}"


@lru_cache
def pg_type(table: str, column: str) -> str:
    kind = metadata.tables[table].columns[column].type
    return next(name for cls, name in _PG_TYPES.items() if isinstance(kind, cls))


@lru_cache(maxsize=4096)
def dollars(sql: str) -> str:
    """`?` placeholders as `$1`, `$2`, ...; our SQL holds no other question mark."""
    parts = sql.split("?")
    return "".join(f"{part}${i}" for i, part in enumerate(parts[:-1], 1)) + parts[-1]


def marks(count: int) -> str:
    """Placeholders of an IN list."""
    return ", ".join("?" * count)

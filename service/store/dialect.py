"""SQL text of the commit steps, made once per shape from the columns of the tables."""

from functools import lru_cache

from service.store.columns import COLUMNS


def columns(table: str) -> tuple[str, ...]:
    return tuple(COLUMNS[table])


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
    arrays = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(COLUMNS[table].values(), 1))
    back = f" RETURNING {returning}" if returning else ""
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) {on_conflict}{back}"


@lru_cache(maxsize=4096)
def dollars(sql: str) -> str:
    """`?` placeholders as `$1`, `$2`, ...; our SQL holds no other question mark."""
    parts = sql.split("?")
    return "".join(f"{part}${i}" for i, part in enumerate(parts[:-1], 1)) + parts[-1]


def marks(count: int) -> str:
    """Placeholders of an IN list."""
    return ", ".join("?" * count)

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
def lite_update(table: str, changed: tuple[str, ...], key: str) -> str:
    """One row; its key is the last placeholder."""
    return f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in changed)} WHERE {key} = ?"


@lru_cache
def pg_insert(table: str, on_conflict: str, returning: str) -> str:
    """All rows in one statement, a column an array; a `?` in on_conflict is the parameter after the columns."""
    names = columns(table)
    on_conflict = on_conflict.replace("?", "?::int8")
    back = f" RETURNING {returning}" if returning else ""
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM {_arrays(table, names)} {on_conflict}{back}"


@lru_cache
def pg_update(table: str, changed: tuple[str, ...], key: str) -> str:
    """All rows in one statement, a column an array, the key last."""
    names = (*changed, key)
    sets = ", ".join(f"{name} = d.{name}" for name in changed)
    rows = f"{_arrays(table, names)} AS d({', '.join(names)})"
    return f"UPDATE {table} SET {sets} FROM {rows} WHERE {table}.{key} = d.{key}"


def _arrays(table: str, names: tuple[str, ...]) -> str:
    return f"unnest({', '.join(f'?::{COLUMNS[table][name]}[]' for name in names)})"


@lru_cache(maxsize=1024)
def pg_together(texts: tuple[str, ...]) -> str:
    """Statements as one: PostgreSQL runs the main one first, then those of WITH from the last to the first.

    The order is nowhere promised; a test holds it (groups that lock in one order wait for each other less often).
    """
    if len(texts) == 1:
        return dollars(texts[0])
    # Parameters are numbered where they stand, so that the arguments are given in the order of the text.
    parts = [f"p{number} AS ({text})" for number, text in reversed(list(enumerate(texts[1:], 1)))]
    return dollars(f"WITH {', '.join(parts)} {texts[0]}")


@lru_cache(maxsize=4096)
def dollars(sql: str) -> str:
    """`?` placeholders as `$1`, `$2`, ...; our SQL holds no other question mark."""
    parts = sql.split("?")
    return "".join(f"{part}${i}" for i, part in enumerate(parts[:-1], 1)) + parts[-1]


def marks(count: int) -> str:
    """Placeholders of an IN list."""
    return ", ".join("?" * count)

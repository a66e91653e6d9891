"""The check at start that the database is the one this code knows; migrate.py changes it."""

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The database cannot be used as it is; the text says what to do."""


@lru_cache
def revisions() -> tuple[str, ...]:
    """Revision ids in order of their files (0001_..., 0002_...), read without importing Alembic (start time)."""
    found = []
    for path in sorted((MIGRATIONS / "versions").glob("[0-9]*.py")):
        match = re.search(r'^revision = "(\w+)"', path.read_text(), re.MULTILINE)
        if match:
            found.append(match.group(1))
    return tuple(found)


async def check_schema(db: "Database") -> None:
    try:
        rows = await db.fetch("SELECT version_num FROM alembic_version")
    except Exception as error:
        if type(error).__name__ not in ("OperationalError", "UndefinedTableError"):
            raise
        raise SchemaError("The database has no tables yet: run `enlace migrate` first.") from error
    current = rows[0][0] if rows else ""
    if current == revisions()[-1]:
        return
    if current in revisions():
        raise SchemaError(
            f"The database is at revision {current}, this code needs {revisions()[-1]}: run `enlace migrate`."
        )
    if await _serves_older(db):
        return
    raise too_new(current)


def too_new(revision: str) -> SchemaError:
    return SchemaError(
        f"The database is at revision {revision}, which this version of Enlace does not know: use a newer one."
    )


async def _serves_older(db: "Database") -> bool:
    """Whether the newer schema still serves this code: its last migration said so when it was applied.

    So the old version goes on, and starts anew, while and after `enlace migrate` of the next one runs; and a release
    can be taken back without touching the database.
    """
    rows = await db.fetch("SELECT value FROM meta WHERE name = 'serves_from'")
    return bool(rows) and str(rows[0][0]) in revisions()

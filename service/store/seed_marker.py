"""What the database remembers of `enlace seed`: one row of `meta` (../shared/contract.md, the enlace command)."""

from collections.abc import Sequence

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store

_NAME = "seed"


async def marker(store: Store) -> str | None:
    """The text that `remember` left, None on a database that was never seeded."""
    rows = await store.fetch("SELECT value FROM meta WHERE name = ?", (_NAME,))
    return str(rows[0][0]) if rows else None


def remember(text: str) -> Statement:
    return Statement(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_NAME, text),
    )


async def is_empty(store: Store) -> bool:
    """No resource was ever written."""
    return not await store.fetch("SELECT key FROM resource LIMIT 1")


async def known(store: Store, keys: Sequence[int]) -> set[int]:
    """Those of the resource keys that exist, deleted ones too."""
    rows = await store.fetch(f"SELECT key FROM resource WHERE key IN ({marks(len(keys))})", tuple(keys))
    return {int(row[0]) for row in rows}

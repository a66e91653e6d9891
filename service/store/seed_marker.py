"""What the database remembers of `enlace seed`: two rows of `meta` (../shared/contract.md, the enlace command)."""

from collections.abc import Sequence

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store

_NAME = "seed"
_COMPLETE = "seed_complete"


async def marker(store: Store) -> str | None:
    """The text that `remember` left, None on a database that was never seeded."""
    return await _value(store, _NAME)


def remember(text: str) -> Statement:
    return _put(_NAME, text)


async def complete(store: Store) -> int:
    """How many members were written with all that belongs to them; 0 while the first seed goes on, or broke off."""
    return int(await _value(store, _COMPLETE) or 0)


def completed(members: int) -> Statement:
    """Is written last: who finds `marker` without it finds a part of the county."""
    return _put(_COMPLETE, str(members))


async def _value(store: Store, name: str) -> str | None:
    rows = await store.fetch("SELECT value FROM meta WHERE name = ?", (name,))
    return str(rows[0][0]) if rows else None


def _put(name: str, text: str) -> Statement:
    return Statement(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, text),
    )


async def is_empty(store: Store) -> bool:
    """No resource was ever written."""
    return not await store.fetch("SELECT key FROM resource LIMIT 1")


async def known(store: Store, keys: Sequence[int]) -> set[int]:
    """Those of the resource keys that exist, deleted ones too."""
    rows = await store.fetch(f"SELECT key FROM resource WHERE key IN ({marks(len(keys))})", tuple(keys))
    return {int(row[0]) for row in rows}

"""SQL of the subscriptions that a caller may see, with visible() as everywhere.

The rows hold sealed secrets, so the reader role of PostgreSQL has no right to them: who asks reads the heads as well.
"""

from collections.abc import Sequence
from typing import Any

from service.search.restriction import Restriction
from service.store.columns import COLUMNS as TABLES
from service.store.dialect import marks
from service.store.engine import Store
from service.store.notify_rows import State
from service.store.subscriptions import row
from service.store.visible import visible

_COLUMNS = ", ".join(f"s.{name}" for name in TABLES["subscription"])


async def seen(
    store: Store,
    restriction: Restriction,
    *,
    ids: Sequence[str] = (),
    statuses: Sequence[str] = (),
    client_id: str = "",
    channel: str = "",
    limit: int,
) -> list[State]:
    """The oldest first. ids, statuses: () for any; client_id, channel: "" for any."""
    condition, params = visible("r", "Subscription", restriction)
    asked: list[tuple[str, Sequence[Any]]] = [(condition, params)] if condition else []
    if ids:
        asked.append((f"s.key IN ({marks(len(ids))})", [store.keys.resource(f"Subscription/{one}") for one in ids]))
    if statuses:
        asked.append((f"s.status IN ({marks(len(statuses))})", statuses))
    if client_id:
        asked.append(("s.client_id = ?", [client_id]))
    if channel:
        asked.append(("s.channel = ?", [channel]))
    where = "".join(f" AND {text}" for text, _ in asked)
    sql = (
        f"SELECT {_COLUMNS} FROM subscription s JOIN resource r ON r.key = s.key"
        f" WHERE r.deleted = 0{where} ORDER BY s.created_us, s.key LIMIT ?"
    )
    values = [value for _, given in asked for value in given]
    return [row(one) for one in await store.fetch(sql, (*values, limit))]

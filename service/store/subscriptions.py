"""SQL of subscriptions: what the service knows of a Subscription beside its resource, and by whom it is found.

service/notify/subscribing.py decides what stands in these rows, service/notify/dispatching.py works on them.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from service.search.keys import Keys
from service.store.change import Statement
from service.store.columns import COLUMNS as TABLES
from service.store.dialect import marks
from service.store.notify_rows import State


class Reads(Protocol):
    """The part of the store that reading subscriptions needs."""

    @property
    def keys(self) -> Keys: ...

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]: ...


_NAMES = tuple(TABLES["subscription"])
COLUMNS = ", ".join(_NAMES)
"""For statements that read rows; `row` makes a State of each."""
KEPT = frozenset(
    {
        "key",
        "paused",
        "numbered",
        "delivered",
        "lease_until_us",
        "beat_us",
        "secret",
        "secret_before",
        "secret_before_until_us",
        "created_us",
    }
)
"""What an update of the resource leaves as it is: the work done, and the secrets."""
FIRST = -(2**63)
_OF_IT = ("subscription_anchor", "event_waiting", "subscription_event", "delivery_attempt")


def row(values: Iterable[Any]) -> State:
    """A row of COLUMNS."""
    named = dict(zip(_NAMES, values, strict=True))
    before = named["secret_before"]
    return State(
        **{
            **named,
            "paused": named["paused"] != 0,
            "secret": bytes(named["secret"]),
            "secret_before": None if before is None else bytes(before),
        }
    )


async def get(store: Reads, key: int) -> State | None:
    found = await store.fetch(f"SELECT {COLUMNS} FROM subscription WHERE key = ?", (key,))
    return row(found[0]) if found else None


async def by_id(store: Reads, fhir_id: str) -> State | None:
    return await get(store, store.keys.resource(f"Subscription/{fhir_id}"))


async def of_client(store: Reads, client_id: str) -> list[State]:
    """Oldest first."""
    sql = f"SELECT {COLUMNS} FROM subscription WHERE client_id = ? ORDER BY created_us, key"
    return [row(one) for one in await store.fetch(sql, (client_id,))]


async def count(store: Reads, client_id: str) -> int:
    found = await store.fetch("SELECT count(*) FROM subscription WHERE client_id = ?", (client_id,))
    return int(found[0][0])


async def find(store: Reads, *, status: str | None = None, after: int = 0, limit: int = 100) -> list[State]:
    """By key; after: the key of the last one of the page before, 0 for the first page (keys may be negative)."""
    which, params = ("AND status = ?", [status]) if status else ("", [])
    sql = f"SELECT {COLUMNS} FROM subscription WHERE key > ? {which} ORDER BY key LIMIT ?"
    return [row(one) for one in await store.fetch(sql, (after or FIRST, *params, limit))]


def saved(state: State, anchors: Iterable[int]) -> list[Statement]:
    """The row of a Subscription that was created or changed. Of an existing row KEPT stays as it is stored.

    anchors: keys of the organization and person by whom it is found, 0 for an operator.
    """
    values = tuple(_plain(getattr(state, name)) for name in _NAMES)
    new = ", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in KEPT)
    insert = f"INSERT INTO subscription ({COLUMNS}) VALUES ({marks(len(_NAMES))}) ON CONFLICT (key) DO UPDATE SET {new}"
    anchor = (
        "INSERT INTO subscription_anchor (topic, subject, subscription) VALUES (?, ?, ?)"
        " ON CONFLICT (topic, subject, subscription) DO NOTHING"
    )
    return [
        Statement(insert, values),
        Statement("DELETE FROM subscription_anchor WHERE subscription = ?", (state.key,)),
        *(Statement(anchor, (state.topic, subject, state.key)) for subject in sorted(set(anchors))),
    ]


def removed(key: int) -> list[Statement]:
    """Row, anchors, waiting events, events and attempts go; what was told to whom stays in the audit."""
    rest = [Statement(f"DELETE FROM {table} WHERE subscription = ?", (key,)) for table in _OF_IT]
    return [Statement("DELETE FROM subscription WHERE key = ?", (key,)), *rest]


def changed(key: int, **columns: Any) -> Statement:
    """Sets these columns of the row; KeyError where there is no such column."""
    for name in columns:
        TABLES["subscription"][name]
    sets = ", ".join(f"{name} = ?" for name in columns)
    values = tuple(_plain(value) for value in columns.values())
    return Statement(f"UPDATE subscription SET {sets} WHERE key = ?", (*values, key))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value

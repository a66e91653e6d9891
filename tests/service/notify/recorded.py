"""The client of a subscription, and what the tables say of its events and attempts."""

from typing import Any

from service.notify.model import State
from service.store import deliveries
from service.store.audit_rows import COLUMNS, as_stored
from service.store.change import Change, Statement
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import Desk


async def kinds_of(desk: Desk) -> list[tuple[str, int, str]]:
    rows = [as_stored(row, desk.store.keys) for row in await desk.store.fetch(f"SELECT {COLUMNS} FROM audit a")]
    mine = [row for row in rows if row.kind.startswith("notification")]
    return [(row.kind, row.outcome, row.organization) for row in sorted(mine, key=lambda one: one.seq)]


async def ledger(desk: Desk, state: State) -> list[tuple[str, int, int, str]]:
    found = await deliveries.attempts(desk.store, state.key, limit=200)
    return [(one.kind, one.first, one.last, one.outcome) for one in reversed(found)]


async def owner(desk: Desk, app_client: AppClient, client_id: str) -> Any:
    """HTTP in the name of the client that subscribed."""
    client = await app_client("ecm-provider")
    await desk.store.commit(Change(statements=[Statement("UPDATE token SET client_id = ?", (client_id,))]))
    return client

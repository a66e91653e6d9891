"""What waits or was numbered and did not arrive never goes without a word, however long it takes."""

import httpx
import pytest

from service.notify import sockets
from service.notify.model import State
from service.notify.sockets import Bound
from service.store import deliveries, subscriptions
from service.store.change import Change, Statement
from service.store.housekeeping import forget_ended
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import DOWN, OK, Desk
from tests.service.world import CBO1

POSTGRESQL_IN_DEEP = True
DAY_S = 86_400


async def days(desk: Desk, number: int) -> None:
    desk.clock.advance(number * DAY_S * 1_000_000)
    await desk.store.commit(Change(statements=forget_ended(desk.clock.now_us())))


@pytest.fixture
async def ours(app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("cbo", CBO1)


@pytest.fixture
async def state(desk: Desk, ours: httpx.AsyncClient) -> State:
    return await desk.subscribes(ours)


async def test_a_pause_of_months_loses_nothing(desk: Desk, state: State, ours: httpx.AsyncClient) -> None:
    assert (await ours.post(f"/{state.reference}/$pause")).status_code == 200
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    await days(desk, 90)
    assert desk.receiver.told() == []
    row = subscriptions.changed(state.key, paused=False)
    await desk.store.commit(Change(statements=[row, deliveries.nudged(state.key, desk.clock.now_us())]))
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/a")]


async def test_what_waited_for_one_that_is_off_goes_at_last(desk: Desk, state: State) -> None:
    await desk.store.commit(Change(statements=[subscriptions.changed(state.key, paused=True)]))
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    await desk.store.commit(Change(statements=[subscriptions.changed(state.key, status="off")]))
    await days(desk, 31)
    assert await desk.store.fetch("SELECT count(*) FROM event_waiting") == [(0,)]


async def test_what_is_kept_no_longer_is_in_the_ledger_as_lost(desk: Desk, state: State, app_client: AppClient) -> None:
    """Number 1 expired in error; number 2 goes out. The client's token of months ago is over, so the operator asks."""
    desk.receiver.answers = [DOWN]
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    long_ago = subscriptions.changed(state.key, failing_since_us=desk.clock.now_us() - 73 * 3_600_000_000)
    await desk.store.commit(Change(statements=[long_ago]))
    await desk.work(after_s=3600)
    assert (await desk.state(state.fhir_id)).status == "error"
    await days(desk, 31)
    await desk.changes("Task/a", status="in-progress")
    await desk.work()
    desk.receiver.answers = [OK]
    operator = await app_client("admin", "Organization/op")
    assert (await desk.puts(operator, await desk.state(state.fhir_id), status="requested")).status_code == 200
    await desk.work()
    assert desk.receiver.told()[-1] == (2, "Task/a")
    ledger = (await operator.get(f"/{state.reference}/$deliveries?outcome=failed&number=1")).json()["parameter"]
    parts = {p["name"]: p for one in ledger if one["name"] == "attempt" for p in one["part"]}
    assert parts["reason"]["valueCode"] == "expired" and "30 days" in parts["text"]["valueString"]


async def test_a_websocket_goes_on_behind_what_is_kept_no_longer(desk: Desk, ours: httpx.AsyncClient) -> None:
    state = await desk.subscribes(ours, channel="websocket", endpoint="")
    for status in ("accepted", "in-progress"):
        await desk.changes("Task/a", status=status)
        await desk.work()
    gone = Statement("DELETE FROM subscription_event WHERE subscription = ? AND number = 1", (state.key,))
    await desk.store.commit(Change(statements=[gone]))
    bound = Bound(state.key, state.client_id, "", 0)
    lost = await sockets.following(desk.store, desk.behaviour, bound)
    assert lost is not None and (lost.first, lost.last, lost.body) == (1, 1, None)
    await sockets.sent(desk.store, bound, lost, 0)
    told = await sockets.following(desk.store, desk.behaviour, bound)
    assert told is not None and (told.first, told.last) == (2, 2) and b"Task/a" in (told.body or b"")
    (attempt,) = await deliveries.attempts(desk.store, state.key, outcome="failed")
    assert (attempt.first, attempt.last, attempt.reason) == (1, 1, "expired")

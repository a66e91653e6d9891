"""/ws over a real uvicorn on loopback, with a real client: binding, events, and every way in which it ends."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from service.api import server, socket_hub, websocket
from service.api.server import config
from service.notify import sockets
from service.notify.model import State
from service.store import credentials, subscriptions
from service.store.change import Change
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.api.socketed import WAIT_S, Socketed, closed, got, numbers
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import events_of, kind_of
from tests.service.world import CBO1, CBO2

POSTGRESQL_IN_DEEP = True


async def test_two_sockets_on_one_subscription_hear_all_of_it(socketed: Socketed) -> None:
    state = await socketed.subscribes(content="full-resource")
    async with socketed.bound(state) as one, socketed.bound(state) as two:
        await socketed.news(3)
        first, second = await asyncio.gather(numbers(one, 3), numbers(two, 3))
        assert first == second == [(1, "Task/a"), (2, "Task/a"), (3, "Task/a")]
    await socketed.delivered(state, 3)
    # What came while nobody listened comes at once to who binds then, and nothing twice.
    await socketed.news(2)
    async with socketed.bound(state) as late:
        assert await numbers(late, 5) == [(4, "Task/a"), (5, "Task/a")]
    await socketed.delivered(state, 5)
    ledger = (await socketed.client.get(f"/{state.reference}/$deliveries")).json()["parameter"]
    kinds = [part["valueCode"] for one in ledger for part in one.get("part", ()) if part["name"] == "kind"]
    assert kinds.count("handshake") == 3 and kinds.count("event") >= 3
    sql = "SELECT count(*) FROM audit WHERE kind = 'notification' AND patients LIKE '%Patient/a%'"
    assert (await socketed.desk.store.fetch(sql))[0][0] >= 3


async def test_commits_of_other_processes_are_seen_by_looking(
    socketed: Socketed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the worker is another process: nothing wakes the sockets here."""
    monkeypatch.setattr(socket_hub.Hub, "_committed", lambda _hub: None)
    monkeypatch.setattr(socket_hub, "LOOK_S", 0.05)
    state = await socketed.subscribes()
    async with socketed.bound(state) as socket:
        await socketed.news(2)
        assert await numbers(socket, 2) == [(1, "Task/a"), (2, "Task/a")]


async def test_several_tokens_on_one_socket_and_each_only_once(socketed: Socketed, app_client: AppClient) -> None:
    one, two = await socketed.subscribes(), await socketed.subscribes(content="empty")
    token = await socketed.token(one)
    async with connect(socketed.url) as socket, connect(socketed.url) as other:
        for text in (token, await socketed.token(two)):
            await socket.send(f"bind-with-token: {text}")
            assert kind_of(await got(socket)) == "handshake"
        await socketed.news()
        both = [await got(socket), await got(socket)]
        assert sorted(events_of(bundle) for bundle in both) == [[(1, "")], [(1, "Task/a")]]
        await other.send(f"bind-with-token: {token}")
        assert await closed(other) == (1008, "The token is not known, is used, or is over: ask for another.")
        stranger = await app_client("cbo", CBO2)
        foreign = await socketed.desk.subscribes(stranger, channel="websocket", endpoint="")
        await socket.send(f"bind-with-token: {await socketed.token(foreign, client=stranger)}")
        assert (await closed(socket))[1].startswith("The token is another client's")
    rows = await socketed.desk.store.fetch(
        "SELECT outcome, reason FROM audit WHERE kind = 'subscription-ws-bind' ORDER BY outcome"
    )
    assert [(row[0], row[1]) for row in rows] == [(0, ""), (0, ""), (0, ""), (4, "token-unknown")]


async def test_one_of_two_who_use_a_token_at_once_gets_in(socketed: Socketed) -> None:
    token = await socketed.token(await socketed.subscribes())
    store, behaviour = socketed.desk.store, socketed.desk.behaviour
    tries = [sockets.bind(store, behaviour, token) for _ in range(8)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Refused"] * 7 + ["list"]


async def test_a_token_is_over_after_five_minutes(socketed: Socketed, clock: FrozenClock) -> None:
    token = await socketed.token(await socketed.subscribes())
    clock.advance(300_000_001)
    async with connect(socketed.url) as socket:
        await socket.send(f"bind-with-token: {token}")
        assert (await closed(socket))[0] == 1008


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("bind-with-token: " + "x" * 43, 1008),
        ("bind-with-token:", 1008),
        ("hello", 1008),
        (b"bind-with-token: x", 1003),
        ("bind-with-token: " + "x" * 5000, 1009),
    ],
    ids=["unknown", "none", "words", "binary", "long"],
)
async def test_what_is_not_understood_ends_it(socketed: Socketed, message: str | bytes, code: int) -> None:
    async with connect(socketed.url) as socket:
        await socket.send(message)
        assert (await closed(socket))[0] == code


async def test_who_binds_nothing_is_closed(socketed: Socketed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "BIND_S", 0.05)
    async with connect(socketed.url) as socket:
        assert (await closed(socket))[0] == 1008


async def test_who_lost_the_right_hears_a_number_and_nothing_else(socketed: Socketed) -> None:
    """Numbered while the socket was away; the right ended before it came back."""
    state = await socketed.subscribes(content="full-resource")
    await socketed.news(2)
    await socketed.desk.changes("Task/a", owner={"reference": CBO2})
    async with socketed.bound(state) as socket:
        bundle = await got(socket)
        assert events_of(bundle) == [(1, ""), (2, "")] and len(bundle["entry"]) == 1


async def test_a_right_that_ends_while_it_is_decided_is_seen(
    socketed: Socketed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The referral goes to another organization between the decision and its commit: it is decided again."""
    state = await socketed.subscribes(content="full-resource")
    await socketed.news()
    told, decided = sockets.tell, []

    async def slow(*args: Any) -> Any:
        found = await told(*args)
        if not decided:
            await socketed.desk.changes("Task/a", owner={"reference": CBO2})
        decided.append(len(found.told))
        return found

    monkeypatch.setattr(sockets, "tell", slow)
    async with socketed.bound(state) as socket:
        assert events_of(await got(socket)) == [(1, "")]
    assert decided == [1, 0]


def _suspended(store: Store, state: State) -> Change:
    return Change(statements=[credentials.suspend_client(state.client_id, store.clock.now_us())])


def _off(store: Store, state: State) -> Change:
    return Change(statements=[subscriptions.changed(state.key, status="off")])


async def _revoked(socketed: Socketed) -> None:
    sql = "UPDATE token SET revoked_us = 1 WHERE client_id = ? RETURNING hash"
    (registered,) = [one for one in await credentials.clients(socketed.desk.store) if one.organization == CBO1]
    await socketed.desk.store.db.execute(sql, (registered.id,))


@pytest.mark.parametrize("how", ["suspended", "revoked", "off"])
async def test_whose_access_ends_hears_no_more(socketed: Socketed, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the look that comes by itself, without any event."""
    monkeypatch.setattr(websocket, "CHECK_S", 0.1)
    state = await socketed.subscribes()
    changes: dict[str, Callable[[Store, State], Change]] = {"suspended": _suspended, "off": _off}
    async with socketed.bound(state) as socket:
        if how == "revoked":
            await _revoked(socketed)
        else:
            await socketed.desk.store.commit(changes[how](socketed.desk.store, state))
        assert (await closed(socket))[0] == 1008


async def test_a_suspended_client_hears_nothing_of_the_next_event(socketed: Socketed) -> None:
    state = await socketed.subscribes()
    async with socketed.bound(state) as socket:
        await _revoked(socketed)
        await socketed.news()
        assert (await closed(socket))[0] == 1008
    assert (await socketed.desk.state(state.fhir_id)).delivered == 0


async def test_an_origin_is_let_in_by_the_rule_of_the_api(
    socketed: Socketed, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = app.state.enlace
    closed_to_all = shared.settings.model_copy(update={"cors_origins": ("https://app.example.org",)})
    monkeypatch.setattr(shared, "settings", closed_to_all)
    for origin in ("https://app.example.org", closed_to_all.base_url, None):
        async with connect(socketed.url, origin=origin):
            pass
    for wrong in ("https://evil.example.org", "null"):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(socketed.url, origin=wrong):
                pass
        assert refused.value.response.status_code == 403


async def test_heartbeats_come_where_nothing_else_does(socketed: Socketed, monkeypatch: pytest.MonkeyPatch) -> None:
    state = await socketed.subscribes()
    kept = sockets.bind

    async def hasty(*args: Any) -> list[sockets.Bound]:
        found = await kept(*args)
        for one in found:
            one.heartbeat_s = 0.05  # type: ignore[assignment]
        return found

    monkeypatch.setattr(sockets, "bind", hasty)
    async with socketed.bound(state) as socket:
        assert [kind_of(await got(socket)) for _ in range(2)] == ["heartbeat", "heartbeat"]


async def test_a_slow_reader_is_dropped_and_loses_nothing(socketed: Socketed, monkeypatch: pytest.MonkeyPatch) -> None:
    state = await socketed.subscribes()
    waits = asyncio.Event()
    real = websocket.WebSocket.send_text

    async def stuck(self: Any, text: str) -> None:
        if "event-notification" in text and not waits.is_set():
            waits.set()
            await asyncio.sleep(60)
        await real(self, text)

    monkeypatch.setattr(websocket, "SEND_S", 0.1)
    monkeypatch.setattr(websocket.WebSocket, "send_text", stuck)
    async with socketed.bound(state) as socket:
        await socketed.news()
        assert await closed(socket) == (1013, "Read faster: bind again to go on.")
    async with socketed.bound(state) as socket:
        assert await numbers(socket, 1) == [(1, "Task/a")]
    await socketed.delivered(state, 1)
    ledger = (await socketed.client.get(f"/{state.reference}/$deliveries?outcome=failed")).text
    assert "slow-reader" in ledger


async def test_limits_of_an_address_and_of_a_client(socketed: Socketed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_hub, "MOST_UNBOUND", 2)
    monkeypatch.setattr(socket_hub, "MOST_OF_CLIENT", 2)
    state = await socketed.subscribes()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(socketed.bound(state))
        third = await stack.enter_async_context(connect(socketed.url))
        await third.send(f"bind-with-token: {await socketed.token(state)}")
        assert (await closed(third))[0] == 1013
        for _ in range(2):
            await stack.enter_async_context(connect(socketed.url))
        with pytest.raises(InvalidStatus) as refused:
            await stack.enter_async_context(connect(socketed.url))
        assert refused.value.response.status_code == 503
    hub = socketed.desk.app.state.sockets
    async with asyncio.timeout(WAIT_S):
        while hub.count:
            await asyncio.sleep(0.01)
    assert not hub._unbound and not hub._clients and not hub._bound


async def test_a_stopping_service_sends_its_sockets_away(socketed: Socketed, app: FastAPI) -> None:
    state = await socketed.subscribes()
    async with socketed.bound(state) as socket:
        app.state.enlace.ready = False
        assert (await closed(socket))[0] == 1001
        with pytest.raises(InvalidStatus):
            async with connect(socketed.url):
                pass
    app.state.enlace.ready = True


async def test_the_server_takes_no_large_message() -> None:
    assert server.WS_MOST_BYTES == 4096 and config(lambda: None, websockets=True).ws_max_size == 4096  # type: ignore[arg-type]
    assert config(lambda: None).ws == "none"  # type: ignore[arg-type]

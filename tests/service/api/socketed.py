"""A websocket client of the application on a port, for tests: who subscribes, binds, and what it gets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.notify.model import State
from tests.service.notify.fake_receiver import Desk, events_of, kind_of

STATUSES = ("accepted", "in-progress", "completed", "failed", "on-hold")
WAIT_S = 10.0


@dataclass
class Socketed:
    """The application on a port, a worker moved by hand, and the client of CBO 1."""

    desk: Desk
    url: str
    client: httpx.AsyncClient
    told: int = 0

    async def subscribes(self, **asked: Any) -> State:
        return await self.desk.subscribes(self.client, channel="websocket", endpoint="", **asked)

    async def token(self, *states: State, client: httpx.AsyncClient | None = None) -> str:
        query = "?id=" + ",".join(one.fhir_id for one in states) if states else ""
        answer = await (client or self.client).get(f"/Subscription/$get-ws-binding-token{query}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["parameter"][0]["valueString"])

    @contextlib.asynccontextmanager
    async def bound(self, *states: State, **more: Any) -> AsyncIterator[ClientConnection]:
        """A socket that has had its handshakes."""
        async with connect(self.url, **more) as socket:
            await socket.send(f"bind-with-token: {await self.token(*states)}")
            for _ in states:
                assert kind_of(await got(socket)) == "handshake"
            yield socket

    async def news(self, count: int = 1) -> None:
        for _ in range(count):
            await self.desk.changes("Task/a", status=STATUSES[self.told % len(STATUSES)])
            self.told += 1
            await self.desk.work()

    async def delivered(self, state: State, number: int) -> State:
        """Once that number is recorded as delivered."""
        async with asyncio.timeout(WAIT_S):
            while (found := await self.desk.state(state.fhir_id)).delivered != number:
                await asyncio.sleep(0.01)
        return found


async def got(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))
    return found


async def numbers(socket: ClientConnection, last: int) -> list[tuple[int, str]]:
    """Events of the notifications up to this number."""
    found: list[tuple[int, str]] = []
    while not found or found[-1][0] < last:
        bundle = await got(socket)
        assert kind_of(bundle) == "event-notification"
        found += events_of(bundle)
    return found


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """(code, reason) once the server has closed it, whatever came before."""
    with pytest.raises(ConnectionClosed) as error:
        async with asyncio.timeout(WAIT_S):
            while True:
                await socket.recv()
    assert error.value.rcvd is not None
    return error.value.rcvd.code, error.value.rcvd.reason

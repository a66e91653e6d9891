"""A client that reads nothing: a send does not return, and its connection ends with what the application did."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from service.api import socket_protocol
from service.api.server import Server, bind, config, serving

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_who_reads_nothing_blocks_a_send_and_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_protocol, "ABORT_S", 0.05)
    stuck: list[int] = []

    async def flood(ws: WebSocket) -> None:
        await ws.accept()
        for number in range(200):  # 200 MB: more than any system holds for one connection
            try:
                await asyncio.wait_for(ws.send_text("x" * 1_000_000), 0.3)
            except TimeoutError:
                stuck.append(number)
                return

    sock = bind("127.0.0.1", 0, "http_port")
    server = Server(config(Starlette(routes=[WebSocketRoute("/ws", flood)]), websockets=True))
    task = await serving(server, sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1], limit=1000)
    writer.write(UPGRADE)
    async with asyncio.timeout(20):
        while not stuck or server.server_state.connections:
            await asyncio.sleep(0.02)
        server.should_exit = True
        await task  # a connection that is stuck holds up no stop
    writer.close()
    assert reader is not None

"""For websockets: the desk of the notification tests (a worker moved by hand), and the application on a port."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from service.api.admission import Gate
from service.api.server import Server, bind, config, serving
from tests.service.api.socketed import Socketed
from tests.service.conftest import AppClient
from tests.service.notify.conftest import desk as desk
from tests.service.notify.fake_receiver import Desk
from tests.service.world import CBO1


@pytest.fixture
async def socketed(desk: Desk, app: FastAPI, app_client: AppClient) -> AsyncIterator[Socketed]:
    sock = bind("127.0.0.1", 0, "http_port")
    running = Server(config(Gate(app, 8), websockets=True))
    task = await serving(running, sock)
    url = f"ws://127.0.0.1:{sock.getsockname()[1]}/ws"
    yield Socketed(desk, url, await app_client("cbo", CBO1))
    running.should_exit = True
    await task

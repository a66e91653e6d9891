"""The HTTP server of a process: whose word about the sender's address it takes; the health server of a worker."""

import asyncio
from typing import Any

import httpx
import pytest

from service.api.server import Server, bind, config, health_server, serving
from service.api.state import Shared
from service.settings import SettingsError, load
from service.store.engine import Store


async def tell_client(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9"), (("10.0.0.1",), "127.0.0.1")],
)
async def test_only_a_trusted_proxy_names_the_sender(trusted: tuple[str, ...], seen: str, free_port: int) -> None:
    server = Server(config(tell_client, trusted))  # type: ignore[arg-type]
    task = await serving(server, bind("127.0.0.1", free_port, "http_port"))
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(
                f"http://127.0.0.1:{free_port}/", headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"}
            )
        assert answer.text == seen
    finally:
        server.should_exit = True
        await task


def test_a_proxy_is_an_address_or_a_network() -> None:
    assert load({"ENLACE_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).trusted_proxies == ("10.0.0.0/8", "::1")
    with pytest.raises(SettingsError, match="ENLACE_TRUSTED_PROXIES"):
        load({"ENLACE_TRUSTED_PROXIES": "proxy.internal"})


async def test_a_worker_says_how_it_is(store: Store, free_port: int) -> None:
    settings = load({"ENLACE_HEALTH_PORT": str(free_port)})
    shared = Shared(store, settings, page_key=b"")
    base = f"http://127.0.0.1:{free_port}"
    async with health_server(shared, settings), httpx.AsyncClient() as client:
        assert (await client.get(f"{base}/healthz")).status_code == 200
        assert (await client.get(f"{base}/readyz")).status_code == 200
        assert "enlace_database_up 1.0" in (await client.get(f"{base}/metrics")).text
        shared.ready = False
        assert (await client.get(f"{base}/readyz")).status_code == 503
    await asyncio.sleep(0)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/healthz")
    async with health_server(shared, load({})):
        pass


def test_a_taken_port_names_the_way_out(free_port: int) -> None:
    with bind("127.0.0.1", free_port, "http_port") as first:
        first.listen()
        with pytest.raises(SettingsError) as taken:
            bind("127.0.0.1", free_port, "http_port")
    way_out = f"Stop it, or choose another, for example ENLACE_HTTP_PORT={free_port + 1}."
    assert str(taken.value).endswith(f"is Enlace running already? {way_out}")
    with pytest.raises(SettingsError, match=r"choose another\.$") as other:
        bind("192.0.2.1", free_port, "http_port")
    assert "running already" not in str(other.value)

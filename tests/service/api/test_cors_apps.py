"""The origins of registered apps are let in beside those of the setting, and never on the page where people agree."""

from pathlib import Path

import httpx
import pytest

from service.api.cors import origin_of
from service.main import build
from service.settings import load
from service.store import credentials
from service.store.change import Change
from service.store.engine import Store
from tests.service.auth.made_up_app import APP, register_app

ORIGIN = "https://app.example.org"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def client_of(store: Store, tmp_path: Path, origins: str) -> httpx.AsyncClient:
    environ = {"ENLACE_DATABASE_URL": store.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "key")}
    app = build(store, load(environ | {"ENLACE_CORS_ORIGINS": origins}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


def _allowed(answer: httpx.Response) -> str | None:
    return answer.headers.get("access-control-allow-origin")


async def test_an_app_reaches_the_token_endpoint_from_its_own_origin(
    world: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.cors.KEPT_S", 0)
    async with client_of(world, tmp_path, "https://other.example.org") as http:
        headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        assert _allowed(await http.options("/auth/token", headers=headers)) is None
        await register_app(world)
        for path in ("/auth/token", "/fhir/Patient"):
            assert _allowed(await http.options(path, headers=headers)) == ORIGIN
        for origin in ("https://app.example.org.evil.test", "http://app.example.org", "https://evil.test", "null"):
            assert _allowed(await http.options("/auth/token", headers=headers | {"Origin": origin})) is None
        assert _allowed(await http.get("/auth/authorize", headers={"Origin": ORIGIN})) is None
        await world.commit(Change(statements=[credentials.deactivate_client(APP)]))
        assert _allowed(await http.options("/auth/token", headers=headers)) is None


async def test_none_means_none(world: Store, tmp_path: Path) -> None:
    await register_app(world)
    async with client_of(world, tmp_path, "none") as http:
        assert _allowed(await http.post("/auth/token", headers={"Origin": ORIGIN})) is None


def test_origins_as_browsers_send_them() -> None:
    for uri, origin in (
        ("https://App.example.org/cb?x=1", b"https://app.example.org"),
        ("https://app.example.org:443/cb", b"https://app.example.org"),
        ("http://127.0.0.1:3000/cb", b"http://127.0.0.1:3000"),
        ("http://[::1]:3000/cb", b"http://[::1]:3000"),
        ("com.example.app:/cb", b""),
        ("https://a:b:c/", b""),
    ):
        assert origin_of(uri) == origin

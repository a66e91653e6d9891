"""Browser apps: who is let in, what they may send and see, and that the pages stay closed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from service.main import build
from service.settings import load
from service.store.engine import Store
from tests.service.world import access_token

APP = "https://app.example.org"
Client = Callable[..., Awaitable[httpx.AsyncClient]]
WANTED = "authorization,content-type,if-match,if-none-exist,if-none-match,prefer,x-medplum,x-request-id"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def client(world: Store, tmp_path: Path) -> AsyncIterator[Client]:
    opened: list[httpx.AsyncClient] = []

    async def make(**settings: str) -> httpx.AsyncClient:
        environ = {"ENLACE_DATABASE_URL": world.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "key"), **settings}
        opened.append(
            httpx.AsyncClient(transport=httpx.ASGITransport(build(world, load(environ))), base_url="http://test")
        )
        return opened[-1]

    yield make
    for one in opened:
        await one.aclose()


def preflight(method: str, origin: str = APP) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": WANTED,
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/fhir/Patient/a", "/fhir", "/fhir/", "/fhir/metadata", "/auth/token"])
async def test_a_preflight_needs_no_token_and_leaves_no_trace(
    world: Store, client: Client, path: str, method: str
) -> None:
    before = await world.fetch("SELECT count(*) FROM audit")
    answer = await (await client()).options(path, headers=preflight(method))
    assert answer.status_code == 204 and answer.content == b""
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert set(WANTED.split(",")) <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert "origin" in answer.headers["vary"].lower()
    assert await world.fetch("SELECT count(*) FROM audit") == before


async def test_an_app_reads_the_headers_that_it_needs(world: Store, client: Client) -> None:
    app = await client()
    token = await access_token(world, "ecm-provider", "Organization/ecm-1")
    bearer = {"Authorization": f"Bearer {token}", "Origin": APP}
    for path, status in (("/fhir/Patient/a", 200), ("/fhir/Patient/b", 404), ("/fhir/metadata", 200)):
        answer = await app.get(path, headers=bearer)
        assert answer.status_code == status
        assert answer.headers.get_list("access-control-allow-origin") == [APP]
        shown = answer.headers["access-control-expose-headers"].split(", ")
        assert {"Location", "Content-Location", "ETag", "Last-Modified", "X-Request-Id"} <= set(shown)
    refused = await app.get("/fhir/Patient/a", headers={"Origin": APP})
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("path", ["/", "/inbox", "/login", "/docs", "/healthz", "/metrics", "/fhirx", "/hl7v2"])
async def test_pages_never_get_a_header(client: Client, path: str) -> None:
    app = await client()
    for answer in (await app.get(path, headers={"Origin": APP}), await app.options(path, headers=preflight("POST"))):
        assert not [name for name in answer.headers if name.startswith("access-control")], path


async def test_only_named_origins_where_some_are_named(client: Client) -> None:
    app = await client(ENLACE_CORS_ORIGINS=f"{APP}, https://other.example.org/")
    for origin, let_in in (
        (APP, True),
        ("https://other.example.org", True),
        ("https://evil.example.org", False),
        ("https://app.example.org.evil.org", False),
        ("http://app.example.org", False),
        ("null", False),
    ):
        answer = await app.options("/fhir/Patient", headers=preflight("GET", origin))
        assert (answer.headers.get("access-control-allow-origin") == origin) is let_in, origin
        assert (answer.status_code == 204) is let_in
        public = await app.get("/fhir/metadata", headers={"Origin": origin})
        assert public.headers["access-control-allow-origin"] == (origin if let_in else "*"), "it holds no secret"
        assert ("access-control-allow-credentials" in public.headers) is let_in


async def test_none_where_none_is_wanted(client: Client) -> None:
    app = await client(ENLACE_CORS_ORIGINS="none")
    answer = await app.options("/fhir/Patient", headers=preflight("GET"))
    assert answer.status_code == 401 and "access-control-allow-origin" not in answer.headers
    assert (await app.get("/fhir/metadata")).json()["rest"][0]["security"]["cors"] is False
    open_app = await client()
    assert (await open_app.get("/fhir/metadata")).json()["rest"][0]["security"]["cors"] is True


async def test_options_without_a_preflight_is_a_request_like_any_other(client: Client) -> None:
    assert (await (await client()).options("/fhir/Patient", headers={"Origin": APP})).status_code in (401, 405)


def test_the_setting() -> None:
    def origins(**environ: str) -> tuple[str, ...]:
        return load(environ).origins

    assert origins() == ("*",)
    assert origins(ENLACE_ENV="production") == ()
    assert origins(ENLACE_CORS_ORIGINS=APP) == (APP,)
    assert origins(ENLACE_CORS_ORIGINS="none") == ()
    for bad in ("app.example.org", "https://app.example.org/path", "ftp://x.org", "https://[", "any"):
        with pytest.raises(Exception, match="ENLACE_CORS_ORIGINS"):
            load({"ENLACE_CORS_ORIGINS": bad})
    with pytest.raises(Exception, match="ENLACE_CORS_ORIGINS must name its origins"):
        load({"ENLACE_ENV": "production", "ENLACE_CORS_ORIGINS": "*"}).check()

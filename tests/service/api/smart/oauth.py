"""A client of the OAuth endpoints, and what they leave in the audit."""

from typing import Any

import httpx
from starlette.applications import Starlette

from service.api.smart import routes
from service.auth.backend_services import ASSERTION_TYPE, AuthServer
from service.auth.registration import insertion, new_client
from service.store.engine import Store
from tests.service.auth.smart_client import CLIENT, claims, header, jwks_text, jwt

BASE = "https://enlace.example.org"
SECOND = 1_000_000


def app_of(server: AuthServer) -> Starlette:
    app = Starlette(routes=routes)
    app.state.auth = server
    return app


def client_of(server: AuthServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app_of(server)), base_url=BASE)


async def register(store: Store, client_id: str, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "name": client_id,
        "organization": "Organization/ecm-1",
        "role": "ecm-provider",
        "scope": "system/Task.cruds system/Patient.rs",
        "jwks": jwks_text(),
        "now_us": store.clock.now_us(),
    }
    await store.commit(insertion(new_client(client_id, **facts | changes)))


def form(now_us: int, assertion: str | None = None, **changes: str | None) -> dict[str, str]:
    good: dict[str, str | None] = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion or jwt(header(), claims(now_us)),
        "scope": "system/Task.rs",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


async def audit(store: Store) -> list[tuple[Any, ...]]:
    """(outcome, kind, actor, organization, target, reason) of OAuth requests, in order."""
    rows = await store.fetch(
        "SELECT outcome, kind, actor, organization, target, reason FROM audit"
        " WHERE kind IN ('token', 'introspect', 'revoke') ORDER BY slot, seq"
    )
    return [tuple(row) for row in rows]


def check_refused(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def token_for(http: httpx.AsyncClient, store: Store, client_id: str = CLIENT, jti: str = "t") -> str:
    text = jwt(header(), claims(store.clock.now_us(), iss=client_id, sub=client_id, jti=jti))
    answer = await http.post("/auth/token", data=form(store.clock.now_us(), text))
    return str(answer.json()["access_token"])

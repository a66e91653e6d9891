"""What the token endpoint keeps to the letter: words, times, and who claims to ask (security.md T5, T20-T25)."""

import httpx
import pytest

from service.auth import scopes
from service.auth.assertions import SKEW_S
from service.auth.backend_services import AuthServer, authenticate_client, claimed_client
from service.caller import Caller, Role
from service.store.change import Change, Statement
from service.store.engine import Store
from tests.service.api.smart.oauth import BASE, SECOND, audit, form
from tests.service.auth.smart_client import CLIENT, claims, header, jwt

POSTGRESQL_IN_DEEP = True
STATUSES = ("draft", "requested", "accepted", "rejected", "cancelled", "in-progress", "on-hold", "completed", "failed")


async def asked(http: httpx.AsyncClient, store: Store, scope: str, jti: str) -> httpx.Response:
    text = jwt(header(), claims(store.clock.now_us(), jti=jti))
    return await http.post("/auth/token", data=form(store.clock.now_us(), text, scope=scope))


async def registered(store: Store, scope: str) -> None:
    change = Statement("UPDATE client SET scopes = ? WHERE id = ?", (scope, CLIENT))
    await store.commit(Change(statements=[change]))


async def test_a_refused_scope_says_why(http: httpx.AsyncClient, store: Store) -> None:
    no_text = form(store.clock.now_us())
    del no_text["scope"]
    for number, (data, words) in enumerate(
        [
            (no_text, "scope is required."),
            ({**no_text, "scope": " "}, "scope is required."),
            ({**no_text, "scope": "system/Goal.rs"}, "None of the requested scopes can be granted to this client."),
        ]
    ):
        data["client_assertion"] = jwt(header(), claims(store.clock.now_us(), jti=f"j{number}"))
        answer = await http.post("/auth/token", data=data)
        assert (answer.status_code, answer.json()["error_description"]) == (400, words)
        assert (await audit(store))[-1][4] == "", "nothing was issued"


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 400)])
async def test_what_would_be_granted_has_a_bound(http: httpx.AsyncClient, store: Store, over: int, status: int) -> None:
    """Each scope that is asked for grows by what the client is registered for."""
    task, other = f"code=s|{'x' * 400}", "system/ServiceRequest.rs?code="
    length = sum(len(f"system/Task.rs?status={one}&{task} ") for one in STATUSES)
    other += "y" * (scopes.MAX_TEXT - length - len(other) + over)
    await registered(store, f"system/Task.rs?{task} {other}")
    scope = " ".join([*(f"system/Task.rs?status={one}" for one in STATUSES), "system/ServiceRequest.rs"])
    answer = await asked(http, store, scope, "1")
    assert answer.status_code == status
    if over:
        assert answer.json()["error_description"] == "What would be granted is too long: ask for fewer scopes."
    else:
        assert len(answer.json()["scope"]) == scopes.MAX_TEXT


async def test_a_system_is_granted_nothing_of_a_person(http: httpx.AsyncClient, store: Store) -> None:
    await registered(store, "system/Task.rs user/Task.rs")
    answer = await asked(http, store, "user/Task.rs system/Task.rs", "1")
    assert answer.json()["scope"] == "system/Task.rs"


async def test_how_long_token_and_claim_stand(http: httpx.AsyncClient, server: AuthServer, store: Store) -> None:
    now = store.clock.now_us()
    facts = claims(now)
    _, claim = await authenticate_client(server, form(now, jwt(header(), facts)), None, now)
    assert claim.expires_us == (facts["exp"] + SKEW_S + 60) * SECOND
    assert (await asked(http, store, "system/Task.rs", "1")).status_code == 200
    assert [row[0] for row in await store.fetch("SELECT expires_us FROM token")] == [now + 300 * SECOND]


async def test_how_it_was_tried_is_in_the_audit(http: httpx.AsyncClient, store: Store) -> None:
    await http.post("/auth/token", data=form(store.clock.now_us()) | {"client_assertion": ""})
    assert (await audit(store))[-1][-1] == "assertion-missing"
    await http.post("/auth/token", data=form(store.clock.now_us(), client_secret="x"))
    assert (await audit(store))[-1][-1] == "two-mechanisms"


@pytest.mark.parametrize(
    ("sent", "claimed"),
    [
        ({}, ""),
        ({"client_id": "a-client"}, "a-client"),
        ({"client_id": "a client"}, ""),
        ({"client_id": "a-client\n"}, ""),
        ({"client_id": "a-client", "client_assertion": "no JWT"}, "a-client"),
        ({"client_id": "a-client", "client_assertion": jwt(header(), {"iss": "another"})}, "another"),
        ({"client_id": "a-client", "client_assertion": jwt(header(), {"sub": "another"})}, "a-client"),
        ({"client_id": "a-client", "client_assertion": jwt(header(), {"iss": 5})}, ""),
    ],
)
def test_who_claims_to_ask(sent: dict[str, str], claimed: str) -> None:
    assert claimed_client(sent) == claimed


async def test_what_nobody_configured_is_the_careful_choice(store: Store) -> None:
    server = AuthServer(store, BASE)
    assert server.env == "production"
    caller = Caller(CLIENT, Role.ECM_PROVIDER, "Organization/ecm-1")
    assert await server.sees(caller, "Patient/a") is False

"""The SMART configuration says what is there, and nothing else."""

import httpx

from service.api.smart import configuration
from service.auth.authorization_scopes import offered
from service.auth.grants import GRANTS
from service.store.engine import Store
from tests.service.api.smart.oauth import BASE, form, register
from tests.service.auth.smart_client import TOKEN_URL, claims, header, jwt

POSTGRESQL_IN_DEEP = True


async def test_smart_configuration(http: httpx.AsyncClient) -> None:
    for accept in ("application/json", "application/fhir+xml", "text/html"):
        answer = await http.get("/fhir/.well-known/smart-configuration", headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.json() == configuration(BASE)
    body = answer.json()
    assert body["token_endpoint"] == TOKEN_URL
    assert body["grant_types_supported"] == sorted(GRANTS)
    assert body["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert body["code_challenge_methods_supported"] == ["S256"]


async def test_every_address_of_a_post_in_the_configuration_exists(http: httpx.AsyncClient) -> None:
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        assert (await http.post(configuration(BASE)[name])).status_code == 415


async def test_every_listed_scope_of_a_system_is_granted(http: httpx.AsyncClient, store: Store) -> None:
    await register(store, "wide", scope="system/*.cruds")
    listed = [scope for scope in configuration(BASE)["scopes_supported"] if scope.startswith("system/")]
    assert any("?" in scope for scope in listed)
    for number, scope in enumerate(listed):
        text = jwt(header(), claims(store.clock.now_us(), iss="wide", sub="wide", jti=str(number)))
        answer = await http.post("/auth/token", data=form(store.clock.now_us(), text, scope=scope))
        assert answer.json()["scope"] == scope


def test_every_listed_scope_of_a_person_is_one_that_an_app_is_granted() -> None:
    listed = [scope for scope in configuration(BASE)["scopes_supported"] if not scope.startswith("system/")]
    assert set(offered(" ".join(listed), "user/*.cruds patient/*.cruds")) == set(listed)

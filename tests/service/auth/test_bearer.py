"""From Authorization header to Caller, as the store stands at this request (security.md 1.1 end, decisions.md 19)."""

import dataclasses

import pytest

from service.auth import tokens
from service.auth.bearer import authenticate, bearer_digest, caller_of, insufficient_scope
from service.caller import Role
from service.errors import Category, FhirError
from service.store import credentials
from service.store.change import Change, Statement
from service.store.credentials import TokenRow
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.auth.smart_client import CLIENT

SECOND = 1_000_000
ROW = TokenRow("c", "system/Task.rs", 0, 300 * SECOND, None, "cbo", "Organization/o", None, "TREAT", True)


async def issue(store: Store, life_s: int = 300) -> str:
    token, digest = tokens.new_token()
    now = store.clock.now_us()
    statement = credentials.insert_token(digest, CLIENT, "system/Task.rs", now, now + life_s * SECOND)
    await store.commit(Change(statements=[statement]))
    return token


async def refusal(store: Store, header: str | None, env: str = "production") -> FhirError:
    with pytest.raises(FhirError) as caught:
        await authenticate(store, header, store.clock.now_us(), env=env)
    assert caught.value.category is Category.UNAUTHENTICATED
    assert caught.value.headers["WWW-Authenticate"].startswith('Bearer realm="enlace"')
    return caught.value


async def test_a_good_token_makes_the_caller(store: Store) -> None:
    caller = await authenticate(store, f"Bearer {await issue(store)}", store.clock.now_us())
    assert (caller.client_id, caller.role) == (CLIENT, Role.ECM_PROVIDER)
    assert (caller.organization, caller.person, caller.purpose) == ("Organization/ecm-1", None, "TREAT")
    assert caller.scopes == "system/Task.rs"
    assert caller.allows("r", "Task") and not caller.allows("c", "Task") and not caller.allows("r", "Patient")


async def test_the_scheme_is_case_insensitive(store: Store) -> None:
    token = await issue(store)
    assert await authenticate(store, f"bearer  {token}", store.clock.now_us())


async def test_revocation_acts_on_the_next_request(store: Store) -> None:
    token = await issue(store)
    digest = bearer_digest(f"Bearer {token}")
    await store.commit(Change(statements=[credentials.revoke_token(digest, store.clock.now_us())]))
    assert (await refusal(store, f"Bearer {token}")).reason == "token-revoked"


async def test_ending_the_client_acts_on_the_next_request(store: Store) -> None:
    token = await issue(store)
    assert await authenticate(store, f"Bearer {token}", store.clock.now_us())
    await store.commit(Change(statements=[credentials.deactivate_client(CLIENT)]))
    assert (await refusal(store, f"Bearer {token}")).reason == "client-inactive"


async def test_expiry_has_no_leeway(store: Store, clock: FrozenClock) -> None:
    token = await issue(store)
    clock.advance(300 * SECOND - 1)
    assert await authenticate(store, f"Bearer {token}", clock.now_us())
    clock.advance(1)
    assert (await refusal(store, f"Bearer {token}")).reason == "token-expired"


async def test_rights_taken_from_the_client_act_on_the_next_request(store: Store) -> None:
    token = await issue(store)
    await store.commit(Change(statements=[Statement("UPDATE client SET role = ? WHERE id = ?", ("system", CLIENT))]))
    assert (await refusal(store, f"Bearer {token}")).reason == "client-role"


async def test_production_refuses_a_token_that_a_sandbox_issued_for_hours(store: Store) -> None:
    token = await issue(store, life_s=8 * 3600)
    assert await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
    assert (await refusal(store, f"Bearer {token}")).reason == "token-sandbox"


ANYTHING_ELSE_IS_401 = [
    (None, "token-missing"),
    ("", "token-missing"),
    ("Basic abc", "token-scheme"),
    ("Bearer", "token-scheme"),
    ("Bearer a b", "token-scheme"),
    ("Bearer \u00e9", "token-scheme"),
    ("Bearer a,Bearer b", "token-scheme"),
    ("Bearer x", "token-malformed"),
    ("Bearer " + "A" * 42, "token-malformed"),
    ("Bearer " + "A" * 44, "token-malformed"),
    ("Bearer " + "A" * 42 + "=", "token-malformed"),
    ("Bearer " + "A" * 43, "token-unknown"),
]


async def test_anything_else_is_401(store: Store) -> None:
    for header, reason in ANYTHING_ELSE_IS_401:
        error = await refusal(store, header)
        assert error.reason == reason
        assert ('error="invalid_token"' in error.headers["WWW-Authenticate"]) == (
            reason not in ("token-missing", "token-scheme")
        )


async def test_only_the_sandbox_names_its_command(store: Store) -> None:
    for header, _ in ANYTHING_ELSE_IS_401:
        trial, real = await refusal(store, header, "sandbox"), await refusal(store, header)
        assert "`enlace token --role lcm`" in trial.issues[0].diagnostics
        assert "enlace token" not in real.issues[0].diagnostics


async def test_every_refusal_has_one_body(store: Store) -> None:
    unknown = await refusal(store, "Bearer " + "A" * 43)
    expired = dataclasses.replace(ROW, expires_us=0)
    for row in (None, expired, dataclasses.replace(ROW, revoked_us=1), dataclasses.replace(ROW, client_active=False)):
        with pytest.raises(FhirError) as caught:
            caller_of(row, 1)
        assert caught.value.outcome() == unknown.outcome()
        assert caught.value.headers == unknown.headers


A_TOKEN_IN_THE_QUERY_IS_400_EVEN_BESIDE_A_GOOD_HEADER = ["access_token", "Access_Token"]


async def test_a_token_in_the_query_is_400_even_beside_a_good_header(store: Store) -> None:
    for name in A_TOKEN_IN_THE_QUERY_IS_400_EVEN_BESIDE_A_GOOD_HEADER:
        with pytest.raises(FhirError) as caught:
            await authenticate(store, f"Bearer {await issue(store)}", store.clock.now_us(), query_keys=["_id", name])
        assert caught.value.category is Category.MALFORMED


def test_the_token_is_256_bits_and_only_its_digest_is_known() -> None:
    made = {tokens.new_token()[0] for _ in range(100)}
    assert len(made) == 100 and {len(token) for token in made} == {43}
    token, digest = tokens.new_token()
    assert tokens.digest_of(token) == digest and len(digest) == 32
    assert tokens.audit_name(digest) == "token/" + digest.hex()[32:]


def test_insufficient_scope_names_what_is_needed() -> None:
    error = insufficient_scope("u", "Task")
    assert error.category is Category.FORBIDDEN
    assert 'error="insufficient_scope", scope="system/Task.u"' in error.headers["WWW-Authenticate"]

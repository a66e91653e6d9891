"""Who may sign in, and how a session ends: B11 of ../shared/facts/security.md 1.5, on both engines."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from service.access.new_version import new_version
from service.auth import login
from service.auth.login import ABSOLUTE_S, IDLE_S, SECOND, LoginRefused, name_of, session_of, sign_in, sign_out
from service.auth.registration import insertion, new_client
from service.store import credentials
from service.store.change import Change
from service.store.engine import Store, open_store
from service.store.identities import Provider
from service.store.sessions import SessionRow, Through
from tests.frozen_clock import FrozenClock

POSTGRESQL_IN_DEEP = True

ANA = {"resourceType": "Practitioner", "id": "ana", "name": [{"given": ["Ana"], "family": "Quispe"}]}


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    for client_id, role, person in (
        ("ana", "lcm", "Practitioner/ana"),
        ("ben", "lcm", "Practitioner/ben"),
        ("team", "lcm", None),
        ("ehr", "ecm-provider", None),
        ("ward", "hospital", None),
    ):
        facts: dict[str, Any] = {"role": role, "person": person, "name": f"Client {client_id}"}
        client = new_client(
            client_id, organization="Organization/e", scope="user/Task.rs", now_us=clock.now_us(), **facts
        )
        await opened.commit(insertion(client))
    await opened.commit(Change(writes=[new_version(ANA, 0, opened.keys, source_org=0, now_us=clock.now_us())]))
    yield opened
    await opened.close()


async def signed_in(store: Store, clock: FrozenClock, former: str = "") -> str:
    cookie, change = await sign_in(store, "sandbox", "ana", clock.now_us(), former=former)
    await store.commit(change)
    return cookie


async def test_the_list_has_persons_only_by_their_names_in_the_directory(store: Store) -> None:
    assert [(p.client_id, p.display) for p in await login.people(store)] == [
        ("ana", "Ana Quispe"),
        ("ben", "Client ben"),
    ]
    await store.commit(Change(statements=[credentials.deactivate_client("ben")]))
    assert [p.client_id for p in await login.people(store)] == ["ana"]


async def test_a_session_acts_as_the_person_and_is_stored_by_digest_only(store: Store, clock: FrozenClock) -> None:
    cookie = await signed_in(store, clock)
    session = await session_of(store, cookie, "sandbox", clock.now_us())
    assert session is not None
    assert (session.caller.agent, session.caller.role) == ("Practitioner/ana", "lcm")
    assert session.caller.allows("r", "Task") and not session.caller.allows("u", "Task")
    rows = await store.fetch("SELECT hash, csrf FROM login_session")
    assert len(cookie) == 43 and len(rows[0][0]) == 32 and cookie.encode() not in rows[0][0] and cookie != rows[0][1]


@pytest.mark.parametrize("client", ["team", "ward", "nobody", ""])
async def test_only_persons_and_the_sandboxs_systems_sign_in(store: Store, clock: FrozenClock, client: str) -> None:
    with pytest.raises(LoginRefused, match="unknown"):
        await sign_in(store, "sandbox", client, clock.now_us())


async def test_a_system_has_a_session_in_the_sandbox_only(store: Store, clock: FrozenClock) -> None:
    cookie, change = await sign_in(store, "sandbox", "ehr", clock.now_us())
    await store.commit(change)
    session = await session_of(store, cookie, "sandbox", clock.now_us())
    assert session is not None
    assert (session.caller.role, session.caller.person, session.caller.agent) == (
        "ecm-provider",
        None,
        "Organization/e",
    )
    assert await session_of(store, cookie, "production", clock.now_us()) is None
    await store.commit(sign_out(session))
    rows = await store.fetch("SELECT kind, actor FROM audit WHERE kind IN ('login', 'logout') ORDER BY slot, seq")
    assert rows == [("login", "ehr"), ("logout", "ehr")]


async def test_visitors_are_by_role_the_oldest_first(store: Store) -> None:
    found = {role: [one.client_id for one in listed] for role, listed in (await login.visitors(store)).items()}
    assert found == {"lcm": ["ana", "ben"], "ecm-provider": ["ehr"], "mcp": [], "cbo": []}


async def test_production_has_no_sign_in_without_password(store: Store, clock: FrozenClock) -> None:
    with pytest.raises(LoginRefused, match="production"):
        await sign_in(store, "production", "ana", clock.now_us())


async def test_each_sign_in_makes_a_new_session_and_ends_the_former(store: Store, clock: FrozenClock) -> None:
    first = await signed_in(store, clock)
    second = await signed_in(store, clock, former=first)
    assert first != second
    assert await session_of(store, first, "sandbox", clock.now_us()) is None
    assert await session_of(store, second, "sandbox", clock.now_us()) is not None


async def test_sign_out_ends_it_here(store: Store, clock: FrozenClock) -> None:
    cookie = await signed_in(store, clock)
    session = await session_of(store, cookie, "sandbox", clock.now_us())
    assert session is not None
    await store.commit(sign_out(session))
    assert await session_of(store, cookie, "sandbox", clock.now_us()) is None


async def test_a_revoked_client_is_out_at_once(store: Store, clock: FrozenClock) -> None:
    cookie = await signed_in(store, clock)
    await store.commit(Change(statements=[credentials.deactivate_client("ana")]))
    assert await session_of(store, cookie, "sandbox", clock.now_us()) is None


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "é" * 43, "' OR 1=1 --"])
async def test_made_up_cookies_are_nobody(store: Store, clock: FrozenClock, cookie: str) -> None:
    await signed_in(store, clock)
    assert await session_of(store, cookie, "sandbox", clock.now_us()) is None


def row(**changes: Any) -> SessionRow:
    times = (0, 0, ABSOLUTE_S * SECOND)
    client = ("Ana", "lcm", "Organization/e", "Practitioner/ana", "", "")
    return replace(SessionRow("ana", "c", *times, *client, client_active=True), **changes)


PROVIDER = Provider("p", "https://login.example", "P", "Organization/e", "enlace")
THROUGH = Through("a", "Organization/e", "lcm", "Practitioner/ana", True, PROVIDER)


@pytest.mark.parametrize("env", ["sandbox", "production"])
def test_b11_idle_and_absolute_ends(env: str) -> None:
    idle = IDLE_S[env] * SECOND
    assert login.alive(row(through=THROUGH), env, idle - 1) and not login.alive(row(through=THROUGH), env, idle)
    end = ABSOLUTE_S * SECOND
    last = row(seen_us=end - 1, through=THROUGH)
    assert login.alive(last, env, end - 1) and not login.alive(last, env, end)


def test_production_has_no_session_without_a_provider() -> None:
    """Though the sandbox's database were carried over."""
    assert login.alive(row(), "sandbox", 1) and not login.alive(row(), "production", 1)


@pytest.mark.parametrize(
    "changes",
    [{"account_active": False}, {"provider": replace(PROVIDER, active=False)}, {"practitioner": "Practitioner/ben"}],
)
def test_the_account_and_its_provider_must_still_be_there(changes: dict[str, Any]) -> None:
    assert not login.alive(row(through=replace(THROUGH, **changes)), "production", 1)


@pytest.mark.parametrize("changes", [{"client_active": False}, {"role": "ehr"}, {"person": None}])
def test_the_client_must_still_be_a_person(changes: dict[str, Any]) -> None:
    assert login.alive(row(), "sandbox", 1) and not login.alive(row(**changes), "sandbox", 1)


async def test_being_active_is_noted_once_a_minute(store: Store, clock: FrozenClock) -> None:
    cookie = await signed_in(store, clock)
    session = await session_of(store, cookie, "sandbox", clock.now_us())
    assert session is not None and session.touch(clock.now_us() + 59 * SECOND) is None
    note = session.touch(clock.now_us() + 60 * SECOND)
    assert note is not None
    await store.commit(Change(statements=[note]))
    clock.advance(IDLE_S["sandbox"] * SECOND + 59 * SECOND)
    assert await session_of(store, cookie, "sandbox", clock.now_us()) is not None
    clock.advance(SECOND)
    assert await session_of(store, cookie, "sandbox", clock.now_us()) is None


def test_names_as_people_say_them() -> None:
    assert (
        name_of({"name": [{"use": "old", "family": "A"}, {"use": "official", "given": ["B", "C"], "family": "D"}]})
        == "B C D"
    )
    assert name_of({"name": [{"text": "Dr. E"}]}) == "Dr. E"
    assert name_of({}) == name_of({"name": [{}]}) == ""


def test_comparing_takes_any_text_and_never_accepts_nothing() -> None:
    assert login.same("abc", "abc") and not login.same("abc", "abd")
    assert not login.same("", "") and not login.same("abc", "é")
    assert login.signin_token(b"k", "n") != login.signin_token(b"k", "m") != login.signin_token(b"l", "m")

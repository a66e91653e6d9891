"""The way back from an OpenID Provider: one answer, for one browser, of one provider (B11)."""

from typing import Any

import pytest

from service.store.engine import Store
from service.web.signin import WORDS
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import text_of
from tests.service.web.county import SECOND
from tests.service.web.openid_provider import FakeProvider
from tests.service.web.visiting import CALLBACK, Visitor, reasons, register_provider, sessions

POSTGRESQL_IN_DEEP = True


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "A" * 43},
        {"state": None},
        {"state": "é"},
        {"iss": "https://login.evil.example", "reason": "iss-parameter"},
        {"iss": None, "reason": "iss-parameter"},
        {"code": "stolen", "reason": "code"},
        {"code": None, "reason": "code"},
        {"code": "c" * 5000, "reason": "code"},
        {"error": "access_denied", "reason": "denied"},
    ],
)
async def test_an_answer_that_does_not_fit(visitor: Visitor, store: Store, changes: dict[str, Any]) -> None:
    """The mix-up of providers is refused before any code leaves."""
    reason = changes.pop("reason", "state")
    address = await visitor.to_provider()
    sent = len(visitor.provider.sent)
    answer = await visitor.back(address, **changes)
    assert answer.status_code == 403 and await sessions(store) == 0
    assert await reasons(store) == [reason]
    if changes != {"code": "stolen"}:
        assert visitor.provider.sent[sent:] == []


async def test_a_state_is_used_once(visitor: Visitor, store: Store) -> None:
    address = await visitor.to_provider()
    answer = visitor.provider.sign_in(address)
    cookie = visitor.cookies["enlace-login"]
    assert (await visitor.get(CALLBACK, params=answer)).status_code == 303
    visitor.cookies.set("enlace-login", cookie, domain="enlace.test")
    again = await visitor.get(CALLBACK, params=answer)
    assert again.status_code == 403 and WORDS["state"] in text_of(again)
    assert await sessions(store) == 1


async def test_a_state_of_another_browser(visitor: Visitor, store: Store, provider: FakeProvider) -> None:
    """Login CSRF: the thief's own answer, put before the victim, signs nobody in."""
    async with Visitor(store, provider) as thief:
        address = await thief.to_provider()
        answer = provider.sign_in(address)
        await visitor.to_provider()
        for browser, status in ((visitor, 403), (thief, 303)):
            given = await browser.get(CALLBACK, params=answer)
            assert given.status_code == status
    assert await sessions(store) == 1


async def test_a_code_of_another_provider_is_handed_to_nobody(visitor: Visitor, store: Store) -> None:
    """Mix-up: p1 leads the browser on to the provider of another organization, whose answer comes back to that
    organization's address, with the state of p1 and without `iss`. The code in it would open the person's session."""
    await register_provider(store, "p2", name="Another", organization="Organization/ecm-2")
    answer = visitor.provider.sign_in(await visitor.to_provider(), iss=None)
    sent = len(visitor.provider.sent)
    mixed = await visitor.get("/login/callback/ecm-2", params=answer)
    assert mixed.status_code == 403 and WORDS["state"] in text_of(mixed)
    assert ("POST", "/token") not in visitor.provider.sent[sent:]
    assert (await visitor.get(CALLBACK, params=answer)).status_code == 403, "and it is used up"
    assert "callback%2Fecm-2" in await visitor.to_provider("/login/p2")


async def test_a_sign_in_takes_ten_minutes_at_most(visitor: Visitor, clock: FrozenClock) -> None:
    address = await visitor.to_provider()
    clock.advance(600 * SECOND)
    assert WORDS["state"] in text_of(await visitor.back(address))


async def test_one_answer_with_two_states(visitor: Visitor) -> None:
    given = visitor.provider.sign_in(await visitor.to_provider())
    answer = await visitor.get(CALLBACK, params=[*given.items(), ("code", "another")])
    assert answer.status_code == 403 and WORDS["state"] in text_of(answer)

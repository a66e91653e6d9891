"""A person who signs in through an OpenID Provider of their organization, and what that leaves."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from service.auth import identities as rules
from service.auth.identities import new_provider
from service.auth.openid import RelyingParty
from service.store.engine import Store
from tests.service.web.browsing import BASE, Browser, text_of
from tests.service.web.county import settings
from tests.service.web.openid_provider import CLIENT_ID, ISSUER, FakeProvider

ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"
KEY = b"k" * 64
SECRET = "s3:c+r%t"
CALLBACK = "/login/callback/ecm-1"


def role(fhir_id: str, person: str, organization: str, code: str = "lead-care-manager", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "PractitionerRole",
        "id": fhir_id,
        "active": True,
        "practitioner": {"reference": f"Practitioner/{person}"},
        "organization": {"reference": f"Organization/{organization}"},
        "code": [{"coding": [{"system": ROLE, "code": code}]}],
        **more,
    }


async def register_provider(store: Store, provider_id: str, secret: str | None = None, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "name": "Made-up Care sign-in",
        "issuer": ISSUER,
        "organization": "Organization/ecm-1",
        "client_id": CLIENT_ID,
        "roles": ["lcm"],
        "key": KEY,
        "now_us": store.clock.now_us(),
        "client_secret": secret,
    }
    await rules.add_provider(store, new_provider(provider_id, **facts | changes))


class Visitor(Browser):
    """A browser before our pages, whose way to the provider is the fake one."""

    def __init__(self, store: Store, provider: FakeProvider, base: str = BASE, **changes: Any):
        super().__init__(store, settings(**changes), base)
        self.app.state.enlace.page_key = KEY
        self.provider = provider
        self.app.state.relying_party = RelyingParty(provider, KEY, base)

    def becomes(self, **facts: Any) -> None:
        """The same provider, with these lies and no others."""
        self.provider = replace(FakeProvider(self.provider.clock, secret=self.provider.secret), **facts)
        self.app.state.relying_party.outbound = self.provider

    async def to_provider(self, path: str = "/login/p1") -> str:
        answer = await self.get(path)
        assert answer.status_code == 303, text_of(answer)
        return answer.headers["location"]

    async def back(self, address: str, **changes: str | None) -> httpx.Response:
        [to] = parse_qs(urlsplit(address).query)["redirect_uri"]
        return await self.get(urlsplit(to).path, params=self.provider.sign_in(address, **changes))

    async def through(self, path: str = "/login/p1") -> httpx.Response:
        return await self.back(await self.to_provider(path))


async def reasons(store: Store) -> list[str]:
    rows = await store.fetch("SELECT reason FROM audit WHERE kind = 'login' AND outcome = 4 ORDER BY slot, seq")
    return [row[0] for row in rows]


async def sessions(store: Store) -> int:
    return int((await store.fetch("SELECT COUNT(*) FROM login_session"))[0][0])

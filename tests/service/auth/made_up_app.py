"""A made-up app that people launch, and the person's browser before the screen: one code flow, wrong at will."""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from service.auth import tokens
from service.auth.registration import insertion, new_client
from service.store import sessions
from service.store.change import Change
from service.store.engine import Store
from tests.service.world import ECM1, LCM1

BASE = "http://127.0.0.1:8000"
FHIR = f"{BASE}/fhir"
APP = "made-up-app"
REDIRECT = "https://app.example.org/callback"
VERIFIER = "v" * 64
SCOPE = "openid fhirUser launch/patient offline_access patient/*.rs user/Practitioner.rs"
REGISTERED = "user/*.cruds patient/*.rs"
SECOND = 1_000_000


def challenge(verifier: str = VERIFIER) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def register_app(
    store: Store, client_id: str = APP, kind: str = "public", uris: tuple[str, ...] = (REDIRECT,), **changes: Any
) -> None:
    """As the operator registers it."""
    facts: dict[str, Any] = {
        "name": client_id,
        "organization": ECM1,
        "scope": REGISTERED,
        "now_us": store.clock.now_us(),
    }
    facts |= {"kind": kind, "redirect_uris": uris}
    await store.commit(insertion(new_client(client_id, **facts | changes)))


async def sign_in(store: Store, person: str = LCM1, organization: str = ECM1) -> str:
    """The cookie of a live session of a made-up lead care manager."""
    client_id = f"login-{person.partition('/')[2]}"
    cookie, digest = tokens.new_token()
    now_us = store.clock.now_us()
    change = Change()
    if not await store.fetch("SELECT id FROM client WHERE id = ?", (client_id,)):
        facts = {"name": client_id, "organization": organization, "role": "lcm", "scope": "user/*.cruds"}
        change.merge(insertion(new_client(client_id, now_us=now_us, person=person, **facts)))
    change.statements.append(
        sessions.insert_session(digest, client_id, f"csrf-{client_id}", now_us, now_us + 12 * 3600 * SECOND)
    )
    await store.commit(change)
    return cookie


def browser(app: Any, cookie: str = "") -> httpx.AsyncClient:
    cookies = {"enlace": cookie} if cookie else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE, cookies=cookies)


def query(**changes: str | None) -> dict[str, str]:
    """A good request; a value of None takes the parameter out."""
    good: dict[str, str | None] = {
        "response_type": "code",
        "client_id": APP,
        "redirect_uri": REDIRECT,
        "scope": SCOPE,
        "state": "state-1",
        "aud": FHIR,
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        "nonce": "nonce-1",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


async def ask(http: httpx.AsyncClient, **changes: str | None) -> httpx.Response:
    """GET /auth/authorize."""
    return await http.get("/auth/authorize", params=query(**changes))


class Fields(HTMLParser):
    """What a browser would send of the page's form: hidden fields and ticked boxes; `radios`: what can be chosen."""

    def __init__(self, page: str):
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.radios: list[str] = []
        self._in = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._in = given.get("action") == "/auth/authorize"
        if tag != "input" or not self._in:
            return
        if given.get("type") == "radio":
            self.radios.append(str(given["value"]))
        elif given.get("type") != "checkbox" or "checked" in given:
            self.sent.append((str(given["name"]), given.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        self._in = self._in and tag != "form"


async def press(
    http: httpx.AsyncClient, page: httpx.Response, step: str, *, without: tuple[str, ...] = (), **more: str
) -> httpx.Response:
    """Sends the form. without: scopes whose tick is taken away."""
    sent = [(n, v) for n, v in Fields(page.text).sent if n not in more and not (n == "scope" and v in without)]
    body = urlencode([*sent, *more.items(), ("step", step)])
    return await http.post(
        "/auth/authorize", content=body, headers={"content-type": "application/x-www-form-urlencoded"}
    )


def returned(answer: httpx.Response) -> dict[str, str]:
    """The parameters with which the browser comes back to the app."""
    assert answer.status_code == 303, re.sub(r"<[^>]+>", " ", answer.text)[:500]
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True))


async def code_for(http: httpx.AsyncClient, patient: str = "Patient/a", **changes: str | None) -> str:
    """The whole screen, allowed."""
    page = await ask(http, **changes)
    assert page.status_code == 200, page.text
    more = {"patient": patient} if patient else {}
    return returned(await press(http, page, "allow", **more))["code"]


def exchange_form(code: str, **changes: str | None) -> dict[str, str]:
    good: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "client_id": APP,
        "code_verifier": VERIFIER,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


async def exchange(http: httpx.AsyncClient, code: str, **changes: str | None) -> httpx.Response:
    return await http.post("/auth/token", data=exchange_form(code, **changes))


async def refresh(http: httpx.AsyncClient, token: str, **changes: str | None) -> httpx.Response:
    form: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": token, "client_id": APP}
    return await http.post("/auth/token", data={n: v for n, v in (form | changes).items() if v is not None})


async def launched(http: httpx.AsyncClient, **changes: str | None) -> dict[str, Any]:
    """The token response of a good flow."""
    answer = await exchange(http, await code_for(http, **changes))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def read(http: httpx.AsyncClient, token: str, path: str = "Patient/a") -> int:
    answer = await http.get(f"/fhir/{path}", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code

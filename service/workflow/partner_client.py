"""A partner's FHIR server as this service reaches it: SMART Backend Services over the guarded client, JSON only.

Nothing that comes back is believed: no redirect is followed, no more is read than a limit, and what is not one JSON
object is refused. What went wrong is one of three: it is Away (try later), it Declined this request, it is Odd.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from fhir_profiles import Resource
from service.auth.assertion_signing import assertion
from service.auth.signing_keys import SigningKeys
from service.egress import Answer, Egress, EgressFailed, EgressRefused
from service.store.engine import Store
from service.store.partners import Partner

TIMEOUT_S = 10.0
MAX_BYTES = 1_048_576
MAX_TOKEN = 8_192
MARGIN_US = 30_000_000
"""A token is not used in its last half minute."""
FHIR_JSON = "application/fhir+json"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AWAY = frozenset({429, 502, 503, 504})
"""Statuses that say: not now, whatever you ask."""
OF_SIZE = frozenset({"too-large", "content-encoding"})


class Exchange(Exception):
    """What came of a request that did not succeed; `reason` is a short code, fit for a row and a log line."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Away(Exchange):
    """The server cannot be used now."""


class Declined(Exchange):
    """The server answered, and said no to this request."""

    def __init__(self, status: int):
        super().__init__(f"status-{status}")
        self.status = status


GARBLED = frozenset({"redirect", "garbage", "too-large", "content-encoding"})
"""What a proxy says for a server that is being maintained looks so: tried again before a person is asked."""


class Odd(Exchange):
    """An answer that an honest server does not give."""

    @property
    def lasting(self) -> bool:
        return self.reason not in GARBLED


@dataclass(frozen=True)
class Reply:
    """resource: {} where the body is empty."""

    status: int
    headers: dict[str, str]
    resource: Resource


@dataclass
class Sessions:
    """Access tokens of the partners, as long as they last. One for each worker."""

    egress: Egress
    keys: SigningKeys
    tokens: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """By partner and scopes"""


@dataclass(frozen=True)
class Server:
    """One partner's server. Paths are relative to its base: "Task/1", "Task?_id=1,2"."""

    store: Store
    partner: Partner
    sessions: Sessions
    hold: Callable[[], Awaitable[None]] | None = None
    """Called before each request: whether this worker may still act."""

    async def get(self, path: str) -> Reply:
        return await self.request("GET", path)

    async def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Raises Away, Declined, Odd."""
        answer = await self._send(method, path, body, headers or {})
        if answer.status == 401 and self.partner.token_url:  # the token ended or was revoked: once with a new one
            self.sessions.tokens.pop((self.partner.name, self.partner.scopes), None)
            answer = await self._send(method, path, body, headers or {})
            if answer.status == 401:
                raise Away("token-not-taken")
        _check_status(answer.status)
        return Reply(answer.status, dict(answer.headers), read_json(answer.body) if answer.body else {})

    async def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        sent = {"Accept": FHIR_JSON, **headers}
        if body is not None:
            sent["Content-Type"] = FHIR_JSON
        if self.partner.token_url:
            sent["Authorization"] = f"Bearer {await self._token()}"
        return await self._over(method, f"{self.partner.base_url}/{path}", body, sent)

    async def _over(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if self.hold is not None:
            await self.hold()
        try:
            return await self.sessions.egress.request(
                method, url, content=body, headers=headers, timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES
            )
        except EgressRefused as error:
            raise Away(f"egress-{error.reason}") from None
        except EgressFailed as error:
            raise (Odd if error.reason in OF_SIZE else Away)(error.reason) from None

    async def _token(self) -> str:
        now_us = self.store.clock.now_us()
        token, until_us = self.sessions.tokens.get((self.partner.name, self.partner.scopes), ("", 0))
        if until_us - MARGIN_US > now_us:
            return token
        partner = self.partner
        made = await assertion(self.sessions.keys, self.store, partner.client_id, partner.token_url, now_us)
        form = {
            "grant_type": "client_credentials",
            "scope": partner.scopes,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": made,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        answer = await self._over("POST", partner.token_url, urlencode(form).encode(), headers)
        if answer.status != 200:
            raise Away(f"token-status-{answer.status}")
        token, seconds = token_of(answer.body)
        self.sessions.tokens[partner.name, partner.scopes] = (token, now_us + seconds * 1_000_000)
        return token


def _check_status(status: int) -> None:
    if 300 <= status < 400:
        raise Odd("redirect")
    if status in AWAY:
        raise Away(f"status-{status}")
    if not 200 <= status < 300:
        raise Declined(status)


def token_of(body: bytes) -> tuple[str, int]:
    """(token, seconds) of a token endpoint's answer. Raises Away: without a token nothing can be asked."""
    try:
        said = read_json(body)
    except Odd:
        raise Away("token-garbage") from None
    token, seconds = said.get("access_token"), said.get("expires_in", 60)
    if str(said.get("token_type", "")).lower() != "bearer" or not isinstance(token, str):
        raise Away("token-garbage")
    if not 0 < len(token) <= MAX_TOKEN or not token.isascii() or any(not "!" <= letter <= "~" for letter in token):
        raise Away("token-garbage")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds <= 86_400:
        seconds = 60
    return token, seconds


def read_json(body: bytes) -> dict[str, Any]:
    """One JSON object; decimals keep their digits. Raises Odd."""
    try:
        found = json.loads(
            body, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_without_duplicates
        )
    except (ValueError, RecursionError, ArithmeticError):
        raise Odd("garbage") from None
    if not isinstance(found, dict):
        raise Odd("garbage")
    return found


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def task_served(statement: Resource) -> str:
    """A sentence about what a server's CapabilityStatement says of referrals."""
    served: dict[str, set[str]] = {}
    for rest in statement.get("rest") or ():
        for one in rest.get("resource") or () if isinstance(rest, dict) else ():
            codes = {str(i.get("code")) for i in one.get("interaction") or () if isinstance(i, dict)}
            served[str(one.get("type"))] = codes
    missing = sorted({"create", "read", "update", "search-type"} - served.get("Task", set()))
    if statement.get("resourceType") != "CapabilityStatement":
        return "It answers, but not with a CapabilityStatement: is this its FHIR base?"
    if missing:
        return f"It answers, but its CapabilityStatement names no {', '.join(missing)} for Task: ask whether it does."
    return "It answers, and takes referrals: Task create, read, update, search."

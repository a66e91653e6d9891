"""SMART Backend Services: a client's signed assertion becomes an access token for five minutes.

https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html; checks T3-T23 of ../shared/facts/security.md 1.1.
Nothing is committed here: the answer carries the Change (claim on the jti, token row) that must be durable first.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from service.auth import scopes, tokens
from service.auth.assertions import SKEW_S, check_assertion, check_jku, read_assertion
from service.auth.client_rules import BACKEND
from service.auth.jwt_reader import read_jwt
from service.auth.key_sets import KeySets
from service.auth.limits import Limits
from service.auth.refusal import ClientRefused, OAuthRefused, bad_request
from service.auth.registration import CLIENT_ID
from service.auth.signing_keys import SigningKeys
from service.caller import Caller
from service.store import credentials
from service.store.change import Change, Claim
from service.store.credentials import CredentialStore, RegisteredClient

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLAIM_MARGIN_S = 60
"""The claim outlives the assertion by this: a group commits a little after the check, and clocks of hosts differ."""

Sees = Callable[[Caller, str], Awaitable[bool]]


async def nobody_sees(_caller: Caller, _patient: str) -> bool:
    return False


@dataclass
class AuthServer:
    """What the endpoints under /auth need. base_url: the public URL, no trailing slash. env: sandbox or production."""

    store: CredentialStore
    base_url: str
    env: str = "production"
    key_sets: KeySets = field(default_factory=KeySets)
    limits: Limits = field(default_factory=Limits)
    signing: SigningKeys = field(default_factory=SigningKeys)
    sees: Sees = nobody_sees
    """Whether a caller sees a Patient now: access rules stand beside this package, so the application gives it."""

    issuer_configuration: dict[str, Any] = field(default_factory=dict)
    """SMART configuration of the external issuer: then nothing is issued here."""

    @property
    def token_url(self) -> str:
        """The audience of assertions: configured, never read from a request."""
        return f"{self.base_url}/auth/token"


@dataclass
class Answer:
    """A decided answer and the Change to commit before it leaves. refused: the client is known, its request refused."""

    change: Change
    client: RegisteredClient
    body: dict[str, Any] = field(default_factory=dict)
    refused: OAuthRefused | None = None
    target: str = ""
    single_use: int | None = None
    """Claim that makes a code or refresh token single-use: taken by another, the request is decided again."""


async def client_credentials(
    server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int
) -> Answer:
    """The grant of systems. Raises OAuthRefused; a replay shows only at commit, as ClaimTaken."""
    client, claim = await authenticate_client(server, form, authorization, now_us)
    change = Change(claims=[claim])
    if client.kind != BACKEND:
        sentence = "This client is an app that people launch: it gets its tokens by authorization_code."
        return Answer(change, client, refused=OAuthRefused(400, "unauthorized_client", "kind", sentence=sentence))
    try:
        granted = _granted(form.get("scope", ""), client.scopes)
    except scopes.InvalidScope as error:
        refused = OAuthRefused(400, "invalid_scope", "scope", sentence=str(error))
        return Answer(change, client, refused=refused)
    token, digest = tokens.new_token()
    expires_us = now_us + tokens.TTL_S * 1_000_000
    change.statements.append(credentials.insert_token(digest, client.id, granted, now_us, expires_us))
    body = {"access_token": token, "token_type": "bearer", "expires_in": tokens.TTL_S, "scope": granted}
    return Answer(change, client, body, target=tokens.audit_name(digest))


async def authenticate_client(
    server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int
) -> tuple[RegisteredClient, Claim]:
    """T4-T20 and T22: the client that signed the assertion, and the claim that makes the assertion single-use.

    The claim must be committed with whatever is answered. Raises OAuthRefused.
    """
    assertion = form.get("client_assertion")
    if form.get("client_assertion_type") != ASSERTION_TYPE or not assertion:
        raise ClientRefused("assertion-missing")
    if authorization is not None or "client_secret" in form:
        raise bad_request("two-mechanisms", "Authenticate with the client assertion alone, without a header or secret.")
    jwt = read_assertion(assertion)
    issuer = jwt.claims["iss"]
    if form.get("client_id", issuer) != issuer:
        raise ClientRefused("client-id-differs")
    client = await credentials.client_by_id(server.store, issuer) if CLIENT_ID.fullmatch(issuer) else None
    if client is None:
        raise ClientRefused("client-unknown")
    if not client.active:
        raise ClientRefused("client-inactive")
    check_jku(jwt, client.jwks_url)
    keys = await server.key_sets.of(client, jwt.header["kid"], now_us)
    claims = check_assertion(
        jwt,
        client_id=client.id,
        client_keys=keys,
        token_url=server.token_url,
        now_us=now_us,
        jwks_url=client.jwks_url,
    )
    await _check_organization(server.store, client.organization)
    key = server.store.keys.of("jti", claims.client_id, claims.jti)
    return client, Claim(key, expires_us=(claims.exp + SKEW_S + CLAIM_MARGIN_S) * 1_000_000)


def claimed_client(form: Mapping[str, str]) -> str:
    """The client id as claimed, for audit and rate limit; "" when it does not look like one. Nothing is verified."""
    claimed: object = form.get("client_id", "")
    with suppress(OAuthRefused):
        claimed = read_jwt(form.get("client_assertion", "")).claims.get("iss", claimed)
    return claimed if isinstance(claimed, str) and CLIENT_ID.fullmatch(claimed) else ""


def _granted(asked: str, registered: str) -> str:
    """T21: requested and registered, of context `system` (there is no user here); raises InvalidScope when empty."""
    if not asked.strip(" "):
        raise scopes.InvalidScope("scope is required.")
    wanted = [scope for scope in scopes.requested(asked) if scope.context == "system"]
    granted = scopes.text_of(scopes.check_many(scopes.intersect(wanted, scopes.parse_all(registered))))
    if len(granted) > scopes.MAX_TEXT:
        raise scopes.InvalidScope("What would be granted is too long: ask for fewer scopes.")
    if not granted:
        raise scopes.InvalidScope("None of the requested scopes can be granted to this client.")
    return granted


async def _check_organization(store: CredentialStore, organization: str) -> None:
    """T22: an organization that was deleted or set inactive gets no more tokens."""
    head = await credentials.organization_head(store, store.keys.resource(organization))
    if head is None:
        return  # registered before its Organization is loaded: without panels it sees no member
    deleted, body = head
    if deleted or (body is not None and orjson.loads(body).get("active") is False):
        raise ClientRefused("organization-inactive")

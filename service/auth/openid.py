"""Signing in through an organization's OpenID Provider: the protocol, without pages and without the store.

https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth , PKCE https://www.rfc-editor.org/rfc/rfc7636 ,
RFC 9207 (iss in the answer). Authlib makes the address, exchanges the code and validates the claims; every request
goes through the egress guard. Nonce and verifier follow from state and our key, so that nobody has to store them.
"""

import asyncio
import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from service.auth.jwks import BadKeySet, parse_key_set
from service.auth.openid_metadata import BadProvider, Metadata, discovery_url, read_metadata
from service.auth.openid_tokens import BadIdToken, subject_of
from service.auth.sealing import SealBroken, unseal
from service.egress import EgressFailed, EgressRefused
from service.store.identities import Provider

if TYPE_CHECKING:
    from service.auth.openid_http import Outbound

SCOPE = "openid"
MAX_CODE = 4096
METADATA_S = 300
FAILED_S = 5
"""A provider that does not answer is asked again after this: a crowd at the door must not be a flood there."""


class ProviderDown(Exception):
    """The provider cannot be reached or used now; `reason` is a short code for the log."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class AnswerRefused(Exception):
    """What the provider, or somebody in its place, sent does not hold; `reason` is a short code for audit and log."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass
class _Place:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    metadata: Metadata | None = None
    failed: str = ""
    until_us: int = 0


@dataclass
class RelyingParty:
    """Our side. key: of Settings.secret_key(). base_url: the public URL. allow: exceptions of the egress guard."""

    outbound: "Outbound"
    key: bytes
    base_url: str
    allow: tuple[str, ...] = ()
    _places: dict[str, _Place] = field(default_factory=dict)

    def redirect_uri(self, provider: Provider) -> str:
        """What is registered at the provider; configured, never read from a request.

        Each organization has its own: so an answer of one provider cannot be taken for that of another, who would be
        handed the code (mix-up, https://www.rfc-editor.org/rfc/rfc9700#section-4.4). Few providers send `iss`.
        """
        return f"{self.base_url}{callback_path(provider)}"

    async def metadata(self, provider: Provider, now_us: int) -> Metadata:
        """The provider's discovery document, five minutes old at most; raises ProviderDown."""
        place = self._places.setdefault(provider.id, _Place())
        async with place.lock:
            if now_us >= place.until_us:
                await self._discover(place, provider, now_us)
        if place.metadata is None:
            raise ProviderDown(place.failed)
        return place.metadata

    async def _discover(self, place: _Place, provider: Provider, now_us: int) -> None:
        place.metadata, place.until_us = None, now_us + FAILED_S * 1_000_000
        try:
            body = await self._get(discovery_url(provider.issuer))
            place.metadata = read_metadata(body, provider.issuer, self.allow)
            place.until_us = now_us + METADATA_S * 1_000_000
        except (ProviderDown, BadProvider) as error:
            place.failed = error.reason

    async def address(self, provider: Provider, state: str, now_us: int) -> str:
        """Where the browser goes to sign in; raises ProviderDown."""
        metadata = await self.metadata(provider, now_us)
        from service.auth.openid_http import oauth_client

        facts = {"client_id": provider.client_id, "redirect_uri": self.redirect_uri(provider), "scope": SCOPE}
        client = oauth_client(self.outbound, **facts)
        nonce, verifier = self._derived("nonce", state), self._derived("verifier", state)
        url, _ = client.create_authorization_url(metadata.authorization, state, verifier, nonce=nonce)
        return str(url)

    async def subject(self, provider: Provider, state: str, given: Mapping[str, str], now_us: int) -> str:
        """Who signed in, by the parameters of the provider's answer; raises AnswerRefused or ProviderDown.

        state: already known to be ours, of this browser, for this provider, and used up.
        """
        metadata = await self.metadata(provider, now_us)
        issuer = given.get("iss")
        if (issuer is None and metadata.sends_iss) or (issuer is not None and issuer != provider.issuer):
            raise AnswerRefused("iss-parameter")
        if "error" in given:
            raise AnswerRefused("denied")
        code = given.get("code", "")
        if not 0 < len(code) <= MAX_CODE:
            raise AnswerRefused("code")
        token = await self._exchange(provider, metadata, state, code)
        try:
            keys = parse_key_set(await self._get(metadata.jwks))
            return subject_of(
                token["id_token"],
                keys,
                issuer=provider.issuer,
                client_id=provider.client_id,
                nonce=self._derived("nonce", state),
                access_token=token["access_token"],
                now_s=now_us // 1_000_000,
            )
        except BadKeySet:
            raise ProviderDown("keys") from None
        except BadIdToken as refused:
            raise AnswerRefused(refused.reason) from None

    async def _exchange(self, provider: Provider, metadata: Metadata, state: str, code: str) -> dict[str, Any]:
        """id_token and access_token for the code."""
        from service.auth.openid_http import BadStatus, oauth_client

        client = oauth_client(self.outbound, **self._credentials(provider, metadata))
        try:
            token = await client.fetch_token(
                metadata.token,
                grant_type="authorization_code",
                code=code,
                redirect_uri=self.redirect_uri(provider),
                code_verifier=self._derived("verifier", state),
            )
        except (EgressFailed, EgressRefused) as error:
            raise ProviderDown(error.reason) from None
        except BadStatus as error:
            raise ProviderDown("token-status") if error.status >= 500 else AnswerRefused("code") from None
        except Exception:  # the library has many ways to say that the answer is no token
            raise AnswerRefused("code") from None
        if not isinstance(token.get("id_token"), str):
            raise AnswerRefused("id-token-missing")
        access = token.get("access_token")
        return {"id_token": token["id_token"], "access_token": access if isinstance(access, str) else None}

    def _credentials(self, provider: Provider, metadata: Metadata) -> dict[str, str | None]:
        """How we authenticate at the token endpoint: by PKCE alone where there is no secret."""
        if provider.client_secret is None:
            return {"client_id": provider.client_id, "token_endpoint_auth_method": "none"}
        try:
            secret = unseal(self.key, secret_purpose(provider.id), provider.client_secret).decode()
        except SealBroken:
            raise ProviderDown("client-secret") from None
        if metadata.post_secret:
            method = "client_secret_post"
            return {"client_id": provider.client_id, "client_secret": secret, "token_endpoint_auth_method": method}
        # RFC 6749 2.3.1: encoded before it is put into the header, which Authlib leaves to us.
        return {"client_id": quote(provider.client_id, ""), "client_secret": quote(secret, "")}

    async def _get(self, url: str) -> bytes:
        try:
            answer = await self.outbound.request("GET", url, headers={"Accept": "application/json"})
        except (EgressFailed, EgressRefused) as error:
            raise ProviderDown(error.reason) from None
        if answer.status != 200:
            raise ProviderDown("status")
        return answer.body

    def _derived(self, name: str, state: str) -> str:
        """43 characters that only we can make of this state."""
        digest = hmac.new(self.key, f"openid\0{name}\0{state}".encode(), "sha256").digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def callback_path(provider: Provider) -> str:
    return f"/login/callback/{provider.organization.partition('/')[2]}"


def secret_purpose(provider_id: str) -> str:
    return f"identity_provider/{provider_id}/client_secret"

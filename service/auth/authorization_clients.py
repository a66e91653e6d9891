"""Which app stands at the token endpoint: a public one says its name, a confidential one signs an assertion.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token ; what keeps a public client's code
from others is PKCE and the redirect URI, not the name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.auth.backend_services import Answer, AuthServer, authenticate_client
from service.auth.refusal import ClientRefused, OAuthRefused
from service.auth.registration import CLIENT_ID
from service.store import credentials
from service.store.change import Change, Claim
from service.store.credentials import RegisteredClient


@dataclass(frozen=True)
class AtEndpoint:
    """claims: make an assertion single-use; to be committed with whatever is answered."""

    client: RegisteredClient
    claims: list[Claim] = field(default_factory=list)

    def no(self, refused: OAuthRefused) -> Answer:
        """The client is known, its request refused: the assertion is used up all the same (T20)."""
        return Answer(Change(claims=list(self.claims)), self.client, refused=refused)


async def app_at(server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int) -> AtEndpoint:
    """Raises OAuthRefused: 401 for whoever is not authenticated, 400 for a client that people do not launch."""
    claims: list[Claim] = []
    if "client_assertion" in form or "client_assertion_type" in form:
        client, claim = await authenticate_client(server, form, authorization, now_us)
        claims, kind = [claim], "confidential"
    else:
        client, kind = await _public(server, form, authorization), "public"
    if client.kind != kind:
        if kind == "public":
            raise ClientRefused("assertion-missing")
        sentence = "This client is not registered for this grant."
        raise OAuthRefused(400, "unauthorized_client", "client-kind", sentence=sentence)
    return AtEndpoint(client, claims)


async def _public(server: AuthServer, form: Mapping[str, str], authorization: str | None) -> RegisteredClient:
    if authorization is not None or "client_secret" in form:
        raise ClientRefused("secret")  # no secret is ever given out
    client_id = form.get("client_id", "")
    client = await credentials.client_by_id(server.store, client_id) if CLIENT_ID.fullmatch(client_id) else None
    if client is None or not client.active:
        raise ClientRefused("client-unknown")
    return client


def bad_grant(reason: str) -> OAuthRefused:
    """One answer for every reason: https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""
    return OAuthRefused(400, "invalid_grant", reason, sentence="The code or refresh token is not valid here.")

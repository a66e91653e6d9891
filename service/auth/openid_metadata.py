"""What an OpenID Provider says of itself, and which issuer may be registered at all.

https://openid.net/specs/openid-connect-discovery-1_0.html ; every address in it must pass the egress guard.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.egress import EgressRefused, check_url

MAX_ISSUER = 500


class BadProvider(Exception):
    """The provider cannot be used; `reason` is a short code for audit and log, the sentence names the remedy."""

    def __init__(self, reason: str, sentence: str):
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Metadata:
    """The part of the discovery document that a sign-in needs.

    sends_iss: the provider names itself in its answers (RFC 9207), so one without a name is not its own.
    post_secret: it takes the client secret in the body only.
    """

    authorization: str
    token: str
    jwks: str
    end_session: str | None = None
    sends_iss: bool = False
    post_secret: bool = False


def discovery_url(issuer: str) -> str:
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def check_issuer(issuer: str, allow: Iterable[str], *, sandbox: bool) -> str:
    """The issuer as it is stored and compared character by character; raises BadProvider."""
    rule = "--issuer is the provider's https address as its discovery document writes it, without query or fragment."
    if len(issuer) > MAX_ISSUER or "?" in issuer or "#" in issuer or "@" in issuer:
        raise BadProvider("issuer-form", rule)
    try:
        target = check_url(discovery_url(issuer), allow)
    except EgressRefused as refused:
        raise BadProvider("issuer-form", f"{rule} It is refused: {refused.reason}.") from None
    if target.scheme != "https" and not (sandbox and _loopback(target.host)):
        raise BadProvider("issuer-form", f"{rule} Plain http is for the loopback of a sandbox only.")
    return issuer


def read_metadata(body: bytes, issuer: str, allow: Iterable[str]) -> Metadata:
    """Raises BadProvider."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadProvider("discovery-form", "The discovery document of the provider is no JSON object.")
    if document.get("issuer") != issuer:
        raise BadProvider("discovery-issuer", "The discovery document names another issuer than the one registered.")
    if "S256" not in _listed(document, "code_challenge_methods_supported", ["S256"]):
        raise BadProvider("discovery-pkce", "The provider does not take PKCE with S256.")
    if "code" not in _listed(document, "response_types_supported", ["code"]):
        raise BadProvider("discovery-code", "The provider does not serve the authorization code flow.")
    methods = _listed(document, "token_endpoint_auth_methods_supported", ["client_secret_basic"])
    allowed = tuple(allow)
    return Metadata(
        _address(document, "authorization_endpoint", issuer, allowed),
        _address(document, "token_endpoint", issuer, allowed),
        _address(document, "jwks_uri", issuer, allowed),
        _address(document, "end_session_endpoint", issuer, allowed) if "end_session_endpoint" in document else None,
        document.get("authorization_response_iss_parameter_supported") is True,
        "client_secret_basic" not in methods and "client_secret_post" in methods,
    )


def _listed(document: dict[str, Any], name: str, absent: list[str]) -> list[Any]:
    value = document.get(name, absent)
    return value if isinstance(value, list) else []


def _address(document: dict[str, Any], name: str, issuer: str, allow: Iterable[str]) -> str:
    """https wherever the issuer is: its documents cannot lead a sign-in back to plain http."""
    url = document.get(name)
    try:
        if not isinstance(url, str) or "#" in url:
            raise EgressRefused("url-form")
        scheme = check_url(url, allow).scheme
    except EgressRefused as refused:
        raise BadProvider("discovery-address", f"The provider's {name} is refused: {refused.reason}.") from None
    if scheme != "https" and issuer.startswith("https:"):
        raise BadProvider("discovery-address", f"The provider's {name} is refused: not-https.")
    return url


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

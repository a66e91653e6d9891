"""The authorization request of an app, checked: B1-B3 of ../shared/facts/security.md 1.5.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code and
https://www.rfc-editor.org/rfc/rfc6749#section-4.1. Pure. Where client or redirect URI are not known for sure, nobody is
sent anywhere: the person sees an error page. Everything else goes back to the app as an error.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from service.auth.authorization_scopes import offered
from service.auth.scopes import InvalidScope
from service.store.credentials import RegisteredClient

APP_KINDS = ("public", "confidential")
MAX_QUERY = 8192
MAX_STATE = 2048
MAX_NONCE = 512
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]+", re.ASCII)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.:\[\]-]+", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII)


class NotAddressed(Exception):
    """An error page, never a redirect. The sentence is for the person before the screen."""

    def __init__(self, reason: str, sentence: str):
        super().__init__(reason)
        self.reason, self.sentence = reason, sentence


class SentBack(Exception):
    """The app hears why: https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1"""

    def __init__(self, error: str, reason: str, sentence: str):
        super().__init__(reason)
        self.error, self.reason, self.sentence = error, reason, sentence


@dataclass(frozen=True)
class Addressed:
    """A request whose app and redirect URI are known: to there answers may go."""

    app: RegisteredClient
    redirect_uri: str
    state: str


@dataclass(frozen=True)
class AuthorizationRequest:
    """A request with which nothing is wrong. offer: the scopes that the person may grant."""

    at: Addressed
    challenge: str
    offer: tuple[str, ...]
    nonce: str
    prompt: str


@dataclass(frozen=True)
class Authorization:
    """What a person granted an app: the payload of its code and of each refresh token. session: hex of its digest."""

    redirect_uri: str
    challenge: str
    scopes: str
    person: str
    organization: str
    role: str
    purpose: str
    patient: str | None
    nonce: str
    auth_s: int
    session: str
    login_client: str
    account: str | None

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "Authorization":
        stored: dict[str, Any] = json.loads(text)
        return cls(**stored)


def parameters(query: str) -> dict[str, str]:
    """The parameters, each once; raises NotAddressed."""
    try:
        if len(query) > MAX_QUERY:
            raise ValueError
        pairs = parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=50)
    except ValueError:
        raise NotAddressed("query", "The app sent a request that cannot be read.") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise NotAddressed("duplicate", "The app sent a request that names something twice.")
    return given


def address(given: Mapping[str, str], app: RegisteredClient | None) -> Addressed:
    """B1: the redirect URI equals a registered one character by character; raises NotAddressed."""
    if app is None or not app.active or app.kind not in APP_KINDS:
        raise NotAddressed("client-unknown", "The app that sent you here is not registered with Enlace.")
    redirect_uri = given.get("redirect_uri", "")
    if not redirect_uri or redirect_uri not in app.redirect_uris:
        raise NotAddressed(
            "redirect-uri", "The app that sent you here asks to return to an address that is not registered for it."
        )
    return Addressed(app, redirect_uri, given.get("state", "")[:MAX_STATE])


def checked(given: Mapping[str, str], at: Addressed, fhir_base: str) -> AuthorizationRequest:
    """B2, B3 and the scopes; raises SentBack."""
    for name in ("request", "request_uri"):
        if name in given:
            raise SentBack(f"{name}_not_supported", name, f"{name} is not supported.")
    if given.get("response_type") != "code":
        raise SentBack("unsupported_response_type", "response-type", "response_type is code.")
    _check_form(given)
    if given.get("aud", "").removesuffix("/") != fhir_base or not given["aud"].startswith(fhir_base):
        raise SentBack("invalid_request", "aud", f"aud is required and is the FHIR base, {fhir_base}.")
    if given.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(given.get("code_challenge", "")):
        sentence = "code_challenge of 43 characters and code_challenge_method=S256 are required."
        raise SentBack("invalid_request", "challenge", sentence)
    try:
        offer = offered(given.get("scope", ""), at.app.scopes)
    except InvalidScope as error:
        raise SentBack("invalid_scope", "scope", str(error)) from None
    if not offer:
        raise SentBack("invalid_scope", "scope", "None of the requested scopes can be granted to this app.")
    return AuthorizationRequest(at, given["code_challenge"], offer, given.get("nonce", ""), given.get("prompt", ""))


def _check_form(given: Mapping[str, str]) -> None:
    state, nonce = given.get("state", ""), given.get("nonce", "")
    if not state or len(state) > MAX_STATE or not _PRINTABLE.fullmatch(state):
        raise SentBack("invalid_request", "state", f"state is required, 1 to {MAX_STATE} printable characters.")
    if nonce and (len(nonce) > MAX_NONCE or not _PRINTABLE.fullmatch(nonce)):
        raise SentBack("invalid_request", "nonce", f"nonce has at most {MAX_NONCE} printable characters.")
    if given.get("response_mode", "query") != "query":
        raise SentBack("invalid_request", "response-mode", "response_mode is query.")
    if "launch" in given:
        raise SentBack("invalid_request", "launch", "Launch from an EHR is not offered: leave out `launch`.")


def answer_address(at: Addressed, issuer: str, **facts: str) -> str:
    """Where the browser goes: with `state` as it came, and `iss` of https://www.rfc-editor.org/rfc/rfc9207"""
    state = {"state": at.state} if at.state else {}
    joint = "&" if "?" in at.redirect_uri else "?"
    return f"{at.redirect_uri}{joint}{urlencode({**facts, **state, 'iss': issuer})}"


def form_target(redirect_uri: str) -> str:
    """Source for `form-action` of a Content Security Policy: browsers apply it to the redirect after a form too."""
    parts = urlsplit(redirect_uri)
    origin = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme in ("http", "https"):
        return origin if _ADDRESS.fullmatch(origin) else ""
    return f"{parts.scheme}:" if _SCHEME.fullmatch(f"{parts.scheme}:") else ""

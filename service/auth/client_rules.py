"""The rules about a client's facts, one sentence for each that is broken; security.md 1.1 (T15), 1.5 (B1) and 1.6.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html and
https://www.rfc-editor.org/rfc/rfc7591#section-2 . Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.auth import scopes
from service.caller import Role
from service.search.purposes import KNOWN

CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
BACKEND, CONFIDENTIAL, PUBLIC = "backend", "confidential", "public"
KINDS = (BACKEND, CONFIDENTIAL, PUBLIC)
APP_ROLE = "app"
"""An app has no role of its own: that of the person who uses it counts, and no token without a person is good."""
MAX_REDIRECTS = 10
MAX_ENDPOINTS = 50

_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}", re.ASCII)
_PERSON = re.compile(r"(Practitioner|PractitionerRole)/[A-Za-z0-9.-]{1,64}", re.ASCII)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ENDPOINT = re.compile(rf"@?{_LABEL}(?:\.{_LABEL})+|\+[1-9][0-9]{{6,14}}", re.ASCII)
_MAX_NAME = 100
_MAX_URI = 2048
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CONTEXTS = {BACKEND: ("system", "user"), CONFIDENTIAL: ("user", "patient"), PUBLIC: ("user", "patient")}
LAUNCH_WORDS = frozenset({"openid", "fhirUser", "launch/patient", "online_access", "offline_access"})
"""Every app may ask for these; they may stand in what it registers."""


@dataclass(frozen=True)
class Facts:
    """What is registered, keys and scopes aside."""

    client_id: str
    name: str
    organization: str
    role: str
    person: str | None
    purpose: str
    kind: str
    redirect_uris: tuple[str, ...] = ()
    keys: int = 0
    """How many of a key set and its URL were given."""
    endpoints: tuple[str, ...] = ()


def problems(facts: Facts) -> Iterator[str]:
    if not CLIENT_ID.fullmatch(facts.client_id):
        yield "A client id has 1 to 64 letters, digits, dots, hyphens and underscores."
    if not facts.name.strip() or len(facts.name) > _MAX_NAME or not facts.name.isprintable():
        yield f"A name has 1 to {_MAX_NAME} printable characters."
    if not _ORGANIZATION.fullmatch(facts.organization):
        yield "The organization is a reference such as Organization/plan-1."
    if facts.person is not None and not _PERSON.fullmatch(facts.person):
        yield "The person is a reference such as Practitioner/lcm-1."
    if facts.purpose not in KNOWN:
        yield "The purpose is a code of v3-ActReason below PurposeOfUse, such as TREAT, HPAYMT or HOPERAT."
    if facts.keys > 1:
        yield "Register a key set or its URL, not both."
    yield from _of_endpoints(facts)
    yield from _of_kind(facts)


def _of_kind(facts: Facts) -> Iterator[str]:
    if facts.kind not in KINDS:
        yield "The kind is one of " + ", ".join(KINDS) + "."
    elif facts.kind == BACKEND:
        if facts.role not in set(Role) - {Role.SYSTEM}:
            yield "The role is one of " + ", ".join(one for one in Role if one is not Role.SYSTEM) + "."
    else:
        if facts.role != APP_ROLE or facts.person is not None:
            yield "An app has no role and no person of its own: leave them out; those of who uses it count."
        if facts.kind == CONFIDENTIAL and not facts.keys:
            yield "A confidential app registers a key set or its URL: secrets are not given out."
        if facts.kind == PUBLIC and facts.keys:
            yield "A public app keeps no key: leave the key set out, or register it as confidential."


def _of_endpoints(facts: Facts) -> Iterator[str]:
    """Whereto subscriptions of the client may send."""
    if facts.endpoints and facts.kind != BACKEND:
        yield "An app has no endpoints: only a backend service subscribes."
    if len(facts.endpoints) > MAX_ENDPOINTS or len(set(facts.endpoints)) != len(facts.endpoints):
        yield f"A client registers at most {MAX_ENDPOINTS} endpoints, each once."
    if not all(len(one) <= 254 and _ENDPOINT.fullmatch(one) for one in facts.endpoints):
        yield (
            "An endpoint is a host name such as hooks.example.org, a mail domain such as @example.org or a telephone "
            "number such as +19165550100, in small letters, without scheme, port or path."
        )


def redirect_problems(uris: Sequence[str], kind: str, *, sandbox: bool) -> Iterator[str]:
    """Of redirect URIs, which are compared character by character."""
    if kind == BACKEND and uris:
        yield "A backend service has no redirect URIs: nobody is sent to it."
    if kind in (CONFIDENTIAL, PUBLIC) and not uris:
        yield "An app registers at least one redirect URI."
    if len(uris) > MAX_REDIRECTS or len(set(uris)) != len(uris):
        yield f"An app registers at most {MAX_REDIRECTS} redirect URIs, each once."
    if not all(_good_redirect(uri, sandbox=sandbox) for uri in uris):
        loopback = ", or http on a loopback address," if sandbox else ""
        yield f"A redirect URI is an absolute https URL{loopback} without user name, fragment, spaces or wildcard."


def _good_redirect(uri: str, *, sandbox: bool) -> bool:
    if not uri.isascii() or not uri.isprintable() or len(uri) > _MAX_URI or any(one in uri for one in ' *\\"<>#'):
        return False
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - reading it raises ValueError where the port is no number
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or not parts.hostname or ".." in parts.path.split("/"):
        return False
    return parts.scheme == "https" or (sandbox and parts.scheme == "http" and parts.hostname in _LOOPBACK)


def registered_scopes(text: str, kind: str) -> str:
    """The text as it is stored. It is parsed whole: a typing error must not quietly take a right away. InvalidScope."""
    parts = text.split(" ")
    words = list(dict.fromkeys(part for part in parts if part in LAUNCH_WORDS)) if kind != BACKEND else []
    parsed = scopes.parse_all(" ".join(part for part in parts if part not in words))
    if not parsed:
        raise scopes.InvalidScope("The scope names at least one scope such as system/Task.cruds.")
    allowed = _CONTEXTS.get(kind, ())
    if kind in KINDS and any(scope.context not in allowed for scope in parsed):
        raise scopes.InvalidScope(f"The scope of a {kind} client is of context {' or '.join(allowed)} only.")
    return " ".join((*words, scopes.text_of(parsed)))

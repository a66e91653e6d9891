"""Browser apps of other origins on the API: https://fetch.spec.whatwg.org/#http-cors-protocol

ENLACE_CORS_ORIGINS names the origins, and registered apps add those of their redirect URIs; the pages never get a
header. Whoever calls proves it with a token that no browser sends by itself, so that credentials may be allowed to a
named origin.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.store.database import TooCostly, Unavailable

ANY = "*"
_BELOW = ("/fhir/", "/auth/", "/.well-known/")
_PAGE = "/auth/authorize"
"""People see it; an app's script has no business there."""
KEPT_S = 10
"""A new app's origin is known after this. Asking for it each time would be a query for whoever sends an Origin."""

Registered = Callable[[], Awaitable[list[str]]]
"""Redirect URIs of the active apps."""
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_SENT = (
    b"accept, authorization, cache-control, content-type, if-match, if-modified-since, if-none-exist, if-none-match, "
    b"pragma, prefer, x-medplum, x-request-id, x-requested-with"
)
_SHOWN = (
    b"Content-Location, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Request-Id, "
    b"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)
_PREFLIGHT = [
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", _SENT),
    (b"access-control-max-age", b"7200"),
    (b"content-length", b"0"),
]


class Origins:
    """Which origins are let in: those named, `*` among them: any, and those of the apps."""

    def __init__(self, origins: tuple[str, ...], registered: Registered | None = None):
        self._registered, self._apps, self._asked_s = registered, frozenset[bytes](), -float(KEPT_S)
        self._any = ANY in origins
        self._origins = frozenset(origin.rstrip("/").lower().encode() for origin in origins)

    async def let_in(self, origin: bytes) -> bool:
        return self._any or origin.lower() in self._origins or origin.lower() in await self._of_apps()

    async def _of_apps(self) -> frozenset[bytes]:
        now_s = time.monotonic()
        if self._registered is not None and now_s - self._asked_s >= KEPT_S:
            self._asked_s = now_s
            with suppress(Unavailable, TooCostly):  # those that were known stay: the store says no to whatever follows
                self._apps = frozenset(origin for uri in await self._registered() if (origin := origin_of(uri)))
        return self._apps


class Cors:
    """A layer around the application. origins: those that are let in beside the apps'; `*` among them: any."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...], registered: Registered | None = None):
        self._app, self._origins = app, Origins(origins, registered)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = await self._let_in(scope)
        if origin is None:
            await self._app(scope, receive, send)
            return
        named = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"vary", b"Origin"),
        ]
        if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method") is not None:
            # Answered before any token is looked at: a browser sends none here.
            await send({"type": "http.response.start", "status": 204, "headers": [*named, *_PREFLIGHT]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [pair for pair in message.get("headers", []) if pair[0] != b"access-control-allow-origin"]
                message["headers"] = [*given, *named, (b"access-control-expose-headers", _SHOWN)]
            await send(message)

        await self._app(scope, receive, sending)

    async def _let_in(self, scope: Scope) -> bytes | None:
        """The origin that may read the answer; None for most requests: no browser app's, or none of ours."""
        if scope["type"] != "http":
            return None
        origin = _header(scope, b"origin")
        path = scope["path"]
        if origin is None or path == _PAGE or not (path.startswith(_BELOW) or path == "/fhir"):
            return None
        return origin if await self._origins.let_in(origin) else None


def origin_of(redirect_uri: str) -> bytes:
    """As a browser sends it: without the default port; empty for an app that is no web page."""
    try:
        parts = urlsplit(redirect_uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return b""
    default = {"https": 443, "http": 80}.get(parts.scheme)
    if default is None or not host:
        return b""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port in (None, default) else f':{port}'}".encode()


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None

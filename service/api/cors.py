"""Browser apps of other origins on the API: https://fetch.spec.whatwg.org/#http-cors-protocol

ENLACE_CORS_ORIGINS names the origins; the pages never get a header. Whoever calls proves it with a token that no
browser sends by itself, so that credentials may be allowed to a named origin.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY = "*"
_BELOW = ("/fhir/", "/auth/", "/.well-known/")
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


class Cors:
    """A layer around the application. origins: those that are let in; `*` among them: any."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]):
        self._app = app
        self._any = ANY in origins
        self._origins = frozenset(origin.rstrip("/").lower().encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = self._let_in(scope)
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

    def _let_in(self, scope: Scope) -> bytes | None:
        """The origin that may read the answer; None for most requests: no browser app's, or none of ours."""
        if scope["type"] != "http":
            return None
        origin = _header(scope, b"origin")
        if origin is None or not (scope["path"].startswith(_BELOW) or scope["path"] == "/fhir"):
            return None
        return origin if self._any or origin.lower() in self._origins else None


def _header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return None

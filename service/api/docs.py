"""/openapi.json and /docs: the OpenAPI document, and Swagger UI over it, all from this server. https://swagger.io/docs/open-source-tools/swagger-ui/

The pages of Swagger UI come with the Python package fastapi-offline: nothing is loaded from elsewhere.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

Document = Callable[[], dict[str, Any]]

_CSP = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Swagger UI sets style attributes; scripts come from files alone."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Enlace API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="data:,">
</head>
<body>
<noscript>This page needs JavaScript. The document itself: <a href="/openapi.json">/openapi.json</a>.</noscript>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>
</body>
</html>
"""

# 240 operations: tags stay closed until they are asked for; a token typed in is forgotten with the page.
_START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, docExpansion: "none", filter: true,
  defaultModelsExpandDepth: -1, persistAuthorization: false, validatorUrl: null, tryItOutEnabled: true
});
"""
_MEDIA = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "start.js": "text/javascript"}


def routes(document: Document) -> list[Route]:
    """document: makes the document, once, at the first request for it."""

    @cache
    def made() -> tuple[bytes, str]:
        body = orjson.dumps(document())
        return body, f'"{sha256(body).hexdigest()[:16]}"'

    async def openapi_json(request: Request) -> Response:
        body, etag = await run_in_threadpool(made)  # half a second of CPU, the first time
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/json")

    return [
        Route("/openapi.json", openapi_json, methods=["GET"]),
        Route("/docs", _page, methods=["GET"]),
        Route("/docs/{name}", _file, methods=["GET"]),
    ]


async def _page(_request: Request) -> Response:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _CSP, "Cache-Control": "no-cache"})


async def _file(request: Request) -> Response:
    name = str(request.path_params["name"])
    if name not in _MEDIA:
        return Response("There is no such file.", 404, media_type="text/plain")
    return Response(_content(name), headers={"Cache-Control": "public, max-age=3600"}, media_type=_MEDIA[name])


@cache
def _content(name: str) -> bytes:
    return _START if name == "start.js" else (files("fastapi_offline") / "static" / name).read_bytes()

"""Templates and static files: everything escaped, nothing cached that names a person, nothing loaded from elsewhere.

Content Security Policy: https://www.w3.org/TR/CSP3/ ; ../shared/facts/security.md A18, L53.
"""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_HERE = Path(__file__).parent

CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# service/main.py adds nosniff, Referrer-Policy and X-Frame-Options to every response.
HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": CSP}

_MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {path.name: path.read_bytes() for path in (_HERE / "static").iterdir() if path.suffix in _MEDIA}
"""All static files, read once: no path of a request ever reaches the file system."""
_VERSIONS = {name: sha256(content).hexdigest()[:12] for name, content in _FILES.items()}


def asset(name: str) -> str:
    """Address of a static file, which changes with its content."""
    return f"/static/{name}?v={_VERSIONS[name]}"


_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["asset"] = asset


def breakable(name: str) -> Markup:
    """A line may end before a capital: DocumentReference breaks after Document, not inside a word."""
    return Markup("<wbr>").join(re.findall(r"^[^A-Z]+|[A-Z][^A-Z]*", name))


_templates.filters["breakable"] = breakable


def render(template: str, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_templates.get_template(template).render(**values), status, HEADERS)


async def static_file(request: Request) -> Response:
    name = str(request.path_params["name"])
    content = _FILES.get(name)
    if content is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    # A file under its own version never changes; without one the browser has to ask again.
    current = request.query_params.get("v") == _VERSIONS[name]
    headers = {"Cache-Control": "public, max-age=31536000, immutable" if current else "no-cache"}
    return Response(content, headers=headers, media_type=_MEDIA[Path(name).suffix])

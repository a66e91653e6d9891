"""404 outside the FHIR base: a page for a browser, JSON for a program, and where FHIR is if a type was asked for.

Addresses of the sandbox that production hides are answered here too: with the same body as any unknown one.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_profiles.catalog import catalog
from service.errors import Category
from service.web.pages import WORDS
from service.web.rendering import render

_NOTHING = "There is nothing at this address. FHIR is at /fhir, the pages are at /."


async def unknown(request: Request, _error: Exception) -> Response:
    """Nothing that was asked comes back but the name of a type that is served."""
    first = request.url.path.strip("/").partition("/")[0]
    where = f"FHIR is at /fhir/{first}." if first in catalog().types else ""
    if "text/html" in request.headers.get("accept", ""):
        title, words = WORDS[Category.NOT_FOUND]
        text = f"{words} {where}".strip()
        response = render("error.html", 404, title=title, words=text, request_id="", name="", csrf="", nav=())
    else:
        response = JSONResponse({"detail": f"There is nothing at this address. {where}" if where else _NOTHING}, 404)
    response.headers["Vary"] = "Accept"
    return response

"""503 for the routes that have no answer of their own to a store that is away: /auth, /hl7v2.

https://www.rfc-editor.org/rfc/rfc9110#status.503
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import Category, FhirError
from service.log_events import REQUEST_REFUSED, log

_TEXT = "The store cannot be reached now: try again."


async def unavailable(request: Request, error: Exception) -> Response:
    """A handler of Unavailable (and TooCostly) for the application; /auth answers in the words of OAuth."""
    log(REQUEST_REFUSED, method=request.method, status=503, reason=type(error).__name__)
    headers = {"Retry-After": "1", "Cache-Control": "no-store"}
    if request.url.path.startswith("/auth/"):
        body: dict[str, object] = {"error": "temporarily_unavailable", "error_description": _TEXT}
    else:
        body = FhirError(Category.UNAVAILABLE, _TEXT).outcome()
    return JSONResponse(body, 503, headers)

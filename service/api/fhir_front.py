"""The shortcut to the FHIR base: the same endpoints as THE route table, found by splitting the path.

FastAPI's router tries some thirty patterns and passes five layers before it reaches a FHIR route (bench/README.md says
what that cost). What this does not know at once (an unknown type, odd slashes) goes the long way and is answered there.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.fhir import endpoints
from service.api.fhir_paths import shape_of

Found = tuple[ASGIApp, dict[str, str]]


class FhirFront:
    """A middleware that answers requests below /fhir itself and passes all others on."""

    def __init__(self, app: ASGIApp):
        self._app = app
        self._endpoints = endpoints()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.find(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        endpoint, path_params = found
        await endpoint({**scope, "path_params": path_params}, receive, send)

    def find(self, path: str) -> Found | None:
        """The endpoint and its path parameters, as the route table has them; None: ask the table."""
        if path in ("/fhir", "/fhir/") and "" in self._endpoints:
            return self._endpoints[""], {}
        if not path.startswith("/fhir/"):
            return None
        parts = path[6:].split("/")
        if parts[-1] == "":
            parts.pop()
        shape = shape_of(parts) if parts else None
        endpoint = self._endpoints.get(shape[0]) if shape else None
        return (endpoint, shape[1]) if shape and endpoint else None

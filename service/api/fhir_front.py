"""The shortcut to the FHIR base: the same endpoints as THE route table, found by splitting the path.

FastAPI's router tries some thirty patterns and passes five layers before it reaches a FHIR route (bench/README.md says
what that cost). What this does not know at once (an unknown type, odd slashes) goes the long way and is answered there.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_profiles.catalog import catalog
from service.api.fhir import endpoints

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
        parts = path.split("/")
        if parts[-1] == "":
            parts.pop()
        if len(parts) < 3 or parts[1] != "fhir" or parts[2] not in catalog().types or "" in parts[1:]:
            return None
        params = {"type": parts[2]}
        match parts[3:]:
            case []:
                shape = "/{type}"
            case ["$validate" | "_search" as name]:
                shape = "/{type}/" + name
            case [fhir_id]:
                shape, params["id"] = "/{type}/{id}", fhir_id
            case [fhir_id, "_history"]:
                shape, params["id"] = "/{type}/{id}/_history", fhir_id
            case [fhir_id, "_history", vid]:
                shape, params["id"], params["vid"] = "/{type}/{id}/_history/{vid}", fhir_id, vid
            case _:
                return None
        return self._endpoints[shape], params

"""The application: routers, lifespan, one security header for all; wiring only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_profiles.catalog import catalog
from service import web
from service.api import adt, clients, docs, fhir, health, hl7v2, notices, partner_notices, smart, sources, websocket
from service.api.cors import Cors
from service.api.fhir_front import FhirFront
from service.api.launch_patient import sees
from service.api.metadata import software_version
from service.api.state import Shared
from service.api.unavailable import unavailable
from service.auth.backend_services import AuthServer
from service.auth.issuer_file import read_issuer
from service.auth.jwks_fetch import fetcher
from service.auth.key_sets import KeySets
from service.auth.resource_server import ResourceServer
from service.auth.signing_keys import SigningKeys
from service.egress import Egress
from service.settings import Settings
from service.store.authorizations import redirect_uris
from service.store.database import TooCostly, Unavailable
from service.store.engine import Store

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class SecurityHeaders:
    """Sets the headers that every response bears, without touching the body."""

    def __init__(self, app: ASGIApp, shared: Shared):
        self._app, self._shared = app, shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
                if not self._shared.ready:  # we are about to stop: the next request goes elsewhere
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        await self._app(scope, receive, sending)


def build(store: Store, settings: Settings) -> FastAPI:
    """The ASGI application over an open store."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        catalog()
        yield
        app.state.enlace.ready = False
        await egress.close()

    app = FastAPI(
        title="Enlace",
        version=software_version(),
        description="FHIR R4 service for CalAIM Enhanced Care Management. The FHIR base is /fhir.",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # Ours is catalogued logging; a trace would carry paths, and asking for providers costs 15 us a request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    shared = Shared(store, settings, page_key=settings.secret_key())
    app.state.enlace = shared
    egress = Egress(settings.egress_allow)
    app.state.egress = egress
    key_sets = KeySets(fetcher(egress))
    if settings.auth_mode == "resource-server" and settings.issuer_file is not None:
        shared.issuer = ResourceServer(read_issuer(settings.issuer_file, f"{settings.base_url}/fhir"), key_sets)
    app.state.auth = AuthServer(
        store,
        settings.base_url,
        settings.env,
        key_sets=key_sets,
        signing=SigningKeys(settings.secret_key()),
        sees=sees(shared),
        issuer_configuration=shared.issuer.issuer.configuration() if shared.issuer else {},
    )

    def document() -> dict[str, Any]:
        from openapi.build import document as made  # a tenth of a second that the start does not need

        return made()

    app.openapi = document  # type: ignore[method-assign]
    served = (
        web.routes,
        docs.routes(document),
        notices.routes,
        health.routes,
        smart.routes,
        clients.routes,
        hl7v2.routes,
        sources.routes,
        adt.routes,
        partner_notices.routes,
        websocket.routes,
        fhir.routes(),
    )
    app.router.routes += [route for routes in served for route in routes]
    app.add_exception_handler(404, web.unknown)
    app.add_exception_handler(Unavailable, unavailable)
    app.add_exception_handler(TooCostly, unavailable)
    app.add_middleware(FhirFront)
    if settings.cors_origins != ("none",):
        app.add_middleware(Cors, origins=settings.origins, registered=lambda: redirect_uris(store))
    app.add_middleware(SecurityHeaders, shared=shared)
    return app

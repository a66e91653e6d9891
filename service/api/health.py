"""/healthz alive, /readyz migrated and reachable, /metrics for Prometheus (no PHI in labels)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api.metrics import MEDIA_TYPE, Scrapes
from service.api.state import Shared
from service.store.schema import SchemaError, check_schema


async def healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 when this process takes work: schema known, database answering, slot held, not shutting down."""
    shared: Shared = request.app.state.enlace
    try:
        if not shared.ready or shared.store.lost.is_set():
            return JSONResponse({"status": "stopping"}, 503)
        await check_schema(shared.store.db)
    except SchemaError as error:
        return JSONResponse({"status": "unready", "reason": str(error)}, 503)
    except Exception:
        return JSONResponse({"status": "unready", "reason": "The database cannot be reached."}, 503)
    return JSONResponse({"status": "ready"})


async def metrics(request: Request) -> Response:
    """200 whether the database answers or not: the process's own counters are most wanted when it does not."""
    state = request.app.state
    if not hasattr(state, "scrapes"):
        state.scrapes = Scrapes(state.enlace.store)
    return Response(await state.scrapes.text(), media_type=MEDIA_TYPE)


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
]

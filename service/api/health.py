"""/healthz alive, /readyz migrated and reachable, /metrics for Prometheus (no PHI in labels)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api.state import Shared
from service.store import inbox, work
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
    """Queue and inbox by state, in Prometheus text format."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    shared: Shared = request.app.state.enlace
    registry = CollectorRegistry()
    jobs = Gauge("enlace_jobs", "Background jobs by queue and state.", ["queue", "state"], registry=registry)
    for (queue, state), count in (await work.counts(shared.store)).items():
        jobs.labels(queue, state).set(count)
    messages = Gauge("enlace_inbox_messages", "HL7 v2 messages by state.", ["state"], registry=registry)
    for state, count in (await inbox.counts(shared.store)).items():
        messages.labels(state).set(count)
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/metrics", metrics),
]

"""One request from bytes to bytes: authenticate, decide, commit, answer; refusals become OperationOutcome and audit."""

import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fhir_profiles.catalog import catalog
from service import metrics, tracing
from service.access.context import Context
from service.api.authentication import authenticated
from service.api.formats import asked, check_format, chosen, rendered
from service.api.headers import answer_headers, prefers, without_body
from service.api.state import Shared
from service.caller import Caller, Role
from service.interactions.decision import Answer
from service.interactions.refusal import METHODS, recorded, told
from service.interactions.settle import Decide, settled
from service.log_events import REQUEST_DONE, REQUEST_ID, identifier, log

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_KEY, _COUNT = secrets.token_bytes(32), itertools.count(1)
_NOBODY = Caller("anonymous", Role.HOSPITAL, "Organization/unknown")


async def exchange(
    request: Request,
    prepare: Callable[[Context, list[tuple[str, str]]], Awaitable[Decide]],
    interaction: str = "none",
) -> Response:
    """prepare reads the request once and gives the function that decides; that is called again after a lost race.

    interaction: that of the route's row, for metrics and traces.
    """
    shared: Shared = request.app.state.enlace
    started = time.perf_counter()
    request_id = _request_id(request, shared)
    marker = REQUEST_ID.set(request_id)
    ctx: Context | None = None
    try:
        params = asked(request)
        ctx = await _context(request, shared, request_id, params)
        shared.rates.take(_rated(ctx), ctx.now_us)
        check_format(request)
        decide = await prepare(ctx, params)
        answer = await settled(ctx, decide)
        response = await _response(request, answer, shared)
        _log_done(request, response.status_code, started)
    except ClientDisconnect:
        response = Response(status_code=400)
    except Exception as error:
        response = await _refusal(request, shared, ctx, error, request_id, started)
    finally:
        REQUEST_ID.reset(marker)
    if ctx is not None and ctx.weight > 1:
        shared.rates.charge(_rated(ctx), ctx.weight - 1, ctx.now_us)
    if ctx is not None:
        response.headers.update(shared.rates.headers(_rated(ctx)))
    response.headers["X-Request-Id"] = request_id
    _measure(request, response.status_code, interaction, time.perf_counter() - started, request_id)
    return response


def _rated(ctx: Context) -> str:
    """Whose requests are counted together: an app's users each have their own allowance, and see no other's."""
    caller = ctx.caller
    return f"{caller.client_id} {caller.person}" if caller.person else caller.client_id


async def _context(request: Request, shared: Shared, request_id: str, params: list[tuple[str, str]]) -> Context:
    now = shared.store.clock.now_us()
    header, names = request.headers.get("authorization"), [name for name, _ in params]
    caller = await authenticated(shared, header, names, now)
    ctx = Context(shared.store, caller, now, shared.behaviour, request_id)
    ctx.asked, ctx.network = _asked(request), request.client.host if request.client else ""
    return ctx


def _asked(request: Request) -> str:
    """The request line as sent. It may hold PHI: it goes to the audit of a search, nowhere else."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    return f"{request.method} {path.decode('latin-1').partition('?')[0]}{'?' if query else ''}{query}"


async def _response(request: Request, answer: Answer, shared: Shared) -> Response:
    headers = answer_headers(answer, shared.behaviour.base_url)
    body = answer.body if answer.body is not None else b""
    if answer.status in (204, 304):
        body = b""
    elif request.method in ("POST", "PUT", "PATCH") and answer.location:
        wanted = prefers(request).get("return")
        if wanted == "minimal":
            body = b""
        elif wanted == "operationoutcome":
            body = _DONE
    kind = chosen(request)
    body = await rendered(body, kind)
    return without_body(request, Response(body, answer.status, headers, media_type=kind.media_type if body else None))


_DONE = orjson.dumps(
    {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "information", "code": "informational", "diagnostics": "Done."}],
    }
)


async def _refusal(
    request: Request, shared: Shared, ctx: Context | None, error: Exception, request_id: str, started: float
) -> Response:
    """Any exception as OperationOutcome; the refusal is audited in a Change of its own."""
    rtype, method = _named(request)
    ms = int((time.perf_counter() - started) * 1000)
    refusal = told(error, method, rtype, ms, ctx.caller.client_id if ctx else None)
    # A client that floods is told in the audit once, not at each request.
    if refusal.reason != "client-rate" or ctx is None or shared.rates.tell(_rated(ctx), ctx.now_us):
        audited = ctx or Context(shared.store, _NOBODY, shared.store.clock.now_us(), shared.behaviour, request_id)
        refusal = await recorded(audited, error, refusal, rtype)
    headers = {"Cache-Control": "no-store", **refusal.headers}
    wanted = chosen(request)
    body = await rendered(orjson.dumps(refusal.outcome()), wanted)
    return without_body(request, Response(body, refusal.category.status, headers, media_type=wanted.media_type))


def _named(request: Request) -> tuple[str, str]:
    """Type and method as a log and an audit row may show them: never text of the client's own making."""
    rtype, method = str(request.path_params.get("type", "")), request.method
    return rtype if rtype in catalog().types else "", method if method in METHODS else "other"


def _request_id(request: Request, shared: Shared) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.match(given) else _new_id()


def _new_id() -> str:
    """The requests of this process under a key: their numbers in the open would tell how much others do (L52).

    Not a random id each: the system call gives up the GIL, and under load gets it back 0.2 ms later.
    """
    return blake2b(next(_COUNT).to_bytes(8, "big"), digest_size=16, key=_KEY).hexdigest()


def _measure(request: Request, status: int, interaction: str, seconds: float, request_id: str) -> None:
    rtype = request.path_params.get("type", "")
    if rtype not in catalog().types:
        rtype, interaction = "", "none"
    metrics.request_done(interaction, rtype, status, seconds)
    if tracing.active is not None:
        parent = request.headers.get("traceparent", "")
        tracing.request_done(interaction, rtype, status, seconds, identifier(request_id), parent)


def _log_done(request: Request, status: int, started: float) -> None:
    rtype, method = _named(request)
    log(
        REQUEST_DONE,
        method=method,
        type=rtype or None,
        status=status,
        ms=int((time.perf_counter() - started) * 1000),
    )

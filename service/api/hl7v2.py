"""HL7 v2 over HTTP: POST /hl7v2 with one message answers its ACK. https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/

HTTP 200 for AA, AE and AR alike: the ACK is the answer. The caller needs a token of the role hospital (or admin).
"""

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service import metrics, tracing
from service.api.authentication import authenticated
from service.api.body import raw
from service.api.formats import FHIR_JSON
from service.api.state import Shared
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.interactions.receive_hl7v2 import Receiver
from service.store.change import AuditRow, Change

MAX_BYTES = 16 * 1024 * 1024
_TYPES = frozenset({"application/hl7-v2", "x-application/hl7-v2+er7", "text/plain", "application/hl7-v2+er7"})
MEDIA_TYPE = "application/hl7-v2; charset=utf-8"


async def receive(request: Request) -> Response:
    started, status = time.perf_counter(), 500
    try:
        response = await _received(request)
        status = response.status_code
        return response
    finally:
        seconds = time.perf_counter() - started
        metrics.request_done("hl7v2", "", status, seconds)
        tracing.request_done("hl7v2", "", status, seconds, "", request.headers.get("traceparent", ""))


async def _received(request: Request) -> Response:
    shared: Shared = request.app.state.enlace
    caller: Caller | None = None
    try:
        caller = await _authenticated(request, shared)
        _check(request, caller)
        body = await raw(request, MAX_BYTES)
        if not body:
            raise FhirError(Category.MALFORMED, "The body is empty: send one HL7 v2 message.")
        answer = await Receiver(shared.store).receive(body, _row(caller))
    except FhirError as refusal:
        await shared.store.commit(Change(audit=[_row(caller, refusal)]))
        return JSONResponse(refusal.outcome(), refusal.category.status, headers=refusal.headers, media_type=FHIR_JSON)
    return Response(answer or b"", 200 if answer else 204, {"Cache-Control": "no-store"}, media_type=MEDIA_TYPE)


def _row(caller: Caller | None, refusal: FhirError | None = None) -> AuditRow:
    client, organization = (caller.client_id, caller.organization) if caller else ("anonymous", "")
    kind, outcome, reason = ("refusal", 4, refusal.reason) if refusal else ("hl7v2", 0, "")
    return AuditRow("E", kind, outcome, client, organization, target="hl7v2", reason=reason)


async def _authenticated(request: Request, shared: Shared) -> Caller:
    header, names = request.headers.get("authorization"), list(request.query_params)
    return await authenticated(shared, header, names, shared.store.clock.now_us())


def _check(request: Request, caller: Caller) -> None:
    if caller.role not in (Role.HOSPITAL, Role.ADMIN):
        raise FhirError(Category.FORBIDDEN, "Only a hospital's client sends HL7 v2 messages.", reason="role")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise FhirError(Category.UNSUPPORTED_MEDIA, "Send the message as Content-Type: application/hl7-v2.")


routes = [Route("/hl7v2", receive, methods=["POST"])]

"""HL7 v2 over HTTP: POST /hl7v2 with one message answers its ACK. https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/

HTTP 200 for AA, AE and AR alike: the ACK is the answer. The caller needs a token of the role hospital (or admin).
A batch (FHS, BHS) is answered by a batch. A message may also come as base64 in JSON, {"message": {"data": "..."}}:
then its ACK goes back so, {"hl7Ack": "..."}. Either may be packed with gzip.
"""

import base64
import binascii
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service import metrics, tracing
from service.api.authentication import authenticated
from service.api.body import raw
from service.api.formats import FHIR_JSON
from service.api.json_reader import read_json
from service.api.state import Shared
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.interactions.receive_hl7v2 import Receiver
from service.store.change import AuditRow, Change
from service.workflow.sending_systems import client_peer

MAX_BYTES = 16 * 1024 * 1024
JSON = "application/json"
_TYPES = frozenset({JSON, "application/hl7-v2", "x-application/hl7-v2+er7", "text/plain", "application/hl7-v2+er7"})
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
        kind = _check(request, caller)
        body = await raw(request, MAX_BYTES)
        message = unpacked(body) if kind == JSON else body
        if not message:
            raise FhirError(Category.MALFORMED, "The body is empty: send one HL7 v2 message.")
        peer = client_peer(caller.client_id, caller.organization) if caller.role is Role.HOSPITAL else None
        answer = await Receiver(shared.store).receive(message, _row(caller), peer)
    except FhirError as refusal:
        await shared.store.commit(Change(audit=[_row(caller, refusal)]))
        return JSONResponse(refusal.outcome(), refusal.category.status, headers=refusal.headers, media_type=FHIR_JSON)
    headers = {"Cache-Control": "no-store"}
    if answer and kind == JSON:
        return JSONResponse({"hl7Ack": base64.b64encode(answer).decode()}, headers=headers)
    return Response(answer or b"", 200 if answer else 204, headers, media_type=MEDIA_TYPE)


def unpacked(body: bytes) -> bytes:
    """The message of a JSON body, as the HL7 v2 stores of clouds have it. Raises FhirError with the remedy."""
    value = read_json(body)
    held = value.get("message", value) if isinstance(value, dict) else None
    data = held.get("data") if isinstance(held, dict) else held
    if not isinstance(data, str):
        raise FhirError(Category.MALFORMED, 'The body holds no message: send {"message": {"data": "<base64>"}}.')
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise FhirError(Category.MALFORMED, "message.data is not base64 of an HL7 v2 message.") from None


def _row(caller: Caller | None, refusal: FhirError | None = None) -> AuditRow:
    client, organization = (caller.client_id, caller.organization) if caller else ("anonymous", "")
    kind, outcome, reason = ("refusal", 4, refusal.reason) if refusal else ("hl7v2", 0, "")
    return AuditRow("E", kind, outcome, client, organization, target="hl7v2", reason=reason)


async def _authenticated(request: Request, shared: Shared) -> Caller:
    header, names = request.headers.get("authorization"), list(request.query_params)
    return await authenticated(shared, header, names, shared.store.clock.now_us())


def _check(request: Request, caller: Caller) -> str:
    """The media type of the body."""
    if caller.role not in (Role.HOSPITAL, Role.ADMIN):
        raise FhirError(Category.FORBIDDEN, "Only a hospital's client sends HL7 v2 messages.", reason="role")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise FhirError(Category.UNSUPPORTED_MEDIA, "Send the message as Content-Type: application/hl7-v2.")
    return kind


routes = [Route("/hl7v2", receive, methods=["POST"])]

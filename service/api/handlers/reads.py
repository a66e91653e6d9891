"""read and vread."""

from service.access.context import Context
from service.api.handlers import id_of
from service.errors import not_found
from service.interactions.audit_events import read_audit_event
from service.interactions.call import Call
from service.interactions.provenance import RENDERED_ID, read_provenance
from service.interactions.read import read
from service.interactions.settle import Decide
from service.interactions.subset import lessened
from service.interactions.vread import vread


async def read_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    if call.type == "AuditEvent":
        return lessened(lambda c: read_audit_event(c, fhir_id), call.type, call.params)
    if call.type == "Provenance" and RENDERED_ID.match(fhir_id):
        return lessened(lambda c: read_provenance(c, fhir_id), call.type, call.params)
    return lessened(lambda c: read(c, call.type, fhir_id, call.pre), call.type, call.params)


async def read_version(ctx: Context, call: Call) -> Decide:
    fhir_id, number = id_of(call), call.part
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise not_found(call.type, f"{fhir_id}/_history with this version")
    return lessened(lambda c: vread(c, call.type, fhir_id, int(number), call.pre), call.type, call.params)

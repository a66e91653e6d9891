"""vread: https://hl7.org/fhir/R4/http.html#vread"""

from service.access.context import Context
from service.access.roles import check_scope
from service.errors import not_found
from service.interactions.conditional import unmodified
from service.interactions.decision import Answer, Decision, Preconditions, fixed
from service.interactions.history import within_scopes
from service.interactions.notices import noticed
from service.interactions.read import gone
from service.store import read as store_read
from service.store.change import Change


async def vread(ctx: Context, rtype: str, fhir_id: str, version: int, pre: Preconditions | None = None) -> Decision:
    """200 with that version, or 304; 404 for absent, foreign and unknown versions; 410 for the one that deleted it."""
    check_scope(ctx.caller, "r", rtype)
    found = await store_read.version(ctx.store, rtype, fhir_id, version, ctx.for_reading(ctx.restriction))
    if found is None or not within_scopes(ctx, "r", found):
        raise not_found(rtype, f"{fhir_id}/_history/{version}")
    if found.deleted:
        raise gone(found)
    change = Change(audit=[ctx.audit("R", "vread", f"{found.reference}/_history/{version}", shown=(found,))])
    if pre is not None and unmodified(found, pre):
        return Decision(change, fixed(Answer(304, None, found.version, found.vid)))
    return await noticed(ctx, Decision(change, fixed(Answer(200, found.body, found.version, found.vid))), found)

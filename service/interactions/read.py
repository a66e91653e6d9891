"""read: https://hl7.org/fhir/R4/http.html#read"""

from dataclasses import replace

from service.access import views
from service.access.context import Context
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.conditional import unmodified
from service.interactions.decision import Answer, Decision, Preconditions, fixed
from service.interactions.notices import noticed
from service.store import read as store_read
from service.store.change import Change
from service.store.read import Found


async def read(ctx: Context, rtype: str, fhir_id: str, pre: Preconditions) -> Decision:
    """200 with the current version, 304 where the client has it, 404 for absent and foreign, 410 for deleted."""
    check_scope(ctx.caller, "r", rtype)
    found = await store_read.head(ctx.store, rtype, fhir_id, ctx.for_reading(ctx.restriction, views=True))
    if found is None:
        raise not_found(rtype, fhir_id)
    if views.is_view(ctx.seen, rtype, found.source_org):
        return await _viewed(ctx, found, pre)
    if found.deleted:
        raise gone(found)
    change = Change(audit=[ctx.audit("R", "read", found.reference, shown=(found,))])
    if unmodified(found, pre):
        return Decision(change, fixed(Answer(304, None, found.version, found.vid)))
    return await noticed(ctx, Decision(change, fixed(Answer(200, found.body, found.version, found.vid))), found)


async def _viewed(ctx: Context, found: Found, pre: Preconditions) -> Decision:
    """A minimum view: nothing says when the rest was changed, or that it was deleted."""
    if found.deleted:
        raise not_found(found.rtype, found.fhir_id)
    change = Change(audit=[ctx.audit("R", "read", found.reference, shown=(found,))])
    view = views.shown(ctx, found)
    if unmodified(view, replace(pre, if_modified_since=None)):
        return Decision(change, fixed(Answer(304, None, view.version)))
    return await noticed(ctx, Decision(change, fixed(Answer(200, view.body, view.version))), view)


def gone(found: Found) -> FhirError:
    return FhirError(
        Category.GONE,
        [Issue(f"{found.reference} was deleted.", code="deleted")],
        headers={"ETag": f'W/"{found.version}"'},
    )

"""patch, plain and conditional: https://hl7.org/fhir/R4/http.html#patch

The patched resource goes the way of an update: structure, references, patient, workflow steps, labels, preconditions.
"""

from service.access.context import Context, parse
from service.access.roles import check_scope, check_write
from service.errors import Category, FhirError, Issue
from service.interactions.checks import check_structure
from service.interactions.conditional import Query, ask, check_preconditions
from service.interactions.decision import Decision, Preconditions
from service.interactions.update import check_reached, current_for_write, replaced
from service.patching.document import Patch
from service.store.change import Change
from service.store.read import Found


async def patch(ctx: Context, rtype: str, fhir_id: str, document: Patch, pre: Preconditions) -> Decision:
    """200 with the new version; a patch that changes nothing makes no version. 422 with all operations that fail."""
    check_scope(ctx.caller, "u", rtype)
    check_write(ctx.caller, rtype)
    return await _patched(ctx, await current_for_write(ctx, rtype, fhir_id, "u"), document, pre)


async def patch_where(ctx: Context, rtype: str, query: Query, document: Patch, pre: Preconditions) -> Decision:
    """The one resource that fits is patched. None: 404. Several: 412."""
    check_scope(ctx.caller, "u", rtype)
    check_write(ctx.caller, rtype)
    current = await ask(ctx, rtype, query, Change(), "The URL")
    if current is None:
        text = "Nothing fits the query: a patch needs a resource to change."
        raise FhirError(Category.NOT_FOUND, [Issue(text, code="not-found")])
    check_reached(ctx, "u", current)
    return await _patched(ctx, current, document, pre)


async def _patched(ctx: Context, current: Found, document: Patch, pre: Preconditions) -> Decision:
    check_preconditions(current.rtype, current, pre)
    resource = document.apply(parse(current.body))
    return await replaced(ctx, check_structure(resource, current.rtype), current, pre, "patch")

"""delete, plain and conditional (single): https://hl7.org/fhir/R4/http.html#delete and #cdelete

Refused while others, as far as the caller sees them, refer to the resource.
"""

from service.access.context import Context, parse
from service.access.new_version import deletion
from service.access.roles import check_scope, check_write
from service.errors import Category, FhirError
from service.interactions.conditional import Query, ask, check_absent, check_preconditions
from service.interactions.decision import Answer, Decision, Preconditions, fixed
from service.interactions.update import check_reached, current_for_write
from service.store import read as store_read
from service.store.change import Change
from service.store.read import Found
from service.store.referrers import MANY, referrers
from service.workflow.steps import Step, run_before

SHOWN = 5


async def delete(ctx: Context, rtype: str, fhir_id: str, pre: Preconditions) -> Decision:
    """204; 409 names up to five resources that refer to it and that the caller may see."""
    check_scope(ctx.caller, "d", rtype)
    check_write(ctx.caller, rtype)
    return await _deleted(ctx, await current_for_write(ctx, rtype, fhir_id, "d"), pre)


async def delete_where(ctx: Context, rtype: str, query: Query, pre: Preconditions) -> Decision:
    """The one resource that fits is deleted. None: 204 as well, since what was wanted is so. Several: 412."""
    check_scope(ctx.caller, "d", rtype)
    check_write(ctx.caller, rtype)
    current = await ask(ctx, rtype, query, Change(), "The URL")
    if current is None:
        check_absent(pre)
        return Decision(Change(audit=[ctx.audit("D", "delete", rtype)]), fixed(Answer(204)))
    check_reached(ctx, "d", current)
    return await _deleted(ctx, current, pre)


async def _deleted(ctx: Context, current: Found, pre: Preconditions) -> Decision:
    rtype = current.rtype
    check_preconditions(rtype, current, pre)
    author = await store_read.source_org(ctx.store, current.key)
    if author != ctx.organization_key and not ctx.restriction.unrestricted:
        text = f"Only the organization that wrote this {rtype} may delete it."
        raise FhirError(Category.FORBIDDEN, text, reason="author")
    # Those alone that the caller sees: a refusal for the sake of a hidden one would tell that it is there.
    stored = await referrers(ctx.store, current.key, current.vid, ctx.seen)
    holders = ctx.holders(current.reference, stored, MANY)
    if holders:
        named = ", ".join(sorted(holders)[:SHOWN])
        text = f"Other resources refer to {current.reference}: {named}. Delete these first."
        raise FhirError(Category.CONFLICT, text)
    change = Change()
    await run_before(Step(ctx, "delete", parse(current.body), None, change))
    write = deletion(rtype, current.fhir_id, current.version, patient=current.patient, source_org=author)
    audit = ctx.audit("D", "delete", current.reference, ctx.patients_of(current))
    change.writes.append(write)
    change.audit.append(audit)
    return Decision(
        change,
        lambda done: Answer(204, None, done.written[0].version, done.written[0].vid),
        retry=pre.if_match is None,
    )

"""create, plain and conditional: https://hl7.org/fhir/R4/http.html#create and #ccreate"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.access.directory import check_entry
from service.access.granting import granted, rely_on_rights
from service.access.roles import check_scope, check_write
from service.interactions.checks import check_patient, check_references, check_structure
from service.interactions.conditional import ask
from service.interactions.decision import Answer, Decision, Preconditions, fixed, of_write
from service.interactions.notices import noticed
from service.search.values import patient_of
from service.store.change import ABSENT, Change
from service.store.read import Found
from service.workflow.steps import Step, run_after, run_before


async def create(ctx: Context, rtype: str, body: Any, pre: Preconditions, *, fhir_id: str | None = None) -> Decision:
    """201 with the stored resource; 200 with the existing one where If-None-Exist matches it; 412 where several do.

    fhir_id: one that the service chose before, for the entry of a transaction; the client never chooses it.
    """
    check_scope(ctx.caller, "c", rtype)
    check_write(ctx.caller, rtype)
    change = Change()
    if pre.if_none_exist is not None:
        existing = await ask(ctx, rtype, pre.if_none_exist, change, "If-None-Exist")
        if existing is not None:
            return await existing_one(ctx, existing)
    return await made(ctx, rtype, with_id(body, fhir_id or ctx.new_id()), change)


async def made(
    ctx: Context, rtype: str, body: Any, change: Change, former: Found | None = None, author: int | None = None
) -> Decision:
    """201 for a body that carries its id. former: the deletion that an update brings back to life, for its author."""
    resource = check_structure(body, rtype)
    check_entry(ctx.caller, resource)
    await rely_on_rights(ctx, resource, change)
    await check_references(ctx, resource, None)
    await check_patient(ctx, resource, None)
    return await written(ctx, resource, change, former.version if former else ABSENT, author)


async def written(
    ctx: Context, resource: Resource, change: Change, expect: int = ABSENT, author: int | None = None
) -> Decision:
    """The Change of a checked new resource: its workflow steps, its version, its audit row."""
    rtype = resource["resourceType"]
    step = Step(ctx, "create", resource, None, change)
    await run_before(step)
    write = await granted(ctx, ctx.write(step.new, expect, source_org=author))
    ctx.check_reach("c", write)
    change.writes.append(write)
    await run_after(step)
    patient = patient_of(step.new, rtype, ctx.settings.base_url)
    change.audit.append(ctx.audit("C", "create", write.reference, (patient,) if patient else ()))
    return Decision(change, of_write(201))


def with_id(body: Any, fhir_id: str) -> Any:
    """The body with this id, whatever id the client sent (http.html#create)."""
    if not isinstance(body, dict):
        return body
    rest = {name: value for name, value in body.items() if name not in ("resourceType", "id")}
    return {"resourceType": body.get("resourceType"), "id": fhir_id, **rest}


async def existing_one(ctx: Context, found: Found) -> Decision:
    """200 with what a condition matched."""
    audit = ctx.audit("R", "create-existing", found.reference, shown=(found,))
    answer = Answer(200, found.body, found.version, found.vid, found.reference)
    return await noticed(ctx, Decision(Change(audit=[audit]), fixed(answer)), found)

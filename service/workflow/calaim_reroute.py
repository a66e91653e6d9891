"""A provider declines an ECM or Community Supports referral: the plan is asked to find another, with whom to ask.

facts/california.md B.5, C.1: the decline closes nothing for the member. The request stays active, and the next Task is
about the same one. Who offers the service: the directory (HealthcareService), those without capacity left out.
"""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.terminology import code_systems
from service.access.context import Context, parse
from service.search.references import normal_reference
from service.store import epochs, offers, tasks
from service.store.change import Change, Job
from service.workflow.calaim_catalogue import CS_SYSTEM, ECM, EPISODE_SYSTEM, Service, service_of, services_of
from service.workflow.calaim_tasks import CLOSED, OUTPUTS, named, service_of_task, stored
from service.workflow.calaim_work import RE_ROUTE, done, opened, organization_of
from service.workflow.directory_capacity import standing
from service.workflow.steps import Step

MOST_READ, MOST_NAMED = 500, 10
ENDED = frozenset({"revoked", "completed", "entered-in-error"})
"""Statuses of a ServiceRequest for which nobody looks for a provider."""
_RANK = {"capacity": 0, "": 1, "waitlist": 2, "additional-assessment-required": 3}
"""Whom to ask first."""
PARAMETERS = ("service-type", "service-category")


async def request_ended(step: Step) -> None:
    """After an update of a ServiceRequest: who was asked to find another provider for it need not any more."""
    status = step.new.get("status")
    if status in ENDED and (step.old or {}).get("status") != status and service_of(step.new):
        reference = f"ServiceRequest/{step.new['id']}"
        step.change.jobs.append(Job("calaim.reroute", {"request": reference}, ordering_key=f"reroute/{reference}"))


async def ask(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"task": reference} of a Task that was rejected, or opened: then the work that it ends is done.

    {"request": reference} of a ServiceRequest that ended: that ends the work as well.
    """
    change = Change()
    reference = str(payload.get("task", ""))
    task = await stored(ctx, reference) if reference else None
    request = named(ctx, task, "focus") if task else str(payload.get("request", ""))
    about = await ctx.resource(request) if request else None
    if about is None or (reference and (task is None or await service_of_task(ctx, task) is None)):
        return change
    change.relied[request] = about[1]
    subject = tasks.subject(ctx.store, request)
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)  # before looking: another one opened meanwhile
    siblings = [parse(body) for _, body in await tasks.focused(ctx.store, request)]
    goes_on = any(one.get("status") not in (*CLOSED, "draft") or one.get("status") == "completed" for one in siblings)
    if goes_on or about[0].get("status") in ENDED:
        for one in siblings:
            if one.get("status") == "rejected":
                await done(ctx, change, RE_ROUTE, (f"Task/{one['id']}",))
        return change
    service = await service_of_task(ctx, task) if task else None
    if task is None or service is None or task.get("status") != "rejected":
        return change
    asked = {named(ctx, one, "owner") for one in siblings}
    found = await offering(ctx, service, asked)
    why = str((task.get("statusReason") or {}).get("text") or "no reason was given")
    text = f"{service.title}: the provider declined ({why}). The request stays active: open a Task about the same one "
    text += "for another provider, or help the member to another service."
    text += "" if found else " The directory shows nobody else who offers it and may have room."
    heads = [one for one in (await ctx.head(reference), await ctx.head(request)) if one is not None]
    labelled = next((one for one in heads if one.labels), None)
    await opened(
        ctx,
        change,
        RE_ROUTE,
        (reference,),
        owner=await _owner(ctx, task),
        patient=named(ctx, task, "for"),
        text=text,
        reason=request,
        focus=reference,
        inputs=[_offer(one) for one in found],
        labels=heads[0].labels | heads[-1].labels if heads else 0,
        author=labelled.source_org if labelled is not None else None,
    )
    return change


async def _owner(ctx: Context, task: Resource) -> str:
    """The plan where the Task is part of the plan's own; else who referred."""
    for one in task.get("partOf") or ():
        parent = await stored(ctx, normal_reference(str(one.get("reference", "")), ctx.settings.base_url) or "")
        if parent is not None:
            return await organization_of(ctx, parent, "owner")
    return await organization_of(ctx, task, "requester")


async def offering(ctx: Context, service: Service, without: set[str]) -> list[Resource]:
    """HealthcareServices of other organizations that give it and may have room, those with capacity first."""
    system, codes = (EPISODE_SYSTEM, (ECM,)) if service.code == ECM else (CS_SYSTEM, below(service.code))
    keys = [ctx.store.keys.token("HealthcareService", name, system, code) for name in PARAMETERS for code in codes]
    bodies = await offers.services_under(ctx.store, keys, MOST_READ)
    found = [
        one
        for one in map(parse, bodies)
        if one.get("active") is not False
        and service.code in services_of(one)
        and standing(one) in _RANK
        and (provider := named(ctx, one, "providedBy"))
        and provider not in without
    ]
    return sorted(found, key=lambda one: (_RANK[standing(one)], str(one.get("name", "")), one["id"]))[:MOST_NAMED]


def below(code: str) -> tuple[str, ...]:
    return code_systems()[CS_SYSTEM].below(code)


def _offer(service: Resource) -> dict[str, Any]:
    name = {"display": str(service["name"])} if service.get("name") else {}
    kind = {"coding": [{"system": OUTPUTS, "code": "offering-provider"}], "text": "Offers the service"}
    return {"type": kind, "valueReference": {"reference": f"HealthcareService/{service['id']}", **name}}

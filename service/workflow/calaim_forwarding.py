"""An approved service goes on to the provider whom the request names, where the plan's organization stored that rule.

Extension enlace-referral-rule `forward-on-approval` on the Organization of the plan. What $forward would write, once:
a ServiceRequest of the plan and a Task for the provider. Where nobody is named, or several are, or the member's
Consents stand in the way, nothing is written: the plan's clock goes on and a person forwards it. Source:
facts/california.md B.1.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.clock import instant
from service.search.references import normal_reference
from service.store import epochs, panels, stays
from service.store import referral_chains as rows
from service.store.change import ABSENT, Change, Job
from service.store.read import Found
from service.workflow import chain_sight
from service.workflow.calaim_tasks import APPROVED, named, outcome_of, stored
from service.workflow.chain_copies import Target, Wanted, labelled, request_of, task_of
from service.workflow.derived import put
from service.workflow.referral_chains import root_of
from service.workflow.referral_coupling import stored_rules
from service.workflow.referral_law import OPEN
from service.workflow.referrals import is_referral
from service.workflow.stay_identity import derived_id
from service.workflow.steps import Step

RULE = "forward-on-approval"


async def approved(step: Step) -> None:
    """After the plan approved: a job, where its organization has the rule."""
    ctx, task = step.ctx, step.new
    if RULE in stored_rules(await step.stored(named(ctx, task, "owner"))):
        reference = f"Task/{task['id']}"
        step.change.jobs.append(Job("calaim.forward", {"task": reference}, ordering_key=await root_of(ctx, task)))


async def forward(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job calaim.forward {"task"}. Nothing where the plan's Task has a part already, whoever made it."""
    reference, change = str(payload["task"]), Change()
    subject = rows.subject(ctx.store, reference)
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)  # before looking: a part opened meanwhile
    found = await ctx.head(reference)
    parent = parse(found.body) if found is not None else {}
    if found is None or parent.get("status") not in OPEN or outcome_of(parent) not in APPROVED:
        return change
    if any(is_referral(parse(one.body), ctx) for one in await rows.parts(ctx.store, reference)):
        return change
    plan, source = named(ctx, parent, "owner"), await ctx.head(named(ctx, parent, "focus"))
    request = parse(source.body) if source is not None else {}
    patient = ctx.store.keys.resource(named(ctx, parent, "for"))
    change.epochs[patient] = await epochs.epoch(ctx.store, patient)
    if source is None or request.get("status") != "active" or not await _has(ctx, plan, parent):
        return change
    target = await provider_of(ctx, request, plan) if RULE in stored_rules(await stored(ctx, plan)) else None
    if target is None:
        return change
    change.relied |= {found.reference: found.version, source.reference: source.version}
    made = await _made(ctx, (found, parent), (source, request), plan, target)
    return change if made is None else change.merge(made)


async def _has(ctx: Context, plan: str, task: Resource) -> bool:
    """Whether the plan has the member, so that it may give it on: as its payer, or by the Task that it owns."""
    key, store = ctx.store.keys.resource(plan), ctx.store
    by_task = await panels.given(store, store.keys.resource(f"Task/{task['id']}"))
    if any(one.subject == key and one.start_us <= ctx.now_us < one.end_us for one in by_task):
        return True
    return plan in await stays.responsible(store, named(ctx, task, "for"), "payor", ctx.now_us)


async def provider_of(ctx: Context, request: Resource, plan: str) -> Target | None:
    """The one organization, in the directory and active, that ServiceRequest.performer names beside the plan."""
    found: dict[str, Target] = {}
    for one in request.get("performer") or ():
        reference = normal_reference(str(one.get("reference") or ""), ctx.settings.base_url) or ""
        entry = await stored(ctx, reference)
        if entry is None or entry.get("active") is False:
            continue
        service = reference if reference.startswith("HealthcareService/") else ""
        organization = named(ctx, entry, "providedBy") if service else reference
        held = entry if not service else await stored(ctx, organization)
        if organization.startswith("Organization/") and organization != plan and held is not None:
            before = found.get(organization, Target(organization))
            found[organization] = Target(organization, str(held.get("name") or ""), before.service or service)
    return next(iter(found.values())) if len(found) == 1 else None


async def _made(
    ctx: Context, whole: tuple[Found, Resource], asked: tuple[Found, Resource], plan: str, target: Target
) -> Change | None:
    """The plan's ServiceRequest and the provider's Task; None where the provider may not see them."""
    (found, parent), (source, request), change = whole, asked, Change()
    patient, now, task_id = named(ctx, parent, "for"), instant(ctx.now_us), str(parent["id"])
    coordinator, author = {"reference": plan}, ctx.store.keys.resource(plan)
    who = await chain_sight.asker(ctx, target.organization)
    passed = await chain_sight.passed(ctx, [await chain_sight.asker(ctx, plan), who], request, patient)
    own = request_of(request, derived_id(RULE, "request", task_id), coordinator, [target], Wanted(), passed, now)
    own = await put(ctx, change, labelled(own, request, source.labels), ABSENT, RULE, source_org=author)
    sent = task_of(parent, own, derived_id(RULE, "task", task_id), coordinator, target, Wanted(), now)
    await put(ctx, change, labelled(sent, parent, found.labels | source.labels), ABSENT, RULE, source_org=author)
    if not await chain_sight.may_see(ctx, who, patient, change.writes):
        return None
    return change

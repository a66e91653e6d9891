"""Open referrals: a Task without owner, offered to the organizations in restriction.recipient; one of them claims it.

Source: ../shared/facts/closed-loop.md 1.2 (owner 0..1), 1.8 (open pool). While it is requested and unowned its
candidates see it and its ServiceRequest, not the member (service/access/panels.py). Who claims it becomes owner and
accepts in one step, by If-Match; the others are told by 412, once, and see it no more.
"""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.access.panels import OWNED_FOR
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import read
from service.workflow.parties import acts_for, organization_of, reference_of
from service.workflow.referral_law import MOST_CANDIDATES
from service.workflow.steps import Step

_TAKEN = "Another organization has taken this referral: it is no longer open, and nothing of yours was written."
_OFFERED = ("Organization", "PractitionerRole")


def recipients(task: Resource, base_url: str) -> list[str]:
    """Relative references in restriction.recipient, as far as they name a resource here."""
    named = ((task.get("restriction") or {}).get("recipient")) or ()
    found = (normal_reference(str(one.get("reference", "")), base_url) for one in named if isinstance(one, dict))
    return [one for one in found if one and "://" not in one]


async def completed(ctx: Context, task: Resource) -> tuple[Resource, list[Issue]]:
    """The Task with the Organization beside each PractitionerRole that it is offered to: rights are organizations'."""
    named = recipients(task, ctx.settings.base_url)
    issues = []
    if len(named) > MOST_CANDIDATES:
        issues.append(_rule(f"A referral is offered to at most {MOST_CANDIDATES} at once: offer it to fewer."))
    if any(one.partition("/")[0] not in _OFFERED for one in named):
        issues.append(_rule("A referral without owner is offered to Organizations or PractitionerRoles."))
    if issues:
        return task, issues
    more: list[str] = []
    for reference in named:
        found = await ctx.resource(reference) if reference.startswith("PractitionerRole/") else None
        organization = reference_of(found[0], "organization") if found else ""
        if organization and organization not in (*named, *more):
            more.append(organization)
    if not more:
        return task, []
    restriction = task["restriction"]
    offered = [*restriction["recipient"], *({"reference": one} for one in more)]
    return {**task, "restriction": {**restriction, "recipient": offered}}, []


async def naming(ctx: Context, task: Resource, focus: str) -> list[Issue]:
    """What of an open referral would tell its candidates who the member is; of them one alone is to learn that."""
    if not recipients(task, ctx.settings.base_url):
        return []
    request = await ctx.resource(focus)
    places = {"Task.for": task.get("for"), "ServiceRequest.subject": request[0].get("subject") if request else None}
    text = "{} says who the member is, and all would read it to whom an open referral is offered: refer by a new "
    text += "ServiceRequest and Task that leave display and identifier out."
    return [
        Issue(text.format(place), place, "business-rule")
        for place, one in places.items()
        if isinstance(one, dict) and ("display" in one or "identifier" in one)
    ]


async def owned(step: Step) -> None:
    """A PractitionerRole owns a referral for its Organization, which is noted beside it: rights are organizations'.

    As it was when the Task got its owner; whatever a client writes there is not looked at.
    """
    task, ctx = step.new, step.ctx
    owner = task.get("owner")
    if not isinstance(owner, dict):
        return
    reference, before = reference_of(task, "owner"), (step.old or {}).get("owner") or {}
    rest = [one for one in owner.get("extension") or () if one.get("url") != OWNED_FOR]
    if before.get("reference") == reference:
        rest += [one for one in before.get("extension") or () if one.get("url") == OWNED_FOR]
    elif (normal_reference(reference, ctx.settings.base_url) or "").startswith("PractitionerRole/"):
        organization = await organization_of(ctx, normal_reference(reference, ctx.settings.base_url) or "")
        rest += [{"url": OWNED_FOR, "valueReference": {"reference": organization}}] if organization else []
    made = {name: value for name, value in owner.items() if name != "extension"}
    made = {**made, "extension": rest} if rest else made
    if made != owner:
        step.new = {**task, "owner": made}


def _rule(text: str) -> Issue:
    return Issue(text, "Task.restriction.recipient", "business-rule")


async def claims(ctx: Context, old: Resource, new: Resource) -> bool:
    """Whether the caller takes an open Task for itself, being one of those whom it is offered to (if it says whom)."""
    owner = reference_of(new, "owner")
    if reference_of(old, "owner") or not owner or not await acts_for(ctx, owner):
        return False
    named = recipients(old, ctx.settings.base_url)
    mine = (ctx.caller.organization, ctx.caller.person, owner)
    return ctx.restriction.unrestricted or not named or any(one in named for one in mine)


async def offered(ctx: Context, task: Resource) -> bool:
    named = recipients(task, ctx.settings.base_url)
    return not reference_of(task, "owner") and ctx.caller.organization in named


async def refuse_lost(ctx: Context, fhir_id: str) -> None:
    """412 for the write of a former candidate to a Task that another claimed: it saw it, and must learn what became of
    its answer. Anybody else is not told that the Task is there."""
    found = await read.head(ctx.store, "Task", fhir_id, EVERYTHING)
    if found is None or found.deleted or found.body is None:
        return
    task = parse(found.body)
    owner = reference_of(task, "owner")
    if owner and ctx.caller.organization in recipients(task, ctx.settings.base_url):
        raise FhirError(Category.STALE, [Issue(_TAKEN, "Task.owner", "conflict")], reason="claimed")

"""A Task that a partner's client opens here and whose ServiceRequest stands on the partner's server.

It is taken (201) before what it points to is, since a server may answer for a resource only after its own commit. A
worker fetches that (partner_fetch.py), and only then it is a referral that its owner can work on. The requester is
the partner's organization as it stands here, whoever it names there.
"""

from typing import NoReturn

from fhir_profiles import Resource
from service.access.context import parse
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.store import partners
from service.store.partners import Partner
from service.workflow.parties import acts_for, reference_of
from service.workflow.partner_paths import mapped
from service.workflow.partner_shapes import ID, URL_SYSTEM, WITHDRAWN, text_of
from service.workflow.referrals import is_referral
from service.workflow.steps import Step

KEPT = ("focus", "for", "requester")


def foreign(reference: str, base_url: str) -> str:
    """The absolute URL of a resource on another server, "" for one of ours."""
    found = normal_reference(reference, base_url) or ""
    return found if "://" in found else ""


def below(one: Partner, url: str, rtype: str) -> bool:
    rest = url.removeprefix(f"{one.base_url}/")
    named, _, fhir_id = rest.partition("/")
    return rest != url and named == rtype and bool(ID.match(fhir_id))


async def arriving(step: Step) -> None:
    """Before a new Task: takes one of a partner's client over; 422 with all that is wrong with it."""
    task, ctx = step.new, step.ctx
    focus = foreign(reference_of(task, "focus"), ctx.settings.base_url)
    if not focus or ctx.restriction.unrestricted or ctx.caller.person:
        return
    one = await partners.of_organization(ctx.store, ctx.caller.organization, partners.PULLS)
    if one is None:
        return
    issues = await _issues(step, one, focus)
    if issues:
        raise FhirError(Category.RULE, issues, reason="partner")
    asked = {name: foreign(reference_of(task, name), ctx.settings.base_url) for name in KEPT}
    stated = [str(i.get("value", "")) for i in task.get("identifier") or () if i.get("system") == URL_SYSTEM]
    remote = next((url for url in stated if below(one, url, "Task")), "")
    requester: Resource = {"reference": ctx.caller.organization}
    if asked["requester"]:
        requester["identifier"] = {"system": URL_SYSTEM, "value": asked["requester"]}
    step.new = {**task, "status": "requested", "requester": requester}
    step.change.statements.append(partners.arrived(str(task["id"]), one.name, remote, text_of(asked)))


async def _issues(step: Step, one: Partner, focus: str) -> list[Issue]:
    task, base_url = step.new, step.ctx.settings.base_url
    issues = []
    if not below(one, focus, "ServiceRequest"):
        text = f"focus must be a ServiceRequest below the base that is registered for you, {one.base_url}."
        issues.append(Issue(text, "Task.focus", "business-rule"))
    if not below(one, foreign(reference_of(task, "for"), base_url), "Patient"):
        text = f"for must be a Patient below the base that is registered for you, {one.base_url}."
        issues.append(Issue(text, "Task.for", "business-rule"))
    requester = reference_of(task, "requester")
    theirs = not requester or foreign(requester, base_url).startswith(f"{one.base_url}/")
    if not theirs and not await acts_for(step.ctx, requester):
        text = "requester must be your organization, or stand below the base that is registered for you."
        issues.append(Issue(text, "Task.requester", "business-rule"))
    if not (normal_reference(reference_of(task, "owner"), base_url) or "").startswith("Organization/"):
        text = "A referral from another server names the Organization here that it is for: give owner."
        issues.append(Issue(text, "Task.owner", "required"))
    if mapped(task.get("status")) != "requested":
        issues.append(Issue("A referral from another server comes with status requested.", "Task.status"))
    if task.get("intent") != "order":
        issues.append(Issue("A referral Task has the intent order.", "Task.intent", "business-rule"))
    return issues


async def check_waiting(step: Step) -> None:
    """Before an update: while what a Task points to is fetched its requester may take it back, and nothing else."""
    old, ctx = step.old or {}, step.ctx
    if ctx.restriction.unrestricted or not foreign(reference_of(old, "focus"), ctx.settings.base_url):
        return
    row = await partners.referral(ctx.store, str(old["id"]))
    if row is None or row.way != "in":
        return
    if any(old.get(name) != step.new.get(name) for name in (*KEPT, "owner", "intent")):
        _refuse("What a referral from another server points to cannot be changed: cancel it and send a new one.")
    if step.new.get("status") in WITHDRAWN and await acts_for(ctx, reference_of(old, "requester")):
        return
    if row.state == "to-fetch" and step.new.get("status") != old.get("status"):
        _refuse("What this referral points to is still being fetched from the server it came from: try again later.")


def _refuse(text: str) -> NoReturn:
    raise FhirError(Category.RULE, [Issue(text, "Task.focus", "business-rule")], reason="partner")


async def say_what_was_done(step: Step) -> None:
    """Before a referral from a partner is completed: beside its Procedures stand their codes (SDOHCC
    PerformedActivityCode), since the partner reads the Task, and a Procedure only where it has the member."""
    task, ctx = step.new, step.ctx
    if task.get("status") != "completed" or (step.old or {}).get("status") == "completed" or not is_referral(task, ctx):
        return
    named = [
        (one, normal_reference(reference_of(one, "valueReference"), ctx.settings.base_url) or "")
        for one in task.get("output") or ()
    ]
    procedures = [(one, reference) for one, reference in named if reference.startswith("Procedure/")]
    row = await partners.referral(ctx.store, str(task["id"])) if procedures else None
    if row is None or row.way != "in":
        return
    more: list[Resource] = []
    for one, reference in procedures:
        found = await ctx.head(reference)
        code = parse(found.body).get("code") if found is not None and not found.labels else None
        if code:
            more.append({"type": one["type"], "valueCodeableConcept": code})
    if more:
        step.new = {**task, "output": [*task["output"], *more]}

"""Notices of the closed loop: to the member and to who referred, once for each thing that happens to the referral.

Each is a Communication (category clr-notice), only electronic: fax and paper are not. Where the member must not or
cannot be told this way it is kept as not-done with the reason. What e-mail and SMS say of it: service/notify; there
"do not contact" is asked once more. Source: facts/california.md B.5, C.2 row 28. Sobering centers are exempt.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.access.labels import stamped
from service.notify import contact
from service.store import notices as stored_notices
from service.store import referral_chains
from service.store.change import ABSENT, Change, Job
from service.workflow.alert_text import date_time
from service.workflow.calaim_tasks import DECIDED, is_plan_task, named, outcome_of, outputs, service_of_task, stored
from service.workflow.member_names import short_name
from service.workflow.referral_breaches import ADDRESSED, CATEGORY_SYSTEM, MODE
from service.workflow.referral_clocks import is_referral
from service.workflow.referral_notice_texts import contact_of, sentence, service_name, why
from service.workflow.stay_identity import derived_id
from service.workflow.steps import Step

CATEGORY = "clr-notice"
MEMBER, REFERRER = "member", "referrer"
EVENTS: dict[str, tuple[str, ...]] = {
    "authorized": (MEMBER, REFERRER),
    "not-authorized": (REFERRER,),
    "assigned": (MEMBER, REFERRER),
    "declined": (REFERRER,),
    "closed": (REFERRER,),
}
"""What happens -> who is told. The member of a denial: by the plan's own notice of action, which has its own law."""
TOLD_AT = frozenset({"accepted", "rejected", "completed", "failed", "cancelled"})
NOT_DONE = "http://terminology.hl7.org/CodeSystem/communication-not-done-reason"
REASONS = {
    "do-not-contact": ("patient-objection", "The member said, or the referral says, that no message is to be sent."),
    "deceased": ("recipient-unavailable", "The member has died."),
    "inactive": ("recipient-unavailable", "The member's record is not active."),
    "no-preferred-channel": (
        "recipient-unavailable",
        "The member has not said to which e-mail address or number for text messages to write.",
    ),
}
"""Why nothing goes out -> code and words of Communication.statusReason."""
NOTICE_OF_ACTION = "notice-of-action"
MOST_STEPS = 5


async def moved(step: Step) -> None:
    """After a write of a Task: a job where what changed may have to be told."""
    old, new = step.old or {}, step.new
    if not is_referral(new, step.ctx.settings.base_url):
        return
    status = str(new.get("status")) if new.get("status") != old.get("status") else ""
    outcome = outcome_of(new) if outcome_of(new) != outcome_of(old) else ""
    if status in TOLD_AT or outcome in DECIDED:
        service = await service_of_task(step.ctx, new, step.stored)
        if service is None or not service.closed_loop:
            return
        payload = {"task": f"Task/{new['id']}", "status": status, "outcome": outcome}
        step.change.jobs.append(Job("referral.notice", payload))


def event_of(task: Resource, status: str, outcome: str, *, plan: bool) -> str:
    """What there is to tell of a step to this status, or this outcome; "" where it is no longer so, or nothing."""
    now = str(task.get("status"))
    if plan:
        decided = outcome_of(task)
        if (outcome or status == "rejected") and (decided in ("denied", "withdrawn") or now == "rejected"):
            return "not-authorized"
        if outcome and decided == outcome:
            return "authorized"
        return "closed" if status == now and status in ("completed", "failed", "cancelled") else ""
    if status == "accepted" and now in ("accepted", "in-progress", "on-hold", "completed"):
        return "assigned"
    if status != now:
        return ""
    if status == "rejected":
        return "declined"
    ends = status in ("completed", "failed", "cancelled") and not task.get("partOf")
    return "closed" if ends else ""


async def notify(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.notice {"task", "status", "outcome"}. Idempotent: ids follow from task, event and recipient."""
    reference, change = str(payload["task"]), Change()
    found, head = await ctx.resource(reference), await ctx.head(reference)
    service = await service_of_task(ctx, found[0]) if found else None
    if found is None or head is None or service is None or not service.closed_loop:
        return change
    task = found[0]
    # Who forwarded it is no provider: the provider's own Task tells who took it on.
    plan = await is_plan_task(ctx, task) or bool(await referral_chains.parts(ctx.store, reference))
    event = event_of(task, str(payload["status"]), str(payload["outcome"]), plan=plan)
    if not event:
        return change
    change.relied[reference] = found[1]
    top = await _top(ctx, task)
    for to in EVENTS[event]:
        recipient = named(ctx, top, "requester") if to == REFERRER else named(ctx, task, "for")
        sender = named(ctx, top, "owner")
        if not recipient.startswith(ADDRESSED if to == REFERRER else "Patient/") or recipient == sender:
            continue
        made = await _notice(ctx, task, service.code, event, to, recipient, sender)
        if await ctx.resource(f"Communication/{made['id']}") is None:
            change.writes.append(ctx.write(stamped(made, head.labels | await _labels(ctx, task)), ABSENT))
            patient = named(ctx, task, "for")
            change.audit.append(ctx.audit("C", "derived", f"Communication/{made['id']}", (patient,), reason=CATEGORY))
    return change


async def _labels(ctx: Context, task: Resource) -> int:
    """Of the request, which says for which service it is."""
    head = await ctx.head(named(ctx, task, "focus"))
    return head.labels if head is not None else 0


async def _top(ctx: Context, task: Resource) -> Resource:
    """The Task by which it was referred first: who asked there is the referring entity."""
    for _ in range(MOST_STEPS):
        above = next((str(one.get("reference", "")) for one in task.get("partOf") or ()), "")
        found = await stored(ctx, above.removeprefix(f"{ctx.settings.base_url}/")) if above else None
        if found is None or not is_referral(found, ctx.settings.base_url):
            return task
        task = found
    return task


async def _notice(
    ctx: Context, task: Resource, service: str, event: str, to: str, recipient: str, sender: str
) -> Resource:
    patient = named(ctx, task, "for")
    member = await stored(ctx, patient) or {}
    language = contact.language_of(member) if to == MEMBER else "en"
    provider, where = await _provider(ctx, task, language)
    words = sentence(
        f"{event}.{to}",
        language,
        service=service_name(service, language),
        provider=provider,
        contact=where,
        reason=why(task, event, language),
        who=short_name(member),
    )
    identity = derived_id("clr-notice", f"Task/{task['id']}", event, outcome_of(task), recipient)
    made: Resource = {
        "resourceType": "Communication",
        "id": f"cn-{identity}",
        "status": "completed",
        "category": [{"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}], "text": event}],
        "priority": "routine",
        "medium": [{"coding": [{"system": MODE, "code": "ELECTRONIC"}]}],
        "subject": {"reference": patient},
        "about": [{"reference": f"Task/{task['id']}"}, dict(task["focus"])],
        "recipient": [{"reference": recipient}],
        "payload": [{"contentString": words.text}],
        "language": words.language,
    }
    if sender.startswith("Organization/"):
        made["sender"] = {"reference": sender}
    if event == "not-authorized":
        made["payload"] += _letters(task)
    reason = await refused(ctx, patient, member) if to == MEMBER else ""
    if reason:
        code, text = REASONS[reason]
        made |= {"status": "not-done", "statusReason": {"coding": [{"system": NOT_DONE, "code": code}], "text": text}}
    else:
        made["sent"] = date_time(ctx.now_us)
    return made


def _letters(task: Resource) -> list[Resource]:
    """The plan's notice of action."""
    papers = [one["valueReference"] for one in outputs(task, NOTICE_OF_ACTION) if one.get("valueReference")]
    return [{"contentReference": dict(paper)} for paper in papers]


async def refused(ctx: Context, patient: str, member: Resource) -> str:
    """Why the member is not told electronically (a row of REASONS), or ""."""
    if reason := contact.may_contact(member):
        return reason
    requests = await stored_notices.requests_of(ctx.store, ctx.store.keys.resource(patient))
    if any(contact.prohibits(parse(body)) for body in requests):
        return "do-not-contact"
    return "" if contact.preferred(member.get("telecom"), ctx.now_us) else "no-preferred-channel"


async def _provider(ctx: Context, task: Resource, language: str) -> tuple[str, str]:
    """Name and contact of who is to provide it: the HealthcareService asked for, else the owner."""
    request = await stored(ctx, named(ctx, task, "focus")) or {}
    asked = [str((one.get("valueReference") or {}).get("reference", "")) for one in task.get("input") or ()]
    asked += [str(one.get("reference", "")) for one in request.get("performer") or ()]
    owner = named(ctx, task, "owner")
    for reference in (*(one for one in asked if one.startswith("HealthcareService/")), owner):
        found = await stored(ctx, reference) if reference else None
        if found and (found.get("name") or found.get("telecom")):
            return contact_of(found, language, ctx.now_us)
    return contact_of({}, language, ctx.now_us)

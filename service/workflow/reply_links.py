"""A referral for an organization without software: a link to its listed contact, else a Task to telephone.

hook: task_changed (steps.py). Jobs: reply.invite {"task"}, reply.phone {"task", "organization"}. Answers come through
service/web/reply*.py, as the organization, under the same law as any client.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from fhir_profiles import Resource
from service.access.context import Context
from service.auth.scopes import InvalidScope, compile_allows
from service.clock import instant
from service.notify import contact, reply_codes, reply_messages
from service.notify.reply_codes import Contact
from service.notify.texts import spoken
from service.search.references import normal_reference
from service.store import epochs, partners, read
from service.store import reply_links as stored
from service.store.change import ABSENT, Change, Job
from service.store.reply_links import LIVE, Link
from service.workflow import derived
from service.workflow.alert_text import date_time
from service.workflow.parties import reference_of
from service.workflow.stay_identity import derived_id
from service.workflow.steps import Step

BY_LINK = "https://enlace.example.org/fhir/StructureDefinition/enlace-replies-by-link"
APPOINTMENT = (
    "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-ExtensionHealthcareServiceTelecomAppointment"
)
FOLLOW_UP = "https://enlace.example.org/fhir/CodeSystem/follow-up"
DAY_US = 86_400_000_000
AFTER_CLOSE_US = 30 * DAY_US
LONGEST_US = 730 * DAY_US
OPEN = ("requested", "accepted", "in-progress", "on-hold")
OVER = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
INVITE = "reply.invite"
MOST_A_DAY = 5
"""Links of one organization to one referral: each is a message to its contact, and ends the one before."""


async def task_changed(step: Step) -> None:
    """A referral that is sent to such an organization is told to it, also where it is offered to more of them later;
    one that is over ends its links in 30 days."""
    task, old = step.new, step.old or {}
    offered = task.get("status") == "requested" and targets_of(step.ctx, task) != targets_of(step.ctx, old)
    if not _is_referral(step.ctx, task) or (task.get("status") == old.get("status") and not offered):
        return
    reference = f"Task/{task['id']}"
    if task.get("status") == "requested":
        for organization in targets_of(step.ctx, task):
            if await replies_by_link(step.ctx, organization):
                step.change.jobs.append(Job(INVITE, {"task": task["id"]}, f"reply|{task['id']}"))
                return
    elif task.get("status") in OVER and old:
        step.change.statements.append(stored.closed(reference.partition("/")[2], step.ctx.now_us + AFTER_CLOSE_US))


def targets_of(ctx: Context, task: Resource) -> list[str]:
    """Organizations that may answer: the owner; of an open referral its candidates. Relative references."""
    named = [task["owner"]] if task.get("owner") else (task.get("restriction") or {}).get("recipient") or []
    found = [normal_reference(str(one.get("reference", "")), ctx.settings.base_url) for one in named]
    return [one for one in dict.fromkeys(found) if one and one.startswith("Organization/")]


async def replies_by_link(ctx: Context, organization: str) -> bool:
    """As its entry in the directory says; where that says nothing: it has no client that reads Tasks, and no server."""
    found = await ctx.resource(organization)
    if found is None or found[0].get("active") is False:
        return False
    for extension in found[0].get("extension") or ():
        if extension.get("url") == BY_LINK:
            return bool(extension.get("valueBoolean"))
    if any(_reads_tasks(scopes) for scopes in await stored.scopes_of(ctx.store, organization)):
        return False
    return await partners.of_organization(ctx.store, organization, ("push", "both")) is None


def _reads_tasks(scopes: str) -> bool:
    try:
        return bool(compile_allows(scopes).reaches("r", "Task"))
    except InvalidScope:
        return False


def _is_referral(ctx: Context, task: Resource) -> bool:
    return (normal_reference(reference_of(task, "focus"), ctx.settings.base_url) or "").startswith("ServiceRequest/")


# --- the jobs --------------------------------------------------------------------------------------------------------


async def invite(ctx: Context, payload: dict[str, Any]) -> Change:
    """A link for each organization that may answer and has none; twice is once."""
    change, task = Change(), await _open_task(ctx, payload)
    if task is None:
        return change
    change.relied[f"Task/{task[0]['id']}"] = task[1]
    links = await stored.of_task(ctx.store, str(payload["task"]))
    for organization in targets_of(ctx, task[0]):
        standing = any(one.organization == organization and one.state in LIVE for one in links)
        if not standing and await replies_by_link(ctx, organization):
            await renew(ctx, change, task[0], organization)
    return change


async def _open_task(
    ctx: Context, payload: dict[str, Any], statuses: tuple[str, ...] = ("requested",)
) -> tuple[Resource, int] | None:
    """With its version, where it is in one of these."""
    found = await ctx.resource(f"Task/{payload['task']}")
    return found if found is not None and found[0].get("status") in statuses else None


async def renew(ctx: Context, change: Change, task: Resource, organization: str) -> Link | None:
    """A new link, told to the organization's contact; former ones end. None: it has no address, so somebody calls."""
    to = await contact_of(ctx, task, organization)
    if to is None:
        change.jobs.append(reply_messages.phone(str(task["id"]), organization))
        return None
    key, made_us = ctx.settings.page_key, ctx.now_us
    token = reply_codes.token_of(key, str(task["id"]), organization, made_us)
    link = reply_codes.link_of(key, token)
    ends_us = made_us + (AFTER_CLOSE_US if task.get("status") in OVER else LONGEST_US)
    facts = (link, str(task["id"]), organization, to.channel, reply_codes.sealed(key, link, to), made_us, ends_us)
    row = Link(*facts)
    change.statements += [stored.revoked(row.task, organization, made_us), stored.made(row)]
    change.statements.append(reply_messages.told(ctx.store, reply_messages.INVITE, row, made_us))
    patient = reference_of(task, "for")
    detail = {"for": organization, "by": to.channel}
    change.audit.append(
        ctx.audit("C", "reply-link", f"Task/{task['id']}", (patient,) if patient else (), detail=detail)
    )
    return row


async def contact_of(ctx: Context, task: Resource, organization: str) -> Contact | None:
    """The listed contact: of the service asked for, of another of its services, of the organization, of its people.

    Within a service the contact for appointments comes first. Only channels of this installation.
    """
    found = await ctx.resource(organization)
    if found is None:
        return None
    language = spoken(str(found[0].get("language") or "en"))
    people = [one.get("telecom") or [] for one in found[0].get("contact") or ()]
    for telecom in [*await _telecoms(ctx, task, organization), found[0].get("telecom") or [], *people]:
        addresses = contact.addresses(telecom, ctx.now_us)
        for channel in ("email", "sms"):
            if channel in addresses and channel in ctx.settings.channels:
                return Contact(channel, addresses[channel], language)
    return None


async def _telecoms(ctx: Context, task: Resource, organization: str) -> list[Sequence[Resource]]:
    services = [orjson.loads(body) for body in await stored.services_of(ctx.store, organization)]
    focus = await ctx.resource(normal_reference(reference_of(task, "focus"), ctx.settings.base_url) or "")
    performers = [one.get("reference") for one in (focus[0].get("performer") or () if focus else ())]
    services.sort(key=lambda one: f"HealthcareService/{one['id']}" not in performers)
    every: list[Sequence[Resource]] = []
    for service in services:
        if service.get("active") is False:
            continue
        telecom = service.get("telecom") or []
        every += [[one for one in telecom if _for_appointments(one)], telecom]
    return every


def _for_appointments(point: Resource) -> bool:
    return any(
        one.get("url") == APPOINTMENT and one.get("valueBoolean") is not False for one in point.get("extension") or ()
    )


async def call(ctx: Context, payload: dict[str, Any]) -> Change:
    """reply.phone: a Task for who referred, since no message reaches the organization. Once for each referral."""
    change, task = Change(), await _open_task(ctx, payload, OPEN)
    organization = str(payload["organization"])
    if task is None or organization not in targets_of(ctx, task[0]):
        return change
    requester = task[0].get("requester")
    fhir_id = "call-" + derived_id("reply-phone", str(task[0]["id"]), organization)
    if not requester or await ctx.resource(f"Task/{fhir_id}") is not None:
        return change
    found = await ctx.resource(organization)
    name = str((found[0] if found else {}).get("name") or "the organization")
    made: Resource = {
        "resourceType": "Task",
        "id": fhir_id,
        "status": "requested",
        "intent": "order",
        "priority": task[0].get("priority", "routine"),
        "code": {"coding": [{"system": FOLLOW_UP, "code": "call-about-referral"}], "text": "Call about a referral"},
        "description": f"Call {name} about this referral: no e-mail or text message reaches it. Once it has an address "
        f"in the directory, make a new link at /referrals/{task[0]['id']}/sheet.",
        "focus": {"reference": f"Task/{task[0]['id']}"},
        "for": task[0]["for"],
        "authoredOn": date_time(ctx.now_us),
        "lastModified": instant(ctx.now_us),
        "owner": requester,
    }
    made["requester"] = requester
    await derived.put(ctx, change, made, ABSENT, "reply-link: no address", source_org=await _author(ctx, task[0]))
    return change


async def _author(ctx: Context, task: Resource) -> int:
    key = ctx.store.keys.resource(f"Task/{task['id']}")
    return await read.source_org(ctx.store, key)


# --- by a person's word ----------------------------------------------------------------------------------------------


class NotMade(Exception):
    """Why there is no new link: one sentence with the remedy."""


async def make(
    ctx: Context, change: Change, task_id: str, organization: str = "", *, most: int | None = MOST_A_DAY
) -> Link:
    """A new link in place of the former one, for whoever may: the operator, or the requester (who sees the Task).

    organization: "" where only one may answer. most: in a day; None for the operator. Raises NotMade.
    """
    found = await ctx.resource(f"Task/{task_id}")
    if found is None or not _is_referral(ctx, found[0]):
        raise NotMade("There is no such referral: give the id of its Task.")
    task, version = found
    if task.get("status") == "draft" or task.get("status") in OVER:
        raise NotMade(f"The referral is {task['status']}: links are made for referrals that wait for an answer.")
    targets = targets_of(ctx, task)
    if organization and organization not in targets:
        raise NotMade("The referral does not go to this organization.")
    if not organization and len(targets) != 1:
        raise NotMade(
            "Say for which organization: the referral has "
            + (f"{len(targets)} candidates." if targets else "no owner.")
        )
    change.relied[f"Task/{task_id}"] = version
    organization = organization or targets[0]
    await _count(ctx, change, task_id, organization, most)
    link = await renew(ctx, change, task, organization)
    if link is None:
        change.jobs.clear()
        if not ctx.settings.channels & {"email", "sms"}:
            raise NotMade(
                "Neither e-mail nor text messages are set up here (ENLACE_SMTP_URL, ENLACE_SMS_URL), so no code would "
                "arrive: set one up, or call the organization."
            )
        raise NotMade(
            "The organization has no e-mail address and no number for text messages that can be used here: enter one "
            "in its HealthcareService or Organization (telecom), or call it."
        )
    return link


async def _count(ctx: Context, change: Change, task_id: str, organization: str, most: int | None) -> None:
    """Of two who make one at once, the second is decided again. Raises NotMade."""
    subject = stored.subject(ctx.store, f"{task_id}|{organization}")
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)
    change.bump_epochs.add(subject)
    links = [one for one in await stored.of_task(ctx.store, task_id) if one.organization == organization]
    if most is not None and sum(one.made_us > ctx.now_us - DAY_US for one in links) >= most:
        raise NotMade(
            f"{most} links to this referral were sent to the organization within a day: the last one counts. Call the "
            "organization; a new link can be made tomorrow, or by the operator at once."
        )


def unmake(ctx: Context, change: Change, task_id: str, organization: str, patient: str) -> None:
    """All its links end now."""
    change.statements.append(stored.revoked(task_id, organization, ctx.now_us))
    detail = {"for": organization}
    change.audit.append(ctx.audit("D", "reply-link", f"Task/{task_id}", (patient,) if patient else (), detail=detail))


def address(ctx: Context, link: Link) -> str:
    """The URL of a link; made from the key each time."""
    token = reply_codes.token_of(ctx.settings.page_key, link.task, link.organization, link.made_us)
    return f"{ctx.settings.base_url.removesuffix('/fhir')}/r/{token}"

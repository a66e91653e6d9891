"""What the breach of a referral's clock writes: the mark on the Task, a work item of who referred, a message to who
was asked. Once for each breach; a referral that moves on ends the work items about what is no longer so.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.access.labels import stamped
from service.clock import instant
from service.errors import FhirError
from service.search.references import normal_reference
from service.store import tasks
from service.store.change import ABSENT, Change
from service.store.timers import StoredTimer
from service.workflow import derived, follow_ups
from service.workflow.alert_text import date_time
from service.workflow.member_names import short_name
from service.workflow.parties import reference_of
from service.workflow.referral_clocks import CLOSED, is_over, overdue_of, with_overdue
from service.workflow.stay_identity import derived_id
from service.workflow.timer_kinds import TimerKind

CATEGORY_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/communication-category"
CATEGORY = "referral-overdue"
REASON_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/referral-overdue"
MODE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
CHASE_IDS = "rf-"
OPEN = ("draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold")
ADDRESSED = ("Organization/", "Practitioner/", "PractitionerRole/")
"""Who can be told, or asked to do something, within Enlace."""


async def tell_requester(ctx: Context, change: Change, timer: StoredTimer, row: TimerKind) -> None:
    """Nothing where the Task is closed, gone or past it, or the member died: nobody needs to hurry."""
    found, head = await ctx.resource(timer.subject), await ctx.head(timer.subject)
    if found is None or head is None or found[0].get("status") in CLOSED or is_over(timer.kind, found[0]):
        return
    task, version = found
    change.relied[timer.subject] = version
    member = await ctx.resource(timer.patient) if timer.patient else None
    if row.death and member and (member[0].get("deceasedDateTime") or member[0].get("deceasedBoolean")):
        return
    await _mark(ctx, change, task, version, row, head.labels)
    text = row.text.format(who=short_name(member[0]) if member else "A member", what=timer.payload.get("what", ""))
    base_url = ctx.settings.base_url
    owner, requester = (normal_reference(reference_of(task, one), base_url) or "" for one in ("owner", "requester"))
    if not follow_ups.is_promise(task) and requester.startswith(ADDRESSED):
        await _work_item(ctx, change, timer, row, task, text, head.labels)
        owner = owner if owner != requester else ""
    if owner.startswith(ADDRESSED):
        await _message(ctx, change, timer, row, task, text, owner, head.labels)


async def _mark(ctx: Context, change: Change, task: Resource, version: int, row: TimerKind, labels: int) -> None:
    """The extension. It moves nothing: no clock starts anew. What the law would no longer take stays as it is."""
    codes = overdue_of(task)
    if not row.overdue or row.overdue in codes:
        return
    marked, kept = with_overdue(task, [*codes, row.overdue]), len(change.writes)
    if task["id"].startswith(follow_ups.OUR_IDS):
        await follow_ups.put(ctx, change, marked, version, labels, row.code)
        return
    try:
        await derived.put(ctx, change, marked, version, row.code)
    except FhirError:
        del change.writes[kept:]


async def _work_item(
    ctx: Context, change: Change, timer: StoredTimer, row: TimerKind, task: Resource, text: str, labels: int
) -> None:
    """One for each thing that is overdue: while it is open a second breach of the same adds none."""
    for reference in await tasks.about(ctx.store, timer.subject, OPEN):
        known = await ctx.resource(reference) if reference.startswith(f"Task/{CHASE_IDS}") else None
        if known is not None and code_of(known[0]) == row.overdue:
            return
    fhir_id = CHASE_IDS + derived_id("overdue", timer.dedupe, str(timer.start_us))
    if await ctx.resource(f"Task/{fhir_id}") is not None:
        return
    owner = reference_of(task, "requester")
    made = follow_ups.item(ctx, task, fhir_id, follow_ups.CHASE, owner=owner, description=text, priority=row.priority)
    made["reasonCode"] = {"coding": [{"system": REASON_SYSTEM, "code": row.overdue}], "text": row.what}
    await follow_ups.put(ctx, change, made, ABSENT, labels, row.code)


async def _message(
    ctx: Context, change: Change, timer: StoredTimer, row: TimerKind, task: Resource, text: str, to: str, labels: int
) -> None:
    identity = derived_id("overdue-message", timer.dedupe, str(timer.start_us), to)
    made: Resource = {
        "resourceType": "Communication",
        "id": f"ro-{identity}",
        "status": "completed",
        "category": [{"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}],
        "priority": row.priority,
        "medium": [{"coding": [{"system": MODE, "code": "ELECTRONIC"}]}],
        "subject": dict(task["for"]),
        "about": [{"reference": timer.subject}],
        "sent": date_time(ctx.now_us),
        "recipient": [{"reference": to}],
        "payload": [{"contentString": text}],
    }
    if await ctx.resource(f"Communication/{made['id']}") is None:
        change.writes.append(ctx.write(stamped(made, labels), ABSENT))


def code_of(item: Resource) -> str:
    """What of the referral was overdue when the work item was opened."""
    codings = (item.get("reasonCode") or {}).get("coding") or ()
    return next((str(c.get("code")) for c in codings if c.get("system") == REASON_SYSTEM), "")


async def moved_on(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.moved-on {"task": referral}: closes the open work items about what is no longer overdue."""
    subject, change = str(payload["task"]), Change()
    found = await ctx.resource(subject)
    if found is None:
        return change
    change.relied[subject] = found[1]
    standing = overdue_of(found[0])
    for reference in await tasks.about(ctx.store, subject, OPEN):
        known, head = await ctx.resource(reference), await ctx.head(reference)
        if known is None or head is None or not reference.startswith(f"Task/{CHASE_IDS}"):
            continue
        if code_of(known[0]) in standing:
            continue
        ended = {**known[0], "status": "cancelled", "lastModified": instant(ctx.now_us)}
        ended["statusReason"] = {"text": "The referral has moved on: there is nothing left to look after."}
        await follow_ups.put(ctx, change, ended, known[1], head.labels, "referral-moved-on")
    return change

"""Who is told that a timer was not met: the lead care manager by an alert, the plan by a message. Once for each breach.

An alert: ../shared/decisions.md 38. Ids follow from timer and recipient, so that a breach is told once to each.
"""

from fhir_profiles import Resource
from service.access.context import Context
from service.store import stays
from service.store.change import ABSENT, Change
from service.store.timers import StoredTimer
from service.workflow.alert_clock import BREACH, began
from service.workflow.alert_text import date_time
from service.workflow.alerts import CATEGORY, CATEGORY_SYSTEM
from service.workflow.member_names import short_name
from service.workflow.stay_identity import derived_id
from service.workflow.timer_kinds import TimerKind

LEADS = ("lead-care-manager", "ecm-provider")
"""Who answers for the member's care: the first of these roles that anyone has for the member now."""
SYSTEM = "https://enlace.example.org/alerts"
MODE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"


async def leads_of(ctx: Context, patient: str) -> list[str]:
    """References of the lead care managers, else of the ECM providers."""
    for role in LEADS:
        found = await stays.responsible(ctx.store, patient, role, ctx.now_us)
        if found:
            return found
    return []


async def plans_of(ctx: Context, patient: str) -> list[str]:
    return await stays.responsible(ctx.store, patient, "payor", ctx.now_us)


async def carers_of(ctx: Context, patient: str) -> list[str]:
    """leads_of(); of a member who is in nobody's care management, the plans: a plan owes transitional care to all."""
    return await leads_of(ctx, patient) or await plans_of(ctx, patient)


async def tell_lead(ctx: Context, change: Change, timer: StoredTimer, row: TimerKind) -> None:
    leads = await leads_of(ctx, timer.patient)
    if leads:
        await _tell(ctx, change, timer, row, leads, CATEGORY)
    else:
        await tell_plan(ctx, change, timer, row)


async def tell_plan(ctx: Context, change: Change, timer: StoredTimer, row: TimerKind) -> None:
    await _tell(ctx, change, timer, row, await plans_of(ctx, timer.patient), "care-coordination")


async def _tell(
    ctx: Context, change: Change, timer: StoredTimer, row: TimerKind, recipients: list[str], category: str
) -> None:
    member = await ctx.resource(timer.patient)
    who = short_name(member[0]) if member else "A member"
    text = row.text.format(who=who, what=timer.payload.get("what", ""))
    for recipient in recipients:
        identity = derived_id("breach", timer.dedupe, str(timer.start_us), recipient)
        made: Resource = {
            "resourceType": "Communication",
            "id": BREACH + identity,
            "identifier": [{"system": SYSTEM, "value": identity}],
            "status": "completed",
            "category": [{"coding": [{"system": CATEGORY_SYSTEM, "code": category}]}],
            "priority": row.priority,
            "medium": [{"coding": [{"system": MODE, "code": "ELECTRONIC"}]}],
            "subject": {"reference": timer.patient, "display": who},
            "sent": date_time(ctx.now_us),
            "recipient": [{"reference": recipient}],
            "payload": [{"contentString": text}],
        }
        encounter = str(timer.payload.get("encounter") or timer.subject)
        if encounter.startswith("Encounter/") and await ctx.resource(encounter) is not None:
            made |= {"about": [{"reference": encounter}], "encounter": {"reference": encounter}}
        if timer.subject.startswith("Task/") and await ctx.resource(timer.subject) is not None:
            made["about"] = [*made.get("about", []), {"reference": timer.subject}]
        if await ctx.resource(f"Communication/{made['id']}") is None:
            change.writes.append(ctx.write(made, ABSENT))
            change.statements += began(made, ctx.now_us) if category == CATEGORY else []

"""A death that is told of a member who has no stay with us: one alert, about the person (facts/adt.md 1.4).

Where there is a stay, the death is one of its events (stay_picture.death_places).
"""

from collections.abc import Sequence

from fhir_profiles import Resource
from service.access.context import Context
from service.store.change import ABSENT, Change
from service.workflow import alert_routing
from service.workflow.alert_clock import clocked
from service.workflow.member_names import short_name
from service.workflow.stay_events import DAY_US
from service.workflow.stay_transitions import Transition
from service.workflow.stay_world import Message
from service.workflow.transitions_of_care import (
    About,
    Recipient,
    alert_id,
    alert_resources,
    retraction_resources,
    task_id,
)

KEY = "death"


async def told_alone(ctx: Context, patient: str) -> bool:
    """Whether the death was told already, of the person: a stay that becomes known later does not tell it again."""
    recipients = await alert_routing.recipients(ctx, patient)
    return any(one.get("status") == "completed" for one in await _alerts(ctx, patient, recipients))


async def tell_death(ctx: Context, change: Change, patient: str, said: Sequence[Message]) -> bool:
    """said: all that messages of the person say of death, in order. False where there is nobody to tell."""
    died = _died(said)
    recipients = await alert_routing.recipients(ctx, patient)
    message = died or said[-1]
    held = await ctx.resource(patient)
    member = short_name(held[0]) if held else ""
    facility = message.event.facility.name or "a hospital"
    reference = message.event.facility.reference
    at_us = message.event.occurred or message.row.received_us
    if died is None:
        task = await ctx.resource(f"Task/{task_id(patient, KEY)}")
        made = retraction_resources(
            Transition("retract", KEY, KEY, at_us, "", reason="corrected"),
            alerts=await _alerts(ctx, patient, recipients),
            tasks=[task[0]] if task else [],
            member_display=member,
            facility_display=facility,
            now_us=ctx.now_us,
        )
    else:
        late = message.row.received_us - at_us > DAY_US
        made = alert_resources(
            Transition("alert", KEY, KEY, at_us, "", realtime=not late, quiet_reason="late" if late else ""),
            encounter_ref=patient,
            patient_ref=patient,
            member_display=member,
            recipients=recipients,
            facility_display=facility,
            now_us=ctx.now_us,
            sender={"reference": reference, "display": facility} if reference else None,
            about=About(received_us=message.row.received_us),
        )
    await _write(ctx, change, patient, [_without_stay(one) for one in made])
    return bool(recipients) or died is None


def _died(messages: Sequence[Message]) -> Message | None:
    """The last word counts; the first of the last unbroken run of Y is when it became known."""
    known: Message | None = None
    for message in reversed(messages):
        if not message.event.patient.deceased:
            break
        known = message
    return known


async def _alerts(ctx: Context, patient: str, recipients: Sequence[Recipient]) -> list[Resource]:
    found = [await ctx.resource(f"Communication/{alert_id(patient, KEY, one.reference)}") for one in recipients]
    return [one[0] for one in found if one]


def _without_stay(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "encounter"}


async def _write(ctx: Context, change: Change, patient: str, made: Sequence[Resource]) -> None:
    written = []
    for resource in made:
        current = await ctx.resource(f"{resource['resourceType']}/{resource['id']}")
        if current is None or current[0].get("status") != resource.get("status"):
            change.writes.append(ctx.write(resource, current[1] if current else ABSENT))
            written.append(resource)
    change.statements += clocked(written, written, {}, ctx.now_us)
    if written:
        change.audit.append(ctx.audit("U", "adt-applied", patient, (patient,)))

"""A warm hand-off: who took part, when and how, who took the member over, and when somebody asks what became of it.

It is kept as a Communication (category warm-hand-off) and as an output of the referral's Task; the promised follow-up
is a Task of who referred. The contact with the member is made: that clock ends. Source: facts/california.md A.8 (R90).
"""

from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import Context
from service.access.labels import stamped
from service.caller import system_caller
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.store.change import ABSENT, Change
from service.workflow import derived, follow_ups, timers
from service.workflow.alert_text import date_time
from service.workflow.referral_breaches import CATEGORY_SYSTEM
from service.workflow.referral_clocks import CONTACT, overdue_of, with_overdue
from service.workflow.stay_identity import derived_id
from service.workflow.steps import Step

CATEGORY = "warm-hand-off"
RECORD = "ho-"
"""How the ids of its Communications begin."""
MEDIA = "https://enlace.example.org/fhir/CodeSystem/outreach-medium"
ACCEPTED_BY = "https://enlace.example.org/fhir/StructureDefinition/enlace-accepted-by"
OPEN = frozenset({"requested", "accepted", "in-progress", "on-hold"})


@dataclass(frozen=True)
class HandOff:
    """participants: references, the member or a relative among them. follow_up: a date, or ""."""

    participants: tuple[str, ...]
    accepted_by: str
    at_us: int
    medium: str
    follow_up: str = ""
    note: str = ""


@dataclass(frozen=True)
class Recorded:
    """References of what was written; follow_up is "" where none was promised."""

    record: str
    follow_up: str = ""


async def record(ctx: Context, change: Change, task: Resource, version: int, labels: int, said: HandOff) -> Recorded:
    """Adds all of it to the Change. The caller stands on a side of the referral; the same again writes nothing.

    The Task's new version is the service's own: an output belongs to the target, and either side may make the call.
    """
    reference = f"Task/{task['id']}"
    record_id = RECORD + derived_id(CATEGORY, reference, str(said.at_us), said.accepted_by)
    made = Recorded(f"Communication/{record_id}")
    service = Context(ctx.store, system_caller(), ctx.now_us, ctx.settings, ctx.request_id)
    if await service.resource(made.record) is None:
        change.writes.append(ctx.write(stamped(_communication(ctx, task, record_id, said), labels), ABSENT))
        kept = with_overdue(task, [code for code in overdue_of(task) if code != "first-contact"])
        output = {
            "type": {"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}], "text": "Warm hand-off"},
            "valueReference": {"reference": made.record},
        }
        changed = {**kept, "output": [*(task.get("output") or ()), output], "lastModified": instant(ctx.now_us)}
        await derived.put(service, change, changed, version, CATEGORY)
        timers.met(service, change, CONTACT, reference)
    else:
        change.relied[reference] = version
    if not said.follow_up:
        return made
    promised = await follow_ups.promise(
        service, change, task, said.follow_up, labels, CATEGORY, cause=record_id, note=said.note
    )
    return Recorded(made.record, promised)


async def check_done(step: Step) -> None:
    """Before an update of a Task: that the member was handed over is not yet what was done."""
    outputs = step.new.get("output") or ()
    if step.new.get("status") != "completed" or (step.old or {}).get("status") == "completed" or not outputs:
        return
    if all(is_record(one) for one in outputs) and not step.ctx.restriction.unrestricted:
        text = "A completed referral says what was done: a hand-off is no such output. Add the Procedure."
        raise FhirError(Category.RULE, [Issue(text, "Task.output", "required")], reason="transition")


def is_record(output: Resource) -> bool:
    """Whether an output says that it is the record of a hand-off."""
    codings = (output.get("type") or {}).get("coding") or ()
    return any(c.get("system") == CATEGORY_SYSTEM and c.get("code") == CATEGORY for c in codings)


def _communication(ctx: Context, task: Resource, fhir_id: str, said: HandOff) -> Resource:
    others = [one for one in said.participants if one != said.accepted_by]
    made: Resource = {
        "resourceType": "Communication",
        "id": fhir_id,
        "extension": [{"url": ACCEPTED_BY, "valueReference": {"reference": said.accepted_by}}],
        "status": "completed",
        "category": [{"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}],
        "medium": [{"coding": [{"system": MEDIA, "code": said.medium}]}],
        "subject": dict(task["for"]),
        "about": [{"reference": f"Task/{task['id']}"}, dict(task["focus"])],
        "sent": date_time(said.at_us),
        "received": date_time(said.at_us),
        "sender": {"reference": ctx.caller.person or ctx.caller.organization},
        "recipient": [{"reference": one} for one in (said.accepted_by, *others)],
        "payload": [{"contentString": "Warm hand-off of the member, with all who are named in one conversation."}],
    }
    if said.note:
        made["note"] = [{"text": said.note}]
    return made

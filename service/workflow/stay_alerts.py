"""The diff of a stay -> Communications and Tasks as writes: who is told, what exists already, what is taken back."""

from dataclasses import dataclass

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.store import stays
from service.store.change import Change
from service.workflow.stay_transitions import Transition, transitions
from service.workflow.stays import StayState
from service.workflow.transitions_of_care import (
    Recipient,
    alert_id,
    alert_resources,
    retraction_resources,
    task_id,
)

ROUTE = ("lead-care-manager", "ecm-provider")
"""Who is told: the first of these roles that anyone has for the member now."""


@dataclass(frozen=True)
class Told:
    """What every alert about a stay names."""

    encounter: str
    patient: str
    member: str
    facility: str
    facility_reference: str


class _Known:
    """What was told of this stay so far, and in this Change."""

    def __init__(self, rows: list[tuple[str, str, int, bytes]]):
        self.resources: dict[str, Resource] = {}
        self.versions: dict[str, int] = {}
        for rtype, fhir_id, version, body in rows:
            self.resources[f"{rtype}/{fhir_id}"] = parse(body)
            self.versions[f"{rtype}/{fhir_id}"] = version
        self.changed: dict[str, Resource] = {}

    def put(self, resource: Resource) -> bool:
        """Whether this is news: a new resource, or a new version of one that is taken back or true again."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        known = self.resources.get(reference)
        if known is not None:
            taken_back = known.get("status") in ("entered-in-error", "cancelled")
            if known.get("status") == resource["status"]:
                return False
            if resource["status"] in ("completed", "requested") and not taken_back:
                return False  # told already; what the care manager did with it stays
        self.resources[reference] = self.changed[reference] = resource
        return True

    def alerts(self, told: Told, key: str) -> list[Resource]:
        return [
            resource
            for reference, resource in self.resources.items()
            if reference.startswith("Communication/")
            and any(
                resource["id"] == alert_id(told.encounter, key, str(r.get("reference", "")))
                for r in resource.get("recipient", ())
            )
        ]

    def tasks(self, told: Told, key: str) -> list[Resource]:
        task = self.resources.get(f"Task/{task_id(told.encounter, key)}")
        return [task] if task else []


async def alert_writes(
    ctx: Context, change: Change, told: Told, was: StayState | None, now: StayState
) -> tuple[list[Transition], bool]:
    """Adds the writes to the Change; (transitions that told somebody something, whether there was anybody to tell)."""
    todo = transitions(was, now)
    if not todo:
        return [], True
    known = _Known(await stays.told(ctx.store, told.encounter))
    recipients = await _recipients(ctx, told.patient)
    done: list[Transition] = []
    for transition in todo:
        made = (
            _alert(transition, told, recipients, known, ctx.now_us)
            if transition.action == "alert"
            else _retraction(transition, told, recipients, known, ctx.now_us)
        )
        if any([known.put(resource) for resource in made]):
            done.append(transition)
    for reference, resource in known.changed.items():
        change.writes.append(ctx.write(resource, known.versions.get(reference, 0)))
    return done, bool(recipients) or all(transition.action != "alert" for transition in todo)


def _alert(
    transition: Transition, told: Told, recipients: list[Recipient], known: _Known, now_us: int
) -> list[Resource]:
    answers = [str(alert["id"]) for alert in known.alerts(told, transition.replaces)] if transition.replaces else []
    sender = {"reference": told.facility_reference, "display": told.facility} if told.facility_reference else None
    return alert_resources(
        transition,
        encounter_ref=told.encounter,
        patient_ref=told.patient,
        member_display=told.member,
        recipients=recipients,
        facility_display=told.facility,
        now_us=now_us,
        sender=sender,
        answers=answers,
    )


def _retraction(
    transition: Transition, told: Told, recipients: list[Recipient], known: _Known, now_us: int
) -> list[Resource]:
    return retraction_resources(
        transition,
        alerts=known.alerts(told, transition.key),
        tasks=known.tasks(told, transition.key),
        member_display=told.member,
        facility_display=told.facility,
        now_us=now_us,
        informed=[r.reference for r in recipients],
    )


async def _recipients(ctx: Context, patient: str) -> list[Recipient]:
    for role in ROUTE:
        references = await stays.responsible(ctx.store, patient, role, ctx.now_us)
        if references:
            return [Recipient(reference, lead=True) for reference in references]
    return []

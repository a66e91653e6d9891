"""A discharge -> CarePlan and Tasks of transitional care, and what ends them. Pure.

https://hl7.org/fhir/R4/careplan.html, https://hl7.org/fhir/R4/task.html. Ids follow from stay, member and discharge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles import Resource
from service.clock import instant
from service.workflow.alert_text import date_time
from service.workflow.stay_identity import derived_id
from service.workflow.tcs_definition import URL, Action
from service.workflow.tcs_rules import CANCELLED, DEATH, SUPERSEDED
from service.workflow.transitions_of_care import ALERT_SYSTEM, FOLLOW_UP_SYSTEM, OPEN

ENDED_BECAUSE = "https://enlace.example.org/fhir/StructureDefinition/enlace-ended-because"
PLAN_CATEGORY = "https://enlace.example.org/fhir/CodeSystem/care-plan-category"
US_CORE = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
REASONS = {
    CANCELLED: "The discharge was cancelled, or was of another person.",
    SUPERSEDED: "A later discharge within 7 days begins the transitional care anew.",
    DEATH: "The member has died.",
}
DAY_US = 86_400_000_000
SUPPORT_DAYS = 30
PREFIX = "tcs-"


@dataclass(frozen=True)
class Discharge:
    """A discharge that stands. number: distinguishes those of one stay. key: of its alert (stay_milestones.py)."""

    encounter: str
    patient: str
    number: str
    at_us: int
    key: str
    member: str = ""
    fhir_id: str = ""
    """Of its CarePlan where that is known already."""

    @property
    def plan_id(self) -> str:
        return self.fhir_id or PREFIX + derived_id("tcs", self.encounter, self.patient, self.number)


def number_of(key: str) -> str:
    """discharge.<number>.<where to> -> <number>: that it becomes known where to makes no other discharge of it."""
    return key.split(".")[1]


def task_ref(plan_id: str, action: str) -> str:
    return f"Task/{PREFIX}{derived_id('tcs-task', plan_id, action)}"


def care_plan(discharge: Discharge, *, now_us: int, follows: str, author: str) -> Resource:
    """author: who answers for it, the lead care manager. The hospital is not named: the Encounter, which may be hidden
    for where it was (a program under 42 CFR Part 2), names it.
    """
    made: Resource = {
        "resourceType": "CarePlan",
        "id": discharge.plan_id,
        "identifier": [{"system": ALERT_SYSTEM, "value": discharge.plan_id}],
        "instantiatesCanonical": [URL],
        "status": "active",
        "intent": "plan",
        "category": [
            {"coding": [{"system": US_CORE, "code": "assess-plan"}]},
            {"coding": [{"system": PLAN_CATEGORY, "code": "tcs"}]},
        ],
        "title": "Transitional care after a discharge",
        "subject": _named(discharge.patient, discharge.member),
        "encounter": {"reference": discharge.encounter},
        "period": period(discharge.at_us),
        "created": date_time(now_us),
    }
    if author:
        made["author"] = {"reference": author}
    if follows:
        made["replaces"] = [{"reference": f"CarePlan/{follows}"}]
    return made


def task(discharge: Discharge, action: Action, *, owner: str, focus: str, due_us: int, now_us: int) -> Resource:
    """focus: the alert of the discharge where there is one, since what is to be done about an alert is told with it."""
    made: Resource = {
        "resourceType": "Task",
        "id": task_ref(discharge.plan_id, action.id).partition("/")[2],
        "identifier": [{"system": ALERT_SYSTEM, "value": f"{discharge.plan_id}-{action.id}"}],
        "instantiatesUri": "#".join((URL, action.id)),
        "basedOn": [{"reference": f"CarePlan/{discharge.plan_id}"}],
        "status": "requested",
        "intent": "order",
        "priority": "urgent" if action.hours <= 24 else "routine",
        "code": {"coding": [{"system": FOLLOW_UP_SYSTEM, "code": action.code}], "text": action.title},
        "focus": {"reference": focus},
        "for": _named(discharge.patient, discharge.member),
        "authoredOn": date_time(now_us),
        "lastModified": instant(now_us),
        "restriction": {"period": {"end": date_time(due_us)}},
    }
    if action.description:
        made["description"] = action.description
    if owner:
        made["owner"] = {"reference": owner}
    return made


def activities(plan_id: str, actions: Sequence[Action]) -> Resource:
    return {"activity": [{"reference": {"reference": task_ref(plan_id, one.id)}} for one in actions]}


def period(at_us: int) -> Resource:
    return {"start": date_time(at_us), "end": date_time(at_us + SUPPORT_DAYS * DAY_US)}


def going_on(plan: Resource) -> Resource:
    """As it was before the service ended it."""
    kept = [e for e in plan.get("extension") or () if e.get("url") != ENDED_BECAUSE]
    made = {name: value for name, value in plan.items() if name not in ("extension", "supportingInfo")}
    return {**made, "status": "active", **({"extension": kept} if kept else {})}


def ended(plan: Resource, reason: str, by: str = "") -> Resource:
    """by: the Encounter that told of the death; kept, so that only it can take that back."""
    other = [e for e in plan.get("extension") or () if e.get("url") != ENDED_BECAUSE]
    made = {**plan, "status": "revoked", "extension": [*other, {"url": ENDED_BECAUSE, "valueCode": reason}]}
    made.pop("supportingInfo", None)
    if by:
        made["supportingInfo"] = [{"reference": by}]
    return made


def reason_of(plan: Resource) -> str:
    """Why the service ended it; "" where it did not."""
    found = [e.get("valueCode") for e in plan.get("extension") or () if e.get("url") == ENDED_BECAUSE]
    return str(found[0]) if found else ""


def told_by(plan: Resource) -> str:
    return next((str(one.get("reference", "")) for one in plan.get("supportingInfo") or ()), "")


def task_ended(task: Resource, reason: str, now_us: int) -> Resource:
    return {**task, "status": "cancelled", "statusReason": {"text": REASONS[reason]}, "lastModified": instant(now_us)}


def ended_by_service(task: Resource) -> bool:
    """What a person closed stays closed."""
    text = (task.get("statusReason") or {}).get("text")
    return task.get("status") == "cancelled" and text in REASONS.values()


def is_open(task: Resource) -> bool:
    return task.get("status") in OPEN


def _named(reference: str, display: str) -> Resource:
    return {"reference": reference, "display": display} if display else {"reference": reference}

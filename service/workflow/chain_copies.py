"""A referral forwarded: the ServiceRequest and the Tasks that its owner writes for others. Pure.

Source: ../shared/facts/closed-loop.md 1.1 (refer-1, refer-2), 1.2, 1.5; ../shared/facts/security.md 2.4 (the least that
serves). What the copy holds stands in a table; the source's notes, insurance and identifiers stay with the coordinator.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from service.access.labels import ACT, CONFIDENTIALITY, RESTRICTED, SHOWN, group_names, said
from service.search.clearance import GRADED, GRADES

COPIED = (
    "category",
    "priority",
    "code",
    "orderDetail",
    "quantityQuantity",
    "quantityRatio",
    "quantityRange",
    "subject",
    "occurrenceDateTime",
    "occurrencePeriod",
    "occurrenceTiming",
    "reasonCode",
    "locationCode",
    "patientInstruction",
)
"""Elements of the ServiceRequest that whoever is to fulfil it needs; orderDetail holds the do-not-contact flag."""
FILTERED = ("reasonReference", "supportingInfo")
"""Elements that refer to the record: kept as far as the target may see what they lead to, without their words."""
FULFILL = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}


@dataclass(frozen=True)
class Target:
    """organization: who is asked. service: its HealthcareService, where the coordinator named one."""

    organization: str
    name: str = ""
    service: str = ""

    @property
    def reference(self) -> Resource:
        return {"reference": self.organization, **({"display": self.name} if self.name else {})}


@dataclass(frozen=True)
class Wanted:
    """What the coordinator says beside. due: a dateTime or date."""

    code: Resource = field(default_factory=dict)
    priority: str = ""
    note: str = ""
    due: str = ""


def request_of(
    source: Resource,
    fhir_id: str,
    coordinator: Resource,
    targets: Sequence[Target],
    wanted: Wanted,
    passed: Collection[str],
    now: str,
) -> Resource:
    """The coordinator's ServiceRequest. passed: references of FILTERED that travel."""
    made: Resource = {
        "resourceType": "ServiceRequest",
        "id": fhir_id,
        "basedOn": [{"reference": f"ServiceRequest/{source['id']}"}],
        "status": "active",
        "intent": "filler-order",
        **{name: source[name] for name in COPIED if name in source},
        "authoredOn": now,
        "requester": coordinator,
        "performer": [one for target in targets for one in _performers(target)],
    }
    if wanted.code:
        made["code"] = wanted.code
    if wanted.priority:
        made["priority"] = wanted.priority
    if wanted.note:
        made["note"] = [{"text": wanted.note}]
    for name in FILTERED:
        kept = [{"reference": one["reference"]} for one in source.get(name) or () if one.get("reference") in passed]
        if kept:
            made[name] = kept
    return made


def _performers(target: Target) -> list[Resource]:
    return [target.reference, *([{"reference": target.service}] if target.service else [])]


def task_of(
    parent: Resource,
    request: Resource,
    fhir_id: str,
    coordinator: Resource,
    target: Target,
    wanted: Wanted,
    now: str,
) -> Resource:
    """The Task by which the coordinator asks one target."""
    what = str((request.get("code") or {}).get("text") or "") or _display(request)
    made: Resource = {
        "resourceType": "Task",
        "id": fhir_id,
        "partOf": [{"reference": f"Task/{parent['id']}"}],
        "status": "requested",
        "intent": "order",
        "code": FULFILL,
        "description": f"{what or 'Help with a social need'}: please answer this referral.",
        "focus": {"reference": f"ServiceRequest/{request['id']}"},
        "for": parent["for"],
        "authoredOn": now,
        "lastModified": now,
        "requester": coordinator,
        "owner": target.reference,
    }
    if priority := wanted.priority or parent.get("priority"):
        made["priority"] = priority
    if wanted.note:
        made["note"] = [{"text": wanted.note}]
    if wanted.due:
        made["restriction"] = {"period": {"end": wanted.due}}
    return made


def _display(request: Resource) -> str:
    codings = (request.get("code") or {}).get("coding") or ()
    return next((str(one["display"]) for one in codings if one.get("display")), "")


def labelled(resource: Resource, source: Resource, bits: int) -> Resource:
    """With the labels of what it was copied from: those that stand there, and those that its row bears (`bits`).

    A label that follows from who wrote the source would else be lost: the copy has another author.
    """
    security: list[Any] = list((source.get("meta") or {}).get("security") or ())
    unsaid = bits & ~said(source)
    codes = [SHOWN.get(group, group.upper()) for group in group_names(unsaid & ~GRADED & ~RESTRICTED)]
    security += [{"system": ACT, "code": code} for code in codes]
    if unsaid & GRADED and not any(one.get("system") == CONFIDENTIALITY for one in security):
        security.append({"system": CONFIDENTIALITY, "code": "V" if unsaid & GRADES["V"] else "R"})
    if not security:
        return resource
    return {**resource, "meta": {**(resource.get("meta") or {}), "security": security}}

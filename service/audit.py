"""Audit rows as FHIR AuditEvents (IHE BALP shapes), rendered on read. https://hl7.org/fhir/R4/auditevent.html"""

from dataclasses import dataclass

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.clock import instant
from service.store.audit_rows import StoredAudit
from service.store.read import Found
from service.store.slots import vid_at

_REST = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "RESTful Operation",
}
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_OWN = "https://enlace.example.org/fhir/CodeSystem/audit-kind"
_KNOWN = frozenset(
    "read vread create update patch delete search-type search-system history history-instance batch transaction".split()
)
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"


@dataclass(frozen=True)
class RenderedEvent(Found):
    patient_reference: str = ""


def events(row: StoredAudit, base_url: str) -> list[RenderedEvent]:
    """One AuditEvent for each patient of the row, or one without a patient."""
    out = []
    for number, patient in enumerate(row.patients or ("",)):
        fhir_id = f"{row.slot}-{row.seq}-{number}"
        body = write_json(_resource(row, fhir_id, patient))
        out.append(
            RenderedEvent(0, "AuditEvent", fhir_id, 1, vid_at(row.at_us), False, body, None, patient_reference=patient)
        )
    return out


def _resource(row: StoredAudit, fhir_id: str, patient: str) -> Resource:
    subtype = {"system": _INTERACTION if row.kind in _KNOWN else _OWN, "code": row.kind}
    who: Resource = {"display": row.actor}
    if "/" in row.actor:
        who = {"reference": row.actor}
    agent: Resource = {"who": who, "requestor": True}
    resource: Resource = {
        "resourceType": "AuditEvent",
        "id": fhir_id,
        "meta": {"versionId": "1", "lastUpdated": instant(row.at_us)},
        "type": _REST,
        "subtype": [subtype],
        "action": row.action,
        "recorded": instant(row.at_us),
        "outcome": str(row.outcome),
        "agent": [agent, {"who": {"reference": row.organization}, "requestor": False}],
        "source": {"observer": {"display": "Enlace"}},
    }
    if row.reason:
        resource["outcomeDesc"] = row.reason
    if row.purpose:
        purpose = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": row.purpose}
        resource["purposeOfEvent"] = [{"coding": [purpose]}]
    entities = _entities(row, patient)
    if entities:
        resource["entity"] = entities
    return resource


def _entities(row: StoredAudit, patient: str) -> list[Resource]:
    entities: list[Resource] = []
    if patient:
        entities.append({"what": {"reference": patient}, "role": {"system": _ROLE, "code": "1", "display": "Patient"}})
    if "?" in row.target:
        entities.append({"description": row.target, "role": {"system": _ROLE, "code": "24", "display": "Query"}})
    elif "/" in row.target:
        entities.append({"what": {"reference": row.target.split("/_history")[0]}})
    if row.request_id:
        entities.append({"what": {"identifier": {"value": row.request_id}}, "description": "X-Request-Id"})
    return entities


def warnings(texts: tuple[str, ...]) -> bytes | None:
    if not texts:
        return None
    issues = [{"severity": "warning", "code": "not-supported", "diagnostics": text} for text in texts]
    return write_json({"resourceType": "OperationOutcome", "issue": issues})

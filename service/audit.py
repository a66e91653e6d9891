"""Audit rows as FHIR AuditEvents by IHE BALP 1.1, rendered on read: https://profiles.ihe.net/ITI/BALP/content.html

A profile is claimed only where the event holds all that it demands; what went wrong follows none of them, by the rule
of BALP. Row and detail: service/store/audit_rows.py, service/access/audit_detail.py.
"""

import base64
import re
from dataclasses import dataclass
from typing import NamedTuple

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.clock import instant
from service.store.audit_rows import StoredAudit
from service.store.read import Found
from service.store.slots import vid_at

_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_OWN = "https://enlace.example.org/fhir/CodeSystem/audit-kind"
_KNOWN = frozenset(
    "read vread create update patch delete search-type search-system history history-instance batch transaction".split()
)
_BALP = "https://profiles.ihe.net/ITI/BALP"
_PROFILE = f"{_BALP}/StructureDefinition/IHE.BasicAudit."
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

_THING = re.compile(r"([A-Z][A-Za-z]+/(?!_)[A-Za-z0-9.-]{1,64}(?:/_history/\d+)?)(?:/_history|/\$[a-z-]+)?\Z")

SOURCE, DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")
_RECIPIENT, _AUTHOR = ("IRCP", "information recipient"), ("AUT", "author (originator)")
_CUSTODIAN = ("CST", "custodian")
_REST = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
_LOGIN = (_DCM, "110114", "User Authentication")
_IMPORT = (_DCM, "110107", "Import")
_EXPORT = (_DCM, "110106", "Export")


class Shape(NamedTuple):
    """How a kind of act is told. profile: of BALP, "" where it has none. client, server: whence and whereto data goes.

    user: as what a person takes part. type: of the event.
    """

    profile: str = ""
    client: tuple[str, str] = SOURCE
    server: tuple[str, str] = DESTINATION
    user: tuple[str, str] = _RECIPIENT
    type: tuple[str, str, str] = _REST


_READ = Shape("Read", DESTINATION, SOURCE)
_QUERY = Shape("Query")
_CREATE, _UPDATE = Shape("Create", user=_AUTHOR), Shape("Update", user=_AUTHOR)
SHAPES = {
    "read": _READ,
    "vread": _READ,
    "create": _CREATE,
    "update": _UPDATE,
    "patch": _UPDATE,
    "delete": Shape("Delete", user=_CUSTODIAN),
    "search-type": _QUERY,
    "search-system": _QUERY,
    "create-existing": Shape("", DESTINATION, SOURCE),
    **dict.fromkeys(("login", "logout", "token", "introspect", "revoke", "sandbox-token"), Shape(type=_LOGIN)),
    **dict.fromkeys(("hl7v2", "adt-applied", "file-received", "file-import", "file-row"), Shape(type=_IMPORT)),
    **dict.fromkeys(("message-read", "backup"), Shape(type=_EXPORT)),
}
"""Kind of an audit row -> its shape; all others: Shape()."""


@dataclass(frozen=True)
class RenderedEvent(Found):
    patient_reference: str = ""


def events(row: StoredAudit, base_url: str) -> list[RenderedEvent]:
    """One AuditEvent for each patient of the row, or one without a patient; and one for each consent decision."""
    out = []
    for number, patient in enumerate(row.patients or ("",)):
        fhir_id = f"{row.name}-{number}"
        out.append(rendered(row, fhir_id, patient, _event(row, patient, base_url)))
        consents = consents_of(row, patient)
        if consents:
            own_id = f"{fhir_id}-c"
            out.append(rendered(row, own_id, patient, _consent_event(row, patient, consents, base_url)))
    return out


def rendered(row: StoredAudit, fhir_id: str, patient: str, event: Resource) -> RenderedEvent:
    at = instant(row.at_us)
    meta: Resource = {"versionId": "1", "lastUpdated": at}
    if event.get("profiles"):
        meta["profile"] = event["profiles"]
    rest = {name: value for name, value in event.items() if name != "profiles"}
    resource = {"resourceType": "AuditEvent", "id": fhir_id, "meta": meta, **rest}
    body = write_json(resource)
    return RenderedEvent(0, "AuditEvent", fhir_id, 1, vid_at(row.at_us), False, body, None, patient_reference=patient)


def consents_of(row: StoredAudit, patient: str) -> list[str]:
    """Consents that were consulted about a patient, as the row's detail says: a list, or one for each patient."""
    found = row.more.get("consents") or []
    return list(found.get(patient, ()) if isinstance(found, dict) else found) if patient else []


def _event(row: StoredAudit, patient: str, base_url: str) -> Resource:
    shape = SHAPES.get(row.kind, Shape())
    entities = _entities(row, patient, shape)
    resource = frame(row, shape.type, _subtypes(row), row.action)
    resource["agent"] = _agents(row, shape, base_url)
    resource["source"] = _source(base_url)
    if entities:
        resource["entity"] = entities
    profiles = [f"{_PROFILE}{'Patient' if patient else ''}{shape.profile}"] if _fulfilled(row, shape) else []
    profiles += [f"{_PROFILE}OAUTHaccessTokenUse.Minimal"] if row.more.get("tok") else []
    return {"profiles": profiles, **resource}


def frame(row: StoredAudit, kind: tuple[str, str, str], subtypes: list[Resource], action: str) -> Resource:
    """What every event says: what, when, how it ended, why."""
    resource: Resource = {
        "type": coding(*kind),
        "subtype": subtypes,
        "action": action,
        "recorded": instant(row.at_us),
        "outcome": str(row.outcome),
    }
    if row.reason:
        resource["outcomeDesc"] = row.reason
    if row.purpose:
        resource["purposeOfEvent"] = purposes(row)
    return resource


def _fulfilled(row: StoredAudit, shape: Shape) -> bool:
    """Whether the profile's demands are met: success, the client's address, and the resource where it asks for one."""
    met = shape.profile == "Query" or _THING.match(row.target)
    return bool(shape.profile and row.outcome == 0 and row.more.get("net") and met)


def _subtypes(row: StoredAudit) -> list[Resource]:
    found = [{"system": _INTERACTION if row.kind in _KNOWN else _OWN, "code": row.kind}]
    return [coding(_INTERACTION, "search", "search"), *found] if row.kind.startswith("search-") else found


# --- agents --------------------------------------------------------------------------------------------------------


def _agents(row: StoredAudit, shape: Shape, base_url: str) -> list[Resource]:
    person = "/" in row.actor
    agents = [
        {**client(row, (_DCM, *shape.client)), "requestor": not person},
        {**server((_DCM, *shape.server), base_url)},
    ]
    if person:
        agents.append(user(row, shape.user))
    if row.organization:
        agents.append(organization(row))
    if row.more.get("tok"):
        agents.append(_token_user(row))
    return agents


def client(row: StoredAudit, role: tuple[str, str, str]) -> Resource:
    """The system that called, by its client id, from its address."""
    agent: Resource = {"type": {"coding": [coding(*role)]}, "who": _client_who(row), "requestor": False}
    if row.more.get("net"):
        agent["network"] = {"address": row.more["net"], "type": "2"}
    return agent


def _client_who(row: StoredAudit) -> Resource:
    name = str(row.more.get("app") or ("" if "/" in row.actor else row.actor))
    return {"identifier": {"value": name}, "display": name} if name else {"display": "unknown client"}


def server(role: tuple[str, str, str], base_url: str) -> Resource:
    """We: named as the source's observer is."""
    network = {"address": base_url, "type": "5"}
    return {
        "type": {"coding": [coding(*role)]},
        "who": _observer(base_url),
        "requestor": False,
        "network": network,
    }


def user(row: StoredAudit, role: tuple[str, str]) -> Resource:
    who: Resource = {"reference": row.actor} if "/" in row.actor else _client_who(row)
    agent: Resource = {"type": {"coding": [coding(_PARTICIPATION, *role)]}, "who": who, "requestor": True}
    if row.purpose:
        agent["purposeOfUse"] = purposes(row)
    return agent


def organization(row: StoredAudit) -> Resource:
    role = coding("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", "healthcare provider")
    return {"type": {"coding": [role]}, "who": {"reference": row.organization}, "requestor": False}


def _token_user(row: StoredAudit) -> Resource:
    """The access token by the end of its digest: enough to tell one from another, never to use it."""
    role = coding(f"{_BALP}/CodeSystem/UserAgentTypes", "UserOauthAgent")
    policy = [f"urn:ietf:params:oauth:jti:{row.more['tok']}"]
    agent: Resource = {"type": {"coding": [role]}, "who": _client_who(row), "requestor": True, "policy": policy}
    return {**agent, "purposeOfUse": purposes(row)} if row.purpose else agent


def _observer(base_url: str) -> Resource:
    return {"identifier": {"value": base_url}, "display": "Enlace"}


def _source(base_url: str) -> Resource:
    kind = coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")
    return {"observer": _observer(base_url), "type": [kind]}


# --- entities ------------------------------------------------------------------------------------------------------


def _entities(row: StoredAudit, patient: str, shape: Shape) -> list[Resource]:
    entities: list[Resource] = []
    if patient:
        entities.append(patient_entity(patient))
    asked = row.more.get("q")
    if asked or shape.profile == "Query" or "?" in row.target:
        entities.append(_query(row, str(asked or row.target)))
    thing = _THING.match(row.target)
    if thing:
        entities.append(data_entity({"reference": thing[1]}))
    elif row.target and shape.profile != "Query" and "?" not in row.target:
        entities.append(data_entity({"identifier": {"value": row.target}}))
    if row.request_id:
        entities.append(_transaction(row))
    return entities


def patient_entity(patient: str) -> Resource:
    kind, role = coding(_ENTITY, "1", "Person"), coding(_ROLE, "1", "Patient")
    return {"what": {"reference": patient}, "type": kind, "role": role}


def data_entity(what: Resource) -> Resource:
    kind, role = coding(_ENTITY, "2", "System Object"), coding(_ROLE, "4", "Domain Resource")
    return {"what": what, "type": kind, "role": role}


def _query(row: StoredAudit, asked: str) -> Resource:
    """The request as it came, whatever it holds; its parameters by name beside it."""
    kind, role = coding(_ENTITY, "2", "System Object"), coding(_ROLE, "24", "Query")
    encoded = base64.b64encode((asked or row.kind).encode("utf-8", "backslashreplace")).decode()
    return {"type": kind, "role": role, "description": row.target or row.kind, "query": encoded}


def _transaction(row: StoredAudit) -> Resource:
    kind = coding(f"{_BALP}/CodeSystem/BasicAuditEntityType", "XrequestId")
    return {"what": {"identifier": {"value": row.request_id}}, "type": kind, "description": "X-Request-Id"}


# --- consent decisions ---------------------------------------------------------------------------------------------


def _consent_event(row: StoredAudit, patient: str, consents: list[str], base_url: str) -> Resource:
    """AuthZconsent: permit and deny alike. https://profiles.ihe.net/ITI/BALP 3:5.7.6"""
    decided = coding(f"{_BALP}/CodeSystem/AuthZsubType", "AuthZ-Consent")
    resource = frame(row, (_DCM, "110113", "Security Alert"), [decided], "E")
    if row.more.get("decision") == "deny" and row.outcome == 0:
        resource["outcome"] = "4"
    authorizer = server(("http://terminology.hl7.org/CodeSystem/extra-security-role-type", "authserver", ""), base_url)
    del authorizer["network"]
    app = client(row, (_DCM, "110150", "Application"))
    resource["agent"] = [app, user(row, _RECIPIENT), organization(row), authorizer]
    resource["source"] = _source(base_url)
    kind = coding("http://hl7.org/fhir/resource-types", "Consent", "Consent")
    resource["entity"] = [patient_entity(patient), *({"what": {"reference": one}, "type": kind} for one in consents)]
    if row.more.get("tok"):
        token = coding(f"{_BALP}/CodeSystem/UserAgentTypes", "UserOauthAgent")
        resource["entity"].append({"what": {"identifier": {"value": row.more["tok"]}}, "type": token})
    return {"profiles": [f"{_PROFILE}AuthZconsent"] if row.more.get("net") else [], **resource}


# --- small parts ---------------------------------------------------------------------------------------------------


def coding(system: str, code: str, display: str = "") -> Resource:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def purposes(row: StoredAudit) -> list[Resource]:
    return [{"coding": [coding(_REASON, row.purpose)]}]


def disclosure(
    row: StoredAudit, patient: str, what: list[Resource], authors: list[Resource], base_url: str
) -> Resource:
    """PrivacyDisclosure.Source: what left its author, to whom. what: entities' `what`; authors: who held it."""
    subtypes = [coding("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose"), *_subtypes(row)]
    resource = frame(row, _EXPORT, subtypes, "R")
    agents = [server((_DCM, *SOURCE), base_url), client(row, (_DCM, *DESTINATION)), user(row, _RECIPIENT)]
    agents.append(organization(row))
    for author in authors:
        agents.append({"type": {"coding": [coding(_PARTICIPATION, *_CUSTODIAN)]}, "who": author, "requestor": False})
    resource["agent"] = agents
    resource["source"] = _source(base_url)
    resource["entity"] = [patient_entity(patient), *map(data_entity, what)]
    profiles = [f"{_PROFILE}PrivacyDisclosure.Source"] if row.more.get("net") else []
    return {"profiles": profiles, **resource}


def warned(texts: tuple[str, ...]) -> list[Resource]:
    return [{"severity": "warning", "code": "not-supported", "diagnostics": text} for text in texts]


def warnings(texts: tuple[str, ...]) -> bytes | None:
    return write_json({"resourceType": "OperationOutcome", "issue": warned(texts)}) if texts else None

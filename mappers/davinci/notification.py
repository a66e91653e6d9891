"""A notification Bundle -> AdtEvent: https://hl7.org/fhir/us/davinci-alerts/ 1.1.0; ../shared/facts/adt.md 4.

Receivers must not fail on what is absent: whatever of the graph is not there stays empty, and a finding says so.
Admission, discharge and transfer are read; of other events the guide says nothing that concerns a stay.
"""

from __future__ import annotations

from typing import NamedTuple

from mappers.davinci.graph import Graph, Resource, first, first_code, objects, reference_of, text
from mappers.davinci.person import identifiers, patient
from mappers.davinci.visit import facility, moment, visit
from mappers.hl7v2.adt_events import EVENTS
from mappers.hl7v2.event import AdtEvent, Facility, StayKey
from mappers.hl7v2.event import Patient as Who
from mappers.hl7v2.event import Visit as Stay
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.source import SourceConfig

EVENT_SYSTEM = "http://hl7.org/fhir/us/davinci-alerts/CodeSystem/notification-event"
GONE = frozenset({"cancelled", "entered-in-error"})
_SKEW_US = 15 * 60 * 1_000_000


class Envelope(NamedTuple):
    """What is stored of a notification beside its bytes: who sends (as MSH-3, MSH-4), its id, its event, its stay."""

    sender: tuple[str, str]
    control_id: str
    event: str
    stay: str


def problems(bundle: Resource) -> list[str]:
    """What makes a Bundle no notification, a sentence each: without these nothing could be done with it."""
    graph, entries = Graph(bundle), objects(bundle.get("entry"))
    header = first(entries[0].get("resource")) if entries else {}
    found = []
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "message":
        found.append("The body is a Bundle of type message.")
    if header.get("resourceType") != "MessageHeader":
        found.append("Bundle.entry[0].resource is the MessageHeader.")
    elif not text(first(header.get("eventCoding")).get("code")):
        found.append("MessageHeader.eventCoding.code says what happened, such as notification-admit.")
    elif header.get("response"):
        found.append("MessageHeader.response is absent: a notification answers nothing.")
    if header and not any(
        (graph.at(reference_of(one)) or {}).get("resourceType") == "Encounter" for one in _focus(header)
    ):
        found.append("MessageHeader.focus refers to an Encounter of the Bundle.")
    return found


def envelope(bundle: Resource) -> Envelope:
    graph = Graph(bundle)
    header, encounter = graph.first("MessageHeader") or {}, _encounter(graph)
    told = first(header.get("source"))
    number = next((text(one.get("value")) for one in objects((encounter or {}).get("identifier"))), "")
    return Envelope(
        (text(told.get("name")) or text(told.get("software")), text(told.get("endpoint"))),
        text(bundle.get("id")) or text(header.get("id")),
        trigger(header, encounter or {}),
        number,
    )


def trigger(header: Resource, encounter: Resource) -> str:
    """The ADT event that a notification amounts to, "" where it is none of a stay.

    The guide has no word for taking back: the event comes again, and Encounter.status says what it is now.
    """
    status, kind = text(encounter.get("status")), first_code(encounter.get("class"))
    told = text(first(header.get("eventCoding")).get("code")).removeprefix("notification-")
    if told not in ("admit", "discharge", "transfer"):
        return ""
    if status in GONE:
        return "A11"
    if told == "admit":
        return "A04" if kind == "EMER" else "A01"
    if told == "discharge":
        return "A13" if status in ("arrived", "triaged", "in-progress") else "A03"
    return "A03" if status == "finished" else "A06"  # to another hospital, or ED to inpatient: never a bed move


def to_events(bundle: Resource, source: SourceConfig, received_us: int) -> tuple[tuple[AdtEvent, ...], list[Finding]]:
    """The event of a notification; none with the reason why, as mappers.hl7v2.adt.to_events."""
    graph = Graph(bundle)
    header, encounter = graph.first("MessageHeader"), _encounter(graph)
    if header is None or encounter is None:
        said = "MessageHeader.focus names no Encounter of the Bundle."
        return (), [Finding("segment-missing", "MessageHeader.focus", "error", said)]
    code = trigger(header, encounter)
    if code not in EVENTS:
        said = "The notification is no admission, discharge or transfer."
        return (), [Finding("event-unsupported", "MessageHeader.event", "error", said)]
    who = graph.at(reference_of(encounter.get("subject"))) or graph.first("Patient")
    if who is None:
        said = "Encounter.subject names no Patient of the Bundle; nobody can be matched."
        return (), [Finding("segment-missing", "Encounter.subject", "error", said)]
    findings: list[Finding] = []
    place = facility(graph, header, encounter, source)
    here = source.at(place.npi, place.id, place.name)
    person = patient(who, graph.all("Coverage"), here, findings)
    stay = visit(graph, encounter, EVENTS[code].effect, here, findings)
    place = Facility(here.facility, here.facility_display or place.name, place.npi, place.id)
    key = _key(encounter, here, place, person, stay)
    return (_event(code, graph, here, place, person, stay, key, received_us, findings),), findings


def _event(
    code: str, graph: Graph, source: SourceConfig, place: Facility, person: Who, stay: Stay, key: StayKey,
    received_us: int, findings: list[Finding],
) -> AdtEvent:  # fmt: skip
    row = EVENTS[code]
    sent = moment(graph.bundle.get("timestamp"), "Bundle.timestamp", source, findings)
    ends = row.effect == "discharge"
    own, words = (stay.discharge, stay.discharge_text) if ends else (stay.admit, stay.admit_text)
    origin, latest = "PV1-45" if ends else "PV1-44", (sent.us if sent else received_us) + _SKEW_US
    if own is None or own > latest or row.effect not in ("admit", "register", "discharge"):
        own, words, origin = (sent.us, sent.fhir, "MSH-7") if sent else (received_us, "", "received")
    return AdtEvent(
        code=row.code,
        effect=row.effect,
        rank=row.rank,
        alert=row.alert,
        cancels=row.cancels,
        source=source.name,
        control_id=envelope(graph.bundle).control_id,
        processing_id="P",
        occurred=own,
        occurred_text=words,
        occurred_source=origin,
        cancelled=None,
        message_time=sent.us if sent else None,
        recorded=None,
        planned=None,
        facility=place,
        stay=key,
        patient=person,
        visit=stay,
    )


def _key(encounter: Resource, source: SourceConfig, place: Facility, person: Who, stay: Stay) -> StayKey:
    record = next((i for i in person.ids if i.type in ("MR", "PI", "PT", "")), None)
    numbers = identifiers(encounter, source)
    own = next((i for i in numbers if i.type != "AN"), None)
    account = next((i for i in numbers if i.type == "AN"), None)
    if own is None and encounter.get("id"):
        return StayKey(facility=source.facility or place.id or source.name, visit_number=str(encounter["id"]))
    return StayKey(
        facility=source.facility or place.id or place.name or source.name,
        visit_number=own.value if own else "",
        visit_authority=own.authority if own else "",
        account=account.value if account else "",
        account_authority=account.authority if account else "",
        mrn=record.value if record else "",
        mrn_authority=record.authority if record else "",
        admit=stay.admit,
        visit_system=own.system if own else "",
        account_system=account.system if account else "",
    )


def _focus(header: Resource) -> list[Resource]:
    return objects(header.get("focus"))


def _encounter(graph: Graph) -> Resource | None:
    header = graph.first("MessageHeader") or {}
    found = (graph.at(reference_of(one)) for one in _focus(header))
    return next((one for one in found if one and one.get("resourceType") == "Encounter"), None)

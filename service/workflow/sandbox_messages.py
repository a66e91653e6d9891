"""What a made-up hospital sends of a member of the sandbox: an admission (A01), and the discharge (A03) of that stay.

Pure. The stay is read back from its Encounter, so that nothing beside the store has to be remembered.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from mappers.hl7v2.simulate import message
from service.search.dates import parse
from service.workflow.candidates import CIN_SYSTEM
from service.workflow.parties import reference_of

VISIT = "TRY"
"""First letters of the visit numbers of these stays; the rest is the microsecond of the admission."""
_BED = {"patient_class": "I", "location": "4W^401^A", "diagnosis": "I50.9^Heart failure"}
HOME = "01"


@dataclass(frozen=True)
class Source:
    """A registered sending system, as far as a message needs it. organization: relative reference."""

    name: str
    application: str
    facility: str
    organization: str
    config: Mapping[str, Any]


def member_facts(patient: Resource) -> dict[str, Any] | None:
    """What a hospital knows of a Patient, as simulate.message takes it; None for one without a CIN or a name."""
    cin = next((i.get("value") for i in patient.get("identifier", ()) if i.get("system") == CIN_SYSTEM), None)
    name = (patient.get("name") or [{}])[0]
    if not cin or not name.get("family"):
        return None
    address = (patient.get("address") or [{}])[0]
    phone = next((t.get("value") for t in patient.get("telecom", ()) if t.get("system") == "phone"), "")
    return {
        "cin": cin,
        "mrn": f"M{str(patient['id'])[-10:]}",
        "family": name["family"],
        "given": (name.get("given") or [""])[0],
        "birth_date": patient.get("birthDate", ""),
        "sex": str(patient.get("gender", "unknown")),
        "phone": phone,
        "address": {
            "line": (address.get("line") or [""])[0],
            "city": address.get("city", ""),
            "state": address.get("state", ""),
            "zip": address.get("postalCode", ""),
        },
    }


def admission(member: Mapping[str, Any], source: Source, now_us: int) -> bytes:
    """An A01 of now. Another microsecond is another stay."""
    return _message("A01", member, source, f"{VISIT}{now_us}", now_us, now_us, None)


def discharge(member: Mapping[str, Any], source: Source, stay: Resource, now_us: int) -> bytes:
    """The A03 of a stay that `admission` began."""
    start = str((stay.get("period") or {}).get("start") or "")
    admitted = parse(start)[0] if start else now_us
    return _message("A03", member, source, visit_of(stay), now_us, admitted, now_us)


def visit_of(stay: Resource) -> str:
    """The visit number of an Encounter that came from here, else ""."""
    numbers = (str(i.get("value") or "") for i in stay.get("identifier") or ())
    return next((n for n in numbers if n.startswith(VISIT) and n[len(VISIT) :].isdigit()), "")


def next_member(members: Iterable[Resource], stays: Iterable[Resource]) -> Resource | None:
    """Whom to admit: nobody who is in hospital; first who was not there yet, then who left longest ago."""
    inside: set[str] = set()
    last: dict[str, str] = {}
    for stay in stays:
        patient = reference_of(stay, "subject")
        if stay.get("status") == "in-progress":
            inside.add(patient)
        last[patient] = max(last.get(patient, ""), str((stay.get("period") or {}).get("start") or ""))
    free = [m for m in members if f"Patient/{m['id']}" not in inside and member_facts(m)]
    return min(free, key=lambda m: (last.get(f"Patient/{m['id']}", ""), str(m["id"])), default=None)


def control_id(visit: str, event: str) -> str:
    """MSH-10 of a message from here: a stay has one of each event."""
    return f"{visit}-{event}"


def stays_to_end(stays: Iterable[Resource]) -> list[Resource]:
    """Our own open stays, the one that began last first."""
    ours = [stay for stay in stays if stay.get("status") == "in-progress" and visit_of(stay)]
    return sorted(ours, key=lambda stay: int(visit_of(stay)[len(VISIT) :]), reverse=True)


def sender_of(sources: Collection[Source], name: str, facility: str) -> Source | None:
    """Who sent the admission: its name in the inbox; a source that is gone is stood in for by its hospital's."""
    own = (source for source in sources if source.name == name)
    return next(own, None) or next((source for source in sources if source.organization == facility), None)


def _message(
    event: str,
    member: Mapping[str, Any],
    source: Source,
    visit: str,
    occurred_us: int,
    admit_us: int,
    discharge_us: int | None,
) -> bytes:
    hospital = {
        "name": source.config.get("display") or source.name,
        "application": source.application,
        "facility": source.facility,
        "zone": source.config.get("zone", "America/Los_Angeles"),
        "enhanced": source.config.get("ack_mode") == "enhanced",
    }
    return message(
        event,
        member,
        hospital,
        control_id=control_id(visit, event),
        at_us=occurred_us,
        occurred_us=occurred_us,
        admit_us=admit_us,
        discharge_us=discharge_us,
        visit_number=visit,
        account=f"A{visit}",
        disposition=HOME if event == "A03" else None,
        **_BED,
    )

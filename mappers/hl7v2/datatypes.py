"""HL7 v2 data types -> plain facts: HD, CX, XPN, XAD, XTN, XCN, PL, CWE (v2.5.1 chapter 2A; v2-to-FHIR maps)."""

from __future__ import annotations

import re

from mappers.hl7v2.code_tables import look_up
from mappers.hl7v2.event import Address, Coded, Contact, Identifier, Name, Person, Place
from mappers.hl7v2.findings import Finding, Severity
from mappers.hl7v2.message import Rep, Segment
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.times import Moment, read_time

NAMING_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/"
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_HL7_TABLE = re.compile(r"HL7(\d{4})\Z", re.ASCII | re.IGNORECASE)
_NPI = re.compile(r"[12]\d{9}\Z", re.ASCII)
_TIME_SEVERITY: dict[str, Severity] = {
    "time-unreadable": "warning",
    "time-impossible": "warning",
    "time-offset-impossible": "warning",
    "time-dst-gap": "warning",
    "time-dst-overlap": "warning",
}
_TIME_TEXT = {
    "time-unreadable": "The time is in no known format; send YYYYMMDDHHMMSS+/-ZZZZ.",
    "time-impossible": "The time cannot exist; only its date was taken, if that can.",
    "time-placeholder": "The time is a placeholder and was taken as absent.",
    "time-offset-odd": "The offset from UTC is malformed; its first four digits were taken.",
    "time-offset-impossible": "The offset from UTC cannot exist; the zone of the source was taken.",
    "time-midnight-2400": "2400 was read as midnight at the end of that day.",
    "time-dst-overlap": "The hour exists twice on that night; the later was taken. Send an offset.",
    "time-dst-gap": "The hour does not exist on that night; it was moved by the change of clocks. Send an offset.",
}


def moment(segment: Segment, number: int, source: SourceConfig, findings: list[Finding]) -> Moment | None:
    """A DTM or TS field in the zone of the source."""
    text = segment.get(number)
    if not text:
        return None
    value, remarks = read_time(text, source.tz)
    location = f"{segment.name}-{number}"
    for remark in remarks:
        severity = _TIME_SEVERITY.get(remark, "information")
        findings.append(Finding(remark, location, severity, _TIME_TEXT[remark]))
    return value


def authority_uri(rep: Rep, comp: int, source: SourceConfig, kind: str = "") -> tuple[str, str]:
    """(system URI, authority as sent) of an HD in a component: what the source has registered for it, else an OID or
    UUID if given, else a name of ours by source.

    A bare namespace is unique to its sender only, so the URI carries the source's name.
    """
    namespace, universal, form = rep.get(comp, 1), rep.get(comp, 2), rep.get(comp, 3).upper()
    if source.authorities and (registered := source.authority(universal, namespace)):
        return registered, namespace or universal
    if _OID.match(universal) and form in ("ISO", ""):
        return f"urn:oid:{universal}", namespace or universal
    if _UUID.match(universal):
        return f"urn:uuid:{universal.lower()}", namespace or universal
    if form == "URI" and ":" in universal:
        return universal, namespace or universal
    name = namespace or universal
    slug = _NOT_SLUG.sub("-", f"{source.name} {name or kind or 'id'}".lower()).strip("-")
    return NAMING_SYSTEM + slug, name


def authority(segment: Segment, number: int) -> str:
    """CX-4 of a number of a visit or account as StayKey has it: the universal id, else the namespace."""
    return segment.get(number, comp=4, sub=2) or segment.get(number, comp=4)


def registered_system(segment: Segment, number: int, source: SourceConfig) -> str:
    """The URI that the source has registered for the authority of such a number, else ""."""
    return source.authority(segment.get(number, comp=4, sub=2), segment.get(number, comp=4))


def identifier(rep: Rep, location: str, source: SourceConfig, findings: list[Finding]) -> Identifier | None:
    """A CX; None where it has no value."""
    value = rep.get(1)
    if not value:
        return None
    sent = rep.get(5)
    kind = look_up("id_type", sent, f"{location}.5", findings, "information").get("type", sent)
    system, authority = authority_uri(rep, 4, source, kind)
    return Identifier(value, system, authority, kind)


def name(rep: Rep, location: str, findings: list[Finding]) -> Name | None:
    """An XPN; None where neither family nor given name is there."""
    family, given = rep.get(1), tuple(g for g in (rep.get(2), rep.get(3)) if g)
    if not family and not given:
        return None
    use = look_up("name_use", rep.get(7), f"{location}.7", findings).get("use", "")
    return Name(family, given, rep.get(4), rep.get(5), use)


def contact(rep: Rep, location: str, findings: list[Finding], use: str = "") -> Contact | None:
    """An XTN: XTN-12, else built from 5 to 8, else XTN-1; an e-mail stands in XTN-4."""
    kind = look_up("equipment", rep.get(3), f"{location}.3", findings)
    coded = look_up("contact_use", rep.get(2), f"{location}.2", findings).get("use", "")
    use, system = kind.get("use") or coded or use, kind.get("system") or "phone"
    mail = rep.get(4) or (rep.get(1) if "@" in rep.get(1) else "")
    if mail and (system == "email" or "@" in mail):
        return Contact("email", mail, use)
    built = "-".join(part for part in (rep.get(6), rep.get(7)) if part)
    value = rep.get(12) or built or rep.get(1)
    if not value:
        return None
    digits = re.sub(r"[^0-9]", "", re.split(r"[xX]|ext", value)[0])
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    return Contact(system, value, use, digits)


def address(rep: Rep, location: str, findings: list[Finding]) -> Address | None:
    """An XAD; None where it holds nothing but codes."""
    lines = tuple(line for line in (rep.get(1), rep.get(2)) if line)
    city, state, postal = rep.get(3), rep.get(4), rep.get(5)
    if not (lines or city or state or postal):
        return None
    row = look_up("address_use", rep.get(7), f"{location}.7", findings)
    return Address(lines, city, state, postal, rep.get(9), row.get("use", ""), row.get("type", ""))


def person(rep: Rep) -> Person | None:
    """An XCN; the id counts as an NPI when its authority or type says so."""
    if not (rep.get(1) or rep.get(2)):
        return None
    said = f"{rep.get(9)} {rep.get(9, 2)} {rep.get(13)}".upper()
    npi = rep.get(1) if ("NPI" in said or "2.16.840.1.113883.4.6" in said) and _NPI.match(rep.get(1)) else ""
    return Person(rep.get(1), npi, rep.get(2), rep.get(3))


def place(segment: Segment, number: int) -> Place | None:
    """A PL: point of care, room, bed, facility, status, type, building, floor, description."""
    reps = segment.reps(number)
    if not reps:
        return None
    rep = reps[0]
    found = Place(rep.get(1), rep.get(2), rep.get(3), rep.get(4), rep.get(7), rep.get(8), rep.get(9))
    return found if found != Place() else None


def coded(rep: Rep, location: str, findings: list[Finding]) -> Coded | None:
    """A CWE: the first triplet, else the alternate one; text from 9, 2 or 5."""
    code, text, scheme = rep.get(1), rep.get(9) or rep.get(2) or rep.get(5), rep.get(3)
    if not code and rep.get(4):
        code, scheme = rep.get(4), rep.get(6)
    if not code and not text:
        return None
    return Coded(code, text, code_system(scheme, f"{location}.3", findings))


def code_system(scheme: str, location: str, findings: list[Finding]) -> str:
    """The URI of a coding system of table 0396; HL70127 is the HL7 table of that number. Unknown ones are reported."""
    if match := _HL7_TABLE.match(scheme):
        return f"http://terminology.hl7.org/CodeSystem/v2-{match[1]}"
    return look_up("coding_system", scheme, location, findings).get("uri", "")


def npi(value: str) -> str:
    """The value if it has the form of a National Provider Identifier."""
    return value if _NPI.match(value) else ""

"""US Core Patient and Coverage -> Patient of AdtEvent."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mappers.davinci.graph import Resource, codings, first, objects, text
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.event import Address, Contact, Identifier, Name, Patient
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.segments.pid import MEDICAID_TYPES, cin
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.times import read_time

SSN = "http://hl7.org/fhir/sid/us-ssn"
_SYSTEMS = frozenset({"phone", "email", "fax", "pager"})
_LETTERS = re.compile(r"[^A-Z]")


def identifiers(resource: Resource, source: SourceConfig) -> list[Identifier]:
    """system: what the source has registered for the sender's, else the sender's own."""
    found = []
    for one in objects(resource.get("identifier")):
        value, system = text(one.get("value")), text(one.get("system"))
        name = text(first(one.get("assigner")).get("display"))
        kind = next((text(c.get("code")) for c in codings(one.get("type")) if "v2-0203" in text(c.get("system"))), "")
        if value and one.get("use") != "old":
            found.append(Identifier(value, source.authority(system, name) or system, name or system, kind))
    return found


def patient(who: Resource, coverages: Iterable[Resource], source: SourceConfig, findings: list[Finding]) -> Patient:
    ids = identifiers(who, source)
    names = tuple(name(one) for one in objects(who.get("name")))
    if not names:
        findings.append(Finding("name-missing", "Patient.name", "warning", "The patient has no name."))
    death = text(who.get("deceasedDateTime"))
    died, _ = read_time(death, source.tz) if death else (None, ())
    birth = text(who.get("birthDate"))
    numbers = [i.value for i in ids if i.type in MEDICAID_TYPES or source.gives_cins(i.authority, i.system)]
    for one in coverages:
        numbers += [text(one.get("subscriberId")), *(i.value for i in identifiers(one, source))]
    known = table("placeholder_name")
    return Patient(
        ids=tuple(i for i in ids if i.system != SSN and i.type != "SS"),
        cins=tuple(dict.fromkeys(found for number in numbers if (found := cin(number)))),
        names=names,
        birth_date=birth,
        birth_precision={4: "year", 7: "month", 10: "day"}.get(len(birth), ""),
        sex=text(who.get("gender")),
        contacts=tuple(filled for one in objects(who.get("telecom")) if (filled := contact(one))),
        addresses=tuple(address(one) for one in objects(who.get("address"))),
        deceased=True
        if death
        else who.get("deceasedBoolean")
        if isinstance(who.get("deceasedBoolean"), bool)
        else None,
        death=died.us if died else None,
        death_text=died.fhir if died else "",
        ssn4=_ssn4(ids),
        placeholder=any(_LETTERS.sub("", n.family.upper()) in known for n in names),
    )


def name(one: Resource) -> Name:
    given = one.get("given")
    first_names = tuple(text(part) for part in given if text(part)) if isinstance(given, list) else ()
    return Name(
        text(one.get("family")),
        first_names,
        _joined(one.get("suffix")),
        _joined(one.get("prefix")),
        text(one.get("use")),
    )


def contact(one: Resource) -> Contact | None:
    system, value = text(one.get("system")), text(one.get("value"))
    if system not in _SYSTEMS or not value:
        return None
    digits = re.sub(r"\D", "", value) if system != "email" else ""
    return Contact(
        system, value, text(one.get("use")), digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    )


def address(one: Resource) -> Address:
    lines = one.get("line")
    return Address(
        tuple(text(line) for line in lines if text(line)) if isinstance(lines, list) else (),
        text(one.get("city")),
        text(one.get("state")),
        text(one.get("postalCode")),
        text(one.get("district")),
        text(one.get("use")),
        text(one.get("type")),
    )


def _joined(parts: object) -> str:
    return " ".join(text(part) for part in parts if text(part)) if isinstance(parts, list) else ""


def _ssn4(ids: Iterable[Identifier]) -> str:
    digits = next((re.sub(r"\D", "", i.value) for i in ids if i.system == SSN or i.type == "SS"), "")
    good = len(digits) == 9 and digits[:3] not in ("000", "666") and digits[0] != "9" and digits[5:] != "0000"
    return digits[5:] if good else ""

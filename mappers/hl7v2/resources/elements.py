"""Facts of a message -> FHIR R4 data types by the v2-to-FHIR data type maps: CX, XPN, XTN, XAD, CWE, PL, XCN."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.event import Address, Coded, Contact, Identifier, Name, Person, Place

Resource = dict[str, Any]
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
V2 = TERMINOLOGY + "v2-"


def filled(**elements: Any) -> Resource:
    """Only elements that hold something: FHIR knows no empty element."""
    return {name: value for name, value in elements.items() if value not in ("", None, [], {})}


def derived_id(*parts: str) -> str:
    """The id of a resource that follows from its parts: the same parts, the same id, 32 of a-z2-7."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return base64.b32encode(digest[:20]).decode().lower()


def concept(coded: Coded | None) -> Resource:
    """A CodeableConcept; a code whose system is not known keeps its code and stands without one."""
    if coded is None:
        return {}
    coding = [filled(system=coded.system, code=" ".join(coded.code.split()))] if coded.code else []
    return filled(coding=coding, text=coded.text)


def coding(system: str, code: str, display: str = "") -> Resource:
    """One coding of a CodeableConcept."""
    return {"coding": [filled(system=system, code=code, display=display)]}


def identifier(one: Identifier) -> Resource:
    """A CX; its type in table 0203 where it is one of it."""
    known = one.type in {row["type"] for row in table("id_type").values()}
    kind: Resource = coding(V2 + "0203", one.type) if known else filled(text=one.type)
    return filled(type=kind, system=one.system, value=one.value)


def human_name(one: Name) -> Resource:
    """An XPN. FHIR has no use for an alias (PID-9)."""
    return filled(
        use="" if one.use == "alias" else one.use,
        family=one.family,
        given=list(one.given),
        prefix=[one.prefix] if one.prefix else [],
        suffix=[one.suffix] if one.suffix else [],
    )


def contact_point(one: Contact) -> Resource:
    """An XTN."""
    return filled(system=one.system, value=one.value, use=one.use)


def address(one: Address) -> Resource:
    """An XAD."""
    return filled(
        use=one.use,
        type=one.type,
        line=list(one.lines),
        city=one.city,
        district=one.county,
        state=one.state,
        postalCode=one.zip,
    )


def person_name(one: Person) -> str:
    """A clinician as people say it."""
    return " ".join(part for part in (one.given, one.family) if part)


def person_identifier(one: Person) -> Resource:
    """The NPI, only where the sender says that the number is one."""
    return {"system": NPI_SYSTEM, "value": one.npi} if one.npi else {}


def place_text(place: Place) -> str:
    """Unit, room, bed as people say it."""
    parts = (place.unit, place.room, place.bed)
    return " ".join(part for part in parts if part) or place.text or place.facility or place.building or place.floor

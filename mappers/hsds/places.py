"""An HSDS location <-> Location, an HSDS organization <-> Organization: THE groups of their members.

Source: facts/closed-loop.md 6. `parent_organization_id` is kept and becomes no partOf: rights follow from partOf, and
they are the operator's to give.
"""

from collections.abc import Iterator
from decimal import Decimal

from mappers.hsds.elements import ACCESSIBLE_URL, Record
from mappers.hsds.lens import Group, Names, Part
from mappers.hsds.parts import alias, hours, plain, points, reached, telecom, words

PLACES = "http://terminology.hl7.org/CodeSystem/location-physical-type"
KINDS_OF_ADDRESS = {"physical": "physical", "postal": "postal"}
_LINES = ("address_1", "address_2")
_WHERE = (
    ("city", "city"),
    ("region", "district"),
    ("state_province", "state"),
    ("postal_code", "postalCode"),
    ("country", "country"),
)


def _position(record: Record, _names: Names) -> Part:
    """Both or none: half a position is no place."""
    at = {name: record.get(name) for name in ("longitude", "latitude")}
    return {"position": at} if all(isinstance(one, int | Decimal) for one in at.values()) else {}


def _degrees(part: Part, _names: Names) -> Record:
    at = part.get("position", {})
    return {name: at[name] for name in ("latitude", "longitude") if name in at}


def _address(record: Record, _names: Names) -> Part:
    """The first address that people can go to, else the first."""
    found = [one for one in record.get("addresses", ()) if isinstance(one, dict)]
    chosen = next((one for one in found if words(one.get("address_type")) == "physical"), next(iter(found), None))
    if chosen is None:
        return {}
    lines = [words(chosen.get(name)) for name in _LINES if words(chosen.get(name))]
    out: Record = {"use": "work"}
    if kind := KINDS_OF_ADDRESS.get(words(chosen.get("address_type"))):
        out["type"] = kind
    out |= {"line": lines} if lines else {}
    out |= {element: words(chosen.get(name)) for name, element in _WHERE if words(chosen.get(name))}
    return {"address": out}


def _addresses(part: Part, _names: Names) -> Record:
    at = part.get("address")
    if not at:
        return {}
    lines = list(at.get("line", ()))
    out: Record = dict(zip(_LINES, [*lines[:1], ", ".join(lines[1:])] if len(lines) > 1 else lines, strict=False))
    out |= {name: at[element] for name, element in _WHERE if at.get(element)}
    return {"addresses": [out | {"address_type": at.get("type", "physical")}]}


def _virtual(record: Record, _names: Names) -> Part:
    return (
        {"physicalType": {"coding": [{"system": PLACES, "code": "vi"}]}}
        if record.get("location_type") == "virtual"
        else {}
    )


def _location_type(part: Part, _names: Names) -> Record:
    codes = [one.get("code") for one in part.get("physicalType", {}).get("coding", ())]
    return {"location_type": "virtual" if "vi" in codes else "physical"}


def _managed(record: Record, names: Names) -> Part:
    found = names.references.get(("organization", str(record.get("organization_id", ""))))
    return {"managingOrganization": {"reference": found}} if found else {}


def _managing(part: Part, names: Names) -> Record:
    found = names.ids.get(str(part.get("managingOrganization", {}).get("reference", "")))
    return {"organization_id": found} if found else {}


def _accessible(record: Record, _names: Names) -> Part:
    """In the place's own words: no code, since HSDS says how it is, and not that a rule is met."""
    told = [words(one.get("description")) or words(one.get("details")) for one in record.get("accessibility", ())]
    found = [{"url": ACCESSIBLE_URL, "valueCodeableConcept": {"text": one}} for one in dict.fromkeys(told) if one]
    return {"extension": found} if found else {}


def _accessibility(part: Part, _names: Names) -> Record:
    concepts = [one.get("valueCodeableConcept") or {} for one in part.get("extension", ())]
    told = [one.get("text") or next(_spelled(one), "") for one in concepts]
    return {"accessibility": [{"description": one} for one in told if one]} if any(told) else {}


def _spelled(concept: Record) -> Iterator[str]:
    return (str(text) for one in concept.get("coding", ()) if (text := one.get("display") or one.get("code")))


LOCATION = (
    plain("name", "name"),
    alias(),
    plain("description", "description"),
    telecom(url="url"),
    Group(("addresses",), ("address",), _address, _addresses),
    Group(("location_type",), ("physicalType",), _virtual, _location_type),
    Group(("latitude", "longitude"), ("position",), _position, _degrees),
    Group(("organization_id",), ("managingOrganization",), _managed, _managing),
    hours("hoursOfOperation", "openingTime", "closingTime"),
    Group(("accessibility",), (), _accessible, _accessibility, (ACCESSIBLE_URL,)),
)


def _people(record: Record, _names: Names) -> Part:
    found = []
    for one in record.get("contacts", ()):
        name, telecom = words(one.get("name")), points(one)
        found.append(({"name": {"text": name}} if name else {}) | ({"telecom": telecom} if telecom else {}))
    return {"contact": [one for one in found if one]} if any(found) else {}


def _contacts(part: Part, _names: Names) -> Record:
    found = [({"name": name} if (name := _called(one)) else {}) | reached(one) for one in part.get("contact", ())]
    return {"contacts": [one for one in found if one]} if any(found) else {}


def _called(contact: Record) -> str:
    name = contact.get("name") or {}
    return str(name.get("text") or " ".join([*name.get("given", ()), *filter(None, [name.get("family")])]))


ORGANIZATION = (
    plain("name", "name"),
    alias(),
    telecom(url="website"),
    Group(("contacts",), ("contact",), _people, _contacts),
)

"""An HSDS location <-> Location, an HSDS organization <-> Organization: THE groups of their members.

Source: facts/closed-loop.md 6. `parent_organization_id` is kept and becomes no partOf: rights follow from partOf, and
they are the operator's to give.
"""

from decimal import Decimal

from mappers.hsds.elements import Record
from mappers.hsds.lens import Group, Names, Part
from mappers.hsds.parts import alias, hours, plain, telecom, words

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
)

ORGANIZATION = (plain("name", "name"), alias(), telecom(url="website"))

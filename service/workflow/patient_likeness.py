"""A Patient resource as the facts that member matching compares; the counterpart of the HL7 v2 reader, for $match."""

from typing import Any

from fhir_profiles import Resource
from mappers.hl7v2.event import Address, AdtEvent, Contact, Facility, Identifier, Name, Patient, StayKey
from service.workflow.match_evidence import CIN_SYSTEM, SSN_SYSTEM, digits

_PRECISION = {10: "day", 7: "month", 4: "year"}


def likeness(resource: Resource) -> AdtEvent:
    """As an event of nobody's stay: it says who, and nothing else."""
    return AdtEvent(
        code="",
        effect="",
        rank=0,
        alert="",
        cancels=(),
        source="",
        control_id="",
        processing_id="",
        occurred=None,
        occurred_text="",
        occurred_source="",
        cancelled=None,
        message_time=None,
        recorded=None,
        planned=None,
        facility=Facility(),
        stay=StayKey(),
        patient=person(resource),
        visit=None,
    )


def person(resource: Resource) -> Patient:
    """Identifiers without a system say nothing: a bare number may be anybody's."""
    held = [
        (str(one["system"]), str(one["value"]).strip())
        for one in resource.get("identifier") or ()
        if one.get("system") and one.get("value")
    ]
    born = str(resource.get("birthDate", ""))
    social = [value for system, value in held if system == SSN_SYSTEM]
    return Patient(
        ids=tuple(Identifier(value, system) for system, value in held if system not in (CIN_SYSTEM, SSN_SYSTEM)),
        cins=tuple(dict.fromkeys(value.upper() for system, value in held if system == CIN_SYSTEM)),
        names=tuple(_name(one) for one in resource.get("name") or ()),
        birth_date=born,
        birth_precision=_PRECISION.get(len(born), ""),
        sex=str(resource.get("gender", "")),
        contacts=tuple(_contact(one) for one in resource.get("telecom") or () if one.get("value")),
        addresses=tuple(_address(one) for one in resource.get("address") or ()),
        ssn4="".join(c for c in social[0] if c.isdigit())[-4:] if social else "",
    )


def _name(one: dict[str, Any]) -> Name:
    return Name(
        family=str(one.get("family", "")),
        given=tuple(_words(one, "given")),
        suffix=" ".join(_words(one, "suffix")),
        prefix=" ".join(_words(one, "prefix")),
        use=str(one.get("use", "")),
    )


def _contact(one: dict[str, Any]) -> Contact:
    value = str(one["value"])
    system = "phone" if one.get("system") in ("phone", "sms") else str(one.get("system", ""))
    return Contact(system, value, str(one.get("use", "")), digits(value) if system == "phone" else "")


def _address(one: dict[str, Any]) -> Address:
    return Address(
        lines=tuple(_words(one, "line")),
        city=str(one.get("city", "")),
        state=str(one.get("state", "")),
        zip=str(one.get("postalCode", "")),
        use=str(one.get("use", "")),
        type=str(one.get("type", "")),
    )


def _words(one: dict[str, Any], name: str) -> list[str]:
    """The values of a list; one that has an extension only stands there as null."""
    return [str(word) for word in one.get(name) or () if word]

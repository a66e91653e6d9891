"""An HSDS service <-> HealthcareService: THE groups of its members. Source: facts/closed-loop.md 6."""

from decimal import Decimal
from typing import Any

from mappers.hsds.elements import AGE_URL, CAPACITY_URL, CODES, COST_URL, LANGUAGES, VERIFIED_URL, YEARS, Record
from mappers.hsds.lens import Group, Names, Part
from mappers.hsds.parts import hours, plain, telecom, words

HSIS = "http://211hsis.org"
TAXONOMIES = {"211hsis": HSIS, "211 hsis": HSIS}
"""Names of taxonomies -> the system that FHIR knows them by; one that is an address stands for itself."""
SOCIAL = {"system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "code": "sdoh", "display": "SDOH"}
"""Stands beside each category of Gravity's, as its profile of a service for referrals asks; HSDS has none."""
DISPLAY = {"capacity": "Has Capacity", "no-capacity": "No Capacity"}


def _status(record: Record, _names: Names) -> Part:
    return {"active": record["status"] == "active"} if "status" in record else {}


def _active(part: Part, _names: Names) -> Record:
    return {"status": "active" if part["active"] else "inactive"} if "active" in part else {"status": "active"}


def _provider(record: Record, names: Names) -> Part:
    found = names.references.get(("organization", str(record.get("organization_id", ""))))
    return {"providedBy": {"reference": found}} if found else {}


def _organization(part: Part, names: Names) -> Record:
    found = names.ids.get(str(part.get("providedBy", {}).get("reference", "")))
    return {"organization_id": found} if found else {}


def _places(record: Record, names: Names) -> Part:
    ids = [str(one.get("location_id", "")) for one in record.get("service_at_locations", ())]
    found = [names.references[key] for one in ids if (key := ("location", one)) in names.references]
    return {"location": [{"reference": one} for one in dict.fromkeys(found)]} if found else {}


def _at_locations(part: Part, names: Names) -> Record:
    ids = [names.ids.get(str(one.get("reference", ""))) for one in part.get("location", ())]
    found = [{"location_id": one} for one in ids if one]
    return {"service_at_locations": found} if found else {}


def _languages(record: Record, _names: Names) -> Part:
    found = []
    for one in record.get("languages", ()):
        code, name = words(one.get("code")), words(one.get("name"))
        coding: Record = {"coding": [{"system": LANGUAGES, "code": code}]} if code else {}
        if code or name:
            found.append(coding | ({"text": name} if name else {}))
    return {"communication": found} if found else {}


def _spoken(part: Part, _names: Names) -> Record:
    found = []
    for one in part.get("communication", ()):
        codes = [c["code"] for c in one.get("coding", ()) if c.get("system") == LANGUAGES and c.get("code")]
        told = {"code": codes[0]} if codes else {}
        found.append(told | ({"name": one["text"]} if one.get("text") else {}))
    return {"languages": [one for one in found if one]} if found else {}


def _terms(record: Record, _names: Names) -> Part:
    """What Gravity has as a category is one; every other term says of what type the service is."""
    out: Part = {}
    for one in record.get("attributes", ()):
        term = one.get("taxonomy_term") if isinstance(one.get("taxonomy_term"), dict) else {}
        code, name = words(term.get("code")), words(term.get("name"))
        told = words(term.get("taxonomy"))
        system = TAXONOMIES.get(told.lower(), told if "://" in told or told.startswith("urn:") else "")
        coding = ({"system": system} if system else {}) | ({"code": code} if code else {})
        concept: Record = {"coding": [coding | ({"display": name} if name else {})]} if code else {}
        concept |= {"text": name} if name and not code else {}
        if system == CODES and code:
            concept["coding"].append(dict(SOCIAL))
        if concept:
            out.setdefault("category" if system == CODES else "type", []).append(concept)
    return out


def _attributes(part: Part, _names: Names) -> Record:
    found = []
    for concept in [*part.get("category", ()), *part.get("type", ())]:
        codings = concept.get("coding") or [{"display": concept.get("text")}]
        social = any(coding.get("system") == CODES for coding in codings)
        for coding in codings:
            if social and coding.get("system") == SOCIAL["system"]:
                continue
            told = {"code": coding.get("code"), "name": coding.get("display"), "taxonomy": coding.get("system")}
            found.append({"taxonomy_term": {name: value for name, value in told.items() if value}})
    return {"attributes": found} if found else {}


def _program(record: Record, _names: Names) -> Part:
    name = words((record.get("program") or {}).get("name"))
    return {"program": [{"text": name}]} if name else {}


def _program_of(part: Part, _names: Names) -> Record:
    first: Record = next(iter(part.get("program", ())), {})
    name = first.get("text") or next((c["display"] for c in first.get("coding", ()) if c.get("display")), "")
    return {"program": {"name": name}} if name else {}


def _eligible(record: Record, _names: Names) -> Part:
    out: Part = {}
    if told := words(record.get("eligibility_description")):
        out["eligibility"] = [{"comment": told}]
    ends = (("low", record.get("minimum_age")), ("high", record.get("maximum_age")))
    ages = {end: {"value": value, **YEARS} for end, value in ends if isinstance(value, int | Decimal)}
    return out | ({"extension": [{"url": AGE_URL, "valueRange": ages}]} if ages else {})


def _eligibility(part: Part, _names: Names) -> Record:
    entries = part.get("eligibility", ())
    texts = [one.get("comment") or (one.get("code") or {}).get("text") or "" for one in entries]
    out: Record = {"eligibility_description": "\n".join(filter(None, texts))} if any(texts) else {}
    for one in part.get("extension", ()):
        for end, member in (("low", "minimum_age"), ("high", "maximum_age")):
            value = one.get("valueRange", {}).get(end, {}).get("value")
            out |= {member: value} if value is not None else {}
    return out


def _costs(record: Record, _names: Names) -> Part:
    found = [_cost(one) for one in record.get("cost_options", ())]
    fees = words(record.get("fees_description"))
    found += [[{"url": "description", "valueString": fees}]] if fees else []
    return {"extension": [{"url": COST_URL, "extension": one} for one in found if one]} if any(found) else {}


def _cost(option: Record) -> list[Record]:
    out: list[Record] = []
    if words(option.get("option")):
        out.append({"url": "option", "valueString": words(option["option"])})
    if option.get("amount") is not None:
        money = {"value": option["amount"], "currency": words(option.get("currency")).upper() or "USD"}
        out.append({"url": "amount", "valueMoney": money})
    if words(option.get("amount_description")):
        out.append({"url": "description", "valueString": words(option["amount_description"])})
    period = {end: option[name] for end, name in (("start", "valid_from"), ("end", "valid_to")) if option.get(name)}
    return out + ([{"url": "period", "valuePeriod": period}] if period else [])


def _cost_options(part: Part, _names: Names) -> Record:
    """A description alone is what HSDS has in fees_description."""
    out: Record = {}
    for one in part.get("extension", ()):
        told = {inner.get("url"): inner for inner in one.get("extension") or ()}
        if set(told) == {"description"} and "fees_description" not in out:
            out["fees_description"] = told["description"].get("valueString")
        elif told:
            out.setdefault("cost_options", []).append(_option(told))
    return out


def _option(told: dict[Any, Record]) -> Record:
    money, period = (told.get("amount") or {}).get("valueMoney", {}), (told.get("period") or {}).get("valuePeriod", {})
    members = {
        "option": (told.get("option") or {}).get("valueString"),
        "amount": money.get("value"),
        "currency": money.get("currency"),
        "amount_description": (told.get("description") or {}).get("valueString"),
        "valid_from": period.get("start"),
        "valid_to": period.get("end"),
    }
    return {name: value for name, value in members.items() if value is not None}


def _verified(record: Record, _names: Names) -> Part:
    told = words(record.get("assured_date"))
    return {"extension": [{"url": VERIFIED_URL, "valueDateTime": told}]} if told else {}


def _assured(part: Part, _names: Names) -> Record:
    told = next((one.get("valueDateTime", "") for one in part.get("extension", ())), "")
    return {"assured_date": told[:10]} if len(told) >= 10 else {}


def _capacity(record: Record, _names: Names) -> Part:
    """Room in any unit is capacity. A waiting list and an assessment have no number in HSDS: FHIR alone says them."""
    units = [one for one in record.get("capacities", ()) if isinstance(one.get("available"), int | Decimal)]
    if not units:
        return {}
    code = "capacity" if any(one["available"] > 0 for one in units) else "no-capacity"
    concept = {"coding": [{"system": CODES, "code": code, "display": DISPLAY[code]}]}
    parts: list[Record] = [{"url": "capacityStatus", "valueCodeableConcept": concept}]
    told = "; ".join(filter(None, (words(one.get("description")) for one in units)))
    parts += [{"url": "capacityNotes", "valueString": told}] if told else []
    return {"extension": [{"url": CAPACITY_URL, "extension": parts}]}


def _capacities(part: Part, _names: Names) -> Record:
    """No room is zero of something; how much room there is FHIR does not say, so that nothing is made up."""
    for one in part.get("extension", ()):
        for inner in one.get("extension") or ():
            codes = [c.get("code") for c in inner.get("valueCodeableConcept", {}).get("coding", ())]
            if "no-capacity" in codes:
                return {"capacities": [{"available": 0}]}
    return {}


def _applying(record: Record, _names: Names) -> Part:
    told = words(record.get("application_process"))
    return {"referralMethod": [{"text": told}]} if told else {}


def _application(part: Part, _names: Names) -> Record:
    told = next((one["text"] for one in part.get("referralMethod", ()) if one.get("text")), "")
    return {"application_process": told} if told else {}


GROUPS = (
    Group(("status",), ("active",), _status, _active),
    Group(("organization_id",), ("providedBy",), _provider, _organization),
    Group(("attributes",), ("category", "type"), _terms, _attributes),
    Group(("service_at_locations",), ("location",), _places, _at_locations),
    plain("name", "name"),
    plain("description", "comment"),
    telecom(url="url", appointments=True),
    Group(
        ("eligibility_description", "minimum_age", "maximum_age"), ("eligibility",), _eligible, _eligibility, (AGE_URL,)
    ),
    Group(("program",), ("program",), _program, _program_of),
    Group(("languages",), ("communication",), _languages, _spoken),
    Group(("application_process",), ("referralMethod",), _applying, _application),
    hours("availableTime", "availableStartTime", "availableEndTime"),
    Group(("cost_options", "fees_description"), (), _costs, _cost_options, (COST_URL,)),
    Group(("assured_date",), (), _verified, _assured, (VERIFIED_URL,)),
    Group(("capacities",), (), _capacity, _capacities, (CAPACITY_URL,)),
)

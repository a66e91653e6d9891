"""The directory as resources: Organization, Location, HealthcareService, Practitioner, PractitionerRole, forms.

Shapes: US Core 6.1 and https://hl7.org/fhir/us/sdoh-clinicalcare/ (HealthcareService of a referral target).
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from mappers.hsds.elements import CAPACITY_URL, VERIFIED_URL
from service.cli.seed.directory import (
    CAREGIVERS,
    CBAS,
    CBOS,
    CLINIC,
    COUNTY,
    COUNTY_IHSS,
    ECM_PROVIDERS,
    EVERYONE,
    HOME_HEALTH,
    HOSPITALS,
    OPERATOR,
    PLANS,
    SNF,
    TOWNS,
    Cbo,
    Party,
    Person,
)
from service.cli.seed.forms import questionnaires
from service.cli.seed.more_services import MORE_SERVICES
from service.cli.seed.parts import (
    BASE,
    PLAN_SYSTEM,
    SDOH_CODES,
    TERMINOLOGY,
    Entry,
    coded,
    filled,
    made_up_npi,
    npi,
    own,
    phone,
    ref,
)

APPOINTMENTS = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/"
            "SDOHCC-ExtensionHealthcareServiceTelecomAppointment",
            "valueBoolean": True,
        }
    ]
}
"""Of a contact of a service: people make appointments there (SDOHCC-HealthcareService asks for one)."""
ROOM = {
    "url": CAPACITY_URL,
    "extension": [
        {"url": "capacityStatus", "valueCodeableConcept": coded(SDOH_CODES, "capacity", "Has Capacity")},
    ],
}
VERIFIED_AGO = 40
"""Days: what nobody verified for half a year is stale."""
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri"]
CENTERS = ((37.95, -121.29), (37.8, -121.22), (38.13, -121.27))
"""Latitude and longitude of TOWNS: invented; `near` of docs/directory.md looks around the first."""
BLOCK = 0.0018
"""About 200 m north, and 160 m east."""


def directory(verified: str) -> Iterator[Entry]:
    """Every resource without a patient, each after those that it refers to. verified: when each service was checked."""
    others = (CLINIC, SNF, HOME_HEALTH, COUNTY_IHSS, CBAS, CAREGIVERS)
    for party in (OPERATOR, *PLANS, *ECM_PROVIDERS, *CBOS, *HOSPITALS, *others):
        yield party.reference, _organization(party)
    for party in (*ECM_PROVIDERS, *CBOS, *HOSPITALS, CLINIC, SNF, HOME_HEALTH, CBAS, CAREGIVERS, PLANS[1]):
        yield party.reference, _location(party)
    for cbo in CBOS:
        yield cbo.reference, _service(cbo, f"{cbo.slug}-service", cbo.service, cbo.cs, verified)
    for name, service in MORE_SERVICES:
        yield service.reference, _service(service, name, service.service, service.cs, verified)
    for person in EVERYONE:
        yield f"Organization/{person.organization}", _practitioner(person)
        yield f"Organization/{person.organization}", _role(person)
    for form in questionnaires():
        yield OPERATOR.reference, form


def _organization(party: Party) -> Resource:
    plan = party in PLANS
    slug = party.slug.removeprefix("plan-")
    numbers = [{"system": PLAN_SYSTEM, "value": slug}] if plan else [npi(made_up_npi(party.number))]
    kind = ("pay", "Payer") if plan else ("prov", "Healthcare Provider")
    if isinstance(party, Cbo) or party in (OPERATOR, COUNTY_IHSS):
        kind = ("govt", "Government") if party in (OPERATOR, COUNTY_IHSS) else ("cg", "Community Group")
        numbers = [{"system": f"{BASE}/sid/organization", "value": party.slug}]
    return filled(
        resourceType="Organization",
        id=party.slug,
        identifier=numbers,
        active=True,
        type=[coded(f"{TERMINOLOGY}/organization-type", *kind)],
        name=party.name,
        telecom=[phone(party.phone), {"system": "email", "value": f"intake@{slug}.example.org"}],
        address=[_address(party)],
    )


def _address(party: Party) -> Resource:
    city, code = TOWNS[party.town]
    parts = {"use": "work", "line": [party.street], "city": city, "district": COUNTY, "state": "CA"}
    return parts | {"postalCode": code}


def _position(party: Party) -> Resource:
    """Within a mile of the middle of its town, the same at every seeding, and no two at one place."""
    north, east = divmod(party.number * 7 % 121, 11)
    latitude, longitude = CENTERS[party.town]
    return {
        "longitude": round(longitude + (east - 5) * BLOCK, 4),
        "latitude": round(latitude + (north - 5) * BLOCK, 4),
    }


def _location(party: Party) -> Resource:
    kind = ("HOSP", "Hospital") if party in HOSPITALS else ("SNF", "Skilled nursing facility") if party is SNF else None
    return filled(
        resourceType="Location",
        id=f"{party.slug}-site",
        status="active",
        name=party.name,
        mode="instance",
        type=[coded(f"{TERMINOLOGY}/v3-RoleCode", *kind)] if kind else None,
        telecom=[phone(party.phone)],
        address=_address(party),
        position=_position(party),
        managingOrganization=ref(party.reference, party.name),
    )


def _service(cbo: Cbo, fhir_id: str, name: str, code: str, verified: str) -> Resource:
    return filled(
        resourceType="HealthcareService",
        id=fhir_id,
        extension=[ROOM, {"url": VERIFIED_URL, "valueDateTime": verified}],
        active=True,
        providedBy=ref(cbo.reference, cbo.name),
        category=[coded(SDOH_CODES, cbo.sdoh)],
        type=[own("cs-service", code, name)] if code else [{"text": name}],
        location=[ref(f"Location/{cbo.slug}-site", cbo.name)],
        name=name,
        comment="Referrals are answered within two working days.",
        telecom=[phone(cbo.phone) | APPOINTMENTS],
        serviceProvisionCode=[coded(f"{TERMINOLOGY}/service-provision-conditions", "free")],
        program=[{"text": "CalAIM Community Supports"}] if code else None,
        communication=[coded("urn:ietf:bcp:47", "en"), coded("urn:ietf:bcp:47", "es")],
        referralMethod=[coded(f"{TERMINOLOGY}/service-referral-method", "elec")],
        appointmentRequired=not code,
        availableTime=[{"daysOfWeek": WEEKDAYS, "availableStartTime": "08:30:00", "availableEndTime": "17:00:00"}],
    )


def _practitioner(person: Person) -> Resource:
    mail = f"{person.given}.{person.family}".replace(" ", "").lower() + "@example.org"
    return filled(
        resourceType="Practitioner",
        id=person.slug,
        identifier=[npi(made_up_npi(person.number))],
        active=True,
        name=[filled(use="official", family=person.family, given=[person.given], suffix=[person.title])],
        telecom=[phone(f"+1-209-555-01{person.number:02d}"), {"system": "email", "value": mail}],
        gender=person.gender,
    )


def _role(person: Person) -> Resource:
    reference = f"Organization/{person.organization}"
    name = next(party.name for party in (*ECM_PROVIDERS, CLINIC, *PLANS) if party.reference == reference)
    return filled(
        resourceType="PractitionerRole",
        id=f"{person.slug}-role",
        active=True,
        practitioner=ref(person.reference, person.name),
        organization=ref(reference, name),
        code=[own("team-role", person.role)],
        location=[ref(f"Location/{person.organization}-site")],
        telecom=[phone(f"+1-209-555-01{person.number:02d}")],
    )

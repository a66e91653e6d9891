"""A member row -> Patient, Coverage, EpisodeOfCare, CareTeam: the same row gives the same bytes.

Map: facts/california.md C rows 1, 2, 5, 6, 11. Patient, Coverage and CareTeam follow US Core 6.1
(https://hl7.org/fhir/us/core/STU6.1/), EpisodeOfCare https://hl7.org/fhir/R4/episodeofcare.html.
"""

from dataclasses import dataclass
from datetime import date

from fhir_profiles import Resource
from mappers.plan_files.member_row import MemberRow

BASE = "https://enlace.example.org/fhir"
CIN_SYSTEM = f"{BASE}/NamingSystem/medi-cal-cin"
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
HOMELESS_URL = f"{BASE}/StructureDefinition/enlace-homeless"
POF_URL = f"{BASE}/StructureDefinition/enlace-population-of-focus"
ENGAGEMENT_URL = f"{BASE}/StructureDefinition/enlace-engagement-status"
DISCONTINUATION_URL = f"{BASE}/StructureDefinition/enlace-discontinuation"
AUTHORIZATION_URL = f"{BASE}/StructureDefinition/enlace-authorization"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

# C row 6. Engagement status -> (EpisodeOfCare.status where ECM never started, where it did).
EPISODE_STATUS: dict[str, tuple[str, str]] = {
    "referred": ("planned", "planned"),
    "authorized-not-outreached": ("planned", "planned"),
    "in-outreach": ("planned", "planned"),
    "engaged-enrolled": ("active", "active"),
    "on-hold": ("onhold", "onhold"),
    "graduated": ("finished", "finished"),
    "discontinued": ("cancelled", "finished"),
    "declined": ("cancelled", "finished"),
    "unable-to-reach": ("cancelled", "finished"),
    "excluded-program": ("cancelled", "finished"),
}
_TEAM_STATUS = {"planned": "proposed", "active": "active", "onhold": "active"}  # else inactive


@dataclass(frozen=True)
class Refs:
    """What the row's names were resolved to ("Organization/1", None where nothing is known) and the ids to use.

    Without a reference the resources name provider and lead care manager by NPI and name (a logical reference).
    """

    plan: str
    ecm_provider: str | None
    lead_care_manager: str | None
    patient_id: str
    coverage_id: str
    episode_id: str
    careteam_id: str


def to_resources(member: MemberRow, refs: Refs) -> list[Resource]:
    """[Patient, Coverage, EpisodeOfCare, CareTeam], without meta; elements that the row leaves open are left out."""
    return [_patient(member, refs), _coverage(member, refs), _episode(member, refs), _care_team(member, refs)]


def _patient(m: MemberRow, refs: Refs) -> Resource:
    identifiers = [{"use": "official", "type": _type("MA"), "system": CIN_SYSTEM, "value": m.cin}]
    for code, number in (("MB", m.plan_member_id), ("MR", m.mrn)):
        if number:
            identifiers.append(_plan_number(code, number, refs))
    languages = [(m.language_spoken, True)]
    if m.language_written != m.language_spoken:
        languages.append((m.language_written, False))
    return _filled(
        resourceType="Patient",
        id=refs.patient_id,
        extension=[{"url": HOMELESS_URL, "valueBoolean": m.homeless}] if m.homeless is not None else None,
        identifier=identifiers,
        name=[_filled(use="official", family=m.last_name, given=[n for n in (m.first_name, m.middle_name) if n])],
        telecom=_telecom(m.phone, m.email),
        gender=m.gender or "unknown",
        birthDate=m.birth_date.isoformat(),
        address=_addresses(m),
        communication=[
            _filled(language={"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}, preferred=spoken or None)
            for code, spoken in languages
            if code
        ],
        generalPractitioner=[_by_npi("Practitioner", m.pcp_npi, m.pcp_name)] if m.pcp_npi or m.pcp_name else None,
    )


def _coverage(m: MemberRow, refs: Refs) -> Resource:
    number = m.plan_member_id
    return _filled(
        resourceType="Coverage",
        id=refs.coverage_id,
        identifier=[
            _plan_number("MB", number, refs) if number else {"type": _type("MB"), "system": CIN_SYSTEM, "value": m.cin}
        ],
        # The status of the record; whether the member is covered today is what `period` says.
        status="active",
        type={"coding": [{"system": "https://nahdo.org/sopt", "code": "21", "display": "Medicaid (Managed Care)"}]},
        subscriberId=number or m.cin,
        beneficiary={"reference": f"Patient/{refs.patient_id}"},
        relationship={"coding": [{"system": f"{_TERMINOLOGY}/subscriber-relationship", "code": "self"}]},
        period=_period(m.coverage_start, m.coverage_end),
        payor=[{"reference": refs.plan}],
    )


def _episode(m: MemberRow, refs: Refs) -> Resource:
    status = EPISODE_STATUS[m.ecm_status][m.ecm_start is not None]
    closed = status in ("finished", "cancelled")
    manager = refs.lead_care_manager or m.lcm_npi or m.lcm_name
    return _filled(
        resourceType="EpisodeOfCare",
        id=refs.episode_id,
        extension=_episode_extensions(m, refs),
        status=status,
        type=[_concept("episode-type", "ecm")],
        patient={"reference": f"Patient/{refs.patient_id}"},
        managingOrganization=_provider(m, refs),
        period=_period(m.ecm_start, m.ecm_end or (m.discontinuation_date if closed else None)),
        careManager=_manager(m, refs) if manager else None,
        team=[{"reference": f"CareTeam/{refs.careteam_id}"}],
    )


def _episode_extensions(m: MemberRow, refs: Refs) -> list[Resource]:
    found: list[Resource] = [{"url": POF_URL, "valueCodeableConcept": _concept("ecm-pof", code)} for code in m.pofs]
    found.append({"url": ENGAGEMENT_URL, "valueCodeableConcept": _concept("ecm-engagement-status", m.ecm_status)})
    if m.discontinuation_date and m.discontinuation_reason:
        reason = _concept("ecm-discontinuation-reason", m.discontinuation_reason)
        parts: list[Resource] = [
            {"url": "date", "valueDate": m.discontinuation_date.isoformat()},
            {"url": "reason", "valueCodeableConcept": reason},
        ]
        found.append({"url": DISCONTINUATION_URL, "extension": parts})
    if m.authorization_number:
        number = _filled(
            system=f"{BASE}/NamingSystem/authorization-number-{_id(refs.plan)}",
            value=m.authorization_number,
            period=_period(m.authorization_start, m.authorization_end),
            assigner={"reference": refs.plan},
        )
        found.append({"url": AUTHORIZATION_URL, "valueIdentifier": number})
    return found


def _care_team(m: MemberRow, refs: Refs) -> Resource:
    status = _TEAM_STATUS.get(EPISODE_STATUS[m.ecm_status][m.ecm_start is not None], "inactive")
    provider, period = _provider(m, refs), _period(m.ecm_start, m.ecm_end or m.discontinuation_date)
    has_manager = bool(refs.lead_care_manager or m.lcm_npi or m.lcm_name)
    member = _manager(m, refs) if has_manager else provider
    # Invariant ctm-1: onBehalfOf only beside a Practitioner; a PractitionerRole names its organization itself.
    person = has_manager and not member.get("reference", "Practitioner/").startswith("PractitionerRole/")
    return _filled(
        resourceType="CareTeam",
        id=refs.careteam_id,
        status=status,
        category=[{"coding": [{"system": "http://loinc.org", "code": "LA28865-6"}]}],
        name="Enhanced Care Management team",
        subject={"reference": f"Patient/{refs.patient_id}"},
        period=period,
        participant=[
            _filled(
                role=[_concept("team-role", "lead-care-manager" if has_manager else "ecm-provider")],
                member=member,
                onBehalfOf=provider if person else None,
                period=period,
            )
        ],
        managingOrganization=[provider],
    )


def _provider(m: MemberRow, refs: Refs) -> Resource:
    return _reference(refs.ecm_provider) or _by_npi("Organization", m.provider_npi, m.provider_name)


def _manager(m: MemberRow, refs: Refs) -> Resource:
    return _reference(refs.lead_care_manager) or _by_npi("Practitioner", m.lcm_npi, m.lcm_name)


def _reference(reference: str | None) -> Resource | None:
    return {"reference": reference} if reference else None


def _by_npi(kind: str, npi: str | None, name: str | None) -> Resource:
    return _filled(type=kind, identifier={"system": NPI_SYSTEM, "value": npi} if npi else None, display=name)


def _addresses(m: MemberRow) -> list[Resource]:
    home = _address("home", "physical", m.residential_line, m.residential_city, m.residential_state, m.residential_zip)
    mail = _address("home", "postal", m.mailing_line, m.mailing_city, m.mailing_state, m.mailing_zip)
    if m.homeless and not m.residential_line:
        home = {"use": "home", "type": "physical", "text": "No fixed address"} | (home or {})
    return [address for address in (home, mail) if address]


def _address(
    use: str, kind: str, line: str | None, city: str | None, state: str | None, zip_code: str | None
) -> Resource:
    parts = _filled(line=[line] if line else None, city=city, state=state, postalCode=zip_code)
    return {"use": use, "type": kind} | parts if parts else {}


def _telecom(phone: str | None, email: str | None) -> list[Resource]:
    pairs = (("phone", phone), ("email", email))
    return [{"system": system, "value": value, "use": "home"} for system, value in pairs if value]


def _plan_number(code: str, value: str, refs: Refs) -> Resource:
    """A number that is unique within its plan only, so that its system names the plan."""
    system = f"{BASE}/NamingSystem/plan-{'member-id' if code == 'MB' else 'mrn'}-{_id(refs.plan)}"
    return {"type": _type(code), "system": system, "value": value, "assigner": {"reference": refs.plan}}


def _id(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _type(code: str) -> Resource:
    return {"coding": [{"system": f"{_TERMINOLOGY}/v2-0203", "code": code}]}


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{BASE}/CodeSystem/{system}", "code": code}]}


def _period(start: date | None, end: date | None) -> Resource | None:
    return _filled(start=start and start.isoformat(), end=end and end.isoformat()) or None


def _filled(**elements: object) -> Resource:
    """Only what has content: FHIR knows no empty element."""
    return {name: value for name, value in elements.items() if value not in (None, "", [], {})}

"""Authorizations to share (drafts of the ASCMI form): given, refused, revoked. https://hl7.org/fhir/R4/consent.html"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed.parts import BASE, LOINC, TERMINOLOGY, Days, Entry, coded, filled, ref
from service.cli.seed.people import Member

POLICY = f"{BASE}/policy/ascmi-draft"
KINDS = ("permit", "permit", "none", "permit", "deny", "permit", "revoked", "permit")
"""By the member's number: an eighth refuses, an eighth took it back, an eighth was not asked yet."""


def entries(who: Member, days: Days) -> Iterator[Entry]:
    kind = KINDS[who.number % len(KINDS)]
    if kind == "none" or not who.engaged:
        return
    given = who.started - 1
    provision: Resource = {"type": "deny" if kind == "deny" else "permit"}
    provision["period"] = {"start": days.on(given), "end": days.on(given - 364)}
    if kind == "revoked":
        provision["period"]["end"] = days.on(20)
    yield who.ecm.reference, consent(who, "consent", days.at(given, "10:05"), provision, revoked=kind == "revoked")


def consent(who: Member, role: str, when: str, provision: Resource, *, revoked: bool = False) -> Resource:
    """A Consent of the member, kept by the ECM provider. revoked: it is inactive and shares nothing any more."""
    patient = ref(who.reference, who.name)
    return filled(
        resourceType="Consent",
        id=who.id(role),
        status="inactive" if revoked else "active",
        scope=coded(f"{TERMINOLOGY}/consentscope", "patient-privacy"),
        category=[
            coded(LOINC, "59284-0", "Patient Consent"),
            coded(f"{TERMINOLOGY}/v3-ActCode", "IDSCL", "information disclosure"),
        ],
        patient=patient,
        dateTime=when,
        performer=[patient],
        organization=[ref(who.ecm.reference, who.ecm.name)],
        policy=[{"uri": POLICY}],
        provision=provision,
    )

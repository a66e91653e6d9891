"""Authorizations to share: given, refused, taken back. What a form says: service/access/consent/ascmi.py."""

from collections.abc import Iterator, Mapping, Sequence

from fhir_profiles import Resource
from service.access.consent.ascmi import BOXES, Form, consent_of
from service.cli.seed.parts import LOINC, TERMINOLOGY, Days, Entry, coded, filled, ref
from service.cli.seed.people import Member

FORM = "ab-133"
"""The form for Medi-Cal members, who all of the county are."""
POLICY = f"https://enlace.example.org/fhir/policy/ascmi-{FORM}-draft"
KINDS = ("permit", "permit", "none", "permit", "deny", "permit", "revoked", "permit")
"""By the member's number: an eighth refuses, an eighth took it back, an eighth was not asked yet."""
TICKED: tuple[Mapping[str, bool], ...] = (
    {"substance-use": True, "mental-health": True},
    dict.fromkeys(BOXES, True),
    {"substance-use": False, "mental-health": True},
)
"""What members let be shared, in turn; a box that is left empty is not shared."""


def entries(who: Member, days: Days) -> Iterator[Entry]:
    kind = KINDS[who.number % len(KINDS)]
    if kind == "none" or not who.engaged:
        return
    given = who.started - 1
    boxes = {} if kind == "deny" else TICKED[who.number % len(TICKED)]
    form = signed(who, days, "consent", (given, "10:05"), boxes, share=kind != "deny")
    if kind == "revoked":
        form |= {"status": "inactive"}
        form["provision"] |= {"period": {"end": days.on(20)}}
    yield who.ecm.reference, form


def signed(
    who: Member,
    days: Days,
    role: str,
    when: tuple[int, str],
    boxes: Mapping[str, bool],
    *,
    share: bool = True,
    partners: Sequence[str] = (),
) -> Resource:
    """The form as signed by the member, for a year, kept by the ECM provider. partners: who receives, (): all.

    That it was signed is said too: without it a Consent opens nothing to who wrote it down.
    """
    until = days.on(when[0] - 364)
    filled_in = (FORM, who.reference, days.at(*when), who.reference, who.ecm.reference)
    made = consent_of(Form(*filled_in, share=share, boxes=boxes, partners=tuple(partners), until=until))
    named: Resource = {"id": who.id(role), "patient": ref(who.reference, who.name)}
    named["verification"] = [{"verified": True, "verifiedWith": ref(who.reference, who.name)}]
    return made | named | {"category": [_AUTHORIZATION, *made["category"][1:]]}


_AUTHORIZATION = coded(LOINC, "59284-0", "Patient Consent")


def consent(who: Member, role: str, when: str, provision: Resource) -> Resource:
    """A Consent of the member beside the form, kept by the ECM provider."""
    patient = ref(who.reference, who.name)
    return filled(
        resourceType="Consent",
        id=who.id(role),
        status="active",
        scope=coded(f"{TERMINOLOGY}/consentscope", "patient-privacy"),
        category=[_AUTHORIZATION, coded(f"{TERMINOLOGY}/v3-ActCode", "IDSCL", "information disclosure")],
        patient=patient,
        dateTime=when,
        performer=[patient],
        organization=[ref(who.ecm.reference, who.ecm.name)],
        policy=[{"uri": POLICY}],
        provision=provision,
    )

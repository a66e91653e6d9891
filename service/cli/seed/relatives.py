"""Who stands beside a member: RelatedPerson, and the Consent that this person may be told and take part.

facts/california.md A.1 R2 and A.9 R101: recorded apart from the consent to share among those who care.
"""

from fhir_profiles import Resource
from service.cli.seed.consents import consent, signed
from service.cli.seed.parts import TERMINOLOGY, Days, coded, filled, phone, ref
from service.cli.seed.people import Member


def related(who: Member, role: str, name: tuple[str, str], kind: tuple[str, str], number: str, since: str) -> Resource:
    """name: given, family. kind: (code of v3-RoleCode, words)."""
    return filled(
        resourceType="RelatedPerson",
        id=who.id(role),
        active=True,
        patient=ref(who.reference, who.name),
        relationship=[coded(f"{TERMINOLOGY}/v3-RoleCode", *kind)],
        name=[{"family": name[1], "given": [name[0]]}],
        telecom=[phone(number, "mobile")],
        period={"start": since},
    )


def recipient(actor: Resource) -> Resource:
    """An actor of a provision: who may receive."""
    return {"role": coded(f"{TERMINOLOGY}/v3-ParticipationType", "IRCP", "information recipient"), "reference": actor}


def may_take_part(who: Member, days: Days, role: str, when: tuple[int, str], person: Resource) -> Resource:
    """For a year; person: Reference to the RelatedPerson."""
    provision: Resource = {
        "type": "permit",
        "period": {"start": days.on(when[0]), "end": days.on(when[0] - 364)},
        "actor": [recipient(person)],
        "action": [coded(f"{TERMINOLOGY}/consentaction", "access")],
    }
    return consent(who, role, days.at(*when), provision)


def may_share(who: Member, days: Days, when: tuple[int, str]) -> Resource:
    """The member's authorization for a year, with all care partners; no box is ticked: no sensitive data."""
    return signed(who, days, "consent", when, {})

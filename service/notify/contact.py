"""Whether and where somebody may be reached: "do not contact" of a member, and addresses in `telecom`. Pure.

https://hl7.org/fhir/R4/datatypes.html#ContactPoint ; the extension: fhir_profiles/structure_definitions.
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.search.dates import MAX_US, MIN_US, parse

DO_NOT_CONTACT = "https://enlace.example.org/fhir/StructureDefinition/enlace-do-not-contact"
SDOHCC_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
PROHIBITED = "contacting-subject-prohibited"
OVER = frozenset({"completed", "revoked", "entered-in-error"})
_LAST = 2**31


def may_contact(patient: Resource) -> str:
    """Why the member must not be contacted, or "". What the extension says unclearly counts as no."""
    if any(one.get("url") == DO_NOT_CONTACT and one.get("valueBoolean") is not False for one in _extensions(patient)):
        return "do-not-contact"
    if patient.get("deceasedDateTime") or patient.get("deceasedBoolean") not in (None, False):
        return "deceased"
    return "inactive" if patient.get("active") is False else ""


def prohibits(request: Resource) -> bool:
    """Whether an open ServiceRequest says that the member must not be contacted (SDOHCC, orderDetail)."""
    codings = [c for detail in request.get("orderDetail") or () for c in detail.get("coding") or ()]
    said = any(c.get("system") == SDOHCC_CODES and c.get("code") == PROHIBITED for c in codings)
    return said and request.get("status") not in OVER


def may_tell(relative: Resource, patient_ref: str, now_us: int) -> str:
    """Why a RelatedPerson is not told of the member's messages, or ""."""
    if reason := may_contact(relative):
        return reason
    belongs = (relative.get("patient") or {}).get("reference") == patient_ref
    return "" if belongs and _in_force(relative.get("period"), now_us) else "not-related"


def addresses(telecom: object, now_us: int) -> dict[str, str]:
    """Channel (email, sms) -> the address of a colleague, by rank; work before others of the same rank."""
    found: dict[str, str] = {}
    for _rank, _place, channel, value, _messages in sorted(_points(telecom, now_us)):
        found.setdefault(channel, value)
    return found


def preferred(telecom: object, now_us: int) -> tuple[str, str] | None:
    """(channel, address) that the member prefers: the highest rank, or the only one. None: the member did not say.

    Only e-mail and SMS: a telephone number that is not marked for text messages is for calls.
    """
    points = [one for one in _points(telecom, now_us) if one[4]]
    ranked = sorted(one for one in points if one[0] < _LAST)
    one = ranked[0] if ranked else points[0] if len(points) == 1 else None
    return (one[2], one[3]) if one else None


def language_of(person: Resource) -> str:
    """BCP 47, of the preferred communication; English where nothing is said. A Practitioner's are plain concepts."""
    spoken = [one for one in person.get("communication") or () if isinstance(one, dict)]
    spoken.sort(key=lambda one: one.get("preferred") is not True)
    for one in spoken:
        concept = one.get("language") or one
        for coding in concept.get("coding") or () if isinstance(concept, dict) else ():
            if coding.get("code"):
                return str(coding["code"])
    return "en"


def _points(telecom: object, now_us: int) -> Iterator[tuple[int, int, str, str, bool]]:
    """(rank, place, channel, address, whether it is meant for messages)."""
    for place, one in enumerate(telecom if isinstance(telecom, list) else ()):
        system, use = one.get("system"), one.get("use")
        channel = {"email": "email", "sms": "sms"}.get(system) or (
            "sms" if (system, use) == ("phone", "mobile") else ""
        )
        if not channel or not one.get("value") or use == "old" or not _in_force(one.get("period"), now_us):
            continue
        rank = one.get("rank")
        number = int(rank) if isinstance(rank, int) and not isinstance(rank, bool) else _LAST
        yield number, place - (100 if use == "work" else 0), channel, str(one["value"]), system != "phone"


def _in_force(period: object, now_us: int) -> bool:
    if not isinstance(period, dict):
        return True
    start, end = period.get("start"), period.get("end")
    try:
        return (parse(start)[0] if start else MIN_US) <= now_us < (parse(end)[1] if end else MAX_US)
    except ValueError:
        return False


def _extensions(resource: Resource) -> list[Resource]:
    return [one for one in resource.get("extension") or () if isinstance(one, dict)]

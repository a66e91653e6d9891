"""What a Task from a partner points to as it stands here: the member, and the ServiceRequest. Pure, but for the match.

Copies hold what is on a list, and bear the labels of what they are copies of. A member is matched by CIN where family
name and birth date agree; else the partner's Patient becomes a source Patient of its own, and nothing is revealed
(decision 17). A Consent of the partner is looked at and named, never computed: a paper of another server opens nothing.
"""

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from service.access.context import Context, parse
from service.search.references import normal_reference
from service.store import stays
from service.workflow.match_evidence import CIN_SYSTEM
from service.workflow.parties import reference_of
from service.workflow.partner_client import Odd
from service.workflow.partner_shapes import URL_SYSTEM, labelled_as
from service.workflow.stay_identity import derived_id

PATIENT = ("name", "telecom", "gender", "birthDate", "address", "communication")
REQUEST = ("intent", "category", "priority", "code", "orderDetail", "occurrenceDateTime", "occurrencePeriod",
           "authoredOn", "reasonCode", "note", "patientInstruction")  # fmt: skip
MOST_LISTED = 20


def named(url: str) -> Resource:
    return {"system": URL_SYSTEM, "value": url}


def made_id(prefix: str, partner: str, url: str) -> str:
    return f"{prefix}-{derived_id('partner', partner, url)}"


def check_is(resource: Resource, url: str) -> None:
    """Raises Odd where the answer is not the resource that was asked for."""
    rtype, fhir_id = url.rsplit("/", 2)[-2:]
    if resource.get("resourceType") != rtype or resource.get("id") != fhir_id:
        raise Odd("other-id")


def check_request(request: Resource, subject_url: str, base_url: str) -> None:
    """Raises Odd where it is about another member, or nothing to be done."""
    there = base_url.rstrip("/")
    written = reference_of(request, "subject")
    subject = written if "://" in written else f"{there}/{written}"
    if (normal_reference(subject, "") or "") != subject_url:
        raise Odd("other-patient")
    if request.get("status") != "active":
        raise Odd("request-not-active")


def source_patient(found: Resource, fhir_id: str, url: str) -> Resource:
    made: Resource = {"resourceType": "Patient", "id": fhir_id, "identifier": [named(url)]}
    made["identifier"] += [one for one in (found.get("identifier") or ())[:MOST_LISTED] if _plain(one)]
    made |= {name: found[name] for name in PATIENT if name in found}
    return _sound(labelled_as(made, found), PATIENT)


def _plain(identifier: object) -> bool:
    """An identifier as others than the plan may give it: a CIN is claimed by the plan's record alone."""
    return isinstance(identifier, dict) and identifier.get("system") not in (CIN_SYSTEM, URL_SYSTEM)


def request_copy(
    found: Resource, fhir_id: str, url: str, patient: str, requester: str, owner: str, papers: list[Resource]
) -> Resource:
    made: Resource = {"resourceType": "ServiceRequest", "id": fhir_id, "identifier": [named(url)]}
    made |= {"status": "active", "intent": "order"} | {name: found[name] for name in REQUEST if name in found}
    made |= {
        "subject": {"reference": patient},
        "requester": {"reference": requester},
        "performer": [{"reference": owner}],
    }
    if papers:
        made["supportingInfo"] = papers
    return _sound(labelled_as(made, found), REQUEST)


def _sound(made: Resource, optional: tuple[str, ...]) -> Resource:
    """Without the elements that R4 refuses. Raises Odd where the rest is refused, too."""
    for name in optional:
        if name in made and name != "intent" and _broken(made):
            without = {element: value for element, value in made.items() if element != name}
            made = without if _count(without) < _count(made) else made
    if _broken(made):
        raise Odd("invalid")
    return made


def _broken(resource: Resource) -> bool:
    return _count(resource) > 0


def _count(resource: Resource) -> int:
    return sum(one.severity in ("error", "fatal") for one in validate(resource, resource["resourceType"]))


async def member_of(ctx: Context, found: Resource) -> str:
    """The reference of the member here who is surely the partner's Patient, or ""."""
    keys = ctx.store.keys
    for identifier in (found.get("identifier") or ())[:MOST_LISTED]:
        value = identifier.get("value") if isinstance(identifier, dict) else None
        if not isinstance(value, str) or identifier.get("system") != CIN_SYSTEM:
            continue
        rows = await stays.patients_by_key(ctx.store, keys.token("Patient", "identifier", CIN_SYSTEM, value))
        same = [reference for reference, body in rows if _agree(parse(body), found)]
        if len(rows) == 1 and same:
            return str(same[0])
    return ""


def somebody_else(ours: Resource, theirs: Resource) -> bool:
    """Whether an address that stood for one person shows another now: neither birth date nor a family name agrees."""
    known = ours.get("birthDate") and theirs.get("birthDate") and _families(ours) and _families(theirs)
    return bool(known) and ours["birthDate"] != theirs["birthDate"] and not _families(ours) & _families(theirs)


def _agree(ours: Resource, theirs: Resource) -> bool:
    return bool(ours.get("birthDate")) and ours.get("birthDate") == theirs.get("birthDate") and bool(
        _families(ours) & _families(theirs)
    )  # fmt: skip


def _families(patient: Resource) -> set[str]:
    names = patient.get("name") or ()
    return {str(one["family"]).casefold() for one in names if isinstance(one, dict) and one.get("family")}

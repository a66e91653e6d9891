"""What a partner says was done: its Procedures become copies here, below our ServiceRequest and about our member.

A copy holds what is on a list and nothing else; the identifier says where the original stands. A Procedure about
somebody else is no output of this referral: nothing of such an answer is taken.
"""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from service.search.references import normal_reference
from service.store.partners import Partner
from service.workflow.parties import reference_of
from service.workflow.partner_client import Declined, Odd
from service.workflow.partner_shapes import ID, URL_SYSTEM, labelled_as
from service.workflow.partner_turn import Turn
from service.workflow.stay_identity import derived_id

MOST = 20
"""Outputs of one Task that are looked at."""
COPIED = ("status", "statusReason", "category", "code", "performedDateTime", "performedPeriod", "performedString",
          "outcome", "note")  # fmt: skip
TYPE = {
    "coding": [
        {
            "system": "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
            "code": "resulting-activity",
        }
    ]
}
NAMELESS = "Reported as completed by the partner's server, which names no result."
UNREAD = "On the partner's server; it could not be read."


async def outputs_of(turn: Turn, task: Resource, remote: Resource) -> tuple[list[Resource], list[Resource]]:
    """(Task.output as it is to stand here, Procedures to be written). Raises Odd, Away."""
    outputs: list[Resource] = []
    copies: list[Resource] = []
    for one in (remote.get("output") or ())[:MOST]:
        if not isinstance(one, dict):
            continue
        reference = one.get("valueReference")
        if not isinstance(reference, dict):
            outputs.append(one)
            continue
        written = str(reference.get("reference", ""))
        url = _below(turn.partner, written)
        copy = await _copy(turn, task, remote, url) if url else None
        kept: Resource = {"display": UNREAD, **({"reference": url or written} if "://" in (url or written) else {})}
        if copy is not None:
            copies.append(copy)
            kept = {"reference": f"Procedure/{copy['id']}"}
        outputs.append({"type": one.get("type") or TYPE, "valueReference": kept})
    sound = [one for one in outputs if not _broken({"output": [one]})]
    return sound or [{"type": TYPE, "valueString": NAMELESS}], copies


def _broken(elements: Resource) -> bool:
    trial = {"resourceType": "Task", "status": "completed", "intent": "order", **elements}
    return any(problem.severity in ("error", "fatal") for problem in validate(trial, "Task"))


def _below(partner: Partner, written: str) -> str:
    """The absolute URL of a resource on the partner's server; "" for what is none."""
    url = written if "://" in written else f"{partner.base_url}/{written}"
    rest = url.removeprefix(f"{partner.base_url}/").split("/_history/")[0]
    rtype, _, fhir_id = rest.partition("/")
    return f"{partner.base_url}/{rest}" if url != rest and rtype.isalpha() and ID.match(fhir_id) else ""


async def _copy(turn: Turn, task: Resource, remote: Resource, url: str) -> Resource | None:
    """The copy of a Procedure; None for another type, and where it cannot be read. Raises Odd for another's."""
    path = url.removeprefix(f"{turn.partner.base_url}/")
    if not path.startswith("Procedure/"):
        return None
    try:
        found = (await turn.server.get(path)).resource
    except Declined as error:
        if error.status >= 500:
            raise Odd("garbage") from None  # the server's bad moment: the next look asks again
        return None
    if found.get("resourceType") != "Procedure" or f"Procedure/{found.get('id')}" != path:
        raise Odd("other-id")
    if not _same_member(turn, task, remote, found):
        raise Odd("other-patient")
    made: Resource = {"resourceType": "Procedure", "id": "pp-" + derived_id("partner", turn.partner.name, url)}
    made["identifier"] = [{"system": URL_SYSTEM, "value": url}]
    made["basedOn"] = [{"reference": normal_reference(reference_of(task, "focus"), turn.base_url)}]
    made["subject"] = {"reference": normal_reference(reference_of(task, "for"), turn.base_url)}
    made["performer"] = [{"actor": {"reference": turn.partner.organization}}]
    made = labelled_as(made, found) | {name: found[name] for name in COPIED if name in found}
    if problems(made):
        made = {name: value for name, value in made.items() if name not in COPIED} | {"status": "unknown"}
        code = found.get("code")
        text = code.get("text") if isinstance(code, dict) else None
        made["code"] = {"text": text if isinstance(text, str) and text.strip() else NAMELESS}
    return None if problems(made) else made


def problems(resource: Resource) -> list[Any]:
    return [one for one in validate(resource, resource["resourceType"]) if one.severity in ("error", "fatal")]


def _same_member(turn: Turn, task: Resource, remote: Resource, procedure: Resource) -> bool:
    """Its subject is our member, by our URL or by the reference under which the partner knows the member."""
    subject = reference_of(procedure, "subject").removeprefix(f"{turn.partner.base_url}/")
    theirs = reference_of(remote, "for").removeprefix(f"{turn.partner.base_url}/")
    ours = f"{turn.base_url}/{normal_reference(reference_of(task, 'for'), turn.base_url)}"
    return bool(subject) and subject in (theirs, ours)

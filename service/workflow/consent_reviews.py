"""The Task that says a Consent cannot be interpreted, or is not signed: one for each, opened and closed with it."""

from dataclasses import replace
from datetime import UTC, datetime

from fhir_profiles import Resource
from service.access.consent.compile import Compiled
from service.access.consent.evidence import UNSIGNED
from service.access.context import parse
from service.access.labels import stamped
from service.access.new_version import new_version
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import ABSENT
from service.workflow.parties import reference_of
from service.workflow.stay_identity import derived_id
from service.workflow.steps import Step

SYSTEM = "https://enlace.example.org/fhir/CodeSystem/review-task"
CODE = "consent-review"
OPEN = ("requested", "received", "accepted", "in-progress", "on-hold", "ready")
_TEXT = "This Consent cannot be interpreted as it stands, so it permits nothing and closes labelled data to others."
_UNSIGNED = "This Consent permits nothing as it stands."


async def review(step: Step, reference: str, patient: str, made: Compiled, author: int) -> None:
    """Adds to the Change: a Task where there are problems and none is open, its end where they are gone."""
    fhir_id = task_id(reference)
    found = await read.head(step.ctx.store, "Task", fhir_id, EVERYTHING)
    former = parse(found.body) if found is not None and not found.deleted else None
    is_open = former is not None and former.get("status") in OPEN
    if made.problems and made.until > step.ctx.now_us:
        told = " ".join([_UNSIGNED if made.problems == (UNSIGNED,) else _TEXT, *made.problems])
        owner = (await read.references(step.ctx.store, [author])).get(author, step.ctx.caller.organization)
        task = former if former is not None and is_open else _task(step, fhir_id, reference, patient, owner)
        if is_open and task.get("description") == told:
            return
        task = {**task, "description": told}
    elif former is not None and is_open:
        task = {**former, "status": "completed"}
    else:
        return
    task = stamped(task, step.change.writes[-1].labels)  # what hides the Consent hides its review
    task["lastModified"] = _instant(step.ctx.now_us)
    write = new_version(
        task,
        found.version if found is not None else ABSENT,
        step.ctx.store.keys,
        source_org=author,
        now_us=step.ctx.now_us,
        base_url=step.ctx.settings.base_url,
    )
    # It gives nobody the member, its author neither: it would outlive the author's assignment.
    step.change.writes.append(replace(write, panel=()))
    step.change.audit.append(step.ctx.audit("U" if is_open else "C", "update", f"Task/{fhir_id}", (patient,)))


def task_id(reference: str) -> str:
    return "cr-" + derived_id(CODE, reference)


def _task(step: Step, fhir_id: str, reference: str, patient: str, owner: str) -> Resource:
    """owner: who wrote the Consent, since nobody else can mend it."""
    task: Resource = {
        "resourceType": "Task",
        "id": fhir_id,
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"coding": [{"system": SYSTEM, "code": CODE}], "text": "Review a Consent"},
        "focus": {"reference": reference},
        "for": {"reference": patient},
        "authoredOn": _instant(step.ctx.now_us),
        "owner": {"reference": owner},
    }
    display = reference_of(step.new, "patient") and step.new["patient"].get("display")
    if display:
        task["for"]["display"] = display
    return task


def _instant(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

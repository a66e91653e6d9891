"""Tasks for the member: a questionnaire, material to review, a question, a contact to make (SDOHCC-TaskForPatient).

Source: ../shared/facts/closed-loop.md 1.4: own statuses, own edges, invariants SDOH-Task-1 to 7. The patient's app may
change status, statusReason and output only. No member signs in here yet, so the requester's organization writes down
what the member did; its steps in the member's name are held to the same elements.
"""

from typing import Any

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.workflow.parties import acts_for, reference_of
from service.workflow.steps import Step

CODES_OF = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
SDC = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
STATUSES = ("ready", "in-progress", "on-hold", "completed", "failed", "cancelled", "entered-in-error")
TERMINAL = ("completed", "failed", "cancelled", "entered-in-error")
_LEADS = {
    "ready": ("in-progress", "on-hold", "completed", "failed", "cancelled"),
    "in-progress": ("on-hold", "completed", "failed", "cancelled"),
    "on-hold": ("in-progress", "completed", "failed", "cancelled"),
}
EDGES = frozenset(
    {(old, new) for old, news in _LEADS.items() for new in news}
    | {(old, "entered-in-error") for old in STATUSES if old != "entered-in-error"}
)
MEMBERS = ("in-progress", "on-hold", "completed", "failed")
"""Statuses that are the member's to set; `ready` and `entered-in-error` are the requester's, `cancelled` either's."""
MAY_CHANGE = frozenset({"status", "statusReason", "output", "lastModified", "executionPeriod", "meta"})
_KINDS = {
    (SDC, "complete-questionnaire"),
    (CODES_OF, "review-material"),
    (CODES_OF, "general-information"),
    (CODES_OF, "make-contact"),
}
_FORMS = ((SDC, "questionnaire"), (CODES_OF, "questionnaire-pdf"), (CODES_OF, "questionnaire-url"))
OUTPUTS = {
    "questionnaire": (SDC, "questionnaire-response"),
    "questionnaire-pdf": (CODES_OF, "questionnaire-pdf-completed"),
    "general-information": (CODES_OF, "general-information-response"),
    "make-contact": (CODES_OF, "chosen-contact"),
}
"""Input, or kind of Task -> type of its output."""

Pair = tuple[str, str]


def is_one(task: Resource) -> bool:
    """By its code, or by its owner: no other Task belongs to the member."""
    if reference_of(task, "focus").rpartition("/")[0].endswith("ServiceRequest"):
        return False
    owned = reference_of(task, "owner").startswith(("Patient/", "RelatedPerson/"))
    return owned or bool(_codings(task.get("code")) & _KINDS)


def _codings(concept: Any) -> set[Pair]:
    return {(str(one.get("system", "")), str(one.get("code", ""))) for one in (concept or {}).get("coding") or ()}


def _types(task: Resource, element: str) -> list[Pair]:
    return [pair for one in task.get(element) or () for pair in sorted(_codings(one.get("type")))]


def _rule(text: str, element: str, code: str = "business-rule") -> Issue:
    return Issue(text, f"Task.{element}", code)


async def check_new(step: Step) -> None:
    """It starts ready. 422 with all that is wrong."""
    issues = shape_issues(step.new)
    if step.new.get("status") != "ready" and not step.ctx.restriction.unrestricted:
        issues.append(_rule("A Task for the member starts with status ready.", "status"))
    _refuse(issues)


async def check_step(step: Step) -> None:
    """422 for a status that does not follow, 403 for a caller who is not the requester's organization."""
    old, new = step.old or {}, step.new
    was, status = str(old.get("status")), str(new.get("status"))
    requester = reference_of(old, "requester")
    if not await acts_for(step.ctx, requester):
        text = "A Task for the member is changed by its requester's organization, also in the member's name."
        raise FhirError(Category.FORBIDDEN, [Issue(text, "Task.requester", "forbidden")], reason="party")
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    issues = [
        _rule(f"{element} of a Task for the member cannot be changed: cancel it and open a new one.", element)
        for element in ("for", "requester", "owner", "code", "intent", "authoredOn")
        if element in changed
    ]
    if was != status:
        issues += _moved(was, status, changed)
    elif was in TERMINAL and changed - {"meta"}:
        issues.append(_rule(f"A Task for the member that is {was} is closed and stays as it is.", "status"))
    _refuse([*issues, *shape_issues(new)])


def _moved(was: str, status: str, changed: set[str]) -> list[Issue]:
    if (was, status) not in EDGES:
        allowed = ", ".join(new for new in STATUSES if (was, new) in EDGES) or "nothing"
        return [_rule(f"A Task for the member goes from {was} to {allowed}, not to {status}.", "status")]
    beside = sorted(changed - MAY_CHANGE)
    if status in MEMBERS and beside:
        text = f"A step of the member changes status, statusReason and output only, not {', '.join(beside)}."
        return [_rule(text, beside[0])]
    return []


def _refuse(issues: list[Issue]) -> None:
    if issues:
        raise FhirError(Category.RULE, issues, reason="patient-task")


# --- what it must look like ----------------------------------------------------------------------------------------


def shape_issues(task: Resource) -> list[Issue]:
    """The profile's cardinalities, and its invariants by their number."""
    issues = [
        _rule(f"A Task for the member needs {element}.", element, "required")
        for element in ("for", "authoredOn", "requester", "owner", "code")
        if not task.get(element)
    ]
    if task.get("status") not in STATUSES:
        issues.append(_rule(f"A Task for the member has one of the statuses {', '.join(STATUSES)}.", "status"))
    if task.get("intent") != "order":
        issues.append(_rule("A Task for the member has the intent order.", "intent"))
    if task.get("priority") not in ("routine", "urgent"):
        issues.append(_rule("A Task for the member has the priority routine or urgent.", "priority"))
    if not reference_of(task, "owner").startswith(("Patient/", "RelatedPerson/")):
        issues.append(_rule("Its owner is the Patient, or a RelatedPerson who acts for the member.", "owner"))
    if not reference_of(task, "requester").startswith(("Organization/", "PractitionerRole/")):
        issues.append(_rule("Its requester is an Organization or a PractitionerRole.", "requester"))
    if task.get("statusReason") and not task["statusReason"].get("text"):
        issues.append(_rule("Say why: statusReason needs its text.", "statusReason.text", "required"))
    kinds = {code for system, code in _codings(task.get("code")) & _KINDS}
    for kind in sorted(kinds):
        issues += _INVARIANTS[kind](task)
    return issues


def _questionnaire(task: Resource) -> list[Issue]:
    inputs = _types(task, "input")
    forms = [pair for pair in inputs if pair in _FORMS]
    issues = []
    if len(forms) != 1 or (CODES_OF, "questionnaire-category") not in inputs:
        text = "complete-questionnaire needs one input questionnaire, questionnaire-pdf or questionnaire-url, and "
        issues.append(_rule(f"{text}questionnaire-category (SDOH-Task-1).", "input", "invariant"))
    for number, form in ((5, "questionnaire"), (6, "questionnaire-pdf")):
        if any(code == form for _, code in forms):
            issues += _output(task, OUTPUTS[form], number, done=True)
    return issues


def _information(task: Resource) -> list[Issue]:
    return [*_described(task, "general-information", 2), *_output(task, OUTPUTS["general-information"], 2, done=False)]


def _material(task: Resource) -> list[Issue]:
    if reference_of(task, "focus").rpartition("/")[0].endswith("DocumentReference"):
        return []
    return [_rule("review-material has a DocumentReference in focus (SDOH-Task-3).", "focus", "invariant")]


def _contact(task: Resource) -> list[Issue]:
    issues = _described(task, "make-contact", 7)
    if (CODES_OF, "contact-entity") not in _types(task, "input"):
        issues.append(_rule("make-contact needs an input contact-entity (SDOH-Task-4).", "input", "invariant"))
    return [*issues, *_output(task, OUTPUTS["make-contact"], 7, done=False)]


def _described(task: Resource, kind: str, number: int) -> list[Issue]:
    if task.get("description"):
        return []
    return [_rule(f"{kind} says in description what is asked (SDOH-Task-{number}).", "description", "invariant")]


def _output(task: Resource, wanted: Pair, number: int, *, done: bool) -> list[Issue]:
    """Outputs are of one type only. done: a completed Task has one."""
    found = _types(task, "output")
    if all(pair == wanted for pair in found) and (found or not (done and task.get("status") == "completed")):
        return []
    return [_rule(f"The output is of the type {wanted[1]} (SDOH-Task-{number}).", "output", "invariant")]


_INVARIANTS = {
    "complete-questionnaire": _questionnaire,
    "general-information": _information,
    "review-material": _material,
    "make-contact": _contact,
}

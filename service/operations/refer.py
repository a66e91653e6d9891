"""ServiceRequest/[id]/$refer: opens the Task of a referral, to each target, or one that is open to candidates.

Sources: ../shared/decisions.md 22; SDOHCC-TaskForReferralManagement, ../shared/facts/closed-loop.md 1.2, 1.6.
One Change for all Tasks, each checked as a POST of it would be, with the labels of the request; what is open already is
the answer to the same question (refer_open.py). That a service has no room is a warning, not a refusal: the directory
may be out of date. That the target may see nothing of it is a refusal (facts 4.5).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access import tripwire
from service.access.context import Context, parse
from service.access.roles import check_scope, check_write
from service.clock import instant
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.create import made
from service.interactions.decision import Answer, Decision
from service.operations.parameters import parts, value_of
from service.operations.refer_open import answering, check_own, open_ones
from service.search.references import normal_reference
from service.store import epochs, tasks
from service.store.change import Change, Committed
from service.store.read import Found
from service.workflow import chain_sight
from service.workflow.chain_copies import labelled
from service.workflow.parties import reference_of
from service.workflow.referral_law import MOST_CANDIDATES

MOST_TARGETS = 20
MOST_NOTE = 2000
FULFILL = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}
CONTENT = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
PRIORITIES = ("routine", "urgent", "asap", "stat")
_SEVERAL = ("target", "candidate")
_NAMES = (*_SEVERAL, "priority", "note", "due")
_TARGETS = ("Organization", "HealthcareService")
_NO_CANDIDATE = (
    "Without target the referral is open: name a candidate, or organizations or services in ServiceRequest.performer."
)

_HIDDEN = (
    "The referral is not sent: the member's Consents do not let {name} see what it holds. Ask the member, or refer to "
    "another."
)


@dataclass(frozen=True)
class Wanted:
    targets: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    priority: str = ""
    note: str = ""
    due: str = ""


def check_caller(ctx: Context) -> None:
    """403 before anything is looked at."""
    check_scope(ctx.caller, "r", "ServiceRequest")
    check_scope(ctx.caller, "c", "Task")
    check_write(ctx.caller, "Task")


def read(body: Any, base_url: str) -> Wanted:
    """From a Parameters resource; every parameter may be left out. Raises MALFORMED with all problems at once."""
    if body is not None and (not isinstance(body, dict) or body.get("resourceType") != "Parameters"):
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    found: dict[str, list[str]] = {}
    issues: list[Issue] = []
    for number, part in enumerate(parts(body)):
        name, value, place = part.get("name"), value_of(part), f"Parameters.parameter[{number}]"
        if name in _SEVERAL:
            value = value.get("reference") if isinstance(value, dict) else value
            value = (normal_reference(value, base_url) or value) if isinstance(value, str) else None
        if not isinstance(name, str) or name not in _NAMES:
            issues.append(Issue(f"A parameter of $refer is one of {', '.join(_NAMES)}.", place, "not-supported"))
        elif name in found and name not in _SEVERAL:
            issues.append(Issue(f"{name} may stand once.", place, "structure"))
        elif not isinstance(value, str) or not value.strip() or len(value) > MOST_NOTE:
            issues.append(Issue(f"{name} has a value of 1 to {MOST_NOTE} characters.", place, "value"))
        else:
            found.setdefault(name, []).append(value)
    issues += _value_issues(found)
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    single = {name: found.get(name, [""])[0] for name in ("priority", "note", "due")}
    targets, candidates = (tuple(dict.fromkeys(found.get(name, ()))) for name in _SEVERAL)
    return Wanted(targets, candidates, **single)


def _value_issues(found: dict[str, list[str]]) -> list[Issue]:
    issues = []
    for name, most in (("target", MOST_TARGETS), ("candidate", MOST_CANDIDATES)):
        values = found.get(name, ())
        if len(values) > most:
            issues.append(Issue(f"{name} stands at most {most} times: send the rest in another call.", code="too-long"))
        if any(not value.startswith(tuple(f"{one}/" for one in _TARGETS)) for value in values):
            text = f"{name} refers to an Organization or a HealthcareService of this directory, by valueReference."
            issues.append(Issue(text, code="value"))
    if found.get("target") and found.get("candidate"):
        issues.append(Issue("Give target, or candidate for an open referral, not both.", code="structure"))
    if found.get("priority", ["routine"])[0] not in PRIORITIES:
        issues.append(Issue(f"priority is one of {', '.join(PRIORITIES)}.", code="value"))
    return issues


async def refer(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """201 with Parameters: each Task, and an OperationOutcome where the directory says that there is no room.

    200 where all that is asked is open already: nothing is written.
    """
    check_caller(ctx)
    reference = f"ServiceRequest/{fhir_id}"
    head = await ctx.head(reference)
    if head is None:
        raise not_found("ServiceRequest", fhir_id)
    await tripwire.check_found(ctx, (head,))
    await check_own(ctx, head)
    request, change = parse(head.body), Change()
    subject = tasks.subject(ctx.store, reference)
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)  # of two at once the second sees the first's
    named = [await _party(ctx, name, one) for name, one in _named(request, wanted)]
    issues = [issue for one in named for issue in one.issues]
    if not named:
        issues.append(Issue(_NO_CANDIDATE, "ServiceRequest.performer", "required"))
    if issues:
        raise FhirError(Category.RULE, issues, reason="refer")
    there, new = await answering(ctx, await open_ones(ctx, reference), named, offer=not wanted.targets)
    groups = [[one] for one in new] if wanted.targets else [new] if new else []
    for group in groups:
        body = labelled(_body(ctx, request, wanted, group), request, head.labels)
        await made(ctx, "Task", {**body, "id": ctx.new_id()}, change)
    patient = normal_reference(reference_of(request, "subject"), ctx.settings.base_url) or ""
    if wanted.targets:
        await _check_seen(ctx, change, head, patient, new)
    change.audit.append(ctx.audit("E", "refer", reference, (patient,) if patient else (), shown=there))
    warnings = [issue for one in new for issue in one.warnings]
    status = 201 if groups else 200
    return Decision(change, lambda done: Answer(status, _answer(done, len(groups), there, warnings)))


async def _check_seen(ctx: Context, change: Change, request: Found, patient: str, parties: Sequence["_Party"]) -> None:
    """403 where a target may not see its Task or the request: such a referral would wait for nobody."""
    writes = [one for one in change.writes if one.rtype == "Task"]
    for party, write in zip(parties, writes, strict=False):
        who = await chain_sight.asker(ctx, party.organization)
        if not await chain_sight.may_see(ctx, who, patient, [write], [request]):
            issue = Issue(_HIDDEN.format(name=party.name), "Parameters.parameter", "suppressed")
            raise FhirError(Category.FORBIDDEN, [issue], reason="consent")


@dataclass(frozen=True)
class _Party:
    """name: which parameter it is, for sentences."""

    name: str
    organization: str
    service: str = ""
    issues: tuple[Issue, ...] = ()
    warnings: tuple[Issue, ...] = ()


def _named(request: Resource, wanted: Wanted) -> list[tuple[str, str]]:
    """(name, reference) of whom it goes to, or whom it is offered to: those whom the request names where none was."""
    for name, references in (("target", wanted.targets), ("candidate", wanted.candidates)):
        if references:
            return [(f"{name} {number}", one) for number, one in enumerate(references, 1)]
    performers = (str(one.get("reference", "")) for one in request.get("performer") or ())
    kept = [one for one in performers if one.startswith(tuple(f"{t}/" for t in _TARGETS))][:MOST_CANDIDATES]
    return [(f"ServiceRequest.performer {number}", one) for number, one in enumerate(kept, 1)]


async def _party(ctx: Context, name: str, reference: str) -> _Party:
    """Whose the service is, and what the directory says of its room."""
    from service.workflow.directory_capacity import standing

    found = await ctx.resource(reference)
    if found is None:
        return _Party(name, "", issues=(Issue(f"{name} is not in this directory.", code="not-found"),))
    resource, service = found[0], ""
    organization = reference
    if reference.startswith("HealthcareService/"):
        organization, service = reference_of(resource, "providedBy"), reference
    if not organization.startswith("Organization/"):
        text = f"{name} does not say by which Organization here it is provided (providedBy)."
        return _Party(name, "", issues=(Issue(text, code="business-rule"),))
    if resource.get("active") is False:
        return _Party(name, "", issues=(Issue(f"{name} is no longer active: choose another.", code="business-rule"),))
    said = standing(resource)
    if said in ("", "capacity"):
        return _Party(name, organization, service)
    text = f"{name} says of its capacity: {said}. The referral was sent all the same."
    return _Party(name, organization, service, warnings=(Issue(text, code="informational"),))


def _body(ctx: Context, request: Resource, wanted: Wanted, parties: Sequence[_Party]) -> Resource:
    """One Task: of its owner, or open to all of them where none was named as the target."""
    requester = reference_of(request, "requester")
    own = requester if requester.startswith(("Organization/", "PractitionerRole/")) else ctx.caller.organization
    body: Resource = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": wanted.priority or request.get("priority") or "routine",
        "code": FULFILL,
        "focus": {"reference": f"ServiceRequest/{request['id']}"},
        "for": request.get("subject"),
        "authoredOn": instant(ctx.now_us),
        "lastModified": instant(ctx.now_us),
        "requester": {"reference": own},
    }
    restriction: Resource = {"period": {"end": wanted.due}} if wanted.due else {}
    if wanted.targets:
        body["owner"] = {"reference": parties[0].organization}
    else:
        offered = dict.fromkeys(one.organization for one in parties)
        restriction["recipient"] = [{"reference": one} for one in offered]
    kind = {"coding": [{"system": CONTENT, "code": "additional-content"}]}
    services = [one.service for one in parties if one.service] if wanted.targets else []
    more = {
        "restriction": restriction,
        "note": [{"text": wanted.note}] if wanted.note else [],
        "input": [{"type": kind, "valueReference": {"reference": one}} for one in services],
    }
    return body | {name: value for name, value in more.items() if value}


def _answer(committed: Committed, tasks_made: int, there: Sequence[Found], warnings: Sequence[Issue]) -> bytes:
    made_ones = [one for one in committed.written if one.reference.startswith("Task/")][:tasks_made]
    bodies = [one.body for one in there] + [one.body for one in made_ones]
    listed: list[Resource] = [{"name": "task", "resource": json.loads(one or b"{}")} for one in bodies]
    if warnings:
        told = [{"severity": "warning", "code": one.code, "diagnostics": one.diagnostics} for one in warnings]
        listed.append({"name": "outcome", "resource": {"resourceType": "OperationOutcome", "issue": told}})
    return write_json({"resourceType": "Parameters", "parameter": listed})

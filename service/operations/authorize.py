"""Task/[id]/$authorize: the plan decides on a request for ECM or a Community Support; the answer is its Task.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/task-authorize. It writes what a PUT by the plan
would, under the same rules (service/workflow/calaim_authorizations.py). Sources: facts/california.md B.1, B.8, C.1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fhir_profiles import Resource
from service.access import tripwire
from service.access.context import Context, parse
from service.access.roles import check_scope, check_write
from service.caller import Role
from service.clock import instant
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.checks import check_structure
from service.interactions.decision import Decision, Preconditions
from service.interactions.update import replaced
from service.operations.parameters import parts, value_of
from service.search.dates import MIN_US
from service.store import read as store_read
from service.workflow.calaim_authorizations import WITH_REASON, uses_of
from service.workflow.calaim_caps import months_after
from service.workflow.calaim_catalogue import Service
from service.workflow.calaim_tasks import (
    APPROVED,
    AUTHORIZATION_URL,
    EXCEPTION,
    NOTICE,
    OUTCOMES,
    OUTPUTS,
    QUANTITY,
    STREAMLINED,
    named,
    outcome_of,
    outputs,
    period_of,
    service_of_task,
    with_coding,
)
from service.workflow.closed_loop import REASON
from service.workflow.working_time import ZONE, local_day

OUTCOME = {
    "approved": "Approved",
    "approved-modified": "Approved modified",
    "denied": "Denied",
    "pended": "Pended",
    "withdrawn": "Withdrawn",
}
MOST_TEXT = 1000
_CLOSURE = {"denied": "not-eligible", "withdrawn": "no-longer-wanted"}
_NO_SERVICE = (
    "The request of this Task is neither for ECM nor for a Community Support: its ServiceRequest.code names none of "
    "the catalogue (code system cs-service, or episode-type#ecm)."
)


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= MOST_TEXT


def _object(value: Any) -> bool:
    return isinstance(value, dict)


_TAKES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "outcome": (lambda value: value in OUTCOME, f"valueCode: one of {', '.join(OUTCOME)}"),
    "number": (lambda value: _text(value) or _object(value), "valueString or valueIdentifier"),
    "period": (_object, "valuePeriod with start and end"),
    "quantity": (_object, "valueQuantity, such as 20 h or 1500 USD"),
    "reason": (_text, f"valueString of {MOST_TEXT} characters at most"),
    "notice": (_object, "valueReference to the notice of action"),
    "exception": (_text, f"valueString of {MOST_TEXT} characters at most"),
}


@dataclass(frozen=True)
class Asked:
    """given: value of each parameter by its name."""

    outcome: str
    given: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> Any:
        return self.given.get(name)


def check_caller(ctx: Context) -> None:
    """403 before anything is looked at."""
    check_scope(ctx.caller, "u", "Task")
    check_write(ctx.caller, "Task")
    if ctx.caller.role is not Role.MCP and not ctx.restriction.unrestricted:
        raise FhirError(Category.FORBIDDEN, "Only a plan authorizes services.", reason="role")


def read_asked(body: Any) -> Asked:
    """Raises MALFORMED with every problem at once."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    found: dict[str, Any] = {}
    issues: list[Issue] = []
    for number, part in enumerate(parts(body)):
        place, name, value = f"Parameters.parameter[{number}]", str(part.get("name")), value_of(part)
        if name not in _TAKES:
            text = f"A parameter of $authorize is one of {', '.join(_TAKES)}."
            issues.append(Issue(text, place, "not-supported"))
        elif name in found:
            issues.append(Issue(f"{name} may stand once.", place, "structure"))
        elif not _TAKES[name][0](value):
            issues.append(Issue(f"{name} is a {_TAKES[name][1]}.", place, "value"))
        else:
            found[name] = value.strip() if isinstance(value, str) else value
    outcome = str(found.get("outcome", ""))
    if not issues and not outcome:
        issues.append(Issue("$authorize needs an outcome.", "Parameters.parameter", "required"))
    if not issues and outcome in WITH_REASON and "reason" not in found:
        issues.append(Issue(f"Say why: reason is required when {outcome}.", "Parameters.parameter", "required"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Asked(outcome, found)


async def run(ctx: Context, fhir_id: str, asked: Asked) -> Decision:
    """200 with the Task as it stands then."""
    check_caller(ctx)
    found = await store_read.head(ctx.store, "Task", fhir_id, ctx.scoped("u"))
    if found is None or found.deleted:
        raise not_found("Task", fhir_id)
    await tripwire.check_found(ctx, (found,))
    task = parse(found.body)
    service = await service_of_task(ctx, task)
    if service is None:
        raise FhirError(Category.RULE, [Issue(_NO_SERVICE, "Task.focus", "business-rule")], reason="authorization")
    decided = await decided_task(ctx, task, service, asked)
    return await replaced(ctx, check_structure(decided, "Task"), found, Preconditions(), "authorization")


async def decided_task(ctx: Context, task: Resource, service: Service, asked: Asked) -> Resource:
    """The Task with the decision. What is wrong with it is told by the rules of the write."""
    after = {**task, "lastModified": instant(ctx.now_us)}
    after["status"] = _status(str(task.get("status")), asked.outcome)
    after["businessStatus"] = with_coding(task.get("businessStatus"), OUTCOMES, asked.outcome, OUTCOME[asked.outcome])
    if asked.of("reason"):
        after["statusReason"] = {"text": asked.of("reason")}
        if after["status"] == "cancelled" and asked.outcome in _CLOSURE:
            after["statusReason"] = with_coding(after["statusReason"], REASON, _CLOSURE[asked.outcome])
    elif task.get("status") != "on-hold":
        after.pop("statusReason", None)
    if asked.outcome in APPROVED:
        number = asked.of("number")
        identifier = {**number} if isinstance(number, dict) else {"value": number} if number else {}
        identifier["period"] = asked.of("period") or identifier.get("period") or await _period(ctx, task, service)
        if owner := named(ctx, task, "owner"):  # of an open one nobody's: the law of the write refuses it in words
            identifier.setdefault("assigner", {"reference": owner})
        kept = [e for e in task.get("extension") or () if e.get("url") != AUTHORIZATION_URL]
        after["extension"] = [*kept, {"url": AUTHORIZATION_URL, "valueIdentifier": _filled(identifier)}]
    return _filled(after | {"output": _outputs(task, asked)})


def _status(status: str, outcome: str) -> str:
    """What was taken on cannot be rejected any more (facts/closed-loop.md 1.3): it is cancelled."""
    if outcome in APPROVED:
        return "accepted" if status == "requested" else status
    if outcome == "denied":
        return "rejected" if status == "requested" else "cancelled"
    return "cancelled" if outcome == "withdrawn" else status


async def _period(ctx: Context, task: Resource, service: Service) -> Resource:
    """Where the plan names none: 12 months for the first authorization of ECM, then 6; from the first service on."""
    first, then = service.months
    if not first:
        return {}
    start_us = period_of(task.get("executionPeriod") or {})[0] if outcome_of(task) in STREAMLINED else MIN_US
    start = local_day(ctx.now_us if start_us == MIN_US else start_us, ZONE)
    others = [one for one in await uses_of(ctx, named(ctx, task, "for")) if one.task != task["id"]]
    earlier = any(one.service == service.code and one.state != "released" for one in others)
    end = months_after(start, then if earlier else first) - timedelta(days=1)
    return {"start": start.isoformat(), "end": end.isoformat()}


def _outputs(task: Resource, asked: Asked) -> list[Any]:
    """The former decision's are replaced; what providers delivered stays."""
    rows = ((QUANTITY, "quantity", "valueQuantity"), (NOTICE, "notice", "valueReference"))
    made = [(code, element, asked.of(name)) for code, name, element in (*rows, (EXCEPTION, "exception", "valueString"))]
    former = [one for code, _, value in made if value is not None or code != NOTICE for one in outputs(task, code)]
    kept = [one for one in task.get("output") or () if one not in former or asked.outcome == "pended"]
    return kept + [
        {
            "type": {"coding": [{"system": OUTPUTS, "code": code}], "text": code.replace("-", " ").capitalize()},
            element: v,
        }
        for code, element, v in made
        if v is not None
    ]


def _filled(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if value not in ({}, [], None)}

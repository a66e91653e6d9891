"""ServiceRequest/[id]/$no-service: no service was found for what is asked; the need stays unmet, and is counted.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/servicerequest-no-service. For the requester. It
writes a version of the request, by the same rules as a PUT; a Task that opens later takes it away again.
"""

from dataclasses import dataclass
from typing import Any

from service.access.context import Context, parse
from service.access.roles import check_scope, check_write
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Decision, Preconditions
from service.interactions.update import current_for_write, replaced
from service.operations.parameters import parts, value_of
from service.store import epochs, tasks
from service.workflow import referral_facts
from service.workflow.referral_law import OPEN
from service.workflow.unmet_needs import reasons, told

MOST_TEXT = 1000
_OPEN = "A referral of this request is open: wait for its outcome, or cancel its Task first."
_ACTIVE = "Only an active request can stay without a service: it is {}."


@dataclass(frozen=True)
class Wanted:
    reason: str
    searched: str = ""


def check_caller(ctx: Context) -> None:
    """403 before anything is looked at."""
    check_scope(ctx.caller, "u", "ServiceRequest")
    check_write(ctx.caller, "ServiceRequest")


def read(body: Any) -> Wanted:
    """Raises MALFORMED with every problem."""
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise FhirError(Category.MALFORMED, "The body must be one Parameters resource.")
    found: dict[str, str] = {}
    issues: list[Issue] = []
    for number, part in enumerate(parts(body)):
        name, value, place = part.get("name"), value_of(part), f"Parameters.parameter[{number}]"
        if name not in ("reason", "searched"):
            issues.append(Issue("A parameter of $no-service is reason or searched.", place, "not-supported"))
        elif name in found:
            issues.append(Issue(f"{name} may stand once.", place, "structure"))
        elif not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
            issues.append(Issue(f"{name} has a value of 1 to {MOST_TEXT} characters.", place, "value"))
        else:
            found[name] = value.strip()
    if found.get("reason") not in reasons():
        issues.append(Issue(f"reason is one of {', '.join(reasons())}.", "Parameters.parameter", "required"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(found["reason"], found.get("searched", ""))


async def run(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """200 with the request as it stands then."""
    current = await current_for_write(ctx, "ServiceRequest", fhir_id, "u")
    reference, request = current.reference, parse(current.body)
    issues = []
    if request.get("status") != "active":
        issues.append(Issue(_ACTIVE.format(request.get("status")), "ServiceRequest.status", "business-rule"))
    subject = tasks.subject(ctx.store, reference)
    epoch = await epochs.epoch(ctx.store, subject)  # before looking: a Task that opens meanwhile makes this stale
    if await tasks.about(ctx.store, reference, tuple(OPEN)):
        issues.append(Issue(_OPEN, "ServiceRequest", "business-rule"))
    if issues:
        raise FhirError(Category.RULE, issues, reason="no-service")
    new = told(request, wanted.reason, wanted.searched, ctx.now_us)
    decision = await replaced(ctx, new, current, Preconditions(), "no-service")
    decision.change.epochs[subject] = epoch
    await referral_facts.unmet(ctx, decision.change, new, wanted.reason)
    return decision

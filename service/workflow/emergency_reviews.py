"""The Task that says an emergency access has to be reviewed within a day; `enlace break-glass review` closes it.

It names no patient: a Task about a patient would put the patient into the panel of its owner.
"""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.break_glass import Taken, reviewed
from service.store.change import Change
from service.workflow.steps import Step

SYSTEM = "https://enlace.example.org/fhir/CodeSystem/review-task"
CODE = "break-glass-review"
DUE_US = 24 * 3_600_000_000
VERDICTS = ("justified", "not-justified")
_FIXED = "The review of an emergency access is closed by the operator (enlace break-glass review), not over the API."


def task(taken: Taken) -> Resource:
    return {
        "resourceType": "Task",
        "id": taken.id,
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"coding": [{"system": SYSTEM, "code": CODE}], "text": "Review an emergency access"},
        "description": "Somebody of your organization opened a member's record in an emergency. The privacy officer "
        "decides whether that was justified.",
        "authoredOn": instant(taken.start_us),
        "lastModified": instant(taken.start_us),
        "requester": {"reference": taken.actor},
        "owner": {"reference": taken.organization},
        "restriction": {"period": {"end": instant(taken.start_us + DUE_US)}},
    }


def is_review(resource: Resource | None) -> bool:
    codings = ((resource or {}).get("code") or {}).get("coding") or ()
    return any(one.get("system") == SYSTEM and one.get("code") == CODE for one in codings)


async def check_untouched(step: Step) -> None:
    """403: who took the access must not review it, or make its review disappear."""
    if is_review(step.old or step.new) and not step.ctx.restriction.unrestricted:
        raise FhirError(Category.FORBIDDEN, [Issue(_FIXED, "Task.code", "forbidden")], reason="review")


async def review(ctx: Context, taken: Taken, reviewer: str, verdict: str) -> Change:
    """The verdict, the Task completed, and the audit row."""
    change = Change(statements=[reviewed(taken.id, ctx.now_us, reviewer, verdict)])
    change.audit.append(ctx.audit("U", "break-glass-review", taken.patient, (taken.patient,), reason=verdict))
    found = await read.head(ctx.store, "Task", taken.id, EVERYTHING)
    if found is not None and not found.deleted:
        done = parse(found.body) | {"status": "completed", "lastModified": instant(ctx.now_us)}
        done["businessStatus"] = {"text": verdict}
        change.writes.append(ctx.write(done, found.version, source_org=found.source_org))
    return change

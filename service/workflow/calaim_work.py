"""Work for a plan that the service cannot do itself: a Task of code system review-task, once for its cause.

It names the member, whom the plan has anyway; it is not a referral, so its focus is never a ServiceRequest: that stands
in reasonReference.
"""

from collections.abc import Sequence
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.access.labels import stamped
from service.clock import instant
from service.store import stays
from service.store.change import ABSENT, Change
from service.workflow import derived
from service.workflow.calaim_tasks import CLOSED, named, stored
from service.workflow.emergency_reviews import SYSTEM
from service.workflow.parties import reference_of
from service.workflow.stay_identity import derived_id

OVERLAP, RE_ROUTE = "program-overlap", "re-route"
_PREFIX = {OVERLAP: "po-", RE_ROUTE: "rr-"}
_TITLES = {OVERLAP: "Look at an overlap of programs", RE_ROUTE: "Find another provider for a service"}


async def opened(
    ctx: Context,
    change: Change,
    code: str,
    cause: Sequence[str],
    *,
    owner: str,
    patient: str,
    text: str,
    reason: str = "",
    focus: str = "",
    inputs: Sequence[dict[str, Any]] = (),
    labels: int = 0,
    author: int | None = None,
) -> None:
    """Adds the Task to the Change; nothing where it is there already, whatever became of it. cause: makes its id.

    labels: of what it tells of. author: key of the organization in whose name it is, the owner where none is given. As
    its own requester the owner gets no view of a member whom it does not have.
    """
    fhir_id = item_id(code, cause)
    if not owner or await stored(ctx, f"Task/{fhir_id}") is not None:
        return
    member = await stored(ctx, patient) or {}
    task: Resource = {
        "resourceType": "Task",
        "id": fhir_id,
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": SYSTEM, "code": code}], "text": _TITLES[code]},
        "description": text,
        "for": {"reference": patient, **_display(member)},
        "authoredOn": instant(ctx.now_us),
        "lastModified": instant(ctx.now_us),
        "requester": {"reference": owner},
        "owner": {"reference": owner},
    }
    if focus:
        task["focus"] = {"reference": focus}
    if reason:
        task["reasonReference"] = {"reference": reason}
    if inputs:
        task["input"] = list(inputs)
    author = ctx.store.keys.resource(owner) if author is None else author
    await derived.put(ctx, change, stamped(task, labels), ABSENT, f"calaim-{code}", source_org=author)


async def done(ctx: Context, change: Change, code: str, cause: Sequence[str]) -> None:
    """What the Task asked for has happened: it is completed, where somebody has not closed it."""
    found = await ctx.resource(f"Task/{item_id(code, cause)}")
    if found is not None and found[0].get("status") not in CLOSED:
        await closed(ctx, change, code, *found)


async def closed(ctx: Context, change: Change, code: str, task: Resource, version: int) -> None:
    after = {**task, "status": "completed", "lastModified": instant(ctx.now_us)}
    await derived.put(ctx, change, after, version, f"calaim-{code}")


def item_id(code: str, cause: Sequence[str]) -> str:
    return _PREFIX[code] + derived_id(code, *cause)


def is_untouched(task: Resource, code: str) -> bool:
    """An item of this kind that nobody has taken up yet."""
    return task.get("status") == "requested" and str(task["id"]).startswith(_PREFIX[code])


def _display(member: Resource) -> dict[str, str]:
    name: Resource = next(iter(member.get("name") or ()), {})
    words = " ".join([*(name.get("given") or ())[:1], str(name.get("family") or "")]).strip()
    return {"display": words} if words else {}


async def plan_of(ctx: Context, patient: str) -> str:
    """The member's plan now, "" without one; of several the first by id."""
    found = await stays.responsible(ctx.store, patient, "payor", ctx.now_us)
    return next((one for one in found if one.startswith("Organization/")), "")


async def organization_of(ctx: Context, resource: Resource, element: str) -> str:
    """The Organization that an element names, itself or by a PractitionerRole; "" for another."""
    reference = named(ctx, resource, element)
    if reference.startswith("PractitionerRole/"):
        reference = reference_of(await stored(ctx, reference) or {}, "organization")
    return reference if reference.startswith("Organization/") else ""

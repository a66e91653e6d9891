"""Sandbox: "let the CBO accept", then complete; and a new referral where none is left. The same rules as over REST.

Each step is a create or update interaction of the party itself: referrals.py TRANSITIONS decide, audit rows name it.
"""

from typing import Any

import orjson

from fhir_profiles import Resource
from service.access.context import Context
from service.caller import Caller
from service.interactions.create import create
from service.interactions.decision import Decision, Preconditions
from service.interactions.sandbox_stays import NothingToDo, found
from service.interactions.settle import settled
from service.interactions.update import update
from service.workflow.alert_text import date_time
from service.workflow.parties import reference_of

SDOH_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
FULFILL = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}
BUSINESS = {"accepted": "accepted", "completed": "referral-loop-closed"}
"""Task.status -> code of the closed-loop status, where the Task bears one."""


async def waiting(ctx: Context, *statuses: str) -> list[Resource]:
    """The referral Tasks of the caller's organization in these states, newest first."""
    owner = ("owner", ctx.caller.organization)
    tasks = await found(ctx, "Task", ("status", ",".join(statuses)), owner)
    return [task for task in tasks if reference_of(task, "focus").startswith("ServiceRequest/")]


async def accept(ctx: Context) -> Resource:
    """The newest referral that waits for an answer, accepted. Raises NothingToDo."""
    tasks = await waiting(ctx, "requested")
    if not tasks:
        raise NothingToDo("No referral waits for an answer: make a new one, then let it be accepted.")
    return await _moved(ctx, tasks[0], "accepted")


async def complete(ctx: Context) -> Resource:
    """The referral that was accepted last, completed, with the Procedure that was done. Raises NothingToDo."""
    tasks = await waiting(ctx, "accepted")
    if not tasks:
        raise NothingToDo("No referral is accepted and open: let one be accepted first.")
    task = tasks[0]
    made = await _created(ctx, _procedure(ctx, task))
    kind = {"coding": [{"system": SDOH_CODES, "code": "resulting-activity"}]}
    output = [{"type": kind, "valueReference": {"reference": f"Procedure/{made['id']}"}}]
    return await _moved(ctx, task, "completed", output=output)


async def refer(ctx: Context, target: Caller) -> Resource:
    """A new referral of the next member by the caller's organization to the target's: request, then Task."""
    members = await found(ctx, "Patient", ("_sort", "_id"))
    open_ones = await found(ctx, "Task", ("status", "requested,accepted,in-progress,on-hold"))
    busy = {reference_of(t, "for") for t in open_ones if reference_of(t, "owner") == target.organization}
    member = next((m for m in members if f"Patient/{m['id']}" not in busy), None)
    if member is None:
        raise NothingToDo("Every member of this panel has an open referral there: let one be completed first.")
    service = await _service(ctx, target)
    parties = {"requester": await _party(ctx, ctx.caller), "owner": await _party(ctx, target)}
    request = await _created(ctx, _request(ctx, member, parties, service))
    return await _created(ctx, _task(member, parties, request))


async def _party(ctx: Context, caller: Caller) -> Resource:
    """A Reference to the organization, with its name from the directory."""
    found = await ctx.resource(caller.organization)
    name = str(found[0].get("name") or "") if found else ""
    return {"reference": caller.organization, **({"display": name} if name else {})}


async def _service(ctx: Context, target: Caller) -> str:
    offered = await found(ctx, "HealthcareService", ("organization", target.organization))
    return next((str(one["name"]) for one in offered if one.get("name")), "Help with a social need")


async def _moved(ctx: Context, task: Resource, status: str, **more: Any) -> Resource:
    reference = f"Task/{task['id']}"

    async def decide(c: Context) -> Decision:
        current = await c.resource(reference)
        if current is None:
            raise NothingToDo("The referral was taken back meanwhile: try again.")
        body, version = current
        after = _answered(body, status, date_time(c.now_us)) | more
        return await update(c, "Task", str(task["id"]), after, Preconditions(if_match=(version,)))

    answer = await settled(ctx, decide)
    moved: Resource = orjson.loads(answer.body or b"{}")
    return moved


async def _created(ctx: Context, body: Resource) -> Resource:
    answer = await settled(ctx, lambda c: create(c, body["resourceType"], body, Preconditions()))
    made: Resource = orjson.loads(answer.body or b"{}")
    return made


def _answered(task: Resource, status: str, now: str) -> Resource:
    """The Task in its new status; a closed-loop status that it bears goes along."""
    after = {**task, "status": status, "lastModified": now}
    codings = (task.get("businessStatus") or {}).get("coding") or ()
    if codings and codings[0].get("system"):
        after["businessStatus"] = {"coding": [{"system": codings[0]["system"], "code": BUSINESS[status]}]}
    return after


def _procedure(ctx: Context, task: Resource) -> Resource:
    return {
        "resourceType": "Procedure",
        "basedOn": [{"reference": reference_of(task, "focus")}],
        "status": "completed",
        "category": {"text": "Social service"},
        "code": {"text": str(task.get("description") or "Social service").partition(":")[0]},
        "subject": task["for"],
        "performedDateTime": date_time(ctx.now_us),
        "performer": [{"actor": {"reference": ctx.caller.organization}}],
    }


def _request(ctx: Context, member: Resource, parties: dict[str, Resource], service: str) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"text": service},
        "subject": _subject(member),
        "authoredOn": date_time(ctx.now_us),
        "requester": parties["requester"],
        "performer": [parties["owner"]],
    }


def _task(member: Resource, parties: dict[str, Resource], request: Resource) -> Resource:
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": FULFILL,
        "description": f"{request['code']['text']}: please answer this referral.",
        "focus": {"reference": f"ServiceRequest/{request['id']}"},
        "for": _subject(member),
        "authoredOn": request["authoredOn"],
        "lastModified": request["authoredOn"],
        "requester": parties["requester"],
        "owner": parties["owner"],
    }


def _subject(member: Resource) -> Resource:
    """A community organization reads no Patient: the name that it needs stands in the reference."""
    name = (member.get("name") or [{}])[0]
    display = " ".join([*(name.get("given") or ())[:1], str(name.get("family") or "")]).strip()
    return {"reference": f"Patient/{member['id']}", **({"display": display} if display else {})}

"""What happens to referrals, told once for each change into table referral_event, in the Change that makes it happen.

`recorded` is a step after each write of a Task or ServiceRequest (steps.py); `unmet` and `authorized` are called by who
writes such a thing. Measures (measure_*.py) read these facts and nothing else, so a past date stays the same.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import read, referral_facts
from service.store.change import Change
from service.store.referral_facts import Event
from service.workflow.parties import reference_of
from service.workflow.steps import Step

SDOH_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
SERVICES = "https://enlace.example.org/fhir/CodeSystem/cs-service"
CLOSURE = "https://enlace.example.org/fhir/CodeSystem/clr-closure-reason"
FOLLOW_UP = "https://enlace.example.org/fhir/CodeSystem/follow-up"
ANSWERS = "https://enlace.example.org/fhir/CodeSystem/follow-up-answer"
PROMISED = "referral-follow-up"
ASKED = ("used-service", "still-receiving")
"""Answers of a promised follow-up that measures count; a No is told as "no-" and the code."""
ECM = "ecm"
ECM_CODES = frozenset({ECM, "G9008", "G9012"})
"""Codes of a ServiceRequest by which it asks for Enhanced Care Management, of whatever system."""
NOT_APPROPRIATE = ("not-appropriate",)
"""Reasons that say that the service was not appropriate for the need (R94). Not eligible is another matter."""

Stored = Callable[[str], Awaitable[Resource | None]]
"""A resource by its relative reference, as it stood with the version that is looked at."""


@dataclass(frozen=True)
class Seen:
    """Where a version is looked at: what stands beside it, and below which URL absolute references are ours."""

    stored: Stored
    base_url: str


async def recorded(step: Step) -> None:
    """Step after a create or update: adds what the write says of a referral."""
    seen = Seen(step.stored, step.ctx.settings.base_url)
    for event in await events_of(seen, step.old, step.new):
        _add(step.ctx, step.change, event)


async def unmet(ctx: Context, change: Change, request: Resource, reason: str) -> None:
    """No service was found for what a ServiceRequest asks; it must be written in the same Change. reason: a code."""
    event = Event(f"ServiceRequest/{request['id']}", "unmet", request=request["id"], reason=reason)
    _add(ctx, change, await _of_request(_now(ctx), request, event))


async def authorized(ctx: Context, change: Change, task: Resource, outcome: str) -> None:
    """The plan decided on its Task, which must be written in the same Change. outcome: of authorization-outcome."""
    event = await _of_task(_now(ctx), task, "authorized")
    _add(ctx, change, replace(event, reason=outcome, opening=True))


async def events_of(seen: Seen, old: Resource | None, new: Resource) -> list[Event]:
    """What a version of a Task or ServiceRequest says that the one before did not; [] where that is nothing."""
    if new["resourceType"] == "ServiceRequest":
        return [await _of_request(seen, new, event) for event in _request_moved(old, new)]
    if _id_of(seen, new, "focus", "Task"):
        return await _answered(seen, old or {}, new)
    kinds = list(_task_moved(old, new)) if _id_of(seen, new, "focus", "ServiceRequest") else []
    if not kinds:
        return []
    told = await _of_task(seen, new, "")
    was = str((old or {}).get("status", ""))
    events = [replace(told, kind=kind, was=was, opening=kind != "opened") for kind in kinds]
    return [await _opening(seen, one) if one.kind == "opened" else one for one in events]


def _task_moved(old: Resource | None, new: Resource) -> Iterator[str]:
    """A draft is not yet a referral."""
    was, status = (old or {}).get("status"), new.get("status")
    if status == "draft" or (was in (None, "draft") and status == "entered-in-error"):
        return
    if was in (None, "draft"):
        yield "opened"
    elif was != status:
        yield "moved"
    elif _code(old or {}, "businessStatus") != _code(new, "businessStatus"):
        yield "business"


def _request_moved(old: Resource | None, new: Resource) -> Iterator[Event]:
    was, status = str((old or {}).get("status", "")), str(new.get("status", ""))
    if was != status:
        name = f"ServiceRequest/{new['id']}"
        yield Event(name, "request", request=new["id"], was=was, status=status, reason=_code(new, "statusReason"))


async def _answered(seen: Seen, old: Resource, new: Resource) -> list[Event]:
    """A promised follow-up about a referral was completed (follow_ups.py)."""
    promise = any(c.get("system") == FOLLOW_UP and c.get("code") == PROMISED for c in _codings(new, "code"))
    if not promise or new.get("status") != "completed" or old.get("status") == "completed":
        return []
    referral = _id_of(seen, new, "focus", "Task")
    told = replace(await _of_task(seen, new, "follow-up"), task=referral, request="", parent="", owner="", opening=True)
    said = {
        coding["code"]: output["valueBoolean"]
        for output in new.get("output") or ()
        for coding in _codings(output, "type")
        if coding.get("system") == ANSWERS and isinstance(output.get("valueBoolean"), bool)
    }
    return [replace(told, reason=code if said[code] else f"no-{code}") for code in ASKED if code in said]


async def _of_task(seen: Seen, task: Resource, kind: str) -> Event:
    return Event(
        f"Task/{task['id']}",
        kind,
        task=task["id"],
        request=_id_of(seen, task, "focus", "ServiceRequest"),
        parent=_parent(seen, task),
        status=str(task.get("status", "")),
        business=_code(task, "businessStatus"),
        reason=_code(task, "statusReason"),
        patient=_named(seen, task, "for"),
        requester=await _organization(seen, _named(seen, task, "requester")),
        owner=await _organization(seen, _named(seen, task, "owner")),
    )


async def _of_request(seen: Seen, request: Resource, event: Event) -> Event:
    return replace(
        event,
        need=need_of(request),
        service=service_of(request),
        patient=_named(seen, request, "subject"),
        requester=await _organization(seen, _named(seen, request, "requester")),
    )


async def _opening(seen: Seen, event: Event) -> Event:
    request = await seen.stored(f"ServiceRequest/{event.request}") or {}
    return replace(event, need=need_of(request), service=service_of(request))


def need_of(request: Resource) -> str:
    """Its first SDOH category, or ""."""
    codings = _codings(request, "category")
    return next((c["code"] for c in codings if c.get("system") == SDOH_CODES and c.get("code")), "")


def service_of(request: Resource) -> str:
    """Code of cs-service, "ecm", or ""."""
    codings = [*_codings(request, "code"), *_codings(request, "category"), *_codings(request, "orderDetail")]
    service = next((c["code"] for c in codings if c.get("system") == SERVICES and c.get("code")), "")
    return service or (ECM if any(c.get("code") in ECM_CODES for c in codings) else "")


def _codings(resource: Resource, element: str) -> Iterator[dict[str, Any]]:
    concepts = resource.get(element) or []
    for concept in concepts if isinstance(concepts, list) else [concepts]:
        yield from (coding for coding in concept.get("coding") or () if isinstance(coding, dict))


def _code(resource: Resource, element: str) -> str:
    """The code that measures ask about before others, then that of the closed loop, then the first."""
    codings = [coding for coding in _codings(resource, element) if coding.get("code")]
    ranked = sorted(codings, key=lambda c: (c["code"] not in NOT_APPROPRIATE, c.get("system") != CLOSURE))
    return str(ranked[0]["code"]) if ranked else ""


def _named(seen: Seen, resource: Resource, element: str) -> str:
    return normal_reference(reference_of(resource, element), seen.base_url) or ""


def _id_of(seen: Seen, resource: Resource, element: str, rtype: str) -> str:
    kind, _, fhir_id = _named(seen, resource, element).partition("/")
    return fhir_id if kind == rtype else ""


def _parent(seen: Seen, task: Resource) -> str:
    for whole in task.get("partOf") or ():
        kind, _, fhir_id = (normal_reference(str(whole.get("reference", "")), seen.base_url) or "").partition("/")
        if kind == "Task":
            return fhir_id
    return ""


_EMPLOYER = {"PractitionerRole": "organization", "HealthcareService": "providedBy"}


async def _organization(seen: Seen, reference: str) -> str:
    """For whom a party acts: its organization; the reference itself where nothing names one."""
    element = _EMPLOYER.get(reference.partition("/")[0])
    if element is None:
        return reference
    found = await seen.stored(reference)
    return (_named(seen, found, element) if found else "") or reference


def _now(ctx: Context) -> Seen:
    """As it will stand, whatever the caller may see: a fact is told whole, and shown to nobody here."""

    async def stored(reference: str) -> Resource | None:
        if (own := ctx.pending.get(reference)) is not None:
            return own.resource
        rtype, _, fhir_id = reference.partition("/")
        found = await read.head(ctx.store, rtype, fhir_id, EVERYTHING) if fhir_id else None
        return parse(found.body) if found is not None and found.body is not None else None

    return Seen(stored, ctx.settings.base_url)


def _add(ctx: Context, change: Change, event: Event) -> None:
    store = ctx.store
    change.statements.append(referral_facts.put(store.keys, event, store.next_id(ctx.now_us), ctx.now_us))

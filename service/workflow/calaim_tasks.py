"""What a referral Task says of a CalAIM service: which one, whether it is the plan's own Task, what was authorized.

The plan's Task (owner: the member's plan) is the request for authorization; those that go on from it to providers are
its children. facts/california.md C.1.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.dates import MAX_US, MIN_US
from service.search.dates import parse as parse_date
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import read, stays
from service.workflow.calaim_catalogue import CODE_SYSTEMS, Service, service_of
from service.workflow.parties import reference_of

OUTCOMES = f"{CODE_SYSTEMS}authorization-outcome"
OUTPUTS = f"{CODE_SYSTEMS}authorization-output"
AUTHORIZATION_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-authorization"
ORGANIZATION_TYPES = "http://terminology.hl7.org/CodeSystem/organization-type"
APPROVED = frozenset({"approved", "approved-modified"})
DECIDED = frozenset({*APPROVED, "denied", "withdrawn"})
STREAMLINED = ("streamlined-active", "streamlined-expired")
QUANTITY, NOTICE, EXCEPTION = "authorized-quantity", "notice-of-action", "cap-exception"
CLOSED = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
Look = Callable[[str], Awaitable[Resource | None]]
"""As stored(), of who has read it already (steps.Step.stored)."""
MOST_STEPS = 4
"""So many requests up a chain the service is looked for."""


@dataclass(frozen=True)
class Authorization:
    """outcome: of authorization-outcome, "" where none. quantity: as written; unit: its code, else its unit."""

    outcome: str = ""
    number: str = ""
    start_us: int = MIN_US
    end_us: int = MAX_US
    quantity: Decimal | None = None
    unit: str = ""
    exception: str = ""


async def stored(ctx: Context, reference: str) -> Resource | None:
    """As it will stand, whatever the caller may see: it decides, and is not shown."""
    own = ctx.pending.get(reference)
    if own is not None:
        return own.resource
    rtype, _, fhir_id = reference.partition("/")
    found = await read.head(ctx.store, rtype, fhir_id, EVERYTHING) if fhir_id and "/" not in fhir_id else None
    return None if found is None or found.deleted else parse(found.body)


def named(ctx: Context, resource: Resource, element: str) -> str:
    """The relative reference in an element, "" where there is none."""
    return normal_reference(reference_of(resource, element), ctx.settings.base_url) or ""


async def service_of_task(ctx: Context, task: Resource, look: Look | None = None) -> Service | None:
    """Of the ServiceRequest in focus, or of one that it is based on."""
    reference = named(ctx, task, "focus")
    for _ in range(MOST_STEPS):
        if not reference.startswith("ServiceRequest/"):
            return None
        request = await (look(reference) if look else stored(ctx, reference))
        if request is None:
            return None
        service = service_of(request)
        if service is not None:
            return service
        based = [
            normal_reference(str(one.get("reference", "")), ctx.settings.base_url) or "" for one in _based(request)
        ]
        reference = next((one for one in based if one.startswith("ServiceRequest/")), "")
    return None


def _based(request: Resource) -> list[Any]:
    return [one for one in request.get("basedOn") or () if isinstance(one, dict)]


async def is_plan_task(ctx: Context, task: Resource, look: Look | None = None) -> bool:
    """Its owner pays for the member, or is a payer by the directory; or a plan has decided on it already."""
    owner = named(ctx, task, "owner")
    if not owner.startswith("Organization/"):
        return False
    if outcome_of(task) and outcome_of(task) not in STREAMLINED:
        return True
    if owner in await stays.responsible(ctx.store, named(ctx, task, "for"), "payor", ctx.now_us):
        return True
    organization = await (look(owner) if look else stored(ctx, owner)) or {}
    codings = [c for one in organization.get("type") or () for c in one.get("coding") or ()]
    return any(c.get("system") == ORGANIZATION_TYPES and c.get("code") in ("pay", "ins") for c in codings)


def codes(concept: Any, system: str) -> list[str]:
    codings = concept.get("coding") or () if isinstance(concept, dict) else ()
    return [str(c.get("code", "")) for c in codings if isinstance(c, dict) and c.get("system") == system]


def outcome_of(task: Resource) -> str:
    """Code of authorization-outcome in its businessStatus, "" where nothing was decided."""
    return next(iter(codes(task.get("businessStatus"), OUTCOMES)), "")


def authorization_of(task: Resource) -> Authorization:
    identifier = next(
        (e.get("valueIdentifier") or {} for e in task.get("extension") or () if e.get("url") == AUTHORIZATION_URL), {}
    )
    start_us, end_us = period_of(identifier.get("period") or {})
    quantity: dict[str, Any] = next((o.get("valueQuantity") or {} for o in outputs(task, QUANTITY)), {})
    reason = next((str(o.get("valueString", "")) for o in outputs(task, EXCEPTION)), "")
    unit = str(quantity.get("code") or quantity.get("unit") or "")
    number = str(identifier.get("value", ""))
    return Authorization(outcome_of(task), number, start_us, end_us, _decimal(quantity.get("value")), unit, reason)


def outputs(task: Resource, code: str) -> Iterator[dict[str, Any]]:
    """Those that an authorization wrote."""
    yield from (one for one in task.get("output") or () if code in codes(one.get("type"), OUTPUTS))


def is_output_of_authorization(output: dict[str, Any]) -> bool:
    return bool(codes(output.get("type"), OUTPUTS))


def period_of(period: dict[str, Any]) -> tuple[int, int]:
    """[start, end) in microseconds; open ends where a date is missing or no date."""
    bounds = [MIN_US, MAX_US]
    for place, name in enumerate(("start", "end")):
        try:
            bounds[place] = parse_date(str(period[name]))[place]
        except (KeyError, ValueError):
            continue
    return bounds[0], bounds[1]


def _decimal(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None


def with_coding(concept: Any, system: str, code: str, display: str = "") -> Resource:
    """The concept with this code of the system in the place of others of it; what else it bears stays."""
    kept = [c for c in (concept or {}).get("coding") or () if c.get("system") != system]
    coding = {"system": system, "code": code, **({"display": display} if display else {})}
    return {**(concept or {}), "coding": [*kept, coding]}

"""What each entry of a transaction means before anything is decided: its resource, and what a condition matched.

https://hl7.org/fhir/R4/http.html#trules: conditions are about what is stored before the transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.access.context import Context
from service.access.roles import check_scope, check_write
from service.bundles.entries import Entry
from service.errors import Category, FhirError, Issue
from service.interactions.conditional import Query, ask, condition_of_create, criteria_of
from service.interactions.decision import Decision
from service.store.change import Change
from service.store.read import Found

WRITES = {"create": "c", "update": "u", "patch": "u", "delete": "d"}
"""Interactions that make the one Change, and the scope each needs; all others run when it is durable."""
AT_ONCE = 16

T = TypeVar("T")


@dataclass
class Planned:
    """reference: "" for an entry that writes nothing. question: its condition; found: what that matched.

    resource: the body with references as they will be stored. failed: why it cannot be.
    """

    entry: Entry
    reference: str = ""
    question: tuple[str, Query] | None = None
    found: Found | None = None
    asked: Change = field(default_factory=Change)
    resource: Any = None
    decision: Decision | None = None
    failed: FhirError | None = None

    @property
    def interaction(self) -> str:
        return self.entry.route.interaction if self.entry.route else ""

    @property
    def writes(self) -> bool:
        return self.interaction in WRITES

    @property
    def creates(self) -> bool:
        """Makes a resource under an id of ours."""
        named = self.interaction == "update" and self.question is None
        return self.interaction in ("create", "update") and not named and self.found is None


async def planned(ctx: Context, entries: Sequence[Entry]) -> list[Planned]:
    """All entries with their conditions answered. Ids of what is created are chosen here, so that others can refer."""
    plans = [Planned(entry, failed=entry.error) for entry in entries]

    async def look(plan: Planned) -> None:
        try:
            await _look(ctx, plan)
        except FhirError as error:
            plan.failed = error

    await each(look, (plan for plan in plans if plan.failed is None and plan.writes))
    for plan in plans:
        if not plan.reference and (plan.writes or plan.failed):
            body = plan.entry.resource
            rtype = plan.entry.rtype or (body.get("resourceType") if isinstance(body, dict) else "")
            # A failed entry has a name too, so that those who refer to it are not blamed.
            plan.reference = f"{rtype}/{ctx.new_id()}" if isinstance(rtype, str) and rtype else ""
    return plans


async def each(act: Callable[[T], Awaitable[None]], of: Iterable[T]) -> None:
    """Several at once, so that their reads share statements; other requests get their turn in between."""
    places = asyncio.Semaphore(AT_ONCE)

    async def run(one: T) -> None:
        async with places:
            await act(one)
            await asyncio.sleep(0)

    try:
        async with asyncio.TaskGroup() as group:
            for one in of:
                group.create_task(run(one))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the first one that failed ended the others


async def _look(ctx: Context, plan: Planned) -> None:
    assert plan.entry.route is not None
    call = plan.entry.route.call
    if call.id:
        plan.reference = f"{call.type}/{call.id}"
        return
    query: Query | None = criteria_of(call.params)
    name = "The URL" if query else "If-None-Exist"
    if plan.interaction == "create":
        query = condition_of_create(call.params, call.pre)
    if query is None:
        return
    check_scope(ctx.caller, WRITES[plan.interaction], call.type)
    check_write(ctx.caller, call.type)
    plan.question = (call.type, tuple(sorted(query)))
    plan.found = await ask(ctx, call.type, query, plan.asked, name)
    body = plan.entry.resource
    if plan.found is not None:
        plan.reference = plan.found.reference
    elif plan.interaction == "update" and isinstance(body, dict) and "id" in body:
        plan.reference = f"{call.type}/{body['id']}"


def refuse_twins(plans: Sequence[Planned]) -> None:
    """Each of several entries about one identity is refused and names the other (hapi-fhir#8183: one was dropped)."""
    first: dict[object, Planned] = {}
    urls: dict[str, Planned] = {}
    for plan in plans:
        if plan.entry.full_url and plan.failed is None:
            twin = urls.setdefault(plan.entry.full_url, plan)
            if twin is not plan:
                _blame(twin, plan, "fullUrl", "have the same fullUrl: each entry needs one of its own")
        if not plan.writes or plan.failed is not None:
            continue
        for identity in filter(None, (plan.reference, plan.question)):
            twin = first.setdefault(identity, plan)
            if twin is not plan:
                _blame(twin, plan, "request.url", "are about the same resource: a transaction writes each one once")
                break


def _blame(one: Planned, other: Planned, element: str, why: str) -> None:
    places = [f"Bundle.entry[{plan.entry.number}]" for plan in (one, other)]
    text = f"{places[0]} and {places[1]} {why}."
    for plan, place in zip((one, other), places, strict=True):
        if plan.failed is None:
            plan.failed = FhirError(
                Category.MALFORMED, [Issue(text, f"{place}.{element}", "duplicate")], reason="duplicate-entry"
            )

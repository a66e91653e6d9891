"""The writes of a transaction decided, each by its own interaction, each seeing what the others make; one Change."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from service.access.context import Context, Pending
from service.bundles.entries import Resolve
from service.bundles.linked import targets
from service.bundles.planned import Planned, each
from service.errors import Category, FhirError, Issue
from service.interactions.create import create, existing_one
from service.interactions.decision import Answer, Decision
from service.interactions.refusal import as_refusal
from service.interactions.update import update_where
from service.search.references import normal_reference
from service.store import read
from service.store.change import ABSENT, AuditRow, Change, Committed, Stale
from service.store.read import Found

MAX_ISSUES = 50
READ_AT_ONCE = 1_000


async def decide(ctx: Context, plans: Sequence[Planned], resolve: Resolve) -> None:
    """Fills plan.decision or plan.failed of every write. A PATCH comes first: only then is known what it makes.

    A PATCH that is refused is decided once more when the others are, since it may need what they make.
    """
    await _look_ahead(ctx, plans)

    async def one(plan: Planned) -> None:
        try:
            plan.decision = await _decided(ctx, plan, resolve)
            plan.failed = None
        except FhirError as error:
            plan.failed = error

    writing = [plan for plan in plans if plan.writes and plan.failed is None]
    patches = [plan for plan in writing if plan.interaction == "patch"]
    for _ in (1, 2):
        for plan in patches:
            if plan.decision is None:
                await one(plan)
                _remember(ctx, plan)
    await each(one, (plan for plan in writing if plan.interaction != "patch"))
    for plan in patches:
        if plan.failed is not None:
            await one(plan)


async def _look_ahead(ctx: Context, plans: Sequence[Planned]) -> None:
    """What stands now under all names and references of the Bundle, in few statements; and what will stand."""
    base = ctx.settings.base_url
    writing = [plan for plan in plans if plan.reference and (plan.writes or plan.failed)]
    leads = {id(plan): targets(plan.resource, base) for plan in writing}
    asked = {plan.reference for plan in writing}.union(*leads.values())
    served = [one for one in sorted(asked) if normal_reference(one, base) == one]
    found: dict[str, Found] = {}
    for start in range(0, len(served), READ_AT_ONCE):
        found |= await read.heads(ctx.store, served[start : start + READ_AT_ONCE], ctx.restriction)
    ctx.known = {one: one in found for one in served}
    ctx.pending = {}
    for plan in writing:
        stands = found.get(plan.reference)
        version = stands.version if stands else ABSENT
        if plan.interaction == "delete":
            ctx.pending[plan.reference] = Pending(None, version)
        elif plan.interaction == "update" or (plan.found is None and plan.interaction != "patch"):
            body = plan.resource or plan.entry.resource
            if isinstance(body, dict):
                own = {**body, "id": plan.reference.partition("/")[2]}
                ctx.pending[plan.reference] = Pending(own, version, leads[id(plan)])


def _remember(ctx: Context, plan: Planned) -> None:
    for write in plan.decision.change.writes if plan.decision else ():
        resource = write.resource
        leads = targets(resource, ctx.settings.base_url) if resource else frozenset()
        ctx.pending[write.reference] = Pending(resource, write.expect, leads)


async def _decided(ctx: Context, plan: Planned, resolve: Resolve) -> Decision:
    assert plan.entry.route is not None
    route, body = plan.entry.route, plan.resource
    request = plan.entry.request
    if plan.interaction == "create" and plan.found is not None:
        return await existing_one(ctx, plan.found)
    if plan.creates:
        call, fhir_id = route.call, plan.reference.partition("/")[2]
        if plan.question is not None and plan.interaction == "update":
            return await update_where(ctx, call.type, plan.question[1], body, call.pre, fhir_id=fhir_id)
        return await create(ctx, call.type, body, replace(call.pre, if_none_exist=None), fhir_id=fhir_id)
    if plan.question is not None and plan.found is not None:
        if isinstance(body, dict) and plan.interaction == "update":
            body = {**body, "id": body.get("id", plan.found.fhir_id)}
        request = {**request, "url": plan.reference}
    route = resolve(request, body)
    return await (await route.handler(ctx, route.call))(ctx)


def merged(plans: Sequence[Planned], audit: AuditRow) -> Change:
    """The one Change. Two entries that read the same thing at two versions rely on what no longer is."""
    whole = Change(audit=[audit])
    for plan in plans:
        for part in (plan.asked, plan.decision.change if plan.decision else Change()):
            for known, more in ((whole.relied, part.relied), (whole.epochs, part.epochs)):
                _agree(known, more)
            whole.merge(part)
    return whole


def _agree(known: dict[Any, int], more: dict[Any, int]) -> None:
    if any(known.get(name, value) != value for name, value in more.items()):
        raise Stale("two readings of one thing")


def answers(plans: Sequence[Planned], done: Committed) -> dict[int, Answer]:
    """Number of the entry -> its answer, from its own slice of what was written."""
    out: dict[int, Answer] = {}
    written = jobs = 0
    for plan in plans:
        if plan.decision is None:
            continue
        change = plan.decision.change
        to, end = written + len(change.writes), jobs + len(change.jobs)
        out[plan.entry.number] = plan.decision.answer(Committed(done.written[written:to], done.job_ids[jobs:end]))
        written, jobs = to, end
    return out


def refuse(plans: Sequence[Planned]) -> None:
    """FhirError with the problems of all entries, each under its entry; the gravest category decides the status."""
    failed = [(plan, as_refusal(plan.failed)) for plan in plans if plan.failed is not None]
    if not failed:
        return
    issues = [_placed(plan, issue, error) for plan, error in failed for issue in error.issues]
    worst = min((error for _, error in failed), key=lambda error: _RANK.get(error.category, len(_RANK)))
    headers = worst.headers if len(failed) == 1 else {k: v for k, v in worst.headers.items() if k != "ETag"}
    raise FhirError(worst.category, issues[:MAX_ISSUES], headers, worst.reason)


_RANK = {
    category: rank
    for rank, category in enumerate(
        (
            Category.INTERNAL,
            Category.UNAVAILABLE,
            Category.MALFORMED,
            Category.TOO_LARGE,
            Category.UNSUPPORTED_MEDIA,
            Category.METHOD_NOT_ALLOWED,
            Category.FORBIDDEN,
            Category.NOT_FOUND,
            Category.GONE,
            Category.RULE,
            Category.PRECONDITION_REQUIRED,
            Category.CONFLICT,
            Category.STALE,
        )
    )
}
"""What the client has to mend first comes first; a condition that failed would be asked again anyway."""


def _placed(plan: Planned, issue: Issue, error: FhirError) -> Issue:
    """The element as seen from the Bundle; issues of different categories keep their own codes."""
    place = f"Bundle.entry[{plan.entry.number}]"
    expression = issue.expression or ""
    body = plan.entry.resource
    types = (plan.entry.rtype, body.get("resourceType") if isinstance(body, dict) else "")
    root, _, rest = expression.partition(".")
    if expression.startswith("Bundle.entry["):
        placed = expression
    elif not expression:
        placed = place
    else:
        within = rest if root in types else expression
        placed = f"{place}.resource.{within}" if within else f"{place}.resource"
    return Issue(issue.diagnostics, placed, issue.code or error.category.code, issue.severity)

"""The resource that a conditional request means: at most one, and nobody else may answer the question meanwhile.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #cdelete
"""

from service.access.context import Context
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue
from service.search.query import parse
from service.store.change import Change
from service.store.epochs import epoch
from service.store.find import search as find
from service.store.read import Found

QUESTIONS = 65_536
"""Conditional writes of one question exclude each other by a counter; so many counters, so that they never grow."""

Query = tuple[tuple[str, str], ...]


async def ask(ctx: Context, rtype: str, query: Query, change: Change, name: str) -> Found | None:
    """The one visible resource that fits the query, or None; 412 where several do or nothing is asked.

    name: what held the query ("If-None-Exist", "The URL"), for sentences. The Change relies on the answer: who answers
    the same question meanwhile makes it stale. So the counter is read before the search.
    """
    question = _question(ctx, rtype, query)
    change.epochs[question] = await epoch(ctx.store, question)
    change.bump_epochs.add(question)
    matches = await _matches(ctx, rtype, query, name)
    if len(matches) > 1:
        text = f"{name} matches more than one resource: make the query select at most one."
        raise FhirError(Category.STALE, [Issue(text, code="multiple-matches")], reason="multiple-matches")
    return matches[0] if matches else None


async def _matches(ctx: Context, rtype: str, query: Query, name: str) -> list[Found]:
    check_scope(ctx.caller, "s", rtype)
    keys, base = ctx.store.keys, ctx.settings.base_url
    criteria = parse(rtype, [*query, ("_count", "2")], keys, strict=True, now_us=ctx.now_us, base_url=base)
    if not criteria.clauses:
        text = f"{name} must hold at least one search parameter, such as identifier=system|value."
        raise FhirError(Category.STALE, text, reason="no-criteria")
    page = await find(ctx.store, criteria, ctx.restriction, include_restriction=ctx.restriction)
    return page.matches


def _question(ctx: Context, rtype: str, query: Query) -> int:
    parts = sorted(f"{name}={value}" for name, value in query)
    return ctx.store.keys.of("if-none-exist", ctx.caller.organization, rtype, *parts) % QUESTIONS

"""The resources of a transaction with their references resolved: fullUrls, conditional references, what is unknown."""

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from fhir_profiles import Resource
from service.access.context import Context
from service.bundles.planned import Planned, each
from service.bundles.rewrite import Names, rewritten
from service.errors import Category, FhirError, Issue
from service.interactions.checks import references
from service.interactions.conditional import ask
from service.search.references import normal_reference
from service.store.change import Change

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,40})\?(.*)\Z", re.DOTALL)
_OUTSIDE = ("urn:uuid:", "urn:oid:")
_UNKNOWN = "No entry of the Bundle has this as its fullUrl: correct it, or refer to a stored resource as [type]/[id]."
_NO_MATCH = FhirError(
    Category.STALE,
    [Issue("The conditional reference matches nothing: create its target, or correct the query.", code="not-found")],
)


async def link(ctx: Context, plans: Sequence[Planned]) -> None:
    """Fills plan.resource, or plan.failed with all that is wrong with its references."""
    names = Names()
    for plan in plans:
        if plan.entry.full_url and plan.reference:
            names.add(plan.entry.full_url, plan.reference, made=plan.creates)
    found = await _conditional(ctx, plans)
    for plan in plans:
        if plan.writes and plan.failed is None:
            _link_one(plan, names, found)
            await asyncio.sleep(0)


def _link_one(plan: Planned, names: Names, found: dict[str, str | FhirError]) -> None:
    issues: list[Issue] = []
    categories: list[Category] = []

    def resolved(path: str, written: str) -> str | None:
        known = names.find(written, plan.entry.full_url)
        if known is not None or path not in places:
            return known
        match = found.get(written)
        if isinstance(match, FhirError):
            categories.append(match.category)
            issues.extend(Issue(one.diagnostics, path, one.code) for one in match.issues)
        elif match is not None:
            return match
        elif written.lower().startswith(_OUTSIDE):
            categories.append(Category.MALFORMED)
            issues.append(Issue(_UNKNOWN, path, "not-found"))
        return None

    body = plan.entry.resource
    root = str(body.get("resourceType")) if isinstance(body, dict) else ""
    places = {path for path, _ in references(body, root)}
    plan.resource = rewritten(body, root, resolved)
    if issues:
        plan.failed = FhirError(min(categories, key=lambda one: one.status), issues, reason="reference")


async def _conditional(ctx: Context, plans: Sequence[Planned]) -> dict[str, str | FhirError]:
    """`Patient?identifier=...` as written -> the one resource, asked once; or why there is not one.

    What another entry creates under the same condition is meant too: else a Bundle could be sent only the second time.
    """
    made = {plan.question: plan for plan in plans if plan.question}
    written = {
        text: None
        for plan in plans
        if plan.writes and plan.failed is None
        for _, text in references(plan.entry.resource, "")
        if "?" in text and _CONDITIONAL.match(text)
    }
    out: dict[str, str | FhirError] = {}

    async def look(text: str) -> None:
        match = _CONDITIONAL.match(text)
        assert match is not None
        query = tuple(parse_qsl(match[2], keep_blank_values=True))
        own = made.get((match[1], tuple(sorted(query))))
        if own is not None and own.interaction != "delete":
            out[text] = own.reference
            return
        try:
            fitting = await ask(ctx, match[1], query, Change(), "The conditional reference")
            out[text] = fitting.reference if fitting else _NO_MATCH
        except FhirError as error:
            out[text] = error

    await each(look, written)
    return out


def targets(resource: Resource, base_url: str) -> frozenset[str]:
    """Type/id of all that the references of a resource lead to on this server."""
    found = {normal_reference(text, base_url) for _, text in references(resource, "")}
    return frozenset(one for one in found if one and "://" not in one)

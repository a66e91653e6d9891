"""search: https://hl7.org/fhir/R4/http.html#search"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from service.access.context import Context
from service.access.roles import check_scope
from service.access.views import check_search, in_view
from service.access.views import shown as part
from service.errors import Category, FhirError
from service.interactions.asked import asked
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.links import Around
from service.interactions.notices import Issues, notice, outcome, shown
from service.interactions.search_types import Where, of_type
from service.interactions.subset import cut
from service.search.criteria import Criteria, Position, Sort
from service.store.change import Change
from service.store.find import Page
from service.store.find import search as find
from service.store.find_order import decisive
from service.store.read import Found

MakeLinks = Callable[[Criteria, Around], dict[str, str]]
"""The links of a page, from what was executed and the positions of the pages around it."""


async def search(
    ctx: Context,
    rtype: str,
    params: list[tuple[str, str]],
    *,
    strict: bool,
    after: Position | None,
    links: MakeLinks,
    back: bool = False,
) -> Decision:
    """A searchset Bundle of one type."""
    return await search_in(ctx, of_type(rtype), params, strict=strict, after=after, links=links, back=back)


async def search_in(
    ctx: Context,
    where: Where,
    params: list[tuple[str, str]],
    *,
    strict: bool,
    after: Position | None,
    links: MakeLinks,
    back: bool = False,
) -> Decision:
    """A searchset Bundle. after: position from a page link, from which the page leads `back`.

    The audit row holds the names of the parameters, never their values, and each patient of the page.
    """
    for rtype in where.rtypes:
        check_scope(ctx.caller, "s", rtype)
    viewing = where.plain and check_search(ctx, where.rtypes[0], [name for name, _ in params])
    several = asked(ctx, where.rtypes, params, strict=strict, everywhere=where.everywhere)
    if viewing:  # not in order of changes, which may be of what is hidden
        several = tuple(replace(one, sort=(Sort("_id", False),)) for one in several)
    for include in several[0].includes:
        if include.reverse:
            check_scope(ctx.caller, "r", include.rtype)
    if after is not None and len(after) != len(decisive(several[0].sort)) + 1:
        raise FhirError(Category.MALFORMED, "The page link is not valid here: start the search again.")
    ready = [replace(c, clauses=(*where.within(ctx, c.rtype), *c.clauses), after=after, back=back) for c in several]
    page = await find(
        ctx.store,
        _seen(ctx, ready),
        ctx.for_reading(ctx.scoped("s"), views=viewing),
        include_restriction=ctx.for_reading(ctx.readable(), views=True),
        linked_restriction=ctx.for_reading(ctx.linkable()),
    )
    names = "&".join(sorted({name for name, _ in several[0].used}))
    audit = ctx.audit("E", where.interaction, f"{where.path}?{names}", shown=(*page.matches, *page.included))
    page = replace(page, matches=[part(ctx, one) for one in page.matches], included=in_view(ctx, page.included))
    told = await notice(ctx, (*page.matches, *page.included))
    body = _body(ctx, ready[0], page, links, told.issues)
    return Decision(Change(audit=[told.upon(ctx, audit)]), fixed(Answer(200, body, notice=outcome(told.issues))))


def _seen(ctx: Context, several: list[Criteria]) -> Sequence[Criteria]:
    """Without types of which the caller sees nothing anyway; one of them is kept, so that there is an answer."""
    if ctx.restriction.unrestricted:
        return several
    return [c for c in several if ctx.restriction.rule(c.rtype) is not None] or several[:1]


def _body(ctx: Context, criteria: Criteria, page: Page, links: MakeLinks, issues: Issues) -> bytes:
    modes: list[tuple[list[Found], str]] = [(page.matches, "match"), (page.included, "include")]
    entries = [Entry(subset(shown(ctx, found), criteria, mode), mode) for founds, mode in modes for found in founds]
    warned = [{"severity": "warning", "code": "not-supported", "diagnostics": text} for text in criteria.warnings]
    return bundle(
        "searchset",
        entries,
        ctx.settings.base_url,
        links=links(criteria, Around(page.next, page.prev)),
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        total=page.total,
        outcome=outcome([*warned, *issues]),
    )


def subset(found: Found, criteria: Criteria, mode: str) -> Found:
    if found.body is None or not (criteria.summary or criteria.elements):
        return found
    return replace(found, body=cut(found.body, found.rtype, criteria, mode))

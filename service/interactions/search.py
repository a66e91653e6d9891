"""search-type: https://hl7.org/fhir/R4/http.html#search"""

from collections.abc import Callable
from dataclasses import replace

from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.roles import check_scope
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.search.criteria import Criteria, Position
from service.search.query import parse
from service.store.change import Change
from service.store.find import Page
from service.store.find import search as find


async def search(
    ctx: Context,
    rtype: str,
    params: list[tuple[str, str]],
    *,
    strict: bool,
    after: Position | None,
    links: Callable[[Criteria, Position | None], dict[str, str]],
) -> Decision:
    """A searchset Bundle. after: position from a page link; links: makes self and next from what was executed.

    The audit row holds the names of the parameters, never their values, and each patient of the page.
    """
    check_scope(ctx.caller, "s", rtype)
    criteria = parse(rtype, params, ctx.store.keys, strict=strict, now_us=ctx.now_us, base_url=ctx.settings.base_url)
    for include in criteria.includes:
        if include.reverse:
            check_scope(ctx.caller, "r", include.rtype)
    criteria = replace(criteria, after=after)
    page = await find(ctx.store, criteria, ctx.restriction, include_restriction=ctx.readable())
    names = "&".join(sorted({name for name, _ in criteria.used}))
    audit = ctx.audit("E", "search-type", f"{rtype}?{names}", ctx.patients_of(*page.matches, *page.included))
    body = _body(ctx, criteria, page, links)
    return Decision(Change(audit=[audit]), fixed(Answer(200, body)))


def _body(
    ctx: Context,
    criteria: Criteria,
    page: Page,
    links: Callable[[Criteria, Position | None], dict[str, str]],
) -> bytes:
    entries = [Entry(found, "match") for found in page.matches] + [Entry(found, "include") for found in page.included]
    outcome = None
    if criteria.warnings:
        issues = [{"severity": "warning", "code": "not-supported", "diagnostics": text} for text in criteria.warnings]
        outcome = write_json({"resourceType": "OperationOutcome", "issue": issues})
    return bundle(
        "searchset",
        entries,
        ctx.settings.base_url,
        links=links(criteria, page.next),
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        total=page.total,
        outcome=outcome,
    )

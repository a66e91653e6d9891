"""search of Provenance by target (or patient): stored ones and rendered ones together, newest first.

Searches that name no target look at stored Provenance alone, as any search does. The rendered ones are matched by the
same index rows and clauses as AuditEvents are; both kinds stand in one order, so a page is cut from the whole list,
which is bounded: a target with more versions than MOST is refused, never cut short.
"""

from dataclasses import replace

from service.access.context import Context, parse
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue
from service.interactions.asked import asked
from service.interactions.audit_match import holds
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.links import Around
from service.interactions.notices import notice, outcome, shown
from service.interactions.provenance import provenance_of
from service.interactions.search import MakeLinks, search_in, subset
from service.interactions.search_types import Where
from service.search.criteria import NEWEST, Criteria, Position
from service.search.values import index_rows
from service.store.change import Change
from service.store.find import search as find
from service.store.read import Found
from service.store.slots import updated_us

MOST = 500


def targets_of(params: list[tuple[str, str]], base_url: str) -> list[str]:
    """Relative references that the query names as targets."""
    found: list[str] = []
    for name, value in params:
        plain, _, kind = name.partition(":")
        if plain not in ("target", "patient") or (kind and not kind[:1].isupper()):
            continue
        for one in value.split(","):
            reference = one.removeprefix(f"{base_url}/").partition("/_history/")[0]
            if "/" not in reference:
                rtype = "Patient" if plain == "patient" else kind
                reference = f"{rtype}/{reference}" if rtype else ""
            if reference and (plain != "patient" or reference.startswith("Patient/")):
                found.append(reference)
    return list(dict.fromkeys(found))


async def search_provenance(
    ctx: Context,
    where: Where,
    params: list[tuple[str, str]],
    *,
    strict: bool,
    after: Position | None,
    back: bool,
    links: MakeLinks,
) -> Decision:
    targets = targets_of(params, ctx.settings.base_url)
    (criteria,) = asked(ctx, where.rtypes, params, strict=strict)
    plain = criteria.sort == (NEWEST,) and not criteria.includes and not where.patient
    if not targets or not plain:
        return await search_in(ctx, where, params, strict=strict, after=after, back=back, links=links)
    check_scope(ctx.caller, "s", "Provenance")
    whole, versions = await _whole(ctx, criteria, targets)
    start = _start(after)
    page = whole[start : start + criteria.count] if criteria.total != "count" else []
    more = start + len(page) < len(whole) and bool(page)
    told = [versions.get(one.fhir_id, one) for one in page]
    said = await notice(ctx, told)
    body = bundle(
        "searchset",
        [Entry(subset(shown(ctx, one), criteria, "match"), "match") for one in page],
        ctx.settings.base_url,
        links=links(criteria, Around((str(start + len(page)),) if more else None)),
        now_us=ctx.now_us,
        new_id=ctx.new_id(),
        total=len(whole) if criteria.total != "none" else None,
        outcome=outcome(said.issues),
    )
    names = "&".join(sorted({name for name, _ in criteria.used}))
    row = ctx.audit("E", where.interaction, f"{where.path}?{names}", shown=told)
    return Decision(Change(audit=[said.upon(ctx, row)]), fixed(Answer(200, body, notice=outcome(said.issues))))


def _start(after: Position | None) -> int:
    text = str(after[0]) if after else "0"
    if not (text.isascii() and text.isdigit() and len(text) < 6 and len(after or ("",)) == 1):
        raise FhirError(Category.MALFORMED, "The page link is not valid here: start the search again.")
    return int(text)


async def _whole(ctx: Context, criteria: Criteria, targets: list[str]) -> tuple[list[Found], dict[str, Found]]:
    """What fits, newest first, and by its id the version that each rendered one tells of."""
    every = replace(criteria, count=MOST, total="none", after=None)
    stored = await find(
        ctx.store,
        [every],
        ctx.scoped("s"),
        include_restriction=ctx.readable(),
        linked_restriction=ctx.linkable(),
    )
    made = [one for target in targets for one in await provenance_of(ctx, target, MOST)]
    fitting = [(one, version) for one, version in made if _fits(ctx, criteria, one)]
    whole = [*stored.matches, *(one for one, _ in fitting)]
    if stored.next or len(whole) > MOST:
        text = f"More than {MOST} Provenances fit: name one target, or a time by recorded."
        raise FhirError(Category.MALFORMED, [Issue(text, code="too-costly")])
    versions = {one.fhir_id: version for one, version in fitting}
    return sorted(whole, key=lambda one: (one.vid, one.fhir_id), reverse=True), versions


def _fits(ctx: Context, criteria: Criteria, one: Found) -> bool:
    rows = index_rows(parse(one.body), "Provenance", ctx.store.keys, base_url=ctx.settings.base_url)
    return all(holds(clause, rows, one.fhir_id, updated_us(one.vid)) for clause in criteria.clauses)

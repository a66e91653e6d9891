"""history of a resource, a type, the whole service: https://hl7.org/fhir/R4/http.html#history

Scopes: `r` for the history of one resource, `s` for those of types; types without it are left out of the whole history.
A feed follows by `_since` with Bundle.meta.lastUpdated of the answer before: no version with an older lastUpdated can
appear any more (store/history.py complete_until), the same ones may come again (`_since` is inclusive).
"""

from collections.abc import Callable
from dataclasses import replace

from fhir_profiles.catalog import catalog
from service.access.context import Context, parse
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.history_query import HistoryQuery
from service.interactions.links import Around
from service.interactions.notices import notice, outcome, protected, shown
from service.search.criteria import Position
from service.store import history as store_history
from service.store import read as store_read
from service.store.change import Change
from service.store.history import Asked
from service.store.read import Found

MOST_READINGS = 20
"""So often a page is filled up with versions behind those that the scopes do not reach."""
_SPARSE = "Few of the versions are within the scope's query: ask for the history of one resource, or by _since."


async def history(
    ctx: Context,
    rtype: str,
    fhir_id: str,
    query: HistoryQuery,
    *,
    after: Position | None,
    back: bool,
    links: Callable[[Around], dict[str, str]],
) -> Decision:
    """rtype, fhir_id: "" where all are asked for. after: position from a page link; back: the page ends there.

    No total: counting versions was a denial of service elsewhere (facts/security.md A13).
    """
    types = _types(ctx, rtype, fhir_id)
    key = ctx.store.keys.resource(f"{rtype}/{fhir_id}") if fhir_id else 0
    at = int(after[0] or 0) if after else None
    top, running_us = (None, None) if key else await store_history.horizon(ctx.store)
    up = query.up is not back
    asked = Asked(types, query.count + 1, key, query.since, query.at, up, at, top)
    found = await _versions(ctx, asked, "r" if fhir_id else "s")
    if key and not found:
        await _check_known(ctx, rtype, fhir_id)
    more, page = len(found) > query.count, found[: query.count]
    if back:
        page.reverse()
    first, last = (page[0], page[-1]) if page else (None, None)
    following = _place(last, key) if last and (more or back) else None
    previous = _place(first, key) if first and (more if back else after is not None) else None
    target = f"{rtype}/{fhir_id}".strip("/") or "_history"
    audit = ctx.audit("R" if key else "E", "history", target, shown=page)
    # Not the time of the newest version: it would tell everybody when anybody wrote.
    now_us = ctx.now_us if running_us is None else min(ctx.now_us, running_us)
    notes = await notice(ctx, page)
    issues, told = notes.issues, {id(one) for one in protected(ctx, page)}
    entries = [Entry(shown(ctx, one), request=_request(one), issues=issues if id(one) in told else ()) for one in page]
    made = links(Around(following, previous))
    body = bundle("history", entries, ctx.settings.base_url, links=made, now_us=now_us, new_id=ctx.new_id())
    return Decision(Change(audit=[notes.upon(ctx, audit)]), fixed(Answer(200, body, notice=outcome(issues))))


def _types(ctx: Context, rtype: str, fhir_id: str) -> tuple[str, ...]:
    if rtype:
        check_scope(ctx.caller, "r" if fhir_id else "s", rtype)
        return (rtype,)
    kept = (entry.name for entry in catalog().types.values() if "history-type" in entry.interactions)
    types = tuple(name for name in kept if ctx.caller.allows("s", name))
    if not types:
        text = "The access token has no scope for this: system/*.s, or that of at least one type, is needed."
        headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
        raise FhirError(Category.FORBIDDEN, text, headers=headers, reason="scope")
    return types


async def _versions(ctx: Context, asked: Asked, letter: str) -> list[Found]:
    """A version is shown where the scopes reach the resource as it is and as it was: index rows of former ones are not
    kept, so that these are looked at here, and the page is filled up from behind."""
    restriction = ctx.for_reading(ctx.scoped(letter))
    found: list[Found] = []
    for _ in range(MOST_READINGS):
        more = await store_history.versions(ctx.store, asked, restriction)
        found += [one for one in more if within_scopes(ctx, letter, one)]
        if len(more) < asked.limit or len(found) >= asked.limit:
            return found[: asked.limit]
        asked = replace(asked, after=_place(more[-1], asked.key)[0])
    raise FhirError(Category.UNAVAILABLE, [Issue(_SPARSE, code="too-costly")], reason="too-costly")


def within_scopes(ctx: Context, letter: str, version: Found) -> bool:
    """Whether the scopes reach this version; of a deletion, only whose record it was is known."""
    alternatives = ctx.scoped(letter).narrowed.get(version.rtype)
    if alternatives is None:
        return True
    if version.body is None:
        return any(not one.clauses and one.patient in (None, version.patient) for one in alternatives)
    return ctx.reaches(letter, version.rtype, parse(version.body), version.patient)


async def _check_known(ctx: Context, rtype: str, fhir_id: str) -> None:
    """An empty page of a resource that the caller sees is no error; an absent and a foreign one are."""
    if await store_read.head(ctx.store, rtype, fhir_id, ctx.for_reading(ctx.restriction)) is None:
        raise not_found(rtype, fhir_id)


def _place(found: Found, key: int) -> tuple[int, ...]:
    """In the history of one resource its version numbers count, elsewhere time."""
    return (found.version if key else found.vid,)


def _request(one: Found) -> tuple[str, str]:
    method = "DELETE" if one.deleted else "POST" if one.version == 1 else "PUT"
    return method, one.rtype if method == "POST" else one.reference

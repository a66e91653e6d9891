"""history of a resource, a type, the whole service: https://hl7.org/fhir/R4/http.html#history

Scopes: `r` for the history of one resource, `s` for those of types; types without it are left out of the whole history.
A feed follows by `_since` with Bundle.meta.lastUpdated of the answer before: no version with an older lastUpdated can
appear any more (store/history.py complete_until), the same ones may come again (`_since` is inclusive).
"""

from collections.abc import Callable

from fhir_profiles.catalog import catalog
from service.access.context import Context
from service.access.roles import check_scope
from service.errors import Category, FhirError, not_found
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.history_query import HistoryQuery
from service.interactions.links import Around
from service.search.criteria import Position
from service.store import history as store_history
from service.store import read as store_read
from service.store.change import Change
from service.store.history import Asked
from service.store.read import Found
from service.store.slots import updated_us


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
    top = None if key else await store_history.complete_until(ctx.store)
    up = query.up is not back
    asked = Asked(types, query.count + 1, key, query.since, query.at, up, at, top)
    found = await store_history.versions(ctx.store, asked, ctx.restriction)
    if key and not found:
        await _check_known(ctx, rtype, fhir_id)
    more, page = len(found) > query.count, found[: query.count]
    if back:
        page.reverse()
    first, last = (page[0], page[-1]) if page else (None, None)
    following = _place(last, key) if last and (more or back) else None
    previous = _place(first, key) if first and (more if back else after is not None) else None
    target = f"{rtype}/{fhir_id}".strip("/") or "_history"
    audit = ctx.audit("R" if key else "E", "history", target, ctx.patients_of(*page))
    now_us = ctx.now_us if top is None else min(ctx.now_us, updated_us(top + 1))
    entries = [Entry(one, request=_request(one)) for one in page]
    shown = links(Around(following, previous))
    body = bundle("history", entries, ctx.settings.base_url, links=shown, now_us=now_us, new_id=ctx.new_id())
    return Decision(Change(audit=[audit]), fixed(Answer(200, body)))


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


async def _check_known(ctx: Context, rtype: str, fhir_id: str) -> None:
    """An empty page of a resource that the caller sees is no error; an absent and a foreign one are."""
    if await store_read.head(ctx.store, rtype, fhir_id, ctx.restriction) is None:
        raise not_found(rtype, fhir_id)


def _place(found: Found, key: int) -> tuple[int, ...]:
    """In the history of one resource its version numbers count, elsewhere time."""
    return (found.version if key else found.vid,)


def _request(one: Found) -> tuple[str, str]:
    method = "DELETE" if one.deleted else "POST" if one.version == 1 else "PUT"
    return method, one.rtype if method == "POST" else one.reference

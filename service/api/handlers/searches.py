"""Searches: of a type, of the whole service, in the compartment of a Patient; by GET or POST."""

from collections.abc import Callable
from urllib.parse import urlencode

from service.access.context import Context
from service.api.handlers import id_of, known_operation
from service.interactions import links
from service.interactions.audit_events import search_audit_events
from service.interactions.call import Call, Params
from service.interactions.provenance_search import search_provenance
from service.interactions.search import search_in
from service.interactions.search_types import Where, of_compartment, of_system, of_type
from service.interactions.settle import Decide
from service.search.chains import RENDERED


async def search_type(ctx: Context, call: Call) -> Decide:
    return await _search(ctx, call, call.type, lambda _params: of_type(call.type))


async def search_system(ctx: Context, call: Call) -> Decide:
    return await _search(ctx, call, "", lambda params: of_system(ctx.caller, params))


async def search_compartment(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    known_operation(call.part, call.type)
    path = f"{call.type}/{fhir_id}/{call.part}"
    return await _search(ctx, call, path, lambda params: of_compartment(ctx.caller, fhir_id, call.part, params))


async def _search(ctx: Context, call: Call, path: str, where_of: Callable[[Params], Where]) -> Decide:
    """The types may stand in the parameters, and these in the page link."""
    params = call.params
    if call.method == "POST":
        form = await call.body.form()
        params = [*params, *form]
        ctx.asked += f"\n\n{urlencode(form, errors='surrogatepass')}"
    params, token = links.take_page(params)
    key = ctx.settings.page_key
    at = links.place(token, params, ctx.caller, key, hidden=call.method == "POST", path=path)
    where = where_of(at.params)
    make = links.Links("/".join(filter(None, (ctx.settings.base_url, path))), at, ctx.caller, key).of_search()
    if where.rtypes[0] in RENDERED:
        return lambda c: search_audit_events(c, where, at.params, strict=call.strict, after=at.after, links=make)
    if where.rtypes == ("Provenance",):
        return lambda c: search_provenance(
            c, where, at.params, strict=call.strict, after=at.after, back=at.back, links=make
        )
    return lambda c: search_in(c, where, at.params, strict=call.strict, after=at.after, back=at.back, links=make)

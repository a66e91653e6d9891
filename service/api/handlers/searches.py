"""Searches: of a type by GET or POST."""

from service.access.context import Context
from service.interactions import links
from service.interactions.audit_events import search_audit_events
from service.interactions.call import Call
from service.interactions.search import search
from service.interactions.settle import Decide


async def search_type(ctx: Context, call: Call) -> Decide:
    params = call.params
    if call.method == "POST":
        params = [*params, *await call.body.form()]
    params, token = links.take_page(params)
    key = ctx.settings.page_key
    at = links.place(token, params, ctx.caller, key, hidden=call.method == "POST")
    make = links.Links(f"{ctx.settings.base_url}/{call.type}", at, ctx.caller, key).of_search()
    if call.type == "AuditEvent":
        return lambda c: search_audit_events(c, at.params, strict=call.strict, after=at.after, links=make)
    return lambda c: search(c, call.type, at.params, strict=call.strict, after=at.after, links=make)

"""Histories: of a resource, of a type, of the whole service."""

from service.access.context import Context
from service.api.handlers import id_of
from service.interactions import links
from service.interactions.call import Call
from service.interactions.history import history
from service.interactions.history_query import parse
from service.interactions.settle import Decide


async def history_of_one(ctx: Context, call: Call) -> Decide:
    return await _history(ctx, call, f"{call.type}/{id_of(call)}/_history", call.id)


async def history_of_type(ctx: Context, call: Call) -> Decide:
    return await _history(ctx, call, f"{call.type}/_history", "")


async def history_of_all(ctx: Context, call: Call) -> Decide:
    return await _history(ctx, call, "_history", "")


async def _history(ctx: Context, call: Call, path: str, fhir_id: str) -> Decide:
    params, token = links.take_page(call.params)
    key = ctx.settings.page_key
    at = links.place(token, params, ctx.caller, key, path=path)
    query = parse(at.params)
    make = links.Links(f"{ctx.settings.base_url}/{path}", at, ctx.caller, key)
    return lambda c: history(
        c, call.type, fhir_id, query, after=at.after, back=at.back, links=lambda around: make(at.params, around)
    )

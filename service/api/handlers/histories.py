"""Histories of a resource."""

from service.access.context import Context
from service.api.handlers import id_of
from service.errors import Category, FhirError
from service.interactions import links
from service.interactions.call import Call
from service.interactions.history import history
from service.interactions.settle import Decide


async def history_of_one(ctx: Context, call: Call) -> Decide:
    fhir_id = id_of(call)
    params, token = links.take_page(call.params)
    unknown = [name for name, _ in params if name not in ("_count", "_format", "_pretty")]
    if unknown:
        raise FhirError(Category.MALFORMED, "History takes _count and _page only: _since and _at are not served yet.")
    count = dict(params).get("_count", "50")
    if not (count.isascii() and count.isdigit() and len(count) < 6):
        raise FhirError(Category.MALFORMED, "_count must be a whole number.")
    url = f"{ctx.settings.base_url}/{call.type}/{fhir_id}/_history"
    key = ctx.settings.page_key
    at = links.place(token, params, ctx.caller, key)

    def make(after: int | None) -> dict[str, str]:
        return links.Links(url, at, ctx.caller, key)(params, None if after is None else (after,))

    start = int(at.after[0] or 0) if at.after else None
    return lambda c: history(c, call.type, fhir_id, count=int(count), before=start, links=make)

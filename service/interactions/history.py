"""history of one resource: https://hl7.org/fhir/R4/http.html#history"""

from collections.abc import Callable

from service.access.context import Context
from service.access.roles import check_scope
from service.errors import not_found
from service.interactions.bundle import Entry, bundle
from service.interactions.decision import Answer, Decision, fixed
from service.store import read as store_read
from service.store.change import Change

MAX_COUNT = 200


async def history(
    ctx: Context,
    rtype: str,
    fhir_id: str,
    *,
    count: int,
    before: int | None,
    links: Callable[[int | None], dict[str, str]],
) -> Decision:
    """Versions newest first, below version `before`. links: of the version before which the next page starts, or None.

    No total: counting versions was a denial of service elsewhere (facts/security.md A13).
    """
    check_scope(ctx.caller, "r", rtype)
    count = min(max(count, 1), MAX_COUNT)
    found = await store_read.history(ctx.store, rtype, fhir_id, ctx.restriction, limit=count + 1, before=before)
    if not found:
        raise not_found(rtype, fhir_id)
    page, following = found[:count], found[count - 1].version if len(found) > count else None
    entries = []
    for one in page:
        method = "DELETE" if one.deleted else "POST" if one.version == 1 else "PUT"
        url = rtype if method == "POST" else one.reference
        entries.append(Entry(one, request=(method, url)))
    audit = ctx.audit("R", "history", f"{rtype}/{fhir_id}", ctx.patients_of(*page))
    body = bundle(
        "history", entries, ctx.settings.base_url, links=links(following), now_us=ctx.now_us, new_id=ctx.new_id()
    )
    return Decision(Change(audit=[audit]), fixed(Answer(200, body)))

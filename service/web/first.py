"""The first page of a sandbox: what Enlace is, a login for each role, curl lines to paste, where to go from here.

../shared/facts/users.md 1.1 and 2 (1, 2, 7, 8). In production service/web/signin.py answers instead.
"""

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from service.access.context import Context
from service.auth.login import Person, signin_token, visitors
from service.auth.sandbox import SandboxRefused, curl_lines, stand_in
from service.caller import Role
from service.search.query import parse
from service.search.restriction import NOTHING
from service.store import identities
from service.store.find import search as find
from service.web.navigation import ROLES
from service.web.rendering import render
from service.web.session import Shared, form_nonce, of_app, set_form_cookie, shared_of

SONJA = "Sonja"


@dataclass
class Record:
    """Reference of the record of the first curl line, once it is known: it never changes."""

    reference: str = field(default="")


async def first_page(request: Request) -> Response:
    shared = shared_of(request)
    nonce = form_nonce(request)
    by_role = await visitors(shared.store)
    firsts = [(ROLES[role], one[0]) for role, one in by_role.items() if one]
    response = render(
        "first.html",
        firsts=firsts,
        others=[(ROLES[role], one[1:]) for role, one in by_role.items() if one[1:]],
        lines=await _lines(request, by_role),
        base_url=shared.settings.base_url,
        providers=any(p.active for p in await identities.providers(shared.store)),
        csrf=signin_token(shared.page_key, nonce),
        name="",
        nav=(),
    )
    set_form_cookie(response, shared, nonce)
    return response


async def _lines(request: Request, by_role: dict[Role, list[Person]]) -> list[tuple[str, str]]:
    """Empty where the county is not there: the lines would not work."""
    shared = shared_of(request)
    if not (by_role[Role.LCM] and by_role[Role.CBO]):
        return []
    record: Record = of_app(request, "curl_record", Record)
    record.reference = record.reference or await _record(shared)
    lcm, cbo = by_role[Role.LCM][0].client_id, by_role[Role.CBO][0].client_id
    return curl_lines(shared.settings.base_url, record.reference, lcm, cbo) if record.reference else []


async def _record(shared: Shared) -> str:
    """The reference of Sonja's Patient, as her lead care manager finds it; "" where she is not. Only the id is used."""
    try:
        [lead, *_] = await stand_in(shared.store, shared.settings.env, Role.LCM)
    except SandboxRefused:
        return ""
    ctx = Context(shared.store, lead, shared.store.clock.now_us(), shared.behaviour)
    keys, base = shared.store.keys, shared.behaviour.base_url
    asked = [("given", SONJA), ("_count", "1")]
    criteria = parse("Patient", asked, keys, strict=True, now_us=ctx.now_us, base_url=base)
    page = await find(shared.store, criteria, ctx.restriction, include_restriction=NOTHING)
    return page.matches[0].reference if page.matches else ""

"""What this organization sees: resource types with their numbers, the newest of a type, one resource as JSON.

Sandbox only. Everything goes through the search and read interactions as the caller who is signed in: the same
restriction, the same audit rows as over REST; nothing is filtered afterwards. ../shared/facts/users.md 1.1, 2 (2, 42).
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import decimal_text
from service.access.context import Context, parse
from service.access.roles import OPEN_TYPES, rights
from service.auth.login import name_of
from service.caller import Role
from service.errors import Category, FhirError, not_found
from service.interactions.checks import references
from service.interactions.decision import Answer, Decision, Preconditions
from service.interactions.read import read
from service.interactions.search import search
from service.search.restriction import See
from service.store.change import Change, Committed
from service.web.alert_card import Moment, moment
from service.web.disclosed import notice_of, resources_of
from service.web.navigation import ROLES, nav_of
from service.web.pages import settled
from service.web.plain_line import plain_line
from service.web.rendering import render
from service.web.session import SignedIn, require, shared_of

NEWEST = 50
MOST_LINKS = 40
_INDENT = orjson.OPT_INDENT_2
WHY = {
    See.OPEN: "the directory, open to all",
    See.PANEL: "of assigned members",
    See.PARTY: "of referrals in which it takes part",
    See.OWN: "its own entries",
}


@dataclass(frozen=True)
class Counted:
    """number: None where the count failed; the others stand. why: the rule by which the caller sees the type."""

    rtype: str
    number: int | None
    why: str
    writes: str


@dataclass(frozen=True)
class Listed:
    id: str
    updated: Moment | None
    line: str


async def overview(request: Request) -> Response:
    """All types that the caller's role sees, each with its number."""
    who = await require(request)
    ctx, role = who.ctx, who.session.caller.role
    sees = rights(role).sees
    searched = catalog().types
    types = [t for t in sorted(sees) if "search-type" in searched[t].interactions and ctx.caller.allows("s", t)]
    numbers = orjson.loads((await settled(who, lambda c: _count(c, types))).body or b"{}")
    rows = [Counted(t, numbers[t], WHY[sees[t]], writes(role, t)) for t in types]
    unseen = sorted(set(searched) - set(sees) - {"AuditEvent"})
    return await _page(request, who, "sees.html", rows=rows, role=ROLES[role], unseen=unseen)


def writes(role: Role, rtype: str) -> str:
    """In the directory each writes its own entries only (service/access/directory.py), but the operator all."""
    if rtype not in rights(role).writes:
        return "no"
    return "its own" if rtype in OPEN_TYPES and role not in (Role.ADMIN, Role.SYSTEM) else "yes"


async def _count(ctx: Context, types: list[str]) -> Decision:
    """One search of each type for its number alone, committed together: as many audit rows as over REST."""
    change = Change()

    async def one(rtype: str) -> Decision | None:
        try:
            return await _search(ctx, rtype, ("_count", "0"))
        except FhirError as error:
            if error.category is not Category.UNAVAILABLE:
                raise
            return None  # this type alone: a count that takes too long must not blank the page

    made = dict(zip(types, await asyncio.gather(*map(one, types)), strict=True))
    for rtype, decision in made.items():
        if decision is None:
            change.audit.append(ctx.audit("E", "refusal", rtype, outcome=4, reason="unavailable"))
        else:
            change.merge(decision.change)

    def answer(committed: Committed) -> Answer:
        bodies = {t: orjson.loads(d.answer(committed).body or b"{}") if d else {} for t, d in made.items()}
        return Answer(200, orjson.dumps({t: body.get("total") for t, body in bodies.items()}))

    return Decision(change, answer)


async def newest(request: Request) -> Response:
    """The newest of one type, and how many there are."""
    who = await require(request)
    rtype = _type(request, "search-type")
    asked = (("_count", str(NEWEST)), ("_total", "accurate"), ("_sort", "-_lastUpdated"))
    answer = await settled(who, lambda c: _search(c, rtype, *asked))
    bundle = orjson.loads(answer.body or b"{}")
    zone = shared_of(request).settings.time_zone
    rows = [_listed(one, zone) for one in resources_of(answer)]
    seen = rtype in rights(who.session.caller.role).sees
    facts: dict[str, Any] = {"rtype": rtype, "rows": rows, "total": bundle.get("total", 0), "seen": seen}
    facts["notice"] = notice_of(answer)
    return await _page(request, who, "sees_type.html", **facts, base_url=shared_of(request).settings.base_url)


async def resource(request: Request) -> Response:
    """One resource as formatted JSON, with links to what it refers to."""
    who = await require(request)
    rtype, fhir_id = _type(request, "read"), str(request.path_params["id"])
    answer = await settled(who, lambda c: read(c, rtype, fhir_id, Preconditions()))
    body = parse(answer.body)
    seen = rights(who.session.caller.role).sees
    links = sorted({written for _, written in references(body, "") if written.partition("/")[0] in seen})[:MOST_LINKS]
    facts: dict[str, Any] = {
        "rtype": rtype,
        "id": fhir_id,
        "text": pretty(body),
        "links": links,
        "line": plain_line(body),
        "notice": notice_of(answer),
    }
    return await _page(request, who, "sees_resource.html", **facts, base_url=shared_of(request).settings.base_url)


def pretty(body: Resource) -> str:
    """Indented JSON; decimals keep the digits that they came with."""
    return orjson.dumps(body, default=lambda number: orjson.Fragment(decimal_text(number)), option=_INDENT).decode()


async def _search(ctx: Context, rtype: str, *params: tuple[str, str]) -> Decision:
    return await search(ctx, rtype, list(params), strict=True, after=None, links=lambda _criteria, _after: {})


def _type(request: Request, interaction: str) -> str:
    rtype = str(request.path_params["type"])
    entry = catalog().types.get(rtype)
    if entry is None or interaction not in entry.interactions:
        raise not_found("Resource", "this type")
    return rtype


def _listed(body: Resource, zone: str) -> Listed:
    return Listed(
        str(body["id"]), moment(str((body.get("meta") or {}).get("lastUpdated") or ""), zone), plain_line(body)
    )


async def _page(request: Request, who: SignedIn, template: str, **values: Any) -> Response:
    here = "/sees" if template == "sees.html" else ""
    links = nav_of(shared_of(request), who, here)
    own: dict[str, Any] = {"name": await named(who), "csrf": who.session.csrf, "nav": links}
    return render(template, organization=await _organization(who), **own, **values)


async def named(who: SignedIn) -> str:
    """The person, or the organization of a system, as the directory names it."""
    caller = who.session.caller
    found = await who.ctx.resource(caller.person or caller.organization)
    name = found[0].get("name") if found else None
    known = name if isinstance(name, str) else name_of(found[0]) if found else ""
    return known or who.session.client_name


async def _organization(who: SignedIn) -> str:
    found = await who.ctx.resource(who.session.caller.organization)
    return str(found[0].get("name") or "") if found else ""

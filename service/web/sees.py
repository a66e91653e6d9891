"""What this organization sees: resource types with their numbers, the newest of a type, one resource as JSON.

Sandbox only. Everything goes through the search and read interactions as the caller who is signed in: the same
restriction, the same audit rows as over REST; nothing is filtered afterwards. ../shared/facts/users.md 1.1, 2 (2, 42).
"""

import asyncio
import re
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
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_INDENT = orjson.OPT_INDENT_2
WHY = {
    See.OPEN: "the directory, open to all",
    See.PANEL: "of assigned members",
    See.PARTY: "of referrals in which it takes part",
    See.OWN: "its own entries",
    See.VIEW: "a minimum view of members referred to it",
}
REFERRALS, WITH_MEMBERS = "Task", (("_include", "Task:patient"),)
"""How minimum views are found: there is no search that lists or counts them."""


@dataclass(frozen=True)
class Counted:
    """number: None where the count failed; the others stand; "" where nothing counts. why: the rule that shows them."""

    rtype: str
    number: int | str | None
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
    counted = [t for t in types if sees[t] is not See.VIEW]
    numbers = await _numbers(who, counted)
    rows = [Counted(t, numbers[t] if t in counted else "", WHY[sees[t]], writes(role, t)) for t in types]
    unseen = sorted(set(searched) - set(sees) - {"AuditEvent"})
    return await _page(request, who, "sees.html", rows=rows, role=ROLES[role], unseen=unseen)


def writes(role: Role, rtype: str) -> str:
    """In the directory each writes its own entries only (service/access/directory.py), but the operator all."""
    if rtype not in rights(role).writes:
        return "no"
    return "its own" if rtype in OPEN_TYPES and role not in (Role.ADMIN, Role.SYSTEM) else "yes"


async def _numbers(who: SignedIn, types: list[str], *asked: tuple[str, str]) -> dict[str, int | None]:
    found: dict[str, int | None] = orjson.loads((await settled(who, lambda c: _count(c, types, *asked))).body or b"{}")
    return found


async def _count(ctx: Context, types: list[str], *asked: tuple[str, str]) -> Decision:
    """One search of each type for its number alone, committed together: as many audit rows as over REST."""
    change = Change()

    async def one(rtype: str) -> Decision | None:
        try:
            return await _search(ctx, rtype, ("_count", "0"), *asked)
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
    viewed = rights(who.session.caller.role).sees.get(rtype) is See.VIEW
    searched, asked = (REFERRALS, WITH_MEMBERS) if viewed else (rtype, (("_sort", "-_lastUpdated"),))
    member = request.query_params.get("member", "")
    of_member = (_of(member),) if _ID.fullmatch(member) and _about_members(rtype) else ()
    limits = (("_count", str(NEWEST)), ("_total", "accurate"), *of_member)
    answer = await settled(who, lambda c: _search(c, searched, *limits, *asked))
    total = orjson.loads(answer.body or b"{}").get("total", 0)
    zone = shared_of(request).settings.time_zone
    rows = [_listed(one, zone) for one in resources_of(answer) if one["resourceType"] == rtype]
    seen = rtype in rights(who.session.caller.role).sees
    facts: dict[str, Any] = {"rtype": rtype, "rows": rows, "total": total, "seen": seen, "viewed": viewed}
    facts |= {"notice": notice_of(answer), "member": member if of_member else ""}
    return await _page(request, who, "sees_type.html", **facts, base_url=shared_of(request).settings.base_url)


async def resource(request: Request) -> Response:
    """One resource as formatted JSON, with links to what it refers to."""
    who = await require(request)
    rtype, fhir_id = _type(request, "read"), str(request.path_params["id"])
    answer = await settled(who, lambda c: read(c, rtype, fhir_id, Preconditions()))
    body = parse(answer.body)
    seen = rights(who.session.caller.role).sees
    links = sorted({written for _, written in references(body, "") if written.partition("/")[0] in seen})[:MOST_LINKS]
    person = who.session.caller.person
    facts: dict[str, Any] = {
        "rtype": rtype,
        "id": fhir_id,
        "numbers": await _of_member(who, fhir_id) if rtype == "Patient" else {},
        "text": pretty(body),
        "links": links,
        "line": plain_line(body),
        "notice": notice_of(answer),
        "accounting": f"/members/{fhir_id}/disclosures" if rtype == "Patient" and person else "",
    }
    return await _page(request, who, "sees_resource.html", **facts, base_url=shared_of(request).settings.base_url)


async def _of_member(who: SignedIn, fhir_id: str) -> dict[str, int | None]:
    """How many resources about this member the caller sees, by type; a type without any is left out."""
    sees, caller = rights(who.session.caller.role).sees, who.ctx.caller
    types = [t for t in sorted(sees) if t in catalog().types and _about_members(t) and caller.allows("s", t)]
    found = await _numbers(who, types, _of(fhir_id))
    return {rtype: number for rtype, number in found.items() if number != 0}


def _about_members(rtype: str) -> bool:
    entry = catalog().types[rtype]
    return "search-type" in entry.interactions and "patient" in entry.search and rtype != "AuditEvent"


def _of(fhir_id: str) -> tuple[str, str]:
    return "patient", f"Patient/{fhir_id}"


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

"""The inbox: a lead care manager's alerts, newest first. ../shared/facts/users.md 2 (11, 42), decisions.md 38.

Which alerts: those addressed to the person (as Practitioner, in a role, or to the organization) about members who are
in the person's panel now; and those that went to somebody who does not lead the care of a member whom the person leads
now, so that nothing is left behind at a hand-over. They are read through the search interaction: same restriction, same
audit as over REST.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from fhir_profiles import Resource
from service.access.context import Context
from service.access.context import parse as resource_of
from service.access.roles import check_scope
from service.auth.login import name_of
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.search import search
from service.notify.notices import recipients_of
from service.search.dates import parse
from service.search.query import parse as parse_query
from service.search.restriction import NOTHING
from service.store import alerts, handed_over, read
from service.store.alerts import Whose
from service.store.change import Change
from service.store.find import search as find
from service.web.alert_card import Card, card, followed
from service.web.disclosed import Told, notice_of, resources_of
from service.web.navigation import nav
from service.web.pages import settled
from service.web.rendering import render
from service.web.session import SignedIn, require_person, shared_of
from service.workflow.alerts import CATEGORY, CATEGORY_SYSTEM, is_alert
from service.workflow.parties import reference_of

PAGE_SIZE = 25
MOST_COUNTED = 100
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


@dataclass(frozen=True)
class View:
    """What is asked of the inbox; ids only, so that an address tells nothing. done: the alert acknowledged just now."""

    show: str = "new"
    before: str = ""
    done: str = ""

    def url(self, path: str = "/", **changes: str) -> str:
        view = replace(self, **changes)
        given = {"show": view.show if view.show != "new" else "", "before": view.before, "done": view.done}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{path}?{query}" if query else path


def view_of(values: dict[str, str]) -> View:
    """From a query or a form; what does not fit is left out."""
    ids = {name: values.get(name, "") for name in ("before", "done")}
    return View("all" if values.get("show") == "all" else "new", **{n: v for n, v in ids.items() if _ID.match(v)})


@dataclass(frozen=True)
class Inbox:
    """One page of it. older: address of the next page. seen: what the live events compare with."""

    cards: list[Card]
    older: str
    new: int
    seen: str
    done: Card | None
    notice: Told | None = None


async def inbox(request: Request, who: SignedIn) -> Response:
    """The whole page. `auto`: a browser without script reloads by itself, which is no sign of the person."""
    if "auto" in request.query_params:
        who.touch = None
    view = view_of(dict(request.query_params))
    return await list_page(request, who, view, "inbox.html")


async def list_fragment(request: Request) -> Response:
    """The list alone, for the script: it asks by itself, so it does not keep the session alive."""
    who = await require_person(request, active=False)
    return await list_page(request, who, view_of(dict(request.query_params)), "_list.html")


async def list_page(request: Request, who: SignedIn, view: View, template: str) -> Response:
    shown = await load(who, view, shared_of(request).settings.time_zone)
    count = f"{MOST_COUNTED}+" if shown.new >= MOST_COUNTED else str(shown.new)
    found = await who.ctx.resource(str(who.ctx.caller.person)) if template == "inbox.html" else None
    return render(
        template,
        inbox=shown,
        view=view,
        new_count=count,
        csrf=who.session.csrf,
        name=(name_of(found[0]) if found else "") or who.session.client_name,
        nav=nav(shared_of(request), "/"),
    )


async def load(who: SignedIn, view: View, zone: str) -> Inbox:
    ctx = who.ctx
    check_scope(ctx.caller, "s", "Communication")
    whose = await whose_alerts(ctx)
    seen = await fingerprint(ctx, whose)
    handed = await handed_over.to(ctx.store, whose.person, whose.category, ctx.now_us)
    whose = replace(whose, handed=tuple(handed))
    before = await _position(ctx, view.before)
    ids = await alerts.page(ctx.store, whose, only_new=view.show == "new", limit=PAGE_SIZE + 1, before=before)
    shown = ids[:PAGE_SIZE]
    wanted = [*shown, view.done] if view.done and view.done not in shown else shown
    cards, notice = await _cards(who, wanted, zone, whose.recipients)
    whole = view.show == "new" and before is None and len(ids) <= PAGE_SIZE
    new = len(ids) if whole else await alerts.count_new(ctx.store, whose, MOST_COUNTED)
    older = view.url(before=shown[-1], done="") if len(ids) > PAGE_SIZE else ""
    done = cards.get(view.done) if view.done not in shown else None
    listed = [cards[one] for one in shown if one in cards]
    return Inbox(listed, older, new, seen, done if done and done.state == "acknowledged" else None, notice)


async def whose_alerts(ctx: Context) -> Whose:
    person = str(ctx.caller.person)
    roles = parse_query(
        "PractitionerRole",
        [("practitioner", person), ("_count", "20")],
        ctx.store.keys,
        strict=True,
        now_us=ctx.now_us,
        base_url=ctx.settings.base_url,
    )
    found = await find(ctx.store, roles, ctx.restriction, include_restriction=NOTHING)
    recipients = (person, ctx.caller.organization, *(role.reference for role in found.matches))
    return Whose(recipients, (CATEGORY_SYSTEM, CATEGORY), ctx.restriction, person)


async def fingerprint(ctx: Context, whose: Whose) -> str:
    """Another text after each change of the person's alerts; tells nothing itself."""
    newest = await alerts.newest_change(ctx.store, whose)
    return f"{ctx.store.keys.of('live', ctx.caller.agent, str(newest)) & (2**63 - 1):x}"


async def _position(ctx: Context, before: str) -> tuple[int, str] | None:
    found = await ctx.resource(f"Communication/{before}") if before else None
    try:
        return (parse(str(found[0]["sent"]))[0], before) if found else None
    except (KeyError, ValueError):
        return None


async def _cards(
    who: SignedIn, ids: list[str], zone: str, recipients: Collection[str]
) -> tuple[dict[str, Card], Told | None]:
    """The alerts with what belongs to them, by one search of the REST interface; and the notice that goes with it.

    recipients: who the person is; an alert to none of these was handed over.
    """
    ctx = who.ctx
    if not ids:
        await settled(who, _nothing)
        return {}, None
    params = [("_id", ",".join(ids)), ("_count", str(len(ids)))]
    params += [("_include", "Communication:patient"), ("_include", "Communication:encounter")]
    if ctx.caller.allows("r", "Task"):
        params.append(("_revinclude", "Task:focus"))
    answer = await settled(
        who, lambda c: search(c, "Communication", params, strict=True, after=None, links=lambda _c, _a: {})
    )
    resources: list[Resource] = resources_of(answer)
    others = {f"{r['resourceType']}/{r['id']}": r for r in resources}
    tasks: dict[str, list[Resource]] = {}
    for one in resources:
        if one["resourceType"] == "Task":
            tasks.setdefault(reference_of(one, "focus"), []).append(one)
    told = [r for r in resources if r["resourceType"] == "Communication" and is_alert(r)]
    handed = await _former(ctx, told, recipients)
    cards = {
        str(r["id"]): card(
            r, others, tasks.get(f"Communication/{r['id']}", []), ctx.now_us, zone, handed.get(str(r["id"]), "")
        )
        for r in told
    }
    return followed(cards, told), notice_of(answer)


async def _former(ctx: Context, told: Sequence[Resource], recipients: Collection[str]) -> dict[str, str]:
    """Id of an alert that was handed over -> name of the person to whom it went."""
    sent_to = {str(alert["id"]): recipients_of(alert) for alert in told}
    handed = {fhir_id: names for fhir_id, names in sent_to.items() if not set(names) & set(recipients)}
    wanted = list({name for names in handed.values() for name in names if name.startswith("Practitioner/")})
    found = await read.heads(ctx.store, wanted, ctx.readable()) if wanted else {}
    names = {reference: name_of(resource_of(one.body)) for reference, one in found.items()}
    return {
        fhir_id: next((names[one] for one in several if names.get(one)), "another care manager")
        for fhir_id, several in handed.items()
    }


async def _nothing(ctx: Context) -> Decision:
    """An empty inbox was looked at: nobody's data was shown, and that is recorded too."""
    return Decision(Change(audit=[ctx.audit("E", "search-type", "Communication?_id")]), fixed(Answer(200)))

"""Sandbox events: "send an A01 for Maria", "discharge them", "let the CBO accept", one press of a button each.

Sandbox only. The message goes to the receiver that MLLP uses; the referral is moved by the update interaction of the
community organization. The answer is a redirect to this page with ids in its address, so that a reload does nothing.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_profiles import Resource
from service.access.context import Context
from service.auth.login import Person, signin_token, visitors
from service.auth.sandbox import SandboxRefused, stand_in
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.interactions import sandbox_referrals, sandbox_stays
from service.interactions.receive_hl7v2 import Receiver
from service.interactions.sandbox_stays import Became, NothingToDo, Receipt
from service.log_events import REQUEST_ID
from service.search.syntax import ID
from service.store import inbox
from service.store.change import AuditRow
from service.web.navigation import nav_of
from service.web.plain_line import plain_line
from service.web.rendering import HEADERS, render
from service.web.sees import named
from service.web.session import (
    PageRefused,
    SigninLimits,
    check_form_token,
    form_nonce,
    of_app,
    read_form,
    set_form_cookie,
    shared_of,
    signed_in,
)

WAIT_S = 3.0
"""How long a press of a button waits for the alert: the page that follows can mostly show it."""
STAYS = {"admit": sandbox_stays.admit, "discharge": sandbox_stays.end_stay}
STEPS = {"accept": sandbox_referrals.accept, "complete": sandbox_referrals.complete}
NONE_LEFT = {
    "admit": "Nobody of this panel can be admitted now: discharge somebody first.",
    "discharge": "Nobody of this panel was admitted from here: send an A01 first.",
    "accept": "No referral waits for an answer of this organization. Make a new one as the lead care manager's "
    "organization, then let it be accepted.",
    "complete": "No referral is accepted and open. Let one be accepted first.",
    "refer": "Every member of this panel has an open referral there. Let one be completed first.",
}


@dataclass(frozen=True)
class Message:
    """What became of a message: its acknowledgement, and the alert."""

    id: int
    event: str
    receipt: Receipt
    became: Became


async def show(request: Request) -> Response:
    """The buttons, and what the last press did."""
    shared = shared_of(request)
    query = request.query_params
    who = await signed_in(request)
    by_role = await visitors(shared.store)
    leads, cbos = by_role[Role.LCM], by_role[Role.CBO]
    lead = next((one for one in leads if one.client_id == query.get("for")), leads[0] if leads else None)
    nonce = form_nonce(request)
    response = render(
        "sandbox.html",
        ready=bool(leads and cbos),
        lead=lead,
        leads=leads,
        cbo=cbos[0] if cbos else None,
        mine=who.session.caller.client_id if who else "",
        message=await _message(request, query.get("message", ""), lead),
        task=await _task(request, query.get("task", "")),
        not_done=query.get("none") if query.get("none") in NONE_LEFT else "",
        none_left=NONE_LEFT,
        form=signin_token(shared.page_key, nonce),
        name=await named(who) if who else "",
        csrf=who.session.csrf if who else "",
        nav=nav_of(shared, who, "/sandbox"),
    )
    set_form_cookie(response, shared, nonce)
    return response


async def press(request: Request) -> Response:
    """A button: does it, then shows the page. What cannot be done now is said there in words."""
    action = str(request.path_params["action"])
    _limit(request)
    form = await read_form(request)
    check_form_token(request, form)
    if action not in NONE_LEFT:
        raise FhirError(Category.NOT_FOUND, "There is no such event.")
    shown: dict[str, str] = {"for": form["for"]} if form.get("for") else {}
    try:
        if action in STAYS:
            shown["message"] = str(await _send(request, action, form.get("for", "")))
        else:
            shown["task"] = str((await _step(request, action))["id"])
    except NothingToDo:
        shown["none"] = action
    return RedirectResponse(f"/sandbox?{urlencode(shown)}#done", 303, HEADERS)


def _limit(request: Request) -> None:
    limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
    now_us = shared_of(request).store.clock.now_us()
    if limits.events.wait_s(request.client.host if request.client else "", now_us):
        raise PageRefused(Category.TOO_MANY, "Too many events in a minute. Wait a little, then go on.", "rate")


async def _people(request: Request, role: Role) -> list[Caller]:
    shared = shared_of(request)
    try:
        return await stand_in(shared.store, shared.settings.env, role)
    except SandboxRefused as refused:
        raise PageRefused(Category.CONFLICT, str(refused), "sandbox") from None


def _context(request: Request, caller: Caller) -> Context:
    shared = shared_of(request)
    return Context(shared.store, caller, shared.store.clock.now_us(), shared.behaviour, REQUEST_ID.get())


async def _lead(request: Request, client_id: str) -> Caller:
    people = await _people(request, Role.LCM)
    return next((one for one in people if one.client_id == client_id), people[0])


async def _send(request: Request, action: str, client_id: str) -> int:
    """The number of the message in the inbox."""
    lead = await _lead(request, client_id)
    prepared = await STAYS[action](_context(request, lead))
    receiver: Receiver = of_app(request, "sandbox_receiver", lambda: Receiver(shared_of(request).store))
    row = AuditRow("E", "hl7v2", 0, "sandbox", lead.organization, target="hl7v2", request_id=REQUEST_ID.get())
    receipt = sandbox_stays.receipt(await receiver.receive(prepared.message, row))
    if not receipt.positive:
        raise PageRefused(Category.UNAVAILABLE, "The message could not be stored now. Try again.", "not-stored")
    await sandbox_stays.became(_context(request, lead), receipt.inbox_id, WAIT_S)
    return receipt.inbox_id


async def _step(request: Request, action: str) -> Resource:
    cbo = (await _people(request, Role.CBO))[0]
    if action == "refer":
        lead = (await _people(request, Role.LCM))[0]
        return await sandbox_referrals.refer(_context(request, lead), cbo)
    return await STEPS[action](_context(request, cbo))


async def _message(request: Request, number: str, lead: Person | None) -> Message | None:
    """As the lead care manager sees it: a message about somebody else's member has no alert here."""
    if lead is None or not (number.isascii() and number.isdigit() and len(number) < 20):
        return None
    ctx = _context(request, await _lead(request, lead.client_id))
    became = await sandbox_stays.became(ctx, int(number))
    if became is None:
        return None
    receipt = sandbox_stays.receipt(await inbox.ack_of(ctx.store, int(number)))
    return Message(int(number), became.row.event, receipt, became)


async def _task(request: Request, fhir_id: str) -> tuple[Resource, str] | None:
    """The Task as the community organization sees it, and a line about it."""
    if not ID.fullmatch(fhir_id):
        return None
    cbo = (await _people(request, Role.CBO))[0]
    found = await sandbox_stays.found(_context(request, cbo), "Task", ("_id", fhir_id))
    return (found[0], plain_line(found[0])) if found else None

"""For who referred: the sheet of a referral to print, with the address at which its organization answers; a new link.

Signed in, as any page: what the person may see of the referral is on the sheet, and nothing else.
"""

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, not_found
from service.interactions.decision import Answer, Decision, Preconditions, fixed
from service.interactions.read import read
from service.store import reply_links as stored
from service.store.change import Change
from service.store.reply_links import LIVE
from service.web import reply_facts
from service.web.pages import settled
from service.web.rendering import HEADERS, render
from service.web.reply_words import language_of, words
from service.web.session import PageRefused, SignedIn, check_csrf, read_form, require, shared_of
from service.workflow import reply_links
from service.workflow.parties import acts_for, reference_of

_NOT_YOURS = "Only who referred makes a new link for a referral."


async def sheet(request: Request) -> Response:
    who = await require(request)
    task = await _task(request, who)
    asked, member = await _other(who, task, "focus"), await _other(who, task, "for")
    language = language_of(request)
    links = [one for one in await stored.of_task(who.ctx.store, task["id"]) if one.state in LIVE]
    standing = [one for one in links if one.expires_us > who.ctx.now_us]
    mine = await acts_for(who.ctx, reference_of(task, "requester"))
    facts = await reply_facts.shown(
        who.ctx, words(language), task, asked, member, shared_of(request).settings.time_zone
    )
    return render(
        "reply_requester.html",
        t=words(language),
        lang=language,
        other=f"?lang={'en' if language == 'es' else 'es'}",
        service=reply_facts.service(task, asked),
        facts=facts,
        silent=reply_facts.silent(asked),
        wheres=[reply_links.address(who.ctx, one) for one in standing] if mine else [],
        makes=reply_links.targets_of(who.ctx, task) if mine and _open(task) else [],
        task=task["id"],
        csrf=who.session.csrf,
    )


async def make(request: Request) -> Response:
    who = await require(request)
    form = await read_form(request)
    check_csrf(form, who.session)
    fhir_id = str(request.path_params["id"])

    async def decide(ctx: Context) -> Decision:
        found = await ctx.resource(f"Task/{fhir_id}")
        if found is None:
            raise not_found("Task", "this id")
        if not await acts_for(ctx, reference_of(found[0], "requester")):
            raise PageRefused(Category.FORBIDDEN, _NOT_YOURS, "party")
        change = Change()
        try:
            await reply_links.make(ctx, change, fhir_id, form.get("organization", ""))
        except reply_links.NotMade as why:
            raise PageRefused(Category.RULE, str(why), "reply-link") from None
        return Decision(change, fixed(Answer(200)))

    await settled(who, decide)
    return RedirectResponse(f"/referrals/{fhir_id}/sheet", 303, HEADERS)


def _open(task: Resource) -> bool:
    return task.get("status") in ("requested", "accepted", "in-progress", "on-hold")


async def _task(request: Request, who: SignedIn) -> Resource:
    found = await _read(who, "Task", str(request.path_params["id"]))
    if found is None or reply_facts.split(found, "focus", who.ctx)[0] != "ServiceRequest":
        raise not_found("Task", "this id")
    return found


async def _other(who: SignedIn, task: Resource, element: str) -> Resource | None:
    rtype, fhir_id = reply_facts.split(task, element, who.ctx)
    return await _read(who, rtype, fhir_id) if fhir_id and await who.ctx.resource(f"{rtype}/{fhir_id}") else None


async def _read(who: SignedIn, rtype: str, fhir_id: str) -> Resource | None:
    answer = await settled(who, lambda ctx: read(ctx, rtype, fhir_id, Preconditions()))
    found: Resource | None = orjson.loads(answer.body) if answer.body else None
    return found

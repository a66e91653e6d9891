"""/r/{code}: an organization without software answers a referral: link, one-time code, the referral, an answer.

Plain forms, no script. It acts as its organization in the role of a community organization (agent "reply-link"), by the
same interactions as any client: what the role does not see is not here, and referrals.py decides what may follow.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError
from service.interactions.decision import Preconditions
from service.interactions.read import read
from service.interactions.settle import settled
from service.notify import reply_codes
from service.web import reply_access, reply_facts
from service.web.pages import page
from service.web.rendering import HEADERS, render
from service.web.reply_access import Opened, Plain, opened
from service.web.reply_actions import BY_CODE, LONGEST_WORDS, Answer, offered
from service.web.reply_doing import answered
from service.web.reply_words import Words, language_of, words
from service.web.session import PageRefused, read_form, shared_of
from service.workflow.alert_text import date_time

_ON = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]+")
GONE = frozenset({Category.NOT_FOUND, Category.GONE})


def plain(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Whatever is odd is a page of words with what to do."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Plain as odd:
            return _plain(request, odd.kind, odd.status)
        except PageRefused as refused:
            return _plain(request, "form", refused.category.status)

    return page(answer)


def _plain(request: Request, kind: str, status: int) -> Response:
    again = request.url.path.split("/")[2] if kind in ("form", "left", "locked", "rate") else ""
    return _render(request, "reply_plain.html", status, kind=kind, again=again)


def _render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    language = language_of(request)
    other = "en" if language == "es" else "es"
    asked = request.query_params.get("a", "")
    kept = {"a": asked} if asked in ("accept", "decline") else {}
    facts = {"t": words(language), "lang": language, "other": f"?{urlencode({**kept, 'lang': other})}"}
    return render(template, status, **facts, **values)


# --- the link, before and after the code -----------------------------------------------------------------------------


async def show(request: Request) -> Response:
    link = await opened(request)
    if not await reply_access.is_in(request, link):
        return await _gate(request, link)
    return await _referral(request, link, done=request.query_params.get("done", ""))


async def _gate(request: Request, link: Opened, problem: str = "", status: int = 200) -> Response:
    if reply_access.locked(link.row, link.now_us):
        raise Plain("locked", 429)
    shared = shared_of(request)
    ctx = link.context(request)
    found = await ctx.resource(link.row.organization)
    nonce = reply_access.form_nonce(request)
    facts = {
        "organization": str((found[0] if found else {}).get("name") or ""),
        "masked": reply_codes.masked(reply_access.contact_of(request, link.row)),
        "waits": reply_access.waits(link.row, link.now_us),
        "token": link.token,
        "csrf": reply_codes.form_token(shared.page_key, nonce),
        "query": _query(request),
        "problem": problem,
    }
    response = _render(request, "reply_gate.html", status, **facts)
    reply_access.set_form_nonce(request, response, nonce)
    return response


async def send(request: Request) -> Response:
    link = await opened(request)
    reply_access.check_form(request, await read_form(request))
    await reply_access.send_code(request, link)
    return _to(request, link)


async def enter(request: Request) -> Response:
    link = await opened(request)
    form = await read_form(request)
    reply_access.check_form(request, form)
    digits = re.sub(r"\D", "", form.get("code", ""))
    cookie, problem = await reply_access.try_code(request, link, digits)
    if problem:
        return await _gate(request, await opened(request), problem, 422)
    response = _to(request, link)
    name = reply_access.session_cookie(shared_of(request), link.row.link)
    reply_access.set_cookie(request, response, name, cookie)
    return response


async def leave(request: Request) -> Response:
    link = await opened(request)
    reply_access.check_form(request, await read_form(request))
    await reply_access.leave(request, link)
    return _plain(request, "left", 200)


# --- the referral ----------------------------------------------------------------------------------------------------


async def look(ctx: Context, link: Opened) -> tuple[Resource, int, Resource | None, Resource | None]:
    """(Task, its version, ServiceRequest, the member's minimum view), each as a read of its own. Raises Plain."""
    answer = await _read(ctx, "Task", link.row.task)
    if answer is None or ctx.caller.organization not in reply_facts.parties(answer[0], ctx):
        raise Plain("declined", 200) if await reply_facts.declined(ctx, link.row) else Plain("gone", 410)
    task, version = answer
    request = await _read(ctx, *reply_facts.split(task, "focus", ctx))
    member = await _read(ctx, *reply_facts.split(task, "for", ctx))
    return task, version, request[0] if request else None, member[0] if member else None


async def _read(ctx: Context, rtype: str, fhir_id: str) -> tuple[Resource, int] | None:
    if not fhir_id:
        return None
    try:
        answer = await settled(ctx, lambda c: read(c, rtype, fhir_id, Preconditions()))
    except FhirError as error:
        if error.category in GONE:
            return None
        raise
    found: Resource = orjson.loads(answer.body or b"{}")
    return found, answer.version or 0


async def _referral(
    request: Request, link: Opened, *, done: str = "", problem: str = "", status: int = 200, typed: str = ""
) -> Response:
    ctx = link.context(request)
    task, version, asked, member = await look(ctx, link)
    nonce = reply_access.form_nonce(request)
    shared = shared_of(request)
    zone = shared.settings.time_zone
    state = str(task.get("status"))
    t = words(language_of(request))
    facts = {
        "facts": await reply_facts.shown(ctx, t, task, asked, member, zone),
        "silent": reply_facts.silent(asked),
        "state": state,
        "groups": {name: offered(state, name) for name in ("accept", "decline", "progress", "done", "end")},
        "first": request.query_params.get("a", ""),
        "version": version,
        "today": date_time(ctx.now_us, zone)[:10],
        "token": link.token,
        "csrf": reply_codes.form_token(shared.page_key, nonce),
        "query": _query(request, a=False),
        "done": BY_CODE[done].said if done in BY_CODE and BY_CODE[done].to == state and not problem else "",
        "problem": problem,
        "typed": typed,
        "service": reply_facts.service(task, asked),
    }
    response = _render(request, "reply.html", status, **facts)
    reply_access.set_form_nonce(request, response, nonce)
    return response


async def answer(request: Request) -> Response:
    """One answer, by the version that the page showed: of two people the second sees what the first said."""
    link = await opened(request)
    form = await read_form(request)
    reply_access.check_form(request, form)
    if not await reply_access.is_in(request, link):
        return await _gate(request, link)
    action = BY_CODE.get(form.get("do", ""))
    version = form.get("version", "")
    if action is None or not re.fullmatch(r"[0-9]{1,12}", version):
        raise Plain("form", 400)
    given = Answer(action, _words(form.get(f"words-{action.group}", "")), form.get("on", ""))
    if problem := _missing(request, link, given):
        return await _referral(request, link, problem=problem, status=422, typed=given.words)
    try:
        return await _written(request, link, given, int(version))
    except Plain as odd:
        if odd.kind == "declined" and action.to != "rejected":  # by another, while this one meant to take it
            raise Plain("declined", 409) from odd
        raise


async def _written(request: Request, link: Opened, given: Answer, version: int) -> Response:
    ctx = link.context(request)
    task, standing, asked, _member = await look(ctx, link)
    if standing != version or str(task.get("status")) not in given.action.at:
        return await _referral(request, link, problem="changed", status=409)
    try:
        await answered(ctx, task, standing, asked, given, shared_of(request).settings.time_zone)
    except FhirError as error:
        if error.category in (Category.STALE, Category.CONFLICT, *GONE):
            return await _referral(request, await opened(request), problem="changed", status=409)
        if error.category in (Category.RULE, Category.FORBIDDEN):
            return await _referral(request, link, problem="refused", status=422)
        raise
    return _to(request, link, done=given.action.code)


def _missing(request: Request, link: Opened, given: Answer) -> str:
    """What is wrong with what was typed, or ""."""
    if given.action.asks and not given.words:
        return "words"
    if given.action.to != "completed":
        return ""
    zone = ZoneInfo(shared_of(request).settings.time_zone)
    today = datetime.fromtimestamp(link.now_us / 1e6, zone).date()
    try:
        day = datetime.strptime(given.on, "%Y-%m-%d").date() if _ON.fullmatch(given.on) else None
    except ValueError:
        day = None
    return "" if day is not None and day <= today else "date"


async def sheet(request: Request) -> Response:
    """To print: the referral and where to answer it."""
    link = await opened(request)
    if not await reply_access.is_in(request, link):
        return await _gate(request, link)
    ctx = link.context(request)
    task, _version, asked, member = await look(ctx, link)
    t: Words = words(language_of(request))
    shown = await reply_facts.shown(ctx, t, task, asked, member, shared_of(request).settings.time_zone)
    where = f"{shared_of(request).settings.base_url}/r/{link.token}"
    own: dict[str, Any] = {"facts": shown, "silent": reply_facts.silent(asked)}
    own["service"] = reply_facts.service(task, asked)
    return _render(request, "reply_sheet.html", where=where, token=link.token, **own)


def _words(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())[:LONGEST_WORDS]


def _query(request: Request, *, a: bool = True, **more: str) -> str:
    """The reader's language and what the mail's link asked for, kept from page to page."""
    kept = {"lang": request.query_params.get("lang", ""), "a": request.query_params.get("a", "") if a else ""}
    known = {name: value for name, value in kept.items() if value in ("en", "es", "accept", "decline")}
    return f"?{urlencode(known | more)}" if known or more else ""


def _to(request: Request, link: Opened, **more: str) -> Response:
    return RedirectResponse(f"/r/{link.token}{_query(request, a=not more, **more)}", 303, HEADERS)

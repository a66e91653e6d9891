"""Who may open a referral by a link: the link, then a one-time code that goes to the listed contact and nowhere else.

Guessing: 98 bits in the link and limits for each source; five tries at a code, then an hour of rest, after three such
hours the link ends. What is done with one link is decided one after the other (its epoch), in whatever process.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from service.access.context import Context
from service.auth.limits import Buckets
from service.auth.login import same
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.log_events import REQUEST_ID
from service.notify import reply_codes, reply_messages
from service.notify.reply_codes import CODE_US, MOST_TRIES
from service.store import epochs
from service.store import reply_links as stored
from service.store.change import AuditRow, Change, Stale
from service.store.credentials import place_now
from service.store.engine import Store
from service.store.reply_links import LIVE, Link
from service.web.session import Shared, https, of_app, shared_of, source_of

AGENT = "reply-link"
SCOPES = "system/Task.ru system/ServiceRequest.r system/Patient.r system/Procedure.cr system/Organization.r"
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
SESSION_US = HOUR_US
MOST_CODES = 5
"""Codes sent without a right one in between; then one an hour."""
MOST_WRONG = 3 * MOST_TRIES
TURNS = 8
PAGES, GUESSES = 120, 10
Decided = Callable[[Link, int], Change | None]
"""(the link as it stands, now) -> what is to be done, None: nothing. May raise Plain."""


class Plain(Exception):
    """A plain page: `kind` names its words (plain.<kind>)."""

    def __init__(self, kind: str, status: int):
        super().__init__(kind)
        self.kind, self.status = kind, status


@dataclass
class ReplyLimits:
    """A minute of one source: pages, and links that do not exist."""

    pages: Buckets = field(default_factory=lambda: Buckets(PAGES))
    guesses: Buckets = field(default_factory=lambda: Buckets(GUESSES))


@dataclass(frozen=True)
class Opened:
    """A link that counts, as it was read for this request. token: as it stands in the URL."""

    row: Link
    token: str
    caller: Caller
    now_us: int

    def context(self, request: Request) -> Context:
        shared = shared_of(request)
        ctx = Context(shared.store, self.caller, self.now_us, shared.behaviour, REQUEST_ID.get())
        request.state.ctx = ctx
        return ctx


async def opened(request: Request) -> Opened:
    """Raises Plain where the link does not count."""
    shared = shared_of(request)
    now_us, source = shared.store.clock.now_us(), source_of(request)
    limits: ReplyLimits = of_app(request, "reply_limits", ReplyLimits)
    if limits.pages.wait_s(source, now_us):
        raise Plain("rate", 429)
    token = str(request.path_params["code"])
    name = reply_codes.link_of(shared.page_key, token)
    row = await stored.by_link(shared.store, name) if name else None
    if row is None:
        guessed = name and limits.guesses.wait_s(source, now_us)  # what has no form of a link is no guess at one
        raise Plain("rate", 429) if guessed else Plain("unknown", 404)
    if row.state not in LIVE:
        raise Plain("revoked", 410)
    active, _, above = await place_now(shared.store, row.organization, None)
    if row.expires_us <= now_us or not active:
        raise Plain("ended", 410)
    upwards = tuple(f"Organization/{one}" for one in above)
    caller = Caller(AGENT, Role.CBO, row.organization, None, SCOPES, compile_allows(SCOPES), above=upwards)
    return Opened(row, token, caller, now_us)


def contact_of(request: Request, row: Link) -> reply_codes.Contact:
    return reply_codes.opened(shared_of(request).page_key, row.link, row.sealed_to)


# --- cookies and forms -----------------------------------------------------------------------------------------------


def session_cookie(shared: Shared, link: str) -> str:
    """One for each link: an organization may have several open."""
    return f"{_prefix(shared)}enlace-reply-{link[:12]}"


def form_nonce(request: Request) -> str:
    return request.cookies.get(f"{_prefix(shared_of(request))}enlace-reply-form") or secrets.token_urlsafe(24)


def set_form_nonce(request: Request, response: Response, nonce: str) -> None:
    """Lax, since the link is opened from a mail."""
    set_cookie(request, response, f"{_prefix(shared_of(request))}enlace-reply-form", nonce)


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    secure = https(shared_of(request))
    response.set_cookie(name, value, path="/", httponly=True, samesite="lax", secure=secure)


def _prefix(shared: Shared) -> str:
    return "__Host-" if https(shared) else ""


def form_token(request: Request, nonce: str) -> str:
    return reply_codes.form_token(shared_of(request).page_key, nonce)


def check_form(request: Request, form: dict[str, str]) -> None:
    nonce = request.cookies.get(f"{_prefix(shared_of(request))}enlace-reply-form", "")
    if not nonce or not same(form_token(request, nonce), form.get("csrf", "")):
        raise Plain("form", 403)


async def is_in(request: Request, link: Opened) -> bool:
    shared = shared_of(request)
    cookie = request.cookies.get(session_cookie(shared, link.row.link), "")
    if not cookie:
        return False
    session = reply_codes.session_hash(shared.page_key, cookie)
    return await stored.is_in(shared.store, session, link.row.link, link.now_us)


async def leave(request: Request, link: Opened) -> None:
    shared = shared_of(request)
    cookie = request.cookies.get(session_cookie(shared, link.row.link), "")
    session = reply_codes.session_hash(shared.page_key, cookie)
    await shared.store.commit(Change(statements=[stored.left(session)], audit=[_entry(link.row, "left")]))


# --- codes -----------------------------------------------------------------------------------------------------------


def waits(row: Link, now_us: int) -> bool:
    """Whether a code was sent that still counts."""
    return bool(row.code) and row.code_expires_us > now_us


def locked(row: Link, now_us: int) -> bool:
    return not row.code and row.code_expires_us > now_us


async def send_code(request: Request, link: Opened) -> None:
    """A new code; within a minute after the last one nothing new is sent. Raises Plain."""
    shared = shared_of(request)

    def decided(row: Link, now_us: int) -> Change | None:
        if locked(row, now_us):
            raise Plain("locked", 429)
        sent_us = row.code_expires_us - CODE_US
        if waits(row, now_us) and now_us < sent_us + MINUTE_US:
            return None
        if row.codes_sent >= MOST_CODES and now_us < sent_us + HOUR_US:
            raise Plain("many-codes", 429)
        number, ends_us = row.codes_sent + 1, now_us + CODE_US
        digits = reply_codes.digits_of(shared.page_key, row.link, number, ends_us)
        facts = {"code": reply_codes.code_hash(shared.page_key, row.link, digits), "code_expires_us": ends_us}
        told = reply_messages.told(shared.store, reply_messages.CODE, row, now_us)
        sent = stored.changed(row.link, codes_sent=number, **facts)
        return Change(statements=[sent, told], audit=[_entry(row, "code-sent")])

    await _in_turn(shared.store, link.row.link, decided)


async def try_code(request: Request, link: Opened, digits: str) -> tuple[str, str]:
    """(cookie, "") where it is the code, ("", problem) where not. Raises Plain where the link is locked."""
    shared = shared_of(request)
    cookie, problem = secrets.token_urlsafe(32), ""

    def decided(row: Link, now_us: int) -> Change | None:
        nonlocal problem
        problem = ""
        if locked(row, now_us):
            raise Plain("locked", 429)
        if not waits(row, now_us):
            problem = "code-expired"
            return None
        if not same(reply_codes.code_hash(shared.page_key, row.link, digits), row.code):
            problem = "code-wrong"
            return _wrong(row, now_us)
        facts = {"code": "", "code_expires_us": 0, "codes_sent": 0, "tries": 0, "state": "used"}
        used = stored.changed(row.link, used_us=row.used_us or now_us, **facts)
        session = reply_codes.session_hash(shared.page_key, cookie)
        inside = stored.entered(session, row.link, now_us + SESSION_US)
        return Change(statements=[used, inside], audit=[_entry(row, "entered")])

    row = await _in_turn(shared.store, link.row.link, decided)
    if problem == "code-wrong" and (row.tries + 1) % MOST_TRIES == 0:
        raise Plain("revoked" if row.tries + 1 >= MOST_WRONG else "locked", 429)
    return ("", problem) if problem else (cookie, "")


def _wrong(row: Link, now_us: int) -> Change:
    tries = row.tries + 1
    change = Change(audit=[_entry(row, "wrong-code", outcome=4)])
    if tries >= MOST_WRONG:
        change.statements.append(stored.changed(row.link, tries=tries, code="", state="revoked", expires_us=now_us))
        change.jobs.append(reply_messages.phone(row.task, row.organization))
    elif tries % MOST_TRIES == 0:
        change.statements.append(stored.changed(row.link, tries=tries, code="", code_expires_us=now_us + HOUR_US))
    else:
        change.statements.append(stored.changed(row.link, tries=tries))
    return change


async def _in_turn(store: Store, name: str, decided: Decided) -> Link:
    """Commits what is decided from the link as it stands; the link as it stood then."""
    subject = stored.subject(store, name)
    for _ in range(TURNS):
        epoch = await epochs.epoch(store, subject)
        row = await stored.by_link(store, name)
        if row is None or row.state not in LIVE:
            raise Plain("revoked", 410)
        change = decided(row, store.clock.now_us())
        if change is None:
            return row
        change.epochs[subject] = epoch
        change.bump_epochs.add(subject)
        try:
            await store.commit(change)
            return row
        except Stale:
            continue
    raise FhirError(Category.UNAVAILABLE, "Too many at once.", reason="lost-race")


def _entry(row: Link, reason: str, outcome: int = 0) -> AuditRow:
    target = f"Task/{row.task}"
    return AuditRow(
        "E", "reply-login", outcome, AGENT, row.organization, target, request_id=REQUEST_ID.get(), reason=reason
    )

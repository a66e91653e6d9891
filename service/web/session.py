"""Who looks at the page: session cookie, forms that are really ours, and the Context with that person's restriction."""

import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.auth.limits import Buckets
from service.auth.login import Session, same, session_of, signin_token
from service.errors import Category, FhirError
from service.log_events import REQUEST_ID
from service.settings import Settings
from service.store.change import Statement
from service.store.engine import Store

MAX_FORM = 8 * 1024
OPENID_STEPS = 120
SIGNIN_COOKIE = "enlace-signin"
MAX_NEXT = 4096
_LOCAL = re.compile(r"/(?:[A-Za-z0-9?._~-][!$-;=?-Z_a-z~%@\[\]]*)?", re.ASCII)
"""A path of this host: no second slash or backslash behind the first, no blank, no control character."""
STALE_FORM = "This form is no longer valid, or it did not come from this page. Go back, reload the page and try again."


class Shared(Protocol):
    """What service/main.py puts into app.state.enlace, as far as pages need it."""

    @property
    def store(self) -> Store: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def page_key(self) -> bytes: ...
    @property
    def behaviour(self) -> Behaviour: ...
    @property
    def ready(self) -> bool: ...


@dataclass
class SigninLimits:
    """How often a source may try to sign in, and cause an audit row about being refused (security.md A30).

    events: how often it may press a button of the sandbox. openid: steps of a sign-in through a provider, of which each
    sign-in takes two or three; passwords are asked for and limited there, and a whole office may share an address.
    """

    tries: Buckets = field(default_factory=lambda: Buckets(30))
    events: Buckets = field(default_factory=lambda: Buckets(60))
    openid: Buckets = field(default_factory=lambda: Buckets(OPENID_STEPS))
    told: Buckets = field(default_factory=lambda: Buckets(5))


class PageRefused(FhirError):
    """A refusal whose sentence is written for the person at the page."""

    def __init__(self, category: Category, sentence: str, reason: str):
        super().__init__(category, sentence, reason=reason)
        self.sentence = sentence


class NotSignedIn(Exception):
    """No live session."""


@dataclass
class SignedIn:
    """touch: the note that the person was here, to be committed with whatever this request commits."""

    session: Session
    ctx: Context
    touch: Statement | None


def shared_of(request: Request) -> Shared:
    return cast(Shared, request.app.state.enlace)


def of_app(request: Request, name: str, make: Any) -> Any:
    """An object of which the application has one, made when it is first asked for."""
    state = request.app.state
    if not hasattr(state, name):
        setattr(state, name, make())
    return getattr(state, name)


async def signed_in(request: Request, *, active: bool = True) -> SignedIn | None:
    """active False: the page asks by itself, which must not keep a session alive that nobody uses."""
    shared = shared_of(request)
    now_us = shared.store.clock.now_us()
    cookie = request.cookies.get(cookie_name(shared), "")
    session = await session_of(shared.store, cookie, shared.settings.env, now_us)
    if session is None:
        return None
    ctx = Context(shared.store, session.caller, now_us, shared.behaviour, REQUEST_ID.get())
    request.state.ctx = ctx
    return SignedIn(session, ctx, session.touch(now_us) if active else None)


async def require(request: Request, *, active: bool = True) -> SignedIn:
    found = await signed_in(request, active=active)
    if found is None:
        raise NotSignedIn
    return found


async def require_person(request: Request, *, active: bool = True) -> SignedIn:
    """Whoever has an inbox. A system that a visitor of the sandbox looks through has none."""
    who = await require(request, active=active)
    if who.session.caller.person is None:
        raise PageRefused(Category.FORBIDDEN, "An inbox is a person's: sign in as a lead care manager.", "no-inbox")
    return who


def https(shared: Shared) -> bool:
    return shared.settings.base_url.startswith("https://")


def cookie_name(shared: Shared) -> str:
    """`__Host-`: the browser takes it from this very host over https only, so that no neighbour can plant one."""
    return "__Host-enlace" if https(shared) else "enlace"


def set_session_cookie(response: Response, shared: Shared, cookie: str) -> None:
    response.set_cookie(cookie_name(shared), cookie, path="/", httponly=True, samesite="lax", secure=https(shared))


def attempt_cookie_name(shared: Shared) -> str:
    """Binds a sign-in on its way through a provider to the browser that began it."""
    return cookie_name(shared) + "-login"


def set_attempt_cookie(response: Response, shared: Shared, cookie: str, seconds: int) -> None:
    """Lax, since the provider's answer comes from another site."""
    name, secure = attempt_cookie_name(shared), https(shared)
    response.set_cookie(name, cookie, seconds, path="/", httponly=True, samesite="lax", secure=secure)


def drop_attempt_cookie(response: Response, shared: Shared) -> None:
    name, secure = attempt_cookie_name(shared), https(shared)
    response.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=secure)


def local_path(text: str) -> str:
    """The address of ours to which a sign-in leads; anything else than a plain path here is "/": no open redirect."""
    return text if len(text) <= MAX_NEXT and _LOCAL.fullmatch(text) else "/"


def source_of(request: Request) -> str:
    return request.client.host if request.client else ""


def drop_session_cookie(response: Response, shared: Shared) -> None:
    response.delete_cookie(cookie_name(shared), path="/", httponly=True, samesite="lax", secure=https(shared))


async def read_form(request: Request) -> dict[str, str]:
    """Fields of a small form that was sent from our own pages; 403 if the browser says that it was not."""
    _check_origin(request)
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
        raise PageRefused(Category.UNSUPPORTED_MEDIA, STALE_FORM, "form-type")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise PageRefused(Category.TOO_LARGE, STALE_FORM, "form-size")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise PageRefused(Category.MALFORMED, STALE_FORM, "form") from None


def form_nonce(request: Request) -> str:
    """What forms are bound to while nobody is signed in: the browser's own cookie, made where it has none."""
    return request.cookies.get(SIGNIN_COOKIE) or secrets.token_urlsafe(32)


def set_form_cookie(response: Response, shared: Shared, nonce: str) -> None:
    response.set_cookie(SIGNIN_COOKIE, nonce, path="/", httponly=True, samesite="strict", secure=https(shared))


def check_form_token(request: Request, form: dict[str, str]) -> None:
    nonce = request.cookies.get(SIGNIN_COOKIE, "")
    if not nonce or not same(signin_token(shared_of(request).page_key, nonce), form.get("csrf", "")):
        raise PageRefused(Category.FORBIDDEN, STALE_FORM, "csrf")


def check_csrf(form: dict[str, str], session: Session) -> None:
    if not same(session.csrf, form.get("csrf", "")):
        raise PageRefused(Category.FORBIDDEN, STALE_FORM, "csrf")


def _check_origin(request: Request) -> None:
    """Beside SameSite and the token. Under `Referrer-Policy: no-referrer` our own forms come with `Origin: null`."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")
    ours = {request.headers.get("host", ""), urlsplit(shared_of(request).settings.base_url).netloc}
    if site not in ("same-origin", "none") or (origin != "null" and urlsplit(origin).netloc not in ours):
        raise PageRefused(Category.FORBIDDEN, STALE_FORM, "cross-site")

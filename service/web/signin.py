"""Signing in through an organization's OpenID Provider: the way there, and what becomes of the provider's answer.

../shared/facts/security.md 1.5 (a), B11, B12, A30. What fails is a page with the remedy, never a 500; who is not known
here, has no role, or an account that ended, gets one and the same page. service/web/acting.py: several organizations.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.auth import openid_attempts as attempts
from service.auth.accounts import Acting, account_id, may_act
from service.auth.client_rules import CLIENT_ID
from service.auth.login import refusal, sign_in_person, signin_token, visitors
from service.auth.openid import AnswerRefused, ProviderDown, RelyingParty, callback_path
from service.errors import Category, FhirError
from service.log_events import IDENTITY_PROVIDER_FAILED, LOGIN_DONE, LOGIN_REFUSED, REQUEST_ID, log
from service.store import identities
from service.store.identities import Account, Provider
from service.web.navigation import ROLES
from service.web.rendering import HEADERS, render
from service.web.session import (
    PageRefused,
    SigninLimits,
    attempt_cookie_name,
    cookie_name,
    drop_attempt_cookie,
    form_nonce,
    local_path,
    of_app,
    set_attempt_cookie,
    set_form_cookie,
    set_session_cookie,
    shared_of,
    source_of,
)

WORDS = {
    "state": "This sign-in is no longer valid: it was used already, took longer than ten minutes, or began in another "
    "browser. Go to the first page and sign in again.",
    "denied": "Your organization's sign-in did not let you in, or you cancelled it. Go to the first page to try again.",
    "down": "Your organization's sign-in cannot be reached now. Try again in a minute; if that does not help, tell "
    "your operator that the identity provider does not answer.",
    "answer": "The answer of your organization's sign-in could not be verified, so nothing was opened. Try once more; "
    "if that does not help, tell your operator.",
    "unknown": "Your organization's sign-in knows you, but you are not known here. Ask your operator to enter you.",
}


async def signin_page(request: Request) -> Response:
    """The providers; in the sandbox its made-up people too. `next`: where to go afterwards."""
    shared = shared_of(request)
    nonce = form_nonce(request)
    by_role = await visitors(shared.store) if shared.settings.sandbox else {}
    response = render(
        "signin.html",
        providers=[p for p in await identities.providers(shared.store) if p.active],
        people=[(ROLES[role], one) for role, listed in by_role.items() for one in listed],
        next=local_path(request.query_params.get("next", "/")),
        form=signin_token(shared.page_key, nonce),
        csrf="",
        name="",
        nav=(),
    )
    set_form_cookie(response, shared, nonce)
    return response


async def start(request: Request) -> Response:
    """To the provider, with state, nonce and PKCE; the browser keeps the other half of the state."""
    shared = shared_of(request)
    now_us = limited(request)
    provider = await active_provider(request, str(request.path_params["provider"]))
    if provider is None:
        raise FhirError(Category.NOT_FOUND, "There is no such provider.")
    facts = {"next": local_path(request.query_params.get("next", "/"))}
    state, cookie, change = attempts.begin(provider.id, "signin", facts, now_us)
    try:
        address = await relying_party(request).address(provider, state, now_us)
    except ProviderDown as down:
        return await _down(request, provider, down)
    await shared.store.commit(change)
    response = RedirectResponse(address, 303, HEADERS)
    set_attempt_cookie(response, shared, cookie, attempts.SECONDS)
    return response


async def callback(request: Request) -> Response:
    """The provider's answer: checked whole, then a session, or the choice of an organization."""
    shared = shared_of(request)
    now_us = limited(request)
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    state, cookie = given.get("state", ""), request.cookies.get(attempt_cookie_name(shared), "")
    provider = None
    try:
        if len(given) != len(pairs):  # of two answers in one, nobody knows which counts
            raise AnswerRefused("state")
        taken = await attempts.take(shared.store, "signin", state, cookie, now_us)
        provider = await active_provider(request, taken.provider)
        if provider is None or callback_path(provider) != f"/login/callback/{request.path_params['organization']}":
            raise AnswerRefused("state")  # the code in it may be another provider's: nobody gets it
        subject = await relying_party(request).subject(provider, state, given, now_us)
    except AnswerRefused as refused:
        return await turned_away(request, refused.reason)
    except ProviderDown as down:
        assert provider is not None  # only a provider's own answer is down
        return await _down(request, provider, down)
    account = await identities.account_by_id(shared.store, account_id(provider.id, subject))
    if account is None or not account.active:
        return await turned_away(request, "account", subject)
    acting = await may_act(shared.store, provider, account.practitioner, now_us)
    if not acting:
        return await turned_away(request, "no-role", subject)
    to = str(taken.facts["next"])
    if len(acting) == 1:
        return await enter(request, account, acting[0], to, now_us)
    facts = {"account": account.id, "next": to}
    choice, other_half, change = attempts.begin(provider.id, "choice", facts, now_us)
    await shared.store.commit(change)
    response = RedirectResponse("/login/organization", 303, HEADERS)
    set_attempt_cookie(response, shared, f"{choice}.{other_half}", attempts.SECONDS)
    return response


async def end_session(request: Request, provider: Provider) -> str:
    """The provider's own sign-out, "" where it has none or does not answer: ours is done by then."""
    try:
        metadata = await relying_party(request).metadata(provider, shared_of(request).store.clock.now_us())
    except ProviderDown:
        return ""
    if metadata.end_session is None:
        return ""
    parts = urlsplit(metadata.end_session)
    query = urlencode([*parse_qsl(parts.query), ("client_id", provider.client_id)])
    return urlunsplit(parts._replace(query=query))


def relying_party(request: Request) -> RelyingParty:
    """One for the application: it remembers what the providers say of themselves."""
    shared = shared_of(request)

    def make() -> RelyingParty:
        settings = shared.settings
        return RelyingParty(request.app.state.egress, shared.page_key, settings.base_url, settings.egress_allow)

    party: RelyingParty = of_app(request, "relying_party", make)
    return party


async def enter(request: Request, account: Account, acting: Acting, to: str, now_us: int) -> Response:
    shared = shared_of(request)
    former = request.cookies.get(cookie_name(shared), "")
    request_id = REQUEST_ID.get()
    cookie, change = sign_in_person(shared.settings.env, account, acting, now_us, former=former, request_id=request_id)
    await shared.store.commit(change)
    log(LOGIN_DONE, role=acting.role)
    response = RedirectResponse(to, 303, HEADERS)
    set_session_cookie(response, shared, cookie)
    drop_attempt_cookie(response, shared)
    return response


async def turned_away(request: Request, reason: str, subject: str = "") -> Response:
    """subject: how the provider calls the person, who is told it to tell the operator; nothing of ours is shown."""
    log(LOGIN_REFUSED, reason=reason)
    shared = shared_of(request)
    limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
    # A stranger's made-up state writes a few rows a minute; who came through a provider always writes one.
    if reason != "state" or not limits.told.wait_s(source_of(request), shared.store.clock.now_us()):
        await shared.store.commit(refusal(reason, REQUEST_ID.get()))
    kind = "unknown" if reason in ("account", "no-role") else reason if reason in WORDS else "answer"
    response = _page(403, WORDS[kind], subject)
    drop_attempt_cookie(response, shared)
    return response


async def _down(request: Request, provider: Provider, down: ProviderDown) -> Response:
    log(IDENTITY_PROVIDER_FAILED, provider=provider.id, reason=down.reason)
    response = _page(503, WORDS["down"])
    response.headers["Retry-After"] = "30"
    return response


def _page(status: int, words: str, subject: str = "") -> Response:
    return render("not_signed_in.html", status, words=words, subject=subject, name="", csrf="", nav=())


def limited(request: Request) -> int:
    """The time now; raises PageRefused where this address comes too often."""
    limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
    now_us = shared_of(request).store.clock.now_us()
    if limits.openid.wait_s(source_of(request), now_us):
        raise PageRefused(Category.TOO_MANY, "Too many tries to sign in. Wait a minute, then try again.", "rate")
    return now_us


async def active_provider(request: Request, provider_id: str) -> Provider | None:
    if not CLIENT_ID.fullmatch(provider_id):  # ids of both have one form
        return None
    provider = await identities.provider_by_id(shared_of(request).store, provider_id)
    return provider if provider is not None and provider.active else None

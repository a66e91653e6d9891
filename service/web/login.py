"""Signing in and out. In the sandbox by choosing who one is; in production by the organization's identity provider."""

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.auth.login import LoginRefused, people, refusal, same, sign_in, sign_out, signin_token
from service.errors import Category
from service.log_events import LOGIN_DONE, LOGIN_REFUSED, REQUEST_ID, log
from service.web.rendering import HEADERS, render
from service.web.session import (
    SIGNIN_COOKIE,
    STALE_FORM,
    PageRefused,
    SigninLimits,
    check_csrf,
    cookie_name,
    drop_session_cookie,
    https,
    of_app,
    read_form,
    require,
    set_session_cookie,
    shared_of,
)

_SENTENCES = {
    "production": "Signing in with your organization's identity provider is not set up here yet.",
    "unknown": "This person cannot sign in here. Go back, reload the page and choose again.",
}


async def signin_page(request: Request) -> Response:
    shared = shared_of(request)
    nonce = request.cookies.get(SIGNIN_COOKIE) or secrets.token_urlsafe(32)
    listed = await people(shared.store) if shared.settings.sandbox else []
    response = render(
        "signin.html",
        people=listed,
        sandbox=shared.settings.sandbox,
        csrf=signin_token(shared.page_key, nonce),
        name="",
    )
    response.set_cookie(SIGNIN_COOKIE, nonce, path="/", httponly=True, samesite="strict", secure=https(shared))
    return response


async def login(request: Request) -> Response:
    """A new session for the chosen person; whatever session the browser had before ends."""
    shared = shared_of(request)
    now_us = shared.store.clock.now_us()
    limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
    if limits.tries.wait_s(request.client.host if request.client else "", now_us):
        raise PageRefused(Category.TOO_MANY, "Too many tries to sign in. Wait a minute, then try again.", "rate")
    form = await read_form(request)
    nonce = request.cookies.get(SIGNIN_COOKIE, "")
    if not nonce or not same(signin_token(shared.page_key, nonce), form.get("csrf", "")):
        raise PageRefused(Category.FORBIDDEN, STALE_FORM, "csrf")
    former = request.cookies.get(cookie_name(shared), "")
    request_id = REQUEST_ID.get()
    try:
        cookie, change = await sign_in(
            shared.store, shared.settings.env, form.get("client", ""), now_us, former=former, request_id=request_id
        )
    except LoginRefused as refused:
        log(LOGIN_REFUSED, reason=refused.reason)
        await shared.store.commit(refusal(refused.reason, request_id))
        words = _SENTENCES[refused.reason]
        return render("error.html", 403, title="Not signed in", words=words, request_id="", name="", csrf="")
    await shared.store.commit(change)
    log(LOGIN_DONE, role="lcm")
    response = RedirectResponse("/", 303, HEADERS)
    set_session_cookie(response, shared, cookie)
    response.delete_cookie(SIGNIN_COOKIE, path="/", httponly=True, samesite="strict", secure=https(shared))
    return response


async def logout(request: Request) -> Response:
    who = await require(request)
    form = await read_form(request)
    check_csrf(form, who.session)
    await who.ctx.store.commit(sign_out(who.session, who.ctx.request_id))
    response = RedirectResponse("/", 303, HEADERS)
    drop_session_cookie(response, shared_of(request))
    return response

"""Signing in and out. In the sandbox by choosing who one is; in production by the organization's identity provider."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.auth.login import LoginRefused, refusal, session_of, sign_in, sign_out
from service.errors import Category
from service.log_events import LOGIN_DONE, LOGIN_REFUSED, REQUEST_ID, log
from service.web.rendering import HEADERS, render
from service.web.session import (
    PageRefused,
    SigninLimits,
    check_csrf,
    check_form_token,
    cookie_name,
    drop_session_cookie,
    of_app,
    read_form,
    require,
    set_session_cookie,
    shared_of,
)

_SENTENCES = {
    "production": "Signing in with your organization's identity provider is not set up here yet.",
    "unknown": "Nobody signs in here under this name. Go back, reload the page and choose again.",
}


async def signin_page(request: Request) -> Response:
    """The way in where no sandbox is: service/web/first.py has the one of a sandbox."""
    return render("signin.html", csrf="", name="", nav=())


async def login(request: Request) -> Response:
    """A new session for the chosen person; whatever session the browser had before ends."""
    shared = shared_of(request)
    now_us = shared.store.clock.now_us()
    limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
    if limits.tries.wait_s(request.client.host if request.client else "", now_us):
        raise PageRefused(Category.TOO_MANY, "Too many tries to sign in. Wait a minute, then try again.", "rate")
    form = await read_form(request)
    check_form_token(request, form)
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
        return render("error.html", 403, title="Not signed in", words=words, request_id="", name="", csrf="", nav=())
    await shared.store.commit(change)
    session = await session_of(shared.store, cookie, shared.settings.env, now_us)
    log(LOGIN_DONE, role=session.caller.role if session else None)
    response = RedirectResponse("/", 303, HEADERS)
    set_session_cookie(response, shared, cookie)
    return response


async def logout(request: Request) -> Response:
    who = await require(request)
    form = await read_form(request)
    check_csrf(form, who.session)
    await who.ctx.store.commit(sign_out(who.session, who.ctx.request_id))
    response = RedirectResponse("/", 303, HEADERS)
    drop_session_cookie(response, shared_of(request))
    return response

"""Signing in in the sandbox, by choosing who one is, and signing out. In production: service/web/signin.py."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from service.auth.login import LoginRefused, refusal, session_of, sign_in, sign_out
from service.errors import Category
from service.log_events import LOGIN_DONE, LOGIN_REFUSED, REQUEST_ID, log
from service.store import authorizations
from service.web.rendering import HEADERS, render
from service.web.session import (
    PageRefused,
    SigninLimits,
    check_csrf,
    check_form_token,
    cookie_name,
    drop_session_cookie,
    local_path,
    of_app,
    read_form,
    require,
    set_session_cookie,
    shared_of,
)
from service.web.signin import end_session

_SENTENCES = {
    "production": "Sign in through your organization: go to the first page.",
    "unknown": "Nobody signs in here under this name. Go back, reload the page and choose again.",
}


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
    response = RedirectResponse(local_path(form.get("next", "/")), 303, HEADERS)
    set_session_cookie(response, shared, cookie)
    return response


async def logout(request: Request) -> Response:
    """Ends the session here; who came through a provider is shown the way to sign out there too."""
    who = await require(request)
    form = await read_form(request)
    check_csrf(form, who.session)
    change = sign_out(who.session, who.ctx.request_id)
    store = who.ctx.store
    change.merge(authorizations.end_session(store.keys, who.session.digest, who.ctx.now_us))
    await store.commit(change)
    provider = who.session.provider
    address = await end_session(request, provider) if provider else ""
    # A link, no redirect: the Content-Security-Policy keeps what a form leads to on this host.
    response = (
        render("signed_out.html", address=address, provider=provider.name, csrf="", name="", nav=())
        if provider and address
        else RedirectResponse("/", 303, HEADERS)
    )
    drop_session_cookie(response, shared_of(request))
    return response

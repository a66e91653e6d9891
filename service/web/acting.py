"""For which organization? Who may act for several chooses one: rights are never added up; security.md B12.

The choice is on its way like a sign-in: single use, ten minutes, this browser. To act for another, sign in anew.
"""

from starlette.requests import Request
from starlette.responses import Response

from service.auth import openid_attempts as attempts
from service.auth.accounts import Acting, may_act
from service.auth.login import same, signin_token
from service.auth.openid import AnswerRefused
from service.caller import Role
from service.errors import Category
from service.store import identities
from service.store.identities import Account
from service.web.navigation import ROLES
from service.web.rendering import render
from service.web.session import STALE_FORM, PageRefused, attempt_cookie_name, read_form, shared_of
from service.web.signin import active_provider, enter, limited, turned_away

OPENS = ROLES | {
    Role.LCM: "the members assigned to you",
    Role.ECM_PROVIDER: "all members of the organization",
    Role.CBO: "the referrals to the organization",
}
"""What each choice opens, in plain words."""


async def choices(request: Request) -> Response:
    """What the person may choose from."""
    shared = shared_of(request)
    now_us = limited(request)
    cookie = request.cookies.get(attempt_cookie_name(shared), "")
    try:
        taken = await attempts.look(shared.store, "choice", *_halves(cookie), now_us)
    except AnswerRefused as refused:
        return await turned_away(request, refused.reason)
    _, acting = await _offered(request, taken, now_us)
    if not acting:
        return await turned_away(request, "no-role")
    form = signin_token(shared.page_key, cookie)
    listed = [(one.value, one.name or one.organization, OPENS[one.role]) for one in acting]
    return render("choose.html", choices=listed, form=form, csrf="", name="", nav=())


async def choose(request: Request) -> Response:
    """One of what is the person's at this moment, whatever the page showed."""
    shared = shared_of(request)
    now_us = limited(request)
    form = await read_form(request)
    cookie = request.cookies.get(attempt_cookie_name(shared), "")
    if not cookie or not same(signin_token(shared.page_key, cookie), form.get("csrf", "")):
        raise PageRefused(Category.FORBIDDEN, STALE_FORM, "csrf")
    try:
        taken = await attempts.take(shared.store, "choice", *_halves(cookie), now_us)
    except AnswerRefused as refused:
        return await turned_away(request, refused.reason)
    account, acting = await _offered(request, taken, now_us)
    chosen = [one for one in acting if one.value == form.get("acting")]
    if account is None or not chosen:
        return await turned_away(request, "no-role")
    return await enter(request, account, chosen[0], str(taken.facts["next"]), now_us)


async def _offered(request: Request, taken: attempts.Taken, now_us: int) -> tuple[Account | None, list[Acting]]:
    """The account and what it may choose from now: nothing where it, or its provider, ended meanwhile."""
    store = shared_of(request).store
    account = await identities.account_by_id(store, str(taken.facts["account"]))
    provider = await active_provider(request, taken.provider)
    if account is None or not account.active or provider is None:
        return None, []
    return account, await may_act(store, provider, account.practitioner, now_us)


def _halves(cookie: str) -> tuple[str, str]:
    """(state, what binds it to the browser): a choice has no other place for its state than the cookie."""
    state, _, other = cookie.partition(".")
    return state, other

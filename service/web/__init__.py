"""Server-rendered pages (Jinja2, plain forms, one small script): THE table of their addresses, for service/main.py.

../shared/contract.md "Addresses". Whatever does not need a script works without one.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web import (
    acknowledge,
    acting,
    authorize,
    disclosures,
    first,
    inbox,
    live,
    login,
    reply,
    reply_requester,
    sandbox,
    sandbox_token,
    sees,
    signin,
)
from service.web.pages import fragment, page, sandbox_only
from service.web.rendering import static_file
from service.web.session import shared_of, signed_in
from service.web.unknown import unknown

__all__ = ["routes", "unknown"]


async def first_page(request: Request) -> Response:
    """The inbox of the person who is signed in, what a system sees, else the way in."""
    who = await signed_in(request)
    if who is None:
        return await (first.first_page if shared_of(request).settings.sandbox else signin.signin_page)(request)
    return await inbox.inbox(request, who) if who.session.caller.person else await sees.overview(request)


routes = [
    Route("/", page(first_page), methods=["GET"]),
    Route("/login", page(signin.signin_page), methods=["GET"]),
    Route("/login", page(login.login), methods=["POST"]),
    Route("/login/callback/{organization}", page(signin.callback), methods=["GET"]),
    Route("/login/organization", page(acting.choices), methods=["GET"]),
    Route("/login/organization", page(acting.choose), methods=["POST"]),
    Route("/login/{provider}", page(signin.start), methods=["GET"]),
    Route("/logout", page(login.logout), methods=["POST"]),
    Route("/auth/authorize", page(authorize.show), methods=["GET"]),
    Route("/auth/authorize", page(authorize.decide), methods=["POST"]),
    Route("/inbox/list", fragment(inbox.list_fragment), methods=["GET"]),
    Route("/inbox/events", fragment(live.events), methods=["GET"]),
    Route("/inbox/{id}/acknowledge", page(acknowledge.acknowledge), methods=["POST"]),
    Route("/inbox/{id}/unacknowledge", page(acknowledge.unacknowledge), methods=["POST"]),
    Route("/r/{code}", reply.plain(reply.show), methods=["GET"]),
    Route("/r/{code}/code", reply.plain(reply.send), methods=["POST"]),
    Route("/r/{code}/open", reply.plain(reply.enter), methods=["POST"]),
    Route("/r/{code}/answer", reply.plain(reply.answer), methods=["POST"]),
    Route("/r/{code}/leave", reply.plain(reply.leave), methods=["POST"]),
    Route("/r/{code}/sheet", reply.plain(reply.sheet), methods=["GET"]),
    Route("/referrals/{id}/sheet", page(reply_requester.sheet), methods=["GET"]),
    Route("/referrals/{id}/link", page(reply_requester.make), methods=["POST"]),
    Route("/members/{id}/disclosures", page(disclosures.show), methods=["GET"]),
    Route("/members/{id}/disclosures.csv", page(disclosures.as_csv), methods=["GET"]),
    Route("/sees", sandbox_only(page(sees.overview)), methods=["GET"]),
    Route("/sees/{type}", sandbox_only(page(sees.newest)), methods=["GET"]),
    Route("/sees/{type}/{id}", sandbox_only(page(sees.resource)), methods=["GET"]),
    Route("/sandbox", sandbox_only(page(sandbox.show)), methods=["GET"]),
    Route("/sandbox/token", sandbox_only(sandbox_token.token), methods=["GET"]),
    Route("/sandbox/{action}", sandbox_only(page(sandbox.press)), methods=["POST"]),
    Route("/static/{name}", static_file, methods=["GET"]),
]

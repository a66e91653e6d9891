"""Server-rendered pages (Jinja2, plain forms, one small script): THE table of their addresses, for service/main.py.

../shared/contract.md "Addresses". Whatever does not need a script works without one.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web import acknowledge, inbox, live, login
from service.web.pages import fragment, page
from service.web.rendering import static_file
from service.web.session import signed_in


async def first_page(request: Request) -> Response:
    """The inbox of whoever is signed in, else the way in."""
    session = await signed_in(request)
    return await inbox.inbox(request, session) if session else await login.signin_page(request)


routes = [
    Route("/", page(first_page), methods=["GET"]),
    Route("/login", page(login.login), methods=["POST"]),
    Route("/logout", page(login.logout), methods=["POST"]),
    Route("/inbox/list", fragment(inbox.list_fragment), methods=["GET"]),
    Route("/inbox/events", fragment(live.events), methods=["GET"]),
    Route("/inbox/{id}/acknowledge", page(acknowledge.acknowledge), methods=["POST"]),
    Route("/inbox/{id}/unacknowledge", page(acknowledge.unacknowledge), methods=["POST"]),
    Route("/static/{name}", static_file, methods=["GET"]),
]

"""Server-rendered pages (Jinja2, plain forms, one small script): THE table of their addresses, for service/main.py.

../shared/contract.md "Addresses". Whatever does not need a script works without one.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web.acknowledge import acknowledge, unacknowledge
from service.web.inbox import inbox, list_fragment
from service.web.live import events
from service.web.login import login, logout, signin_page
from service.web.pages import fragment, page
from service.web.rendering import static_file
from service.web.session import signed_in


async def first_page(request: Request) -> Response:
    """The inbox of whoever is signed in, else the way in."""
    session = await signed_in(request)
    return await inbox(request, session) if session else await signin_page(request)


routes = [
    Route("/", page(first_page), methods=["GET"]),
    Route("/login", page(login), methods=["POST"]),
    Route("/logout", page(logout), methods=["POST"]),
    Route("/inbox/list", fragment(list_fragment), methods=["GET"]),
    Route("/inbox/events", fragment(events), methods=["GET"]),
    Route("/inbox/{id}/acknowledge", page(acknowledge), methods=["POST"]),
    Route("/inbox/{id}/unacknowledge", page(unacknowledge), methods=["POST"]),
    Route("/static/{name}", static_file, methods=["GET"]),
]

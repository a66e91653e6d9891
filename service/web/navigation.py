"""The links at the top of a page for who is signed in: inbox, what one sees, sandbox events. None in production."""

from typing import NamedTuple

from service.caller import Role
from service.web.session import Shared, SignedIn

ROLES = {
    Role.LCM: "Lead care manager",
    Role.ECM_PROVIDER: "ECM provider, its record system",
    Role.MCP: "Managed care plan",
    Role.CBO: "Community organization",
}
"""The roles of the sandbox's logins in plain words."""


class Link(NamedTuple):
    """current: it leads to the page on which it stands."""

    address: str
    words: str
    current: bool


def nav(shared: Shared, here: str, *, person: bool = True) -> tuple[Link, ...]:
    if not shared.settings.sandbox:
        return ()
    listed = (("/", "Inbox"), ("/sees", "What you see")) if person else (("/sees", "What this organization sees"),)
    return tuple(Link(address, words, address == here) for address, words in (*listed, ("/sandbox", "Sandbox events")))


def nav_of(shared: Shared, who: SignedIn | None, here: str) -> tuple[Link, ...]:
    return nav(shared, here, person=who.session.caller.person is not None) if who else ()

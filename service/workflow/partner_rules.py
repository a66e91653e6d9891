"""What the operator may say of a partner's server: all problems at once, each with its remedy."""

import re
from collections.abc import Iterable

from service.egress import EgressRefused, check_url
from service.store import partners
from service.store.engine import Store
from service.store.inbox_find import has_resource
from service.store.partners import Partner

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
DIRECTIONS = ("push", "pull", "both")
NOTICES = ("auto", "poll")
EVERY_MIN, EVERY_MAX = 15, 60
"""Minutes: the guide asks for once an hour at least, and against more often than every quarter of one (1.8)."""


class BadPartner(Exception):
    """Nothing was written; problems: a sentence each."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


async def check(store: Store, one: Partner, base_url: str, allow: Iterable[str]) -> None:
    """Raises BadPartner."""
    allow = tuple(allow)
    found = [*_form(one, base_url), *_url("--base-url", one.base_url, allow)]
    if one.token_url:
        found += _url("--token-url", one.token_url, allow)
    if bool(one.token_url) != bool(one.client_id):
        found.append("--token-url and --client-id go together: both, or none for a server that asks for no token.")
    if one.token_url and not one.scopes.strip():
        found.append("--scope is what the token endpoint is asked for: give it.")
    if not await has_resource(store, one.organization):
        found.append(f"There is no {one.organization}: write the Organization first.")
    for other in await partners.partners(store):
        if other.name != one.name and other.organization == one.organization:
            found.append(f"{other.name} is the server of {one.organization} already: an organization has one.")
        if other.name != one.name and other.base_url == one.base_url:
            found.append(f"{other.name} has this base URL already: one row for each server.")
    if found:
        raise BadPartner(found)


def _form(one: Partner, base_url: str) -> list[str]:
    found = []
    if not NAME.match(one.name):
        found.append("A partner's name has 1 to 40 of a-z, 0-9 and -, such as food-bank.")
    if one.direction not in DIRECTIONS:
        found.append(f"--direction is one of {', '.join(DIRECTIONS)}.")
    if one.notices not in NOTICES:
        found.append("--notices is auto (it is asked to tell of changes, if it can) or poll (it is only asked).")
    if not EVERY_MIN * 60 <= one.every_s <= EVERY_MAX * 60:
        found.append(f"--every is {EVERY_MIN} to {EVERY_MAX} minutes.")
    if not one.organization.startswith("Organization/"):
        found.append("--organization is the partner's Organization here, such as Organization/food-bank.")
    if one.base_url.startswith(base_url) or base_url.startswith(one.base_url):
        found.append("--base-url is this service's own: give the partner's.")
    return found


def _url(option: str, url: str, allow: tuple[str, ...]) -> list[str]:
    if "?" in url or "#" in url or url.endswith("/"):
        return [f"{option} is an absolute URL without query, fragment and slash at its end."]
    try:
        check_url(url, allow)
    except EgressRefused as error:
        remedy = "give a public https URL on port 443, or in a sandbox list its host:port in ENLACE_EGRESS_ALLOW."
        return [f"{option} is refused by the guard of outbound requests ({error.reason}): {remedy}"]
    return []

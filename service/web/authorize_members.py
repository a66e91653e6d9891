"""The members from whom a person chooses for an app: a search of the own panel, as over REST, with its audit row."""

from dataclasses import dataclass
from typing import Any

from service.access.context import Context
from service.auth.login import name_of
from service.interactions.decision import Decision
from service.interactions.search import search
from service.web.disclosed import resources_of
from service.web.pages import settled
from service.web.session import SignedIn

MOST = 20
MOST_LETTERS = 100


@dataclass(frozen=True)
class Member:
    reference: str
    name: str
    birth_date: str


@dataclass(frozen=True)
class Members:
    """more: there are others, which another name finds."""

    listed: tuple[Member, ...] = ()
    more: bool = False


async def members(who: SignedIn, name: str) -> Members:
    """By family name; name: beginning of any part of the name, "" for all."""
    wanted = [("_sort", "family,_id"), ("_count", str(MOST + 1)), ("_elements", "name,birthDate")]
    words = [("name", _plain(word)) for word in name[:MOST_LETTERS].split()[:5]]

    async def decide(ctx: Context) -> Decision:
        return await search(ctx, "Patient", [*words, *wanted], strict=True, after=None, links=lambda *_: {})

    answer = await settled(who, decide)
    found = [_member(one) for one in resources_of(answer)]
    return Members(tuple(found[:MOST]), len(found) > MOST)


def _member(resource: dict[str, Any]) -> Member:
    reference = f"Patient/{resource['id']}"
    return Member(reference, name_of(resource) or reference, str(resource.get("birthDate") or ""))


def _plain(word: str) -> str:
    """As the value of a search parameter: what would separate values is text here."""
    return "".join(f"\\{letter}" if letter in "\\,|$" else letter for letter in word)

"""channel.header of a Subscription: which headers a subscriber may have sent along.
https://hl7.org/fhir/R4/subscription-definitions.html#Subscription.channel.header
"""

import re
from collections.abc import Iterable

MOST_HEADERS = 20
LONGEST_HEADER = 4096
_FORM = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*(?P<value>[!-~](?:[ \t!-~]*[!-~])?)\Z")
# Those that frame the request, say what it is, or are ours to write.
_OURS = frozenset(
    "accept-encoding connection content-encoding content-length content-type cookie expect host http2-settings "
    "keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade user-agent".split()
)
_OURS_BY_PREFIX = ("webhook-", "x-forwarded-", "sec-")


def parsed(headers: Iterable[str]) -> dict[str, str]:
    """name -> value. Raises ValueError where header_problems finds something."""
    made: dict[str, str] = {}
    for text in headers:
        match = _FORM.match(text)
        if match is None or header_problem(text):
            raise ValueError("a header of the subscription cannot be sent")
        made[match["name"]] = match["value"]
    return made


def header_problems(headers: Iterable[str]) -> list[str]:
    """A sentence for each header that cannot be sent; a header's value is not repeated: it may be a secret."""
    listed = list(headers)
    problems = [f"Header {place}: {problem}" for place, text in enumerate(listed) if (problem := header_problem(text))]
    if len(listed) > MOST_HEADERS:
        problems.append(f"There are {len(listed)} headers: at most {MOST_HEADERS} are sent.")
    names = [text.partition(":")[0].lower() for text in listed]
    if len(set(names)) < len(names):
        problems.append("A header stands twice: give each name once.")
    return problems


def header_problem(text: str) -> str:
    """ "" where it can be sent."""
    match = _FORM.match(text) if len(text) <= LONGEST_HEADER else None
    if match is None:
        return (
            f"it must read `Name: value` in printable ASCII, without a line break, with at most {LONGEST_HEADER} "
            "characters."
        )
    name = match["name"].lower()
    if name in _OURS or name.startswith(_OURS_BY_PREFIX):
        return f"{match['name']} is written by the service: leave it out."
    return ""

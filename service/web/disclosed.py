"""The line that a page shows where it shows protected data: service/interactions/notices.py in plain words."""

import re
from typing import NamedTuple

import orjson

from fhir_profiles import Resource
from service.interactions.decision import Answer

_CLOCK = re.compile(r"(?<=\d)T[\d:.]+Z")
"""Of an instant; people read the day."""


class Told(NamedTuple):
    """text: the statement. under: what permits the disclosure, "" where nothing says it."""

    text: str
    under: str


def resources_of(answer: Answer) -> list[Resource]:
    """What a search found, without what is said beside it."""
    entries = orjson.loads(answer.body or b"{}").get("entry", ())
    return [entry["resource"] for entry in entries if entry["search"]["mode"] != "outcome"]


def notice_of(answer: Answer) -> Told | None:
    """Of an answer that a page is made from; None where nothing in it is protected."""
    if answer.notice is None:
        return None
    issue = orjson.loads(answer.notice)["issue"][0]
    return Told(str(issue["details"]["text"]), _CLOCK.sub("", str(issue.get("diagnostics") or "")))

"""What is asked at /adt/messages and /adt/replay -> Asked; all that is wrong with it at once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.api.operated import BadRequest
from service.store.inbox import STATES
from service.workflow.feed_search import PACIFIC, Asked, NotADay, day_bounds

MOST = 10_000
"""Messages of one replay."""
LIMIT, LOOK = 50, 10_000
MAX_TEXT = 200
OPEN = ("state", "source", "event", "control_id", "since", "until", "day", "zone", "limit", "look")
"""May stand in a URL: nothing of a person."""
PERSONAL = ("visit", "account", "mrn", "cin", "name", "patient")
REPLAYED = ("ids", "reason", "trial")
_PATIENT = re.compile(r"Patient/[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True)
class Question:
    """trial: only what a replay would do. ids: these messages; nothing else is asked then."""

    asked: Asked
    limit: int = LIMIT
    look: int = LOOK
    trial: bool = False
    ids: tuple[int, ...] = ()
    reason: str = ""


def asked_by_url(query: Mapping[str, str]) -> Question:
    """Raises BadRequest; of what is about a person it names the right address."""
    wrong = [f"{name} is about a person: send it in the body of POST /adt/messages/_search." for name in PERSONAL]
    problems = [sentence for name, sentence in zip(PERSONAL, wrong, strict=True) if name in query]
    given: dict[str, Any] = {name: value for name, value in query.items() if name not in PERSONAL}
    for name in ("limit", "look"):
        if name in given and str(given[name]).isascii() and str(given[name]).isdigit():
            given[name] = int(str(given[name])[:9])
    return _question(given, OPEN, problems)


def asked_in(body: Mapping[str, Any], *, replay: bool = False, narrow: bool = False, personal: bool = True) -> Question:
    """Raises BadRequest. replay: ids, reason and trial are taken too. narrow: something must be asked for.

    personal: whether what is about a person may be asked here.
    """
    wrong = [name for name in PERSONAL if name in body and not personal]
    problems = [f"{name} is about a person: ask with `enlace adt inbox` on the host." for name in wrong]
    known = (*OPEN, *PERSONAL, *(REPLAYED if replay else ()))
    if narrow and not set(body) - {"trial", "zone", "limit", "look", "reason"}:
        problems.append("Nothing is asked for: name ids, or a state, a source, a day, ...")
    return _question(body, known, problems)


def _question(given: Mapping[str, Any], known: tuple[str, ...], problems: list[str]) -> Question:
    for name in given:
        if name not in known:
            shown = name if re.fullmatch(r"[A-Za-z_]{1,40}", name) else "A name"
            problems.append(f"{shown} is not known here: use {', '.join(known)}.")
    facts: dict[str, Any] = {}
    for name in ("source", "control_id", *PERSONAL[:5], "patient", "event", "state", "reason"):
        if name in given:
            facts[name] = _text(name, given[name], problems)
    if facts.get("state") and facts["state"] not in STATES:
        problems.append(f"state is one of: {', '.join(STATES)}.")
    if facts.get("patient") and not _PATIENT.fullmatch(facts["patient"]):
        problems.append("patient is a relative reference: Patient/ID.")
    facts["event"] = facts.get("event", "").upper()
    reason = facts.pop("reason", "")
    facts |= _window(given, problems)
    limit = _number("limit", given.get("limit", LIMIT), 1000, problems)
    look = _number("look", given.get("look", LOOK), 1_000_000, problems)
    trial = given.get("trial", False)
    if not isinstance(trial, bool):
        problems.append("trial is true or false.")
    ids = given.get("ids", [])
    if not _are(ids, lambda one: isinstance(one, int) and not isinstance(one, bool) and 0 < one < 2**63):
        problems.append(f"ids is a list of up to {MOST} numbers of messages.")
    if problems:
        raise BadRequest(problems)
    return Question(Asked(**facts), limit, look, trial, tuple(ids), reason)


def _are(ids: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(ids, list) and len(ids) <= MOST and all(fits(one) for one in ids)


def _text(name: str, value: Any, problems: list[str]) -> str:
    if isinstance(value, str) and len(value) <= MAX_TEXT and "\x00" not in value:
        return value
    problems.append(f"{name} is a text of up to {MAX_TEXT} characters.")
    return ""


def _number(name: str, value: Any, most: int, problems: list[str]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    problems.append(f"{name} is a number from 1 to {most}.")
    return 1


def _window(given: Mapping[str, Any], problems: list[str]) -> dict[str, int]:
    """since (inclusive) and until (not), or a day of a zone."""
    found: dict[str, int] = {}
    if "day" in given:
        try:
            found = day_bounds(str(given["day"])[:20], str(given.get("zone", PACIFIC))[:60])
        except NotADay as error:
            problems.append(f"day: {error}")
    for name, bound in (("since", "since_us"), ("until", "until_us")):
        if name in given:
            try:
                at = datetime.fromisoformat(str(given[name])[:40].replace(" ", "+"))  # a plus sign in a URL is a blank
                if at.tzinfo is None:
                    raise ValueError
                found[bound] = int(at.timestamp()) * 1_000_000
            except (ValueError, OverflowError):
                problems.append(f"{name} is an instant with its offset, such as 2026-03-02T09:00:00-08:00.")
    return found

"""`open-at` of HealthcareService: services that are open at a time. Our own parameter; `availableTime` says the hours.

Takes a dateTime (a time without zone is California's), `now`, or a day of the week and a time: `tue|10:30`. Who says no
hours is not found: that is not known. Days of `notAvailable` count as closed.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any

from service.clock import utc
from service.search.criteria import AllOf, AnyOf, Between, Clause, HasDate, HasNumber, Not, Within
from service.search.dates import parse
from service.search.question import Query
from service.search.syntax import Refused, split, unescape

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86_400
WEEK_S = 7 * DAY_S
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?", re.ASCII)
_FORM = "takes a dateTime such as 2026-11-24T10:30, now, or a day and a time such as tue|10:30"


def spans(value: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """[lo, hi) in seconds of the week that an entry of availableTime covers; over midnight goes on the day after."""
    opens, closes = _seconds(value.get("availableStartTime")), _seconds(value.get("availableEndTime"))
    whole = value.get("allDay") is True
    if not whole and (opens is None or closes is None):
        return
    start, end = (0, DAY_S) if whole else (opens or 0, closes or 0)
    for number in [DAYS.index(day) for day in value.get("daysOfWeek") or DAYS if day in DAYS]:
        first, last = number * DAY_S + start, number * DAY_S + (end if end > start else end + DAY_S)
        yield first, min(last, WEEK_S)
        if last > WEEK_S:
            yield 0, last - WEEK_S


def clause(key: int, values: Sequence[str], query: Query) -> Clause:
    """Raises Refused for what is no time."""
    found = [_at(key, unescape(value), query) for value in values]
    return found[0] if len(found) == 1 else AnyOf(tuple(found))


def _at(key: int, value: str, query: Query) -> Clause:
    parts = split(value, "|")
    if len(parts) == 2:
        second = _seconds(parts[1])
        if parts[0].casefold() not in DAYS or second is None:
            raise Refused(_FORM)
        return _open(key, DAYS.index(parts[0].casefold()) * DAY_S + second)
    at_us = query.now_us if value == "now" else _instant(value, query.zone)
    local = utc(at_us).astimezone(query.zone)
    closed = HasDate(key, (Between(lo_lt=at_us + 1, hi_gt=at_us),))
    return AllOf((_open(key, _of_week(local)), Not(closed)))


def _open(key: int, second: int) -> HasNumber:
    return HasNumber(key, (Within(lo_lt=second + 1.0, hi_gt=float(second)),))


def _instant(value: str, zone: tzinfo) -> int:
    if "T" not in value:
        raise Refused(_FORM)
    try:
        return parse(value, zone)[0]
    except (ValueError, OverflowError):
        raise Refused(_FORM) from None


def _of_week(local: datetime) -> int:
    return local.weekday() * DAY_S + local.hour * 3600 + local.minute * 60 + local.second


def _seconds(text: Any) -> int | None:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)

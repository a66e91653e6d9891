"""Partial dates as ranges, for the rules that compare them: https://hl7.org/fhir/R4/datatypes.html#dateTime"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_PARTIAL = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")
_LEEWAY = timedelta(hours=14)
"""A date without a zone may be meant anywhere on Earth: it begins up to 14 h earlier and ends as much later."""


def is_calendar_date(text: str) -> bool:
    """Whether the date part of a date, dateTime or instant exists: 2026-02-30 does not."""
    match = _PARTIAL.match(text)
    if match is None:
        return False
    try:
        datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def bounds(text: str) -> tuple[datetime, datetime] | None:
    """Earliest and latest instant that the text can mean, UTC; None where it is no date that can be compared."""
    try:
        if "T" in text:
            instant = datetime.fromisoformat(text).astimezone(UTC)
            return instant, instant
        match = _PARTIAL.fullmatch(text)
        if match is None:
            return None
        start = datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1), tzinfo=UTC)
        if match[3]:
            end = start + timedelta(days=1)
        elif match[2]:
            end = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            end = start.replace(year=start.year + 1)
        return start - _LEEWAY, end + _LEEWAY
    except (ValueError, OverflowError):
        return None


def before(first: object, second: object) -> bool:
    """Whether `first` lies before `second` whatever precision and zone they leave open; False if that is unknown.

    Two dates of the same precision are compared as they stand: both are meant in one zone.
    """
    if not isinstance(first, str) or not isinstance(second, str):
        return False
    if "T" not in first and len(first) == len(second):
        return first < second
    early, late = bounds(first), bounds(second)
    return early is not None and late is not None and early[1] < late[0]

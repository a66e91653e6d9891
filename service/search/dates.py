"""FHIR dates as half-open ranges of microseconds since 1970-01-01T00:00:00Z, for index rows and for search values.

Source: https://hl7.org/fhir/R4/search.html#date and https://hl7.org/fhir/R4/datatypes.html#dateTime
A date without a zone is read in the zone of the service (ENLACE_TIME_ZONE, America/Los_Angeles by default): the member,
the clinic and the plan mean their own calendar day.
"""

import re
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Range = tuple[int, int]

PACIFIC = ZoneInfo("America/Los_Angeles")
MIN_US = -(2**63)
MAX_US = 2**63 - 1
"""Open ends of a Period: before and after everything."""

DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_PARTS = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


def parse(value: str, zone: tzinfo = PACIFIC) -> Range:
    """[lo, hi) that a date, dateTime or instant of any precision covers; ValueError if it is no such date.

    A time without seconds or zone is taken too, as searches may send it.
    """
    match = _PARTS.fullmatch(value)
    if not match:
        raise ValueError("not a FHIR date")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if hour is not None:
        return _instant(_ordinal(value[:10]), (hour, minute, second, fraction), offset, zone)
    if day is not None:
        first = _ordinal(value)
        return day_start(first, zone), day_start(first + 1, zone)
    if month is not None:
        first = date(int(year), int(month), 1).toordinal()
        return day_start(first, zone), day_start(_next_month(int(year), int(month)), zone)
    return day_start(date(int(year), 1, 1).toordinal(), zone), day_start(_next_month(int(year), 12), zone)


@lru_cache(maxsize=16_384)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _next_month(year: int, month: int) -> int:
    if (year, month) == (9999, 12):
        return date.max.toordinal() + 1
    return date(year + month // 12, month % 12 + 1, 1).toordinal()


def _instant(day: int, time: tuple[str, str, str | None, str | None], offset: str | None, zone: tzinfo) -> Range:
    hour, minute, second, fraction = int(time[0]), int(time[1]), int(time[2] or 0), time[3]
    if hour > 23 or minute > 59 or second > 60:  # 60: FHIR allows for leap seconds
        raise ValueError("not a time of day")
    local = (day - _EPOCH) * DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000
    if offset is None:
        lo = local - _offset_us(datetime.fromordinal(day).replace(hour=hour, minute=minute), zone)
    elif offset == "Z":
        lo = local
    else:
        hours, minutes = int(offset[1:3]), int(offset[4:6])
        if hours > 14 or minutes > 59:
            raise ValueError("not a zone")
        shift = (hours * 60 + minutes) * 60_000_000
        lo = local + shift if offset[0] == "-" else local - shift
    if fraction is not None:
        lo += int(fraction[:6].ljust(6, "0"))
        return lo, lo + 10 ** max(0, 6 - len(fraction))
    return lo, lo + (1_000_000 if time[2] is not None else 60_000_000)


@lru_cache(maxsize=65_536)
def day_start(ordinal: int, zone: tzinfo) -> int:
    """Microseconds at which the day (proleptic Gregorian ordinal) begins in the zone."""
    known = datetime.fromordinal(min(ordinal, date.max.toordinal()))
    return (ordinal - _EPOCH) * DAY_US - _offset_us(known, zone)


def _offset_us(local: datetime, zone: tzinfo) -> int:
    return (local.replace(tzinfo=zone).utcoffset() or timedelta()) // timedelta(microseconds=1)


def ranges_of(value: Any, datatype: str, zone: tzinfo = PACIFIC) -> Range | None:
    """The range of a date, dateTime, instant, Period or Timing; None when it holds no date that can be read."""
    if datatype == "Period":
        return period(value, zone)
    if datatype == "Timing":
        return _timing(value, zone)
    try:
        return parse(value, zone)
    except (ValueError, TypeError):
        return None


def period(value: Any, zone: tzinfo = PACIFIC) -> Range | None:
    """An absent end is open; a Period without any date is no value. The end day counts as a whole."""
    start, end = value.get("start"), value.get("end")
    if start is None and end is None:
        return None
    try:
        return (MIN_US if start is None else parse(start, zone)[0]), (MAX_US if end is None else parse(end, zone)[1])
    except (ValueError, TypeError):
        return None


def _timing(value: Any, zone: tzinfo) -> Range | None:
    """Only the outer limits of a Timing matter: its events and the period that bounds its repetition."""
    found = [ranges_of(event, "dateTime", zone) for event in value.get("event", ()) if event is not None]
    bounds = value.get("repeat", {}).get("boundsPeriod")
    found.append(period(bounds, zone) if bounds else None)
    known = [span for span in found if span is not None]
    return (min(lo for lo, _ in known), max(hi for _, hi in known)) if known else None

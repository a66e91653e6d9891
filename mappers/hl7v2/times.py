"""HL7 date-times -> instants and FHIR text with the precision as sent (v2.5.1 chapter 2A, 2.A.21/2.A.22 DTM and TS).

A value without an offset is read in the zone of its source *at that date*. On the night the clocks go back the later
of the two instants is taken, on the night they go forward the time is moved; both are remarked.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DTM = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,9}))?)?)?)?)?)?\s*([+-]\d{2}(?:\d{2,5})?|Z)?\Z",
    re.ASCII,
)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,9}))?)?)?\s*([+-]\d\d:?\d\d|Z)?\Z",
    re.ASCII,
)
_US = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4})(?:\s+(\d{1,2}):(\d\d)(?::(\d\d))?\s*([AaPp][Mm])?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACEHOLDERS = frozenset({"19000101", "18000101", "11111111", "99991231", "99999999"})


class Moment(NamedTuple):
    """`us` since the epoch (the beginning of a coarse value, in its zone); `fhir` a FHIR date or dateTime.

    `precision` is year, month, day, hour, minute or second.
    """

    us: int
    fhir: str
    precision: str

    @property
    def timed(self) -> bool:
        """True where an hour was given."""
        return self.precision in ("hour", "minute", "second")


class _Parts(NamedTuple):
    year: str
    month: str | None
    day: str | None
    hour: str | None
    minute: str | None
    second: str | None
    fraction: str | None
    offset: str | None


@lru_cache(maxsize=4096)  # one message says the same time in several fields
def read_time(text: str, zone: ZoneInfo) -> tuple[Moment | None, tuple[str, ...]]:
    """(moment or None, remark codes): time-unreadable, time-impossible, time-placeholder, time-offset-odd,
    time-offset-impossible, time-midnight-2400, time-dst-overlap, time-dst-gap. Never raises."""
    text = text.strip()
    if not text:
        return None, ()
    if text[:8] in PLACEHOLDERS or not text[:4].strip("0"):
        return None, ("time-placeholder",)
    parts = _parts(text)
    if parts is None:
        return None, ("time-unreadable",)
    try:
        day = date(int(parts.year), int(parts.month or 1), int(parts.day or 1))
        if parts.hour is None:
            return _coarse(day, parts, zone), ()
        return _timed(day, parts, zone)
    except (ValueError, OverflowError):
        return None, ("time-impossible",)


def _parts(text: str) -> _Parts | None:
    if match := (_DTM.match(text) or _ISO.match(text)):
        parts = _Parts(*match.groups())
        if parts.hour is None and parts.offset and len(parts.offset) == 3:
            return None  # "2026-03" is no year with an offset
        return parts
    if match := _US.match(text):
        month, day, year, hour, minute, second, half = match.groups()
        if half and not 1 <= int(hour) <= 12:
            return None
        if half:
            hour = str(int(hour) % 12 + (12 if half.upper() == "PM" else 0))
        return _Parts(year, month, day, hour, minute, second, None, None)
    return None


def _coarse(day: date, parts: _Parts, zone: ZoneInfo) -> Moment:
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    if parts.month is None:
        return Moment(_us(start), f"{day.year:04d}", "year")
    if parts.day is None:
        return Moment(_us(start), f"{day.year:04d}-{day.month:02d}", "month")
    return Moment(_us(start), day.isoformat(), "day")


def _timed(day: date, parts: _Parts, zone: ZoneInfo) -> tuple[Moment | None, tuple[str, ...]]:
    remarks: list[str] = []
    hour, minute, second = int(parts.hour or 0), int(parts.minute or 0), int(parts.second or 0)
    fraction = (parts.fraction or "")[:6]
    shift = timedelta(0)
    if hour == 24 and minute == 0 and second == 0:
        hour, shift = 0, timedelta(days=1)
        remarks.append("time-midnight-2400")
    if second == 60:  # a leap second, or an engine that rounds
        second, shift = 59, shift + timedelta(seconds=1)
    if hour > 23 or minute > 59 or second > 59:
        # The clock part is noise, the date need not be: keep what can be true.
        return _coarse(day, parts, zone), (*remarks, "time-impossible")
    wall = datetime(day.year, day.month, day.day, hour, minute, second, int(fraction.ljust(6, "0") or 0)) + shift
    offset, remark = _offset(parts.offset)
    remarks += [remark] if remark else []
    if offset is not None:
        aware = wall.replace(tzinfo=offset)
    else:
        aware, remark = _in_zone(wall, zone)
        remarks += [remark] if remark else []
    precision = "second" if parts.second else "minute" if parts.minute else "hour"
    shown = aware.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return Moment(_us(aware), shown + (f".{fraction}" if fraction else "") + _show(aware), precision), tuple(remarks)


def _in_zone(wall: datetime, zone: ZoneInfo) -> tuple[datetime, str]:
    early, late = wall.replace(tzinfo=zone), wall.replace(tzinfo=zone, fold=1)
    before, after = early.utcoffset(), late.utcoffset()
    if before == after:
        return early, ""
    if before is not None and after is not None and before > after:
        return late, "time-dst-overlap"
    return early.astimezone(UTC).astimezone(zone), "time-dst-gap"


def _offset(text: str | None) -> tuple[tzinfo | None, str]:
    """(zone, remark). Two digits are hours; of more than four the first four count; beyond 14 hours there is none."""
    if not text:
        return None, ""
    if text == "Z":
        return UTC, ""
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:4] or 0)
    if hours * 60 + minutes > 840 or minutes > 59:
        return None, "time-offset-impossible"
    shift = timedelta(hours=hours, minutes=minutes)
    return timezone(-shift if text[0] == "-" else shift), "" if len(digits) == 4 else "time-offset-odd"


def _show(aware: datetime) -> str:
    offset = aware.utcoffset() or timedelta(0)
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _us(aware: datetime) -> int:
    return (aware - _EPOCH) // timedelta(microseconds=1)

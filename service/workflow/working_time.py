"""Working days and hours: California's state holidays, 08:00 to 18:00 of a zone. Pure, apart from reading the table.

facts/california.md C.4; the table is california_holidays.json, which an installation may edit.
A wall time that the change to summer time leaves out counts when the clock has moved on.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ZONE = "America/Los_Angeles"
TABLE = Path(__file__).parent / "california_holidays.json"
MOST_DAYS = 3_660
_SATURDAY, _SUNDAY = 5, 6


class CalendarError(ValueError):
    """The table of the working days cannot be used; the sentence names the part and the remedy."""


@dataclass(frozen=True)
class WorkingCalendar:
    """opens, closes: wall times. weekend: weekdays, Monday is 0. rules: rows of the table."""

    opens: time
    closes: time
    weekend: frozenset[int]
    rules: tuple[tuple[tuple[str, Any], ...], ...]
    closed: frozenset[date] = frozenset()
    working: frozenset[date] = frozenset()


@lru_cache(maxsize=8)
def calendar(path: str = "") -> WorkingCalendar:
    """path: of another table; "" is california_holidays.json."""
    try:
        return calendar_of(json.loads((Path(path) if path else TABLE).read_text("utf-8")))
    except (OSError, ValueError) as e:
        raise CalendarError(f"The table of working days cannot be read ({type(e).__name__}): {e}") from None


def calendar_of(table: Mapping[str, Any]) -> WorkingCalendar:
    """Raises CalendarError where the table names no day or no hours."""
    try:
        opens, closes = (time.fromisoformat(one) for one in table["hours"])
        made = WorkingCalendar(
            opens,
            closes,
            frozenset(int(day) for day in table["weekend"]),
            tuple(tuple(sorted(rule.items())) for rule in table["rules"]),
            frozenset(date.fromisoformat(day) for day in table.get("closed", ())),
            frozenset(date.fromisoformat(day) for day in table.get("working", ())),
        )
        for rule in table["rules"]:
            _day_of(rule, 2028)
    except (KeyError, TypeError, ValueError) as e:
        raise CalendarError(f"{type(e).__name__} {e}: see the sentence `about` of california_holidays.json") from None
    if opens >= closes or len(made.weekend) > 6:
        raise CalendarError("hours are from an earlier to a later time of one day, and weekend leaves a day to work")
    return made


# --- days ------------------------------------------------------------------------------------------------------------


def is_working_day(day: date, of: WorkingCalendar | None = None) -> bool:
    rules = of or calendar()
    if day in rules.working:
        return True
    return day.weekday() not in rules.weekend and day not in rules.closed and day not in _holidays(rules, day.year)


def holidays(year: int, of: WorkingCalendar | None = None) -> Mapping[date, str]:
    """Day -> name, as they are observed."""
    return _holidays(of or calendar(), year)


def add_working_days(day: date, n: int, of: WorkingCalendar | None = None) -> date:
    """The n-th working day after this one, which does not count itself; n negative: before it. 0: the day itself."""
    if abs(n) > MOST_DAYS:
        raise ValueError(f"no more than {MOST_DAYS} working days")
    step = timedelta(days=1 if n > 0 else -1)
    left = abs(n)
    while left:
        day += step
        left -= is_working_day(day, of)
    return day


def next_working_day(day: date, of: WorkingCalendar | None = None) -> date:
    """This day, or the first working day after it."""
    return day if is_working_day(day, of) else add_working_days(day, 1, of)


def working_days_between(start: date, end: date, of: WorkingCalendar | None = None) -> int:
    """Working days after `start` up to and with `end`."""
    return sum(is_working_day(start + timedelta(days=n), of) for n in range(1, (end - start).days + 1))


# --- moments ---------------------------------------------------------------------------------------------------------


def is_working_moment(us: int, zone: str = ZONE, of: WorkingCalendar | None = None) -> bool:
    return next_working_moment(us, zone, of) == us


def next_working_moment(us: int, zone: str = ZONE, of: WorkingCalendar | None = None) -> int:
    """The moment itself within working hours, else the next opening. Microseconds UTC."""
    rules = of or calendar()
    today = local_day(us, zone)
    if is_working_day(today, rules):
        if us < _instant_us(today, rules.opens, zone):
            return _instant_us(today, rules.opens, zone)
        if us < _instant_us(today, rules.closes, zone):
            return us
    return _instant_us(add_working_days(today, 1, rules), rules.opens, zone)


def due_in_hours(us: int, minutes: int, zone: str = ZONE, of: WorkingCalendar | None = None) -> int:
    """So many minutes later where that moment is worked; else the next opening (30 minutes, or next morning)."""
    return next_working_moment(us + minutes * 60_000_000, zone, of)


def add_working_days_us(us: int, n: int, zone: str = ZONE, of: WorkingCalendar | None = None) -> int:
    """The same wall time n working days later."""
    local = datetime.fromtimestamp(us // 1_000_000, ZoneInfo(zone))
    day = add_working_days(local.date(), n, of)
    return _instant_us(day, local.time(), zone) + us % 1_000_000


def day_end_us(day: date, zone: str = ZONE) -> int:
    """The last microsecond of the day in the zone: until when something due on that day is in time."""
    return _instant_us(day + timedelta(days=1), time(0), zone) - 1


def local_day(us: int, zone: str = ZONE) -> date:
    return datetime.fromtimestamp(us // 1_000_000, ZoneInfo(zone)).date()


def _instant_us(day: date, wall: time, zone: str) -> int:
    return int(datetime.combine(day, wall, ZoneInfo(zone)).timestamp()) * 1_000_000


# --- rules -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def _holidays(of: WorkingCalendar, year: int) -> Mapping[date, str]:
    """Of the years beside it too: New Year's Day on a Sunday, or Christmas moved by a site's own table."""
    days = {
        _day_of(dict(rule), one): str(dict(rule)["name"]) for one in (year - 1, year, year + 1) for rule in of.rules
    }
    return {day: name for day, name in sorted(days.items()) if day.year == year}


def _day_of(rule: Mapping[str, Any], year: int) -> date:
    month = int(rule["month"])
    if "day" in rule:
        day = date(year, month, int(rule["day"]))
        moves = {_SATURDAY: "saturday", _SUNDAY: "sunday"}
        return day + timedelta(days=int(rule.get(moves.get(day.weekday(), ""), 0)))
    nth, weekday = int(rule["nth"]), int(rule["weekday"])
    if not (1 <= nth <= 4 or nth == -1) or not 0 <= weekday <= 6:
        raise ValueError(f"nth is 1 to 4 or -1, weekday 0 to 6: {rule.get('name', '')}")
    first = date(year, month, 1)
    if nth == -1:
        after = date(year + month // 12, month % 12 + 1, 1)
        found = after - timedelta(days=(after.weekday() - weekday - 1) % 7 + 1)
    else:
        found = first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
    return found + timedelta(days=int(rule.get("offset_days", 0)))

"""How much of a capped service is left for a member: whole numbers only, so that no rounding ever gives a cent. Pure.

facts/california.md B.8. An authorization counts with all of its units from the day it is given until it is released;
in a cap per calendar year it counts in each year that its period touches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from service.workflow.calaim_catalogue import Cap
from service.workflow.working_time import ZONE

DAY_US = 86_400_000_000
MOST_UNITS = 10**12
_UNITS: dict[str, dict[str, int]] = {
    "minutes": {"min": 1, "minute": 1, "minutes": 1, "h": 60, "hour": 60, "hours": 60},
    "cents": {"USD": 100, "usd": 100, "$": 100, "cents": 1},
}
"""Unit of a cap -> what a Quantity may be given in, with how many units that is."""


class Inexact(ValueError):
    """The quantity is no whole number of the cap's units; the sentence says what to give."""


@dataclass(frozen=True)
class Use:
    """An authorization, as a row of service_use says it. [start_us, end_us)."""

    task: str
    service: str
    units: int
    start_us: int
    end_us: int
    state: str = "authorized"


@dataclass(frozen=True)
class Standing:
    """used: by others. asked: by the authorization at hand. over: by so much it is exceeded, 0 where it is not."""

    cap: Cap
    used: int
    asked: int

    @property
    def left(self) -> int:
        return max(0, self.cap.limit - self.used)

    @property
    def over(self) -> int:
        return max(0, self.used + self.asked - self.cap.limit)


def units_of(value: Decimal, unit: str, of: str) -> int:
    """A quantity in units of a cap ("minutes", "cents"). Raises Inexact."""
    row = _UNITS[of]
    if unit not in row:
        raise Inexact(f"give it in {' or '.join(dict.fromkeys(row))}")
    exact = value * row[unit]
    if exact != exact.to_integral_value() or not 0 < exact <= MOST_UNITS:
        raise Inexact(f"it must be more than 0 and a whole number of {of}")
    return int(exact)


def needs_quantity(caps: Iterable[Cap]) -> str:
    """The unit in which an authorization must say how much, "" where its period alone counts."""
    return next((cap.unit for cap in caps if cap.unit in _UNITS), "")


def standing(cap: Cap, uses: Sequence[Use], asked: Use | None) -> Standing:
    """uses: of the member, all services and states; that of the same Task is the one at hand and not counted."""
    others = [
        one
        for one in uses
        if one.service in cap.services and one.state != "released" and (asked is None or one.task != asked.task)
    ]
    if cap.per == "authorization":
        return Standing(cap, 0, _amount(cap, asked) if asked else 0)
    if cap.per == "lifetime":
        return Standing(cap, sum(_amount(cap, one) for one in others), _amount(cap, asked) if asked else 0)
    if cap.per == "calendar-year":
        return _by_year(cap, others, asked)
    return _rolling(cap, others, asked)


def _amount(cap: Cap, one: Use) -> int:
    if cap.unit == "times":
        return 1
    return days(one) if cap.unit == "days" else one.units


def days(one: Use) -> int:
    """Calendar days from the first to the last."""
    return (_day(one.end_us - 1) - _day(one.start_us)).days + 1


def _by_year(cap: Cap, others: Sequence[Use], asked: Use | None) -> Standing:
    """The fullest of the years that the authorization touches."""
    years = _years(asked) if asked else [max((y for one in others for y in _years(one)), default=0)]
    used = [sum(_amount(cap, one) for one in others if year in _years(one)) for year in years]
    return Standing(cap, max(used, default=0), _amount(cap, asked) if asked else 0)


def this_year(cap: Cap, uses: Sequence[Use], now_us: int) -> Standing:
    """As standing(), of the year of a moment where nothing is asked yet."""
    if cap.per != "calendar-year":
        return standing(cap, uses, None)
    year = _day(now_us).year
    return standing(cap, [one for one in uses if year in _years(one)], None)


def _rolling(cap: Cap, others: Sequence[Use], asked: Use | None) -> Standing:
    """Days within the 12 months that end with the authorization at hand, else with the last one."""
    end_us = asked.end_us if asked else max((one.end_us for one in others), default=0)
    last = _day(end_us - 1)
    first = months_after(last, -12) + timedelta(days=1)
    used = sum(max(0, (min(_day(o.end_us - 1), last) - max(_day(o.start_us), first)).days + 1) for o in others)
    return Standing(cap, used, days(asked) if asked else 0)


def _years(one: Use) -> list[int]:
    return list(range(_day(one.start_us).year, _day(one.end_us - 1).year + 1))


def _day(us: int) -> date:
    return datetime.fromtimestamp(us // 1_000_000, UTC).astimezone(ZoneInfo(ZONE)).date()


def months_after(day: date, months: int) -> date:
    """The same day so many months later; where that month is shorter its last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    raise ValueError("no such month")


def shown(amount: int, unit: str) -> str:
    """In words of a person: 336 hours, $7,500.00, 90 days."""
    if unit == "cents":
        return f"${amount // 100:,}.{amount % 100:02d}"
    if unit == "minutes":
        hours, minutes = divmod(amount, 60)
        return f"{hours:,} h" + (f" {minutes} min" if minutes else "")
    return f"{amount} {unit[:-1] if amount == 1 else unit}"

"""Whether a feed's silence means something: by what it brought at these hours of the week before. Pure.

A hospital of 300 messages an hour is silent after minutes, at night later; a nursing facility of two a day after days.
Silence is told where its feed would have brought some EXPECTED messages meanwhile (the chance of none is below 1 in
1,000 were they to come one by one), and brought some in the same hours of all weeks that are known; of four weeks or
more one may be without: it may have been such a silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mappers.hl7v2.source import SourceConfig
from service.store.feed_hours import HOUR_US, Hour, hour_of

EXPECTED = 8.0
WEEKS = 8
LEAST_WEEKS = 2
FORGIVING_WEEKS = 4
LEAST_US = 15 * 60_000_000
"""A shorter gap is never told: an interface engine is restarted in minutes."""
LONGEST_HOURS = 24 * 21
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Silence:
    """expected: messages that would have come since the last one, None where too few weeks are known for a guess."""

    silent: bool
    since_us: int
    expected: float | None
    weeks: int = 0


def silence(
    source: SourceConfig, hours: Mapping[int, Hour], first_us: int, last_us: int, now_us: int, limit_us: int
) -> Silence:
    """first_us, last_us: its first and last message. limit_us: how long a feed that is not known yet may be silent."""
    known = max(0, min(WEEKS, (last_us - HOUR_US - first_us) // (7 * 24 * HOUR_US)))
    gap_us = now_us - last_us
    if known < LEAST_WEEKS:
        open_us = sum(us for hour, us in _parts(last_us, now_us) if sends(source, hour))
        return Silence(gap_us >= LEAST_US and open_us > limit_us, last_us, None, known)
    weeks = [0.0] * known
    for hour, us in _parts(last_us, now_us):
        if sends(source, hour):
            for back in range(known):
                found = hours.get(week_before(hour, back + 1, source.tz))
                weeks[back] += (found.received if found else 0) * us / HOUR_US
    expected = sum(weeks) / known
    usual = sorted(weeks)[1 if known >= FORGIVING_WEEKS else 0]
    quiet = gap_us < LEAST_US or expected < EXPECTED or usual < 1.0
    return Silence(not quiet, last_us, round(expected, 1), known)


def week_before(hour_us: int, weeks: int, zone: ZoneInfo) -> int:
    """The same hour by the hospital's clock, whether or not clocks were moved since."""
    local = datetime.fromtimestamp(hour_us / 1e6, UTC).astimezone(zone)
    return hour_of(int((local - timedelta(weeks=weeks)).timestamp()) * 1_000_000)


def expected_in(source: SourceConfig, hours: Mapping[int, Hour], hour_us: int, weeks: int) -> float | None:
    """Messages that such an hour brought on average; None where too few weeks are known."""
    if weeks < LEAST_WEEKS:
        return None
    found = [hours.get(week_before(hour_us, back + 1, source.tz)) for back in range(weeks)]
    return round(sum(hour.received for hour in found if hour) / weeks, 1)


def sends(source: SourceConfig, hour_us: int) -> bool:
    """Whether it is to send in this hour at all; a source without hours always is."""
    if not source.hours:
        return True
    local = datetime.fromtimestamp(hour_us / 1e6, UTC).astimezone(source.tz)
    begin, _, end = source.hours.get(_DAYS[local.weekday()], "").partition("-")
    return bool(end) and begin <= f"{local:%H:%M}" < end


def _parts(since_us: int, until_us: int) -> list[tuple[int, int]]:
    """(start of the hour, how much of it lies between), at most LONGEST_HOURS."""
    parts, at = [], max(since_us, until_us - LONGEST_HOURS * HOUR_US)
    while at < until_us:
        end = min(hour_of(at) + HOUR_US, until_us)
        parts.append((hour_of(at), end - at))
        at = end
    return parts

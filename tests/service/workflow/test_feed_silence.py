"""What silence means: by the hours of the week before, the hospital's clock, kept hours, and how sure one may be."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from mappers.hl7v2.source import SourceConfig
from service.store.feed_hours import HOUR_US, Hour
from service.workflow.feed_silence import EXPECTED, expected_in, sends, silence, week_before

PACIFIC = ZoneInfo("America/Los_Angeles")
MERCY = SourceConfig("mercy")
CLINIC = SourceConfig("clinic", hours={day: "08:00-18:00" for day in ("mon", "tue", "wed", "thu", "fri")})
MINUTE_US = 60_000_000
LIMIT_US = 24 * HOUR_US


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PACIFIC).timestamp() * 1e6)


NOW = at("2026-03-18T14:00:00")
"""A Wednesday, after clocks were moved on March 8."""


def weeks(rate: int, *, known: int = 4, night: int | None = None, empty: tuple[int, ...] = ()) -> dict[int, Hour]:
    """Hours of the `known` weeks before NOW and one more; night: rate from 22 to 6; empty: weeks without anything."""
    found = {}
    for back in range(1, (known + 1) * 7 * 24):
        start = NOW - back * HOUR_US
        local = datetime.fromtimestamp(start / 1e6, PACIFIC)
        by_clock = datetime.fromtimestamp(NOW / 1e6, PACIFIC).replace(tzinfo=None) - local.replace(tzinfo=None)
        count = night if night is not None and (local.hour >= 22 or local.hour < 6) else rate
        if by_clock.days // 7 not in empty:
            found[start] = Hour(received=count)
    return found


def told(hours: dict[int, Hour], minutes: int, source: SourceConfig = MERCY, known: int = 4, now: int = NOW) -> bool:
    first = now - (known * 7 + 6) * 24 * HOUR_US
    return silence(source, hours, first, now - minutes * MINUTE_US, now, LIMIT_US).silent


def test_a_busy_feed_is_missed_within_minutes_and_a_quiet_one_within_days() -> None:
    assert not told(weeks(300), 10) and told(weeks(300), 16), "never within a quarter of an hour"
    assert not told(weeks(4), 115) and told(weeks(4), 125), f"{EXPECTED:g} messages are usual in two hours"
    rare = {start: hour for number, (start, hour) in enumerate(sorted(weeks(1).items())) if number % 12 == 0}
    assert not told(rare, 3 * 24 * 60) and told(rare, 5 * 24 * 60)


def test_the_night_is_quieter_than_the_day() -> None:
    hours = weeks(60, night=1)
    night = at("2026-03-18T04:00:00")
    first = night - 4 * 7 * 24 * HOUR_US
    assert not silence(MERCY, hours, first, night - 240 * MINUTE_US, night, LIMIT_US).silent
    assert told(hours, 30)


def test_one_week_without_anything_does_not_make_the_next_silence_usual() -> None:
    assert told(weeks(10, empty=(2,)), 120)
    assert not told(weeks(10, empty=(1, 2)), 120), "twice of four times is usual"
    assert not told(weeks(10, known=3, empty=(2,)), 120, known=3)


def test_a_feed_of_which_little_is_known_has_a_limit() -> None:
    assert not told({}, 23 * 60, known=1) and told({}, 25 * 60, known=1)
    friday, monday = at("2026-03-13T17:00:00"), at("2026-03-16T12:00:00")
    open_hours = silence(CLINIC, {}, friday - HOUR_US, friday, monday, 6 * HOUR_US)
    assert (open_hours.silent, open_hours.expected) == (False, None), "one hour on Friday and four on Monday"
    assert silence(CLINIC, {}, friday - HOUR_US, friday, monday + 2 * HOUR_US, 6 * HOUR_US).silent


def test_kept_hours_expect_nothing_outside() -> None:
    assert sends(CLINIC, at("2026-03-18T17:00:00")) and not sends(CLINIC, at("2026-03-18T18:00:00"))
    assert not sends(CLINIC, at("2026-03-21T12:00:00")) and sends(MERCY, at("2026-03-21T12:00:00"))
    saturday = at("2026-03-21T12:00:00")
    first = saturday - 5 * 7 * 24 * HOUR_US
    hours = weeks(60, known=4)
    assert not silence(CLINIC, hours, first, at("2026-03-20T18:00:00"), saturday, LIMIT_US).silent


@pytest.mark.parametrize("weeks_back", [1, 2, 8])
def test_the_same_hour_is_by_the_hospitals_clock(weeks_back: int) -> None:
    """Clocks were moved on March 8, 2026: 14:00 is 21:00 UTC after, and 22:00 UTC before."""
    before = datetime.fromtimestamp(week_before(NOW, weeks_back, PACIFIC) / 1e6, PACIFIC)
    assert (before.hour, before.weekday()) == (14, 2)


def test_the_usual_of_an_hour() -> None:
    assert expected_in(MERCY, weeks(12), NOW, 4) == 12.0
    assert expected_in(MERCY, weeks(12, empty=(1,)), NOW, 4) == 9.0
    assert expected_in(MERCY, {}, NOW, 1) is None

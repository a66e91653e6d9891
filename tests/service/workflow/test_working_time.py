"""Working days of California and working hours of a zone, at their edges."""

import json
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from service.workflow import working_time as wt

PACIFIC = ZoneInfo(wt.ZONE)


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PACIFIC).timestamp()) * 1_000_000


# As CalHR lists them. 2027: July 4 is a Sunday; 2026: a Saturday, which moves nothing; 2028: November 11 a Saturday.
@pytest.mark.parametrize(
    ("year", "days"),
    [
        (2026, "01-01 01-19 02-16 03-31 05-25 07-04 09-07 11-11 11-26 11-27 12-25"),
        (2027, "01-01 01-18 02-15 03-31 05-31 07-05 09-06 11-11 11-25 11-26 12-25"),
        (2028, "01-01 01-17 02-21 03-31 05-29 07-04 09-04 11-10 11-23 11-24 12-25"),
        (2023, "01-02 01-16 02-20 03-31 05-29 07-04 09-04 11-10 11-23 11-24 12-25"),
    ],
)
def test_the_holidays_of_a_year_are_those_observed(year: int, days: str) -> None:
    assert [day.strftime("%m-%d") for day in wt.holidays(year)] == days.split()


@pytest.mark.parametrize(
    ("day", "n", "expected"),
    [
        ("2026-11-24", 1, "2026-11-25"),
        ("2026-11-25", 1, "2026-11-30"),  # over Thanksgiving, the day after and the weekend
        ("2026-11-25", 5, "2026-12-04"),
        ("2026-11-28", 1, "2026-11-30"),
        ("2026-11-30", -1, "2026-11-25"),
        ("2026-12-31", 1, "2027-01-04"),
        ("2026-07-04", 0, "2026-07-04"),
    ],
)
def test_working_days_are_counted_over_holidays(day: str, n: int, expected: str) -> None:
    assert wt.add_working_days(date.fromisoformat(day), n) == date.fromisoformat(expected)


def test_days_between_are_those_that_adding_them_crosses() -> None:
    start = date(2026, 11, 20)
    for n in range(1, 30):
        assert wt.working_days_between(start, wt.add_working_days(start, n)) == n


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-24T10:15:00", "2026-11-24T10:15:00"),
        ("2026-11-24T08:00:00", "2026-11-24T08:00:00"),
        ("2026-11-24T07:59:59", "2026-11-24T08:00:00"),
        ("2026-11-24T18:00:00", "2026-11-25T08:00:00"),
        ("2026-11-25T23:30:00", "2026-11-30T08:00:00"),
        ("2026-03-08T02:30:00", "2026-03-09T08:00:00"),  # the hour that the clock leaves out
        ("2026-11-01T01:30:00", "2026-11-02T08:00:00"),  # the hour that comes twice
    ],
)
def test_the_next_working_moment(moment: str, expected: str) -> None:
    assert wt.next_working_moment(us(moment)) == us(expected)


def test_half_an_hour_in_hours_else_the_next_morning() -> None:
    assert wt.due_in_hours(us("2026-11-24T10:00:00"), 30) == us("2026-11-24T10:30:00")
    assert wt.due_in_hours(us("2026-11-24T17:45:00"), 30) == us("2026-11-25T08:00:00")
    assert wt.due_in_hours(us("2026-11-26T12:00:00"), 30) == us("2026-11-30T08:00:00")


def test_the_zone_decides_what_hour_it_is() -> None:
    noon = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()) * 1_000_000
    assert wt.is_working_moment(noon, "Europe/Berlin")
    assert not wt.is_working_moment(noon, "America/Los_Angeles")


def test_working_days_keep_the_wall_time_over_a_change_of_clocks() -> None:
    assert wt.add_working_days_us(us("2026-10-30T09:30:00"), 1) == us("2026-11-02T09:30:00")
    assert wt.day_end_us(date(2026, 11, 1)) + 1 - us("2026-11-01T00:00:00") == 25 * 3_600_000_000


def test_a_site_has_its_own_table(tmp_path: object) -> None:
    table = json.loads(wt.TABLE.read_text("utf-8"))
    table |= {"hours": ["07:00", "15:30"], "closed": ["2026-11-24"], "working": ["2026-11-28"]}
    own = wt.calendar_of(table)
    assert wt.next_working_moment(us("2026-11-23T15:30:00"), wt.ZONE, own) == us("2026-11-25T07:00:00")
    assert wt.add_working_days(date(2026, 11, 25), 1, own) == date(2026, 11, 28)


@pytest.mark.parametrize(
    "change",
    [
        {"hours": ["18:00", "08:00"]},
        {"hours": ["8"]},
        {"weekend": [0, 1, 2, 3, 4, 5, 6]},
        {"rules": [{"name": "x", "month": 13, "day": 1}]},
        {"rules": [{"name": "x", "month": 2, "weekday": 0, "nth": 6}]},
        {"closed": ["soon"]},
    ],
)
def test_a_table_that_cannot_hold_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(wt.CalendarError):
        wt.calendar_of(json.loads(wt.TABLE.read_text("utf-8")) | change)

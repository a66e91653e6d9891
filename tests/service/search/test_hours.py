"""open-at: which hours cover a time, over midnight and the change to daylight saving; what closes; what is refused."""

import pytest

from service.search.dates import PACIFIC, parse
from service.search.hours import clause, spans
from service.search.keys import Keys
from service.search.question import Query
from service.search.syntax import Refused
from service.search.values import index_rows
from tests.service.search.memory import holds

KEYS = Keys(b"a secret of the tests")
NOW = parse("2026-11-24T10:30:00-08:00", PACIFIC)[0]  # a Tuesday
WEEKDAYS = {"daysOfWeek": ["mon", "tue"], "availableStartTime": "09:00:00", "availableEndTime": "16:30:00"}
NIGHT = {"daysOfWeek": ["sun"], "availableStartTime": "22:00:00", "availableEndTime": "06:00:00"}


def is_open(value: str, *hours: dict, closed: tuple[dict, ...] = ()) -> bool:
    service = {"resourceType": "HealthcareService", "id": "s", "availableTime": list(hours)}
    if closed:
        service["notAvailable"] = [{"description": "Closed", "during": one} for one in closed]
    rows = index_rows(service, "HealthcareService", KEYS)
    query = Query("HealthcareService", KEYS, NOW, "", PACIFIC)
    return holds(clause(KEYS.values("HealthcareService", "open-at"), [value], query), rows, "s", NOW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("now", True),
        ("tue|09:00", True),
        ("TUE|16:29", True),
        ("tue|16:30", False),
        ("wed|10:00", False),
        ("2026-11-24T10:30", True),
        ("2026-11-24T18:30:00Z", True),
        ("2026-11-24T08:59:59-08:00", False),
        ("2026-11-25T10:30", False),
        ("2026-07-07T15:59:00Z", False),
        ("2026-07-07T16:00:00Z", True),
    ],
)
def test_a_time_within_the_hours(value: str, expected: bool) -> None:
    assert is_open(value, WEEKDAYS) is expected


def test_over_midnight_and_over_the_end_of_the_week() -> None:
    assert [is_open(one, NIGHT) for one in ("sun|21:59", "sun|22:00", "mon|05:59", "mon|06:00")] == [0, 1, 1, 0]
    assert list(spans(NIGHT)) == [(597_600, 604_800), (0, 21_600)]


def test_every_day_and_all_day() -> None:
    assert is_open("sat|03:00", {"allDay": True}) and not is_open("sat|03:00", {**WEEKDAYS, "daysOfWeek": ["fri"]})
    assert is_open("sat|10:00", {"availableStartTime": "09:00:00", "availableEndTime": "16:00:00"})


def test_who_says_no_hours_is_not_known_to_be_open() -> None:
    assert not is_open("now") and not is_open("now", {"daysOfWeek": ["tue"]})


def test_a_holiday_closes() -> None:
    holiday = ({"start": "2026-11-24", "end": "2026-11-24"},)
    assert not is_open("now", WEEKDAYS, closed=holiday)
    assert is_open("2026-12-01T10:30", WEEKDAYS, closed=holiday) and is_open("tue|10:30", WEEKDAYS, closed=holiday)


@pytest.mark.parametrize("value", ["", "10:30", "tue", "tue|25:00", "xyz|10:00", "2026-11-24", "tue|10:00|x", "ge2026"])
def test_what_is_no_time(value: str) -> None:
    with pytest.raises(Refused):
        is_open(value, WEEKDAYS)

"""FHIR dates as ranges, and the truth table of the search prefixes against sets of instants."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search.dates import MAX_US, MIN_US, parse, period, ranges_of
from service.search.keys import Keys
from service.search.prefixes import PREFIXES, between
from service.search.query import parse as parse_query
from service.search.values import index_rows
from tests.service.search.memory import fits, matches, vid_of

HOUR = 3_600_000_000
PACIFIC = ZoneInfo("America/Los_Angeles")


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("2026", "2026-01-01T00:00:00-08:00", "2027-01-01T00:00:00-08:00"),
        ("2026-12", "2026-12-01T00:00:00-08:00", "2027-01-01T00:00:00-08:00"),
        ("2026-02", "2026-02-01T00:00:00-08:00", "2026-03-01T00:00:00-08:00"),
        ("2026-03-08", "2026-03-08T00:00:00-08:00", "2026-03-09T00:00:00-07:00"),
        ("2026-11-01", "2026-11-01T00:00:00-07:00", "2026-11-02T00:00:00-08:00"),
        ("2026-03-08T10:00", "2026-03-08T10:00:00-07:00", "2026-03-08T10:01:00-07:00"),
        ("2026-03-08T10:00Z", "2026-03-08T10:00:00Z", "2026-03-08T10:01:00Z"),
        ("2026-03-08T10:00:05+05:30", "2026-03-08T04:30:05Z", "2026-03-08T04:30:06Z"),
        ("2026-03-08T10:00:05.1Z", "2026-03-08T10:00:05.1Z", "2026-03-08T10:00:05.2Z"),
        ("2026-03-08T10:00:05.123456Z", "2026-03-08T10:00:05.123456Z", "2026-03-08T10:00:05.123457Z"),
        ("2026-03-08T10:00:05.123456789Z", "2026-03-08T10:00:05.123456Z", "2026-03-08T10:00:05.123457Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z"),
    ],
)
def test_each_precision(value: str, start: str, end: str):
    assert parse(value) == (us(start), us(end))


@pytest.mark.parametrize("value", ["0001", "0001-01-01", "9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59.9Z"])
def test_the_ends_of_the_calendar(value: str):
    lo, hi = parse(value)
    assert MIN_US < lo < hi < MAX_US


@pytest.mark.parametrize(
    "value",
    """0000 26 2026-00 2026-13 2026-02-30 2026-2-3 2026-02-03T 2026-02-03T10 2026-02-03T24:00:00Z 2026-02-03T10:60:00Z
    2026-02-03T10:00:61Z 2026-02-03T10:00:00+15:00 2026-02-03T10:00:00+01:60 20260203 2026-W05-2 2026-02-03Z +2026 ٢٠٢٦
    2026-02-03T10:00:00.Z today""".split(),
)
def test_no_dates(value: str):
    with pytest.raises(ValueError, match=r"\w"):
        parse(value)
    assert ranges_of(value, "date") is None


def test_days_of_daylight_saving_last_23_and_25_hours():
    spring, autumn = parse("2026-03-08"), parse("2026-11-01")
    assert (spring[1] - spring[0], autumn[1] - autumn[0]) == (23 * HOUR, 25 * HOUR)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_instants_agree_with_the_standard_library(moment: datetime, minutes: int):
    sign, hours, rest = "-" if minutes < 0 else "+", *divmod(abs(minutes), 60)
    text = moment.isoformat(timespec="microseconds") + f"{sign}{hours:02}:{rest:02}"
    assert parse(text) == (us(text), us(text) + 1)
    day = parse(text[:10])
    assert day[0] == us(datetime.fromisoformat(text[:10]).replace(tzinfo=PACIFIC).astimezone(UTC).isoformat())


def test_periods_are_open_where_nothing_is_said():
    assert period({"start": "2026"}) == (parse("2026")[0], MAX_US)
    assert period({"end": "2026"}) == (MIN_US, parse("2026")[1])
    assert period({"id": "x"}) is None


def test_a_timing_counts_by_its_outer_limits():
    timing = {
        "event": ["2026-03-01", "2026-05-01"],
        "repeat": {"boundsPeriod": {"start": "2026-02-01", "end": "2026-04"}},
    }
    assert ranges_of(timing, "Timing") == (parse("2026-02-01")[0], parse("2026-05-01")[1])
    assert ranges_of({"repeat": {"frequency": 1}}, "Timing") is None


LINE = 40
spans = st.tuples(st.integers(0, LINE), st.integers(1, LINE)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def truth(prefix: str, target: set[int], search: set[int], slack: int) -> bool:
    """The sentences of https://hl7.org/fhir/R4/search.html#prefix over sets of instants."""
    above, below = set(range(max(search) + 1, 4 * LINE)), set(range(-LINE, min(search)))
    near = set(range(min(search) - slack, max(search) + 1 + slack))
    return {
        "eq": target <= search,
        "ne": not target <= search,
        "gt": bool(target & above),
        "lt": bool(target & below),
        "ge": bool(target & (search | above)),  # wider than the letter: what reaches into the value counts
        "le": bool(target & (search | below)),
        "sa": target <= above,
        "eb": target <= below,
        "ap": bool(target & near),
    }[prefix]


@given(st.sampled_from(PREFIXES), spans, spans, st.integers(0, 2 * LINE))
def test_prefixes_by_interval_arithmetic(prefix: str, stored: tuple[int, int], search: tuple[int, int], now: int):
    fit = any(fits(bound, *stored) for bound in between(prefix, search, now))
    assert fit == truth(prefix, set(range(*stored)), set(range(*search)), abs(now - search[0]) // 10)


KEYS = Keys(b"k")
moments = st.datetimes(datetime(2025, 12, 30), datetime(2026, 1, 2)).map(
    lambda m: m.isoformat(timespec="milliseconds") + "Z"
)
written = st.tuples(moments, st.sampled_from([4, 7, 10, 24])).map(lambda pair: pair[0][: pair[1]])


@given(st.sampled_from(PREFIXES), written, written)
def test_prefixes_through_index_and_query(prefix: str, stored: str, search: str):
    rows = index_rows({"resourceType": "Task", "id": "t", "authoredOn": stored}, "Task", KEYS)
    (lo, hi), (start, end) = parse(stored), parse(search)
    now = start + 100 * HOUR
    criteria = parse_query("Task", [("authored-on", prefix + search)], KEYS, strict=True, now_us=now, base_url="")
    expected = {
        "eq": start <= lo and hi <= end,
        "ne": not (start <= lo and hi <= end),
        "gt": hi > end,
        "lt": lo < start,
        "ge": hi > start,
        "le": lo < end,
        "sa": lo >= end,
        "eb": hi <= start,
        "ap": lo < end + 10 * HOUR and hi > start - 10 * HOUR,
    }[prefix]
    assert matches(criteria, rows, "t", 0) == expected


@given(st.sampled_from(PREFIXES), written, moments)
def test_last_updated(prefix: str, search: str, updated: str):
    start, end = parse(search)
    moment = parse(updated)[0]
    criteria = parse_query("Task", [("_lastUpdated", prefix + search)], KEYS, strict=True, now_us=start, base_url="")
    expected = {
        "eq": start <= moment < end,
        "ne": not start <= moment < end,
        "gt": moment >= end,
        "sa": moment >= end,
        "lt": moment < start,
        "eb": moment < start,
        "ge": moment >= start,
        "le": moment < end,
        "ap": start <= moment < end,
    }[prefix]
    rows = index_rows({"resourceType": "Task", "id": "t"}, "Task", KEYS)
    assert matches(criteria, rows, "t", vid_of(moment)) == expected

"""Caps: whole units in, never more than the limit out, by lifetime, calendar year, authorization and rolling year."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.workflow.calaim_caps import Inexact, Use, days, months_after, shown, standing, this_year, units_of
from service.workflow.calaim_catalogue import Cap, catalogue
from service.workflow.calaim_tasks import period_of


def use(task: str, start: str, end: str, units: int = 0, service: str = "s", state: str = "authorized") -> Use:
    return Use(task, service, units, *period_of({"start": start, "end": end}), state)


def cap(per: str, unit: str = "minutes", limit: int = 100, services: tuple[str, ...] = ("s",)) -> Cap:
    return Cap("c", "Text.", per, limit, unit, True, False, services, "")


@pytest.mark.parametrize(
    ("value", "unit", "of", "units"),
    [
        ("336", "h", "minutes", 20160),
        ("0.25", "h", "minutes", 15),
        ("90", "min", "minutes", 90),
        ("7500", "USD", "cents", 750000),
        ("0.01", "USD", "cents", 1),
        ("0.001", "USD", "cents", None),
        ("0.33", "h", "minutes", None),
        ("0", "h", "minutes", None),
        ("-1", "USD", "cents", None),
        ("10", "d", "minutes", None),
        ("1e30", "USD", "cents", None),
        ("NaN", "USD", "cents", None),
    ],
)
def test_units_are_whole(value: str, unit: str, of: str, units: int | None) -> None:
    if units is None:
        with pytest.raises(Inexact):
            units_of(Decimal(value), unit, of)
    else:
        assert units_of(Decimal(value), unit, of) == units


def test_a_lifetime_counts_all_but_what_was_released_and_itself() -> None:
    rows = [
        use("1", "2024-01-01", "2024-02-01", 30),
        use("2", "2025-01-01", "2025-02-01", 30, state="used"),
        use("3", "2025-01-01", "2025-02-01", 30, state="released"),
        use("4", "2025-01-01", "2025-02-01", 30, service="other"),
        use("5", "2025-01-01", "2025-02-01", 40),
    ]
    one = standing(cap("lifetime"), rows, use("5", "2026-01-01", "2026-02-01", 40))
    assert (one.used, one.asked, one.left, one.over) == (60, 40, 40, 0)
    assert standing(cap("lifetime"), rows, use("6", "2026-01-01", "2026-02-01", 1)).over == 1
    assert standing(cap("lifetime", "times", 1), [], use("6", "2026-01-01", "2026-02-01")).over == 0
    assert standing(cap("lifetime", "times", 1), rows, use("6", "2026-01-01", "2026-02-01")).over == 3


def test_a_calendar_year_counts_what_touches_it() -> None:
    rows = [use("1", "2026-11-01", "2027-01-15", 60), use("2", "2025-03-01", "2025-12-31", 90)]
    for start, end, over in (
        ("2026-01-01", "2026-06-30", 10),
        ("2027-02-01", "2027-06-30", 10),
        ("2025-01-01", "2025-02-01", 40),
        ("2028-01-01", "2028-02-01", 0),
        ("2025-12-01", "2026-02-01", 40),  # the fuller of both years
    ):
        assert standing(cap("calendar-year"), rows, use("9", start, end, 50)).over == over, start
    now = int(datetime(2026, 3, 8, tzinfo=UTC).timestamp()) * 1_000_000
    assert this_year(cap("calendar-year"), rows, now).left == 40
    assert this_year(cap("lifetime"), rows, now).left == 0


def test_the_year_is_californias() -> None:
    """A year ends at midnight in Los Angeles, when it is morning in Greenwich."""
    rows = [use("1", "2026-12-31", "2026-12-31", 100)]
    assert standing(cap("calendar-year"), rows, use("2", "2027-01-01", "2027-01-01", 100)).over == 0


def test_the_length_of_one_authorization() -> None:
    one = cap("authorization", "days", 90)
    assert days(use("1", "2026-03-01", "2026-05-29")) == 90  # over the change of the clocks
    assert standing(one, [], use("1", "2026-03-01", "2026-05-29")).over == 0
    assert standing(one, [use("0", "2025-03-01", "2025-05-29")], use("1", "2026-03-01", "2026-05-30")).over == 1


def test_a_rolling_year_counts_days_of_services_together() -> None:
    one = cap("rolling-year", "days", 184, ("s", "t"))
    rows = [use("1", "2026-01-01", "2026-01-31"), use("2", "2025-06-01", "2025-06-30", service="t")]
    assert standing(one, rows, use("3", "2026-05-01", "2026-05-31")).used == 61
    assert standing(one, rows, use("3", "2026-06-10", "2026-06-15")).used == 31 + 15  # of June 2025 its last 15 days
    assert standing(one, rows, use("3", "2027-05-01", "2027-05-31")).used == 0


@pytest.mark.parametrize(
    ("day", "months", "after"),
    [
        ("2026-03-08", 12, "2027-03-08"),
        ("2026-08-31", 6, "2027-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2026-01-31", -12, "2025-01-31"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-01-15", -1, "2025-12-15"),
    ],
)
def test_months(day: str, months: int, after: str) -> None:
    assert months_after(date.fromisoformat(day), months).isoformat() == after


@given(st.lists(st.integers(1, 80), max_size=12), st.integers(1, 80))
@settings(max_examples=50)
def test_what_is_taken_one_by_one_never_exceeds_the_cap(asked: list[int], last: int) -> None:
    one, rows = cap("lifetime"), list[Use]()
    for number, units in enumerate([*asked, last]):
        wanted = use(str(number), "2026-01-01", "2026-02-01", units)
        if not standing(one, rows, wanted).over:
            rows.append(wanted)
    assert sum(row.units for row in rows) <= one.limit


def test_words() -> None:
    assert [shown(750000, "cents"), shown(20160, "minutes"), shown(15, "minutes")] == [
        "$7,500.00",
        "336 h",
        "0 h 15 min",
    ]
    assert [shown(1, "days"), shown(90, "days")] == ["1 day", "90 days"]
    assert {one.id: one.limit for s in catalogue().values() for one in s.caps}["respite-year"] == 336 * 60

"""HL7 times: every odd form of case 36, precision as sent, the zone of the source at that date, both DST nights."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mappers.hl7v2.times import read_time

LA = ZoneInfo("America/Los_Angeles")


@pytest.mark.parametrize(
    ("sent", "fhir", "precision", "remarks"),
    [
        ("1983", "1983", "year", ()),
        ("198305", "1983-05", "month", ()),
        ("19830507", "1983-05-07", "day", ()),
        ("2026030114", "2026-03-01T14:00:00-08:00", "hour", ()),
        ("202603011405", "2026-03-01T14:05:00-08:00", "minute", ()),
        ("20260301140506", "2026-03-01T14:05:06-08:00", "second", ()),
        ("20260701140506", "2026-07-01T14:05:06-07:00", "second", ()),
        ("20260301140506.1234", "2026-03-01T14:05:06.1234-08:00", "second", ()),
        ("20260301140506-0500", "2026-03-01T14:05:06-05:00", "second", ()),
        ("20260301140506+0530", "2026-03-01T14:05:06+05:30", "second", ()),
        ("20260301140506-0700000", "2026-03-01T14:05:06-07:00", "second", ("time-offset-odd",)),
        ("20260301140506-08", "2026-03-01T14:05:06-08:00", "second", ("time-offset-odd",)),
        ("2026030114-0500", "2026-03-01T14:00:00-05:00", "hour", ()),
        ("20260301-0500", "2026-03-01", "day", ()),
        ("1983-0500", "1983", "year", ()),
        ("20260701140506-9999", "2026-07-01T14:05:06-07:00", "second", ("time-offset-impossible",)),
        ("20260301140506-0875", "2026-03-01T14:05:06-08:00", "second", ("time-offset-impossible",)),
        ("3/1/2026 2:05 PM", "2026-03-01T14:05:00-08:00", "minute", ()),
        ("3/1/2026 12:05:09 am", "2026-03-01T00:05:09-08:00", "second", ()),
        ("20210527018000", "2021-05-27", "day", ("time-impossible",)),
        ("03/01/2026 14:05:06", "2026-03-01T14:05:06-08:00", "second", ()),
        ("3/1/2026", "2026-03-01", "day", ()),
        ("2026-03-01T14:05:06", "2026-03-01T14:05:06-08:00", "second", ()),
        ("2026-03-01T14:05:06.5Z", "2026-03-01T14:05:06.5+00:00", "second", ()),
        ("202603012400", "2026-03-02T00:00:00-08:00", "minute", ("time-midnight-2400",)),
        ("20261231240000", "2027-01-01T00:00:00-08:00", "second", ("time-midnight-2400",)),
        ("20261101013000", "2026-11-01T01:30:00-08:00", "second", ("time-dst-overlap",)),
        ("20261101013000-0700", "2026-11-01T01:30:00-07:00", "second", ()),
        ("20260308023000", "2026-03-08T03:30:00-07:00", "second", ("time-dst-gap",)),
        ("20260301235960", "2026-03-02T00:00:00-08:00", "second", ()),
    ],
)
def test_times(sent: str, fhir: str, precision: str, remarks: tuple[str, ...]) -> None:
    moment, found = read_time(sent, LA)
    assert moment is not None
    assert (moment.fhir, moment.precision, found) == (fhir, precision, remarks)
    if moment.timed:
        assert moment.us == int(datetime.fromisoformat(fhir).timestamp() * 1_000_000)


@pytest.mark.parametrize("sent", ["0000", "00000000", "0", "000000000000", "19000101", "99991231", "19000101000000"])
def test_placeholders(sent: str) -> None:
    assert read_time(sent, LA) == (None, ("time-placeholder",))


@pytest.mark.parametrize(
    "sent", ["yesterday", "20", "202", "20260", "12:30", "2026-03", "2026-08", "3/1/2026 14:05 PM", "x" * 500, "٢٠٢٦"]
)
def test_unreadable(sent: str) -> None:
    assert read_time(sent, LA) == (None, ("time-unreadable",))


@pytest.mark.parametrize("sent", ["20260231", "20261301", "20260001", "20260231120000", "02/30/2026"])
def test_impossible_dates(sent: str) -> None:
    assert read_time(sent, LA) == (None, ("time-impossible",))


def test_empty() -> None:
    assert read_time("  ", LA) == (None, ())


def test_the_zone_is_the_sources() -> None:
    moment, _ = read_time("20260301140506", ZoneInfo("America/New_York"))
    assert moment is not None
    assert moment.us == int(datetime(2026, 3, 1, 19, 5, 6, tzinfo=UTC).timestamp() * 1_000_000)

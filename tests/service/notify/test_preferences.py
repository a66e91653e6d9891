"""Wall clocks, rows that count, and what a row may say: pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from service.notify.digests import of_many
from service.notify.notices import KINDS, terms
from service.notify.preferences import channels_of, chosen, due_us, next_digest_us, problems, quiet_until_us
from service.notify.texts import LANGUAGES
from service.store.notice_preferences import Preference

ZONE = "America/Los_Angeles"


def us(text: str, zone: str = ZONE, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "quiet", "until"),
    [
        ("2026-03-07T23:30", "22:00-06:00", "2026-03-08T06:00"),  # the night that is an hour shorter
        ("2026-03-08T05:59", "22:00-06:00", "2026-03-08T06:00"),
        ("2026-03-08T06:00", "22:00-06:00", ""),
        ("2026-03-07T21:59", "22:00-06:00", ""),
        ("2026-10-31T23:00", "22:00-06:00", "2026-11-01T06:00"),  # and the one that is longer
        ("2026-06-01T12:30", "12:00-13:00", "2026-06-01T13:00"),
        ("2026-06-01T13:30", "12:00-13:00", ""),
        ("2026-06-01T12:00", "", ""),
        ("2026-03-08T01:45", "01:30-02:30", "2026-03-08T03:30"),  # 02:30 is left out: when the clock has moved on
    ],
)
def test_quiet_hours(now: str, quiet: str, until: str) -> None:
    assert quiet_until_us(quiet, ZONE, us(now)) == (us(until) if until else 0)


def test_an_hour_that_comes_twice_is_quiet_once() -> None:
    until = us("2026-11-01T01:30")
    assert quiet_until_us("22:00-01:30", ZONE, us("2026-11-01T01:10")) == until
    assert quiet_until_us("22:00-01:30", ZONE, us("2026-11-01T01:10", fold=1)) == 0


@pytest.mark.parametrize(
    ("now", "times", "at"),
    [
        ("2026-03-07T23:30", ["08:00", "17:00"], "2026-03-08T08:00"),
        ("2026-03-08T08:00", ["08:00", "17:00"], "2026-03-08T17:00"),
        ("2026-03-08T18:00", ["17:00", "08:00"], "2026-03-09T08:00"),
        ("2026-03-08T00:00", ["02:30"], "2026-03-08T03:30"),
    ],
)
def test_digest_times(now: str, times: list[str], at: str) -> None:
    assert next_digest_us(times, ZONE, us(now)) == us(at)


def test_digest_times_of_another_zone() -> None:
    assert next_digest_us(["08:00"], "America/New_York", us("2026-06-01T04:59")) == us("2026-06-01T05:00")


def test_a_digest_that_falls_into_quiet_hours_waits_for_their_end() -> None:
    row = Preference("p", "", "*", quiet="22:00-08:30", digest="08:00")
    assert due_us(row, "alert", "routine", us("2026-06-01T07:00")) == us("2026-06-01T08:30")


@pytest.mark.parametrize(
    ("kind", "priority", "quiet", "passes"),
    [
        ("alert", "urgent", "22:00-06:00", True),
        ("alert", "stat", "22:00-06:00", True),
        ("alert", "asap", "22:00-06:00", True),  # R4: above urgent
        ("alert", "routine", "22:00-06:00", False),
        ("alert", "urgent", "22:00-06:00 all", False),
        ("task-assigned", "urgent", "22:00-06:00", False),
    ],
)
def test_what_passes_quiet_hours(kind: str, priority: str, quiet: str, passes: bool) -> None:
    now = us("2026-06-01T23:00")
    assert (due_us(Preference("p", "", "*", quiet=quiet), kind, priority, now) == now) is passes


def test_which_row_counts() -> None:
    rows = [Preference("p", role, kind) for role in ("", "lcm") for kind in ("*", "alert")]
    for wanted, left in (("lcm alert", 4), ("alert", 3), ("lcm *", 2), ("*", 1)):
        row = chosen(rows, "lcm", "alert")
        assert f"{row.role} {row.kind}".strip() == wanted and len(rows) == left
        rows.remove(row)
    assert chosen([], "lcm", "alert") == Preference("", "lcm", "alert")


def test_default_channels_are_those_that_are_there() -> None:
    row = Preference("p", "", "*")
    assert channels_of(row, "alert", "urgent", ["email"]) == ["in-app", "email"]
    assert channels_of(row, "alert", "urgent", []) == ["in-app"]
    assert channels_of(row, "alert", "routine", ["email"]) == ["in-app"]
    assert channels_of(Preference("p", "", "*", "default sms"), "alert", "routine", []) == ["in-app", "sms"]
    assert channels_of(Preference("p", "", "*", ""), "alert", "urgent", ["email"]) == []


def test_all_problems_of_all_rows() -> None:
    good = Preference("p", "lcm", "alert", "in-app email sms", "22:00-06:00 all", "08:00 17:00", ZONE, "", 0, "es")
    assert not list(problems([good]))
    bad = [
        Preference("p", "system", "digest", "x", "22:00", "8:00", "Nowhere/City", "Practitioner/x", 0, "fr"),
        Preference("p", "", "member-message", quiet="22:00-22:00", escalate_to="Practitioner/x", escalate_min=-1),
    ]
    parts = [(one.row, one.part) for one in problems(bad)]
    names = ("kind", "role", "channel", "quiet", "digest", "zone", "escalateTo", "language")
    assert parts == [(0, name) for name in names] + [(1, "kind"), (1, "quiet"), (1, "escalateMinutes")]
    assert [one.sentence for one in problems([good, good])] == ["stands twice for the same role: keep one of the two"]


def test_every_kind_has_terms_and_words() -> None:
    assert set(KINDS) == set(terms())
    assert all(set(row.words) == set(LANGUAGES) for row in terms().values())


def test_a_digest_counts_by_kind() -> None:
    said = of_many(["task-assigned", "alert", "alert"], "es-MX", "https://enlace.example.org")
    assert "Alertas: 2\nTareas nuevas: 1" in said.text and "(3)" in said.subject
    assert "https://enlace.example.org" in said.text and len(said.sms) < 480

"""How a person wants to be told: which row counts, by which channels, and from when on. Pure.

Local times are wall-clock times of an IANA zone. One that the change to summer time leaves out counts when the clock
has moved on; one that comes twice counts the first time only.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from service.caller import Role
from service.notify.notices import terms
from service.store.notice_preferences import Preference

CHANNELS = ("in-app", "email", "sms")
DEFAULT = "default"
ZONE = "America/Los_Angeles"
LANGUAGES = ("en", "es")
ANY = "*"
ROLES = ("", *(role for role in Role if role is not Role.SYSTEM))
MOST_ROWS = 50
MOST_TIMES = 12
MOST_MINUTES = 7 * 24 * 60
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z", re.ASCII)
_PERSON = re.compile(r"(?:Practitioner|PractitionerRole)/[A-Za-z0-9.-]{1,64}\Z", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row: the name of the part and the rule with its remedy."""

    row: int
    part: str
    sentence: str


# --- which row counts ------------------------------------------------------------------------------------------------


def chosen(rows: Iterable[Preference], role: str, kind: str) -> Preference:
    """The row of this role and kind, else of any role, else "*" of the role, else "*"; without one, an empty row."""
    found = {(row.role, row.kind): row for row in rows}
    places = ((role, kind), ("", kind), (role, ANY), ("", ANY))
    return next((found[place] for place in places if place in found), Preference("", role, kind))


def channels_of(row: Preference, kind: str, priority: str, available: Iterable[str]) -> list[str]:
    """By which channels. available: over which the person can be told here; the default leaves out the others."""
    names = row.channels.split()
    there = {*available, "in-app"}
    usual = [name for name in terms()[kind].default(priority) if name in there]
    return list(dict.fromkeys(one for name in names for one in (usual if name == DEFAULT else [name])))


def due_us(row: Preference, kind: str, priority: str, now_us: int) -> int:
    """When a notice of this moment may go out: now, at the next digest, at the end of the quiet hours."""
    quiet, _, held = (row.quiet or terms()[kind].quiet).partition(" ")
    if priority in terms()[kind].passes_quiet and held != "all":
        return now_us
    zone = row.zone or ZONE
    at_us = next_digest_us(row.digest.split(), zone, now_us) if row.digest else now_us
    return quiet_until_us(quiet, zone, at_us) or at_us


def zone_of(row: Preference) -> str:
    return row.zone or ZONE


# --- wall clocks -----------------------------------------------------------------------------------------------------


def quiet_until_us(quiet: str, zone: str, now_us: int) -> int:
    """End of the quiet hours in which the moment lies, 0 where it lies in none. "22:00-06:00" goes past midnight."""
    start, _, end = quiet.partition("-")
    if not end or start == end:
        return 0
    today = _local(now_us, zone).date()
    for day in (today - timedelta(days=1), today):
        until = _instant_us(day if end > start else day + timedelta(days=1), end, zone)
        if _instant_us(day, start, zone) <= now_us < until:
            return until
    return 0


def next_digest_us(times: Sequence[str], zone: str, now_us: int) -> int:
    """The first of these local times after the moment."""
    today = _local(now_us, zone).date()
    days = [today + timedelta(days=n) for n in range(3)]
    return min(at for day in days for one in times if (at := _instant_us(day, one, zone)) > now_us)


def _local(us: int, zone: str) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, ZoneInfo(zone))


def _instant_us(day: date, wall: str, zone: str) -> int:
    return int(datetime.combine(day, time.fromisoformat(wall), ZoneInfo(zone)).timestamp()) * 1_000_000


# --- what a row may say ----------------------------------------------------------------------------------------------


def problems(rows: Sequence[Preference]) -> Iterator[Problem]:
    """All that is wrong with these rows of one person, at once."""
    if len(rows) > MOST_ROWS:
        yield Problem(MOST_ROWS, "preference", f"may stand {MOST_ROWS} times at most")
    places: set[tuple[str, str]] = set()
    for number, row in enumerate(rows[:MOST_ROWS]):
        yield from (Problem(number, part, sentence) for part, sentence in _wrong(row))
        if (row.role, row.kind) in places:
            yield Problem(number, "kind", "stands twice for the same role: keep one of the two")
        places.add((row.role, row.kind))


def _wrong(row: Preference) -> Iterator[tuple[str, str]]:
    kinds = [kind for kind in terms() if kind != "member-message"]
    if row.kind != ANY and row.kind not in kinds:
        yield "kind", f"is one of {', '.join(kinds)}, or * for all others"
    if row.role not in ROLES:
        yield "role", f"is one of {', '.join(filter(None, ROLES))}, or left out for any"
    if not set(row.channels.split()) <= {DEFAULT, *CHANNELS}:
        yield "channel", f"is one of {', '.join(CHANNELS)}, default, or none, which stands alone"
    hours, _, held = row.quiet.partition(" ")
    start, _, end = hours.partition("-")
    if row.quiet and not (_TIME.match(start) and _TIME.match(end) and start != end and held in ("", "all")):
        yield "quiet", "is from when to when, such as 22:00-06:00, with all behind it to hold back urgent notices too"
    times = row.digest.split()
    if len(times) > MOST_TIMES or not all(_TIME.match(one) for one in times):
        yield "digest", f"is a local time such as 08:00, {MOST_TIMES} of them at most"
    if row.zone and row.zone not in _zones():
        yield "zone", "is a name of the IANA list, such as America/Los_Angeles"
    if bool(row.escalate_to) != bool(row.escalate_min):
        yield "escalateTo", "and escalateMinutes stand together or not at all"
    if row.escalate_to and not _PERSON.match(row.escalate_to):
        yield "escalateTo", "is a reference such as Practitioner/lcm-1"
    if not 0 <= row.escalate_min <= MOST_MINUTES:
        yield "escalateMinutes", f"is a whole number from 1 to {MOST_MINUTES}"
    if row.language and row.language not in LANGUAGES:
        yield "language", f"is one of {', '.join(LANGUAGES)}"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())

"""The rows of timers.json, checked as they are read; when a timer of each is due. Pure apart from reading the table."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from service.workflow.working_time import add_working_days, day_end_us, local_day

TABLE = Path(__file__).parent / "timers.json"
HOUR_US = 3_600_000_000
UNITS = ("hours", "days", "working-days")
MET_BY = ("task", "communication", "service")
TOLD = ("lead", "plan", "operator", "requester")
_ASKED = ("priority", "service")
PRIORITIES = ("routine", "urgent", "asap", "stat")


class TimersError(ValueError):
    """The table of timers cannot be used; the sentence names rows and remedies."""


@dataclass(frozen=True)
class TimerKind:
    """A row of timers.json; what each column means stands there."""

    code: str
    what: str
    amount: int
    unit: str
    met_by: str
    death: bool
    told: str
    priority: str
    text: str
    grace_hours: int = 0
    overdue: str = ""
    by: tuple[Mapping[str, Any], ...] = ()
    job: str = ""


@lru_cache(maxsize=4)
def kinds(path: str = "") -> Mapping[str, TimerKind]:
    """path: of a site's own table; "" is ours."""
    return _table(path)[1]


@lru_cache(maxsize=4)
def zone(path: str = "") -> str:
    return _table(path)[0]


@lru_cache(maxsize=4)
def _table(path: str) -> tuple[str, Mapping[str, TimerKind]]:
    try:
        table = json.loads((Path(path) if path else TABLE).read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise TimersError(f"The table of timers cannot be read ({type(e).__name__}).") from None
    return str(table.get("zone", "America/Los_Angeles")), kinds_of(table)


def kinds_of(table: Mapping[str, Any]) -> Mapping[str, TimerKind]:
    """Raises TimersError with all problems at once."""
    problems: list[str] = []
    made: dict[str, TimerKind] = {}
    for code, row in dict(table.get("kinds") or {}).items():
        try:
            made[code] = TimerKind(code, **{**row, "by": tuple(row.get("by") or ())})
        except TypeError:
            problems.append(f"{code}: what, amount, unit, met_by, death, told, priority and text are needed")
            continue
        problems += [f"{code}: {words}" for words in _problems(made[code])]
    if problems:
        raise TimersError("timers.json: " + "; ".join(problems) + ".")
    return made


def _problems(kind: TimerKind) -> list[str]:
    listed = (("unit", UNITS), ("met_by", MET_BY), ("told", TOLD), ("priority", PRIORITIES))
    found = [f"{name} is one of {', '.join(all)}" for name, all in listed if getattr(kind, name) not in all]
    if not _is_amount(kind.amount):
        found.append("amount is a number from 1 to 3650")
    found += [words for row in kind.by for words in _row_problems(row)]
    try:
        kind.text.format(who="", what="")
    except (KeyError, IndexError, ValueError):
        found.append("text has no other places than {who} and {what}")
    return found


def _row_problems(row: Mapping[str, Any]) -> Iterator[str]:
    """Of a row of `by`."""
    if set(row) - {"priority", "service", "amount", "unit"} or row.get("unit") not in UNITS:
        yield f"each row of by has an amount, a unit ({', '.join(UNITS)}), and a priority or a service"
    elif not _is_amount(row.get("amount")) or any(not isinstance(row.get(one, []), list) for one in _ASKED):
        yield "a row of by has an amount from 1 to 3650, and lists of priorities or services"


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 3_650


def fitting(kind: TimerKind, priority: str, services: Collection[str]) -> TimerKind:
    """The kind with the amount for this priority and these services: of the first row of `by` that fits."""
    for row in kind.by:
        asked = row.get("priority"), row.get("service")
        if (asked[0] is None or priority in asked[0]) and (asked[1] is None or set(asked[1]) & set(services)):
            return replace(kind, amount=row["amount"], unit=row["unit"])
    return kind


def due_us(kind: TimerKind, start_us: int, zone: str) -> int:
    """Hours to the moment; days and working days until the day of the zone ends, whatever the clock does meanwhile."""
    if kind.unit == "hours":
        return start_us + kind.amount * HOUR_US
    day = local_day(start_us, zone)
    if kind.unit == "working-days":
        return day_end_us(add_working_days(day, kind.amount), zone)
    return day_end_us(day + timedelta(days=kind.amount), zone)


def days_between(start_us: int, end_us: int, zone: str) -> int:
    """Calendar days of the zone from one moment to another."""
    first, last = (datetime.fromtimestamp(us // 1_000_000, ZoneInfo(zone)).date() for us in (start_us, end_us))
    return (last - first).days

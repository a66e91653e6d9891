"""What an HSDS record must satisfy: form of each value by its kind, and what must be there. All problems at once.

Messages name member, rule and remedy, and the shape of a value, never the value (it may be somebody's address).
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from mappers.hsds.elements import Record
from mappers.hsds.tables import LOCATION_TYPES, NUMBERS, STATUSES, TABLES
from mappers.plan_files.rows import RowIssue, shape

MAX_TEXT = 20_000
MAX_ENTRIES = 500
MAX_DEPTH = 8
Found = Iterator[tuple[str, str, str]]
"""member, rule, message"""

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", re.A)
_DAYS = re.compile(r"([+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU))(\s*,\s*[+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU))*", re.A)
_EMAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,250}\.[A-Za-z]{2,24}", re.A)
_URL = re.compile(r"https?://\S{1,2000}", re.A | re.I)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", re.A)


def _date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value)) and len(value) == 10
    except ValueError:
        return False


def _between(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: low <= value <= high


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: pattern.fullmatch(value) is not None


KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "text": (lambda _value: True, ""),
    "number": (lambda _value: True, ""),
    "date": (_date, "a date such as 2026-03-01"),
    "time": (_matches(_TIME), "a time such as 09:00"),
    "days": (_matches(_DAYS), "days of the week such as MO,TU"),
    "frequency": (lambda value: value in ("WEEKLY", "MONTHLY"), "WEEKLY or MONTHLY"),
    "email": (_matches(_EMAIL), "one e-mail address"),
    "url": (_matches(_URL), "an address that begins with http:// or https://"),
    "language": (_matches(_LANGUAGE), "a language code such as es"),
    "status": (lambda value: value in STATUSES, f"one of {', '.join(STATUSES)}"),
    "location type": (lambda value: value in LOCATION_TYPES, f"one of {', '.join(LOCATION_TYPES)}"),
    "currency": (_matches(re.compile("[A-Za-z]{3}")), "three letters such as USD"),
    "amount": (_between(0, 10_000_000), "an amount from 0"),
    "age": (_between(0, 150), "an age in years from 0 to 150"),
    "latitude": (_between(-90, 90), "degrees from -90 to 90"),
    "longitude": (_between(-180, 180), "degrees from -180 to 180"),
}
"""kind -> whether a value fits, and what is expected"""

PAIRS = (("minimum_age", "maximum_age"), ("valid_from", "valid_to"))
"""The second must not be below the first."""


def problems(table: str, record: Record, number: int) -> list[RowIssue]:
    """Every problem of one record and of what stands inside it."""
    return [RowIssue(number, f"{table}.{member}", rule, words) for member, rule, words in _record(table, record, 0)]


def _record(table: str, record: Record, depth: int) -> Found:
    definition = TABLES[table]
    for member in definition.needs:
        if record.get(member) in (None, "") and not (depth and member in ("id", "location_id")):
            yield member, "missing", f"a {table.replace('_', ' ')} needs {member}: add it"
        elif isinstance(record.get(member), dict | list):
            yield member, "structure", "one value is expected, got several"
    for member, value in record.items():
        if member in definition.lists:
            yield from _list(definition.lists[member], member, value, depth)
        elif member in definition.one:
            yield from _inner(definition.one[member], member, value, depth)
        elif value is not None:
            yield from _value(member, definition.kinds.get(member, "text"), value)
    yield from _order(record)


def _list(table: str, member: str, value: Any, depth: int) -> Found:
    if not isinstance(value, list):
        yield member, "structure", "a list of objects is expected: put the object in brackets"
        return
    if len(value) > MAX_ENTRIES:
        yield member, "too-many", f"at most {MAX_ENTRIES} entries: leave out those that are over"
        return
    for number, entry in enumerate(value):
        yield from _inner(table, f"{member}[{number}]", entry, depth)


def _inner(table: str, member: str, value: Any, depth: int) -> Found:
    if not isinstance(value, dict):
        yield member, "structure", "an object with members is expected"
    elif depth >= MAX_DEPTH:
        yield member, "structure", f"objects within objects at most {MAX_DEPTH} deep"
    else:
        yield from ((f"{member}.{name}", rule, words) for name, rule, words in _record(table, value, depth + 1))


def _value(member: str, kind: str, value: Any) -> Found:
    if kind in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            yield member, "number", f"a number is expected, got {_shape(value)}"
            return
    elif isinstance(value, dict | list):
        if kind != "text":
            yield member, "structure", "one value is expected, got several"
        return
    elif not isinstance(value, str):
        if kind != "text":
            yield member, "form", f"{KINDS[kind][1]} is expected, got {_shape(value)}"
        return
    elif len(value) > MAX_TEXT:
        yield member, "too-long", f"at most {MAX_TEXT:,} characters, got {len(value):,}: shorten it"
        return
    fits, expected = KINDS[kind]
    if value != "" and not fits(value):
        yield member, "form", f"{expected} is expected, got {_shape(value)}"


def _order(record: Record) -> Found:
    for first, second in PAIRS:
        low, high = record.get(first), record.get(second)
        if low in (None, "") or high in (None, "") or isinstance(low, str) is not isinstance(high, str):
            continue
        if low > high:
            yield second, "order", f"{second} lies before {first}: check both"


def _shape(value: Any) -> str:
    return shape(value) if isinstance(value, str) else "a number" if not isinstance(value, bool) else "true or false"

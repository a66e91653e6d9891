"""The parameters of a history: _since, _at, _count, _sort. https://hl7.org/fhir/R4/http.html#history"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo

from service.errors import Category, FhirError, Issue
from service.search import dates
from service.search.dates import PACIFIC
from service.search.syntax import Refused, checked, shown

MAX_COUNT = 200
DEFAULT_COUNT = 50
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_SORTS = {"-_lastUpdated": False, "_lastUpdated": True}


@dataclass(frozen=True)
class HistoryQuery:
    """since: microseconds, inclusive. at: [lo, hi) in microseconds. up: oldest first."""

    count: int = DEFAULT_COUNT
    since: int | None = None
    at: tuple[int, int] | None = None
    up: bool = False


def parse(params: list[tuple[str, str]], zone: tzinfo = PACIFIC) -> HistoryQuery:
    """Raises FhirError MALFORMED with one issue per parameter; an unknown one is refused, since it would widen."""
    found: dict[str, str] = {}
    issues: list[Issue] = []
    for name, value in params:
        try:
            if name not in NAMES:
                raise Refused(f"is not known for a history; known are: {', '.join(NAMES)}", "not-supported")
            if name in found:
                raise Refused("may stand once")
            found[name] = checked(value)
        except Refused as refused:
            issues.append(Issue(f"Parameter {shown(name)} {refused.sentence}.", code=refused.code))
    query = HistoryQuery()
    for name, value in found.items():
        try:
            query = _READ[name](query, value, zone)
        except Refused as refused:
            issues.append(Issue(f"Parameter '{name}' {refused.sentence}.", code=refused.code))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return query


def count(value: str) -> int:
    """More than the limit is lowered, as the specification allows."""
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0):
        raise Refused("takes a whole number from 1")
    return min(int(value), MAX_COUNT)


def instant(value: str) -> int:
    """Microseconds of an instant; a "+" of a zone that reached us as a space is taken as the "+" it was."""
    text = value.replace(" ", "+")
    try:
        if _INSTANT.fullmatch(text):
            return dates.parse(text)[0]
    except ValueError:
        pass
    raise Refused("takes an instant with time and zone, such as 2026-03-01T10:00:00Z")


def _at(value: str, zone: tzinfo) -> tuple[int, int]:
    try:
        return dates.parse(value.replace(" ", "+"), zone)
    except ValueError:
        raise Refused("takes a date or time: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with zone") from None


def _sort(value: str) -> bool:
    if value not in _SORTS:
        raise Refused(f"takes one of {', '.join(_SORTS)}", "not-supported")
    return _SORTS[value]


_READ: dict[str, Callable[[HistoryQuery, str, tzinfo], HistoryQuery]] = {
    "_at": lambda query, value, zone: replace(query, at=_at(value, zone)),
    "_count": lambda query, value, _: replace(query, count=count(value)),
    "_format": lambda query, _value, _: query,
    "_pretty": lambda query, _value, _: query,
    "_since": lambda query, value, _: replace(query, since=instant(value)),
    "_sort": lambda query, value, _: replace(query, up=_sort(value)),
}
NAMES = tuple(_READ)
"""_format and _pretty are read by the HTTP layer."""

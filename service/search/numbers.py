"""Numbers as they are indexed and searched: a stored value is a range of floats, a search value gives bounds on it.

Source: https://hl7.org/fhir/R4/search.html#number
"""

import math
import re
from decimal import Decimal
from typing import Any

from service.search.criteria import Within
from service.search.syntax import Refused

BIG = 1e300
"""Stands for infinity, which a database need not know; greater numbers count as this."""

PREFIXES = ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")
Span = tuple[float, float]

_NUMBER = re.compile(r"[+-]?(\d{1,40})(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_FORM = "takes a number such as 100, 5.40 or 1e-3"


def clamped(value: Decimal) -> float:
    if value and value.adjusted() > 299:
        return math.copysign(BIG, value)
    return float(value) + 0.0 if value and value.adjusted() > -300 else 0.0


def decimal(value: Any) -> Decimal | None:
    """A JSON number, its exponent brought within bounds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        return None
    if number and abs(number.adjusted()) > 300:
        return Decimal(0) if number.adjusted() < 0 else Decimal("1e300").copy_sign(number)
    return number


def span(low: Decimal | None, high: Decimal | None, *, above: bool = False, below: bool = False) -> Span | None:
    """[low, high]; an absent bound is open. above, below: the bound itself does not belong to it (comparators < >)."""
    lo = -BIG if low is None else clamped(low)
    hi = BIG if high is None else clamped(high)
    lo = math.nextafter(lo, math.inf) if above else lo
    hi = math.nextafter(hi, -math.inf) if below else hi
    return (lo, hi) if lo <= hi else None


def stored(value: Any, datatype: str) -> Span | None:
    """The range of a decimal, an integer or a Range."""
    if datatype == "Range":
        low, high = ((value.get(end) or {}).get("value") for end in ("low", "high"))
        return None if low is None and high is None else span(decimal(low), decimal(high))
    number = decimal(value)
    return None if number is None else span(number, number)


def prefix_and_number(text: str) -> tuple[str, Decimal, Decimal]:
    """Prefix, number, half a unit of its last digit: 100 means 99.5 to 100.5, and 100.00 means 99.995 to 100.005."""
    prefix, digits = (text[:2], text[2:]) if text[:2].isalpha() else ("eq", text)
    if prefix not in PREFIXES:
        raise Refused(f"takes one of the prefixes {' '.join(PREFIXES)} before a number")
    match = _NUMBER.fullmatch(digits)
    if match is None:
        raise Refused(_FORM)
    number = Decimal(digits)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    # R4 reads 1e2 as 95 to 105: a mantissa without decimals counts as if it had one.
    last = exponent - (1 if match[3] and not match[2] else 0)
    return prefix, number, Decimal(5).scaleb(last - 1)


def within(prefix: str, number: Decimal, half: Decimal, factor: Decimal = Decimal(1)) -> Within:
    """Bounds on a stored range [lo, hi], in units of which the search value's unit holds `factor`.

    Only eq, ne and ap look at the precision of the search value; the others take it as exact.
    """
    exact = clamped(number * factor)
    start, end = clamped((number - half) * factor), max(exact, _under(clamped((number + half) * factor)))
    match prefix:
        case "eq" | "ne":
            return Within(lo_ge=start, hi_le=end, negate=prefix == "ne")
        case "gt":
            return Within(hi_gt=exact)
        case "ge":
            return Within(hi_gt=_under(exact))
        case "lt":
            return Within(lo_lt=exact)
        case "le":
            return Within(lo_lt=_over(exact))
        case "sa":
            return Within(lo_ge=_over(exact))
        case "eb":
            return Within(hi_le=_under(exact))
    slack = max(half, abs(number) / 10)
    return Within(lo_lt=_over(clamped((number + slack) * factor)), hi_gt=_under(clamped((number - slack) * factor)))


def _over(value: float) -> float:
    return math.nextafter(value, math.inf)


def _under(value: float) -> float:
    return math.nextafter(value, -math.inf)

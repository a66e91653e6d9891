"""Quantities: the keys of their units, and one unit for what is the same in several (UCUM).

Source: https://hl7.org/fhir/R4/search.html#quantity. A quantity is found by its number alone, by `number|system|code`
and by `number||code`, where code is the code or the unit as written. Units of UCUM that measure the same are stored
and searched in one, so that 5 g is found as 5000 mg. Source of the factors: https://ucum.org/ucum
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from service.search import numbers
from service.search.criteria import Within
from service.search.syntax import Refused, split, unescape

UCUM = "http://unitsofmeasure.org"
CURRENCY = "urn:iso:std:iso:4217"

COMMON: dict[str, tuple[str, Decimal]] = {
    code: (base, Decimal(factor))
    for base, units in {
        "g": {"kg": "1000", "g": "1", "mg": "1e-3", "ug": "1e-6", "ng": "1e-9", "[lb_av]": "453.59237"}
        | {"[oz_av]": "28.349523125"},
        "m": {"km": "1000", "m": "1", "cm": "1e-2", "mm": "1e-3", "um": "1e-6", "[in_i]": "0.0254"}
        | {"[ft_i]": "0.3048", "[mi_i]": "1609.344"},
        "s": {"ms": "1e-3", "s": "1", "min": "60", "h": "3600", "d": "86400", "wk": "604800"}
        | {"mo": "2629800", "a": "31557600"},
        "L": {"L": "1", "l": "1", "dL": "1e-1", "dl": "1e-1", "mL": "1e-3", "ml": "1e-3", "uL": "1e-6"},
    }.items()
    for code, factor in units.items()
}
"""UCUM code -> the unit it is stored in, and how much of that it holds. Temperatures have no factor alone."""

Row = tuple[str, float, float]
"""The end of an ix_num key's name, and the range."""


def rows(value: Any, datatype: str) -> list[Row]:
    """All rows of one quantity: without unit, by system and code, and by code or unit alone."""
    match datatype:
        case "Range":
            low, high = value.get("low") or {}, value.get("high") or {}
            bounds = numbers.decimal(low.get("value")), numbers.decimal(high.get("value"))
            return [] if bounds == (None, None) else list(_rows(*bounds, low if bounds[0] is not None else high))
        case "Money":
            amount = numbers.decimal(value.get("value"))
            unit = {"system": CURRENCY, "code": value.get("currency")}
            return [] if amount is None else list(_rows(amount, amount, unit))
        case "SampledData":
            sampled = _samples(value)
            return list(_rows(min(sampled), max(sampled), value.get("origin") or {})) if sampled else []
    number = numbers.decimal(value.get("value"))
    if number is None:
        return []
    comparator = value.get("comparator", "")
    low_bound = None if "<" in comparator else number
    high_bound = None if ">" in comparator else number
    return list(_rows(low_bound, high_bound, value, comparator))


def _rows(low: Decimal | None, high: Decimal | None, unit: dict[str, Any], comparator: str = "") -> Iterator[Row]:
    as_written = numbers.span(low, high, above=comparator == ">", below=comparator == "<")
    if as_written is None:
        return
    system, code, word = unit.get("system"), unit.get("code"), unit.get("unit")
    yield ("", *as_written)
    for name in dict.fromkeys(name for name in (code, word) if name):
        yield (f"||{name}", *as_written)
    if system and code:
        base, factor = _common(system, code)
        converted = numbers.span(
            None if low is None else low * factor,
            None if high is None else high * factor,
            above=comparator == ">",
            below=comparator == "<",
        )
        if converted is not None:
            yield (f"|{system}|{base}", *converted)


def _common(system: str, code: str) -> tuple[str, Decimal]:
    return COMMON.get(code, (code, Decimal(1))) if system == UCUM else (code, Decimal(1))


def _samples(value: Any) -> list[Decimal]:
    """The samples of SampledData in the unit of its origin; E, U and L stand for none."""
    origin = numbers.decimal((value.get("origin") or {}).get("value"))
    factor = numbers.decimal(value.get("factor", 1))
    if origin is None or factor is None:
        return []
    found = []
    for word in str(value.get("data", "")).split():
        try:
            sample = numbers.decimal(Decimal(word))
        except InvalidOperation:
            continue
        if sample is not None:
            found.append(origin + sample * factor)
    return found


def asked(text: str) -> tuple[str, Within]:
    """`number`, `number|system|code` or `number||code` -> the end of the key's name, and the bounds."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) not in (1, 3) or (len(parts) == 3 and not parts[2]):
        raise Refused("takes number, number|system|code or number||code")
    prefix, number, half = numbers.prefix_and_number(parts[0])
    if len(parts) == 1:
        return "", numbers.within(prefix, number, half)
    system, code = parts[1], parts[2]
    if not system:
        return f"||{code}", numbers.within(prefix, number, half)
    base, factor = _common(system, code)
    return f"|{system}|{base}", numbers.within(prefix, number, half, factor)

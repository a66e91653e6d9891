"""The forms of R4's primitive types: https://hl7.org/fhir/R4/datatypes.html#primitive"""

import re
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from fhir_profiles.dates import is_calendar_date
from fhir_profiles.r4_types import primitive_regex

RANGES = {"integer": (-(2**31), 2**31 - 1), "unsignedInt": (0, 2**31 - 1), "positiveInt": (1, 2**31 - 1)}
TEXT = ("string", "System.string", "markdown", "xhtml")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
DATES = ("date", "dateTime", "instant")
FORMS = {
    "date": "YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an offset",
    "instant": "YYYY-MM-DDThh:mm:ss with Z or an offset",
    "time": "hh:mm:ss",
    "id": "1 to 64 letters, digits, - and .",
    "System.id": "1 to 64 letters, digits, - and .",
    "code": "no spaces at the ends, single ones inside",
    "oid": "urn:oid: and digits with dots",
    "uuid": "urn:uuid: and lower-case hexadecimal digits",
    "base64Binary": "base64",
}


class Refusal(NamedTuple):
    code: str
    text: str


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    return re.compile(primitive_regex(kind), re.ASCII)


def primitive_problem(value: Any, kind: str) -> Refusal | None:
    """Why a JSON value is no R4 primitive of this kind, or None."""
    if kind == "boolean":
        return None if isinstance(value, bool) else Refusal("structure", "Expected true or false, without quotes.")
    if kind in RANGES:
        low, high = RANGES[kind]
        if isinstance(value, bool) or not isinstance(value, int):
            return Refusal("structure", f"Expected a whole JSON number ({kind}).")
        return None if low <= value <= high else Refusal("value", f"{kind} lies between {low} and {high}.")
    if kind == "decimal":
        good = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        return None if good else Refusal("structure", "Expected a JSON number, without quotes.")
    return _text_problem(value, kind)


def _text_problem(value: Any, kind: str) -> Refusal | None:
    name = kind.removeprefix("System.")
    if not isinstance(value, str):
        return Refusal("structure", f"Expected a JSON string ({name}).")
    if not value:
        return Refusal("value", "A string is never empty: leave the element out.")
    if kind in TEXT:
        return Refusal("value", "Control characters are not allowed in text.") if CONTROL.search(value) else None
    if kind == "base64Binary":
        return _base64_problem(value)
    if not _pattern(kind).fullmatch(value):
        form = FORMS.get(kind, "no spaces")
        return Refusal("value", f"This is no {name}: {form}.")
    if kind in DATES and not is_calendar_date(value):
        return Refusal("value", "There is no such day in the calendar.")
    return None


def _base64_problem(value: str) -> Refusal | None:
    """By hand: R4's expression for base64 takes exponential time in a backtracking engine."""
    packed = re.sub(r"[ \t\r\n]", "", value)
    good = len(packed) % 4 == 0 and re.fullmatch(r"[0-9A-Za-z+/]+={0,2}", packed)
    return None if good else Refusal("value", "This is no base64.")

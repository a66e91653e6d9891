"""The strict JSON reader at the edge: https://hl7.org/fhir/R4/json.html and RFC 8259

Whatever bytes come, the answer is a value or a FhirError (400, or 413 for the size): nothing else is ever raised.
What is refused here would be read differently by two parsers (duplicate keys, NaN), cannot be stored in PostgreSQL
(U+0000, lone surrogates), breaks FHIR's rule for strings (control characters), or costs more than a resource is worth.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fhir_profiles.json_text import write_json
from fhir_profiles.numbers import MAX_EXPONENT, MAX_NUMBER, BadNumber, number
from service.errors import Category, FhirError, Issue

__all__ = ["MAX_EXPONENT", "MAX_NUMBER", "read_json", "write_json"]

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 50_000
MAX_BUNDLE_VALUES = 250_000
"""In all entries of a Bundle together; each may hold MAX_VALUES."""
MAX_STRING = 1024 * 1024
MAX_ISSUES = 50
BOM = b"\xef\xbb\xbf"

_NO_MARK = bytes(sorted({*range(256)} - {*b"[]{},"}))
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,40}")


class _Fault(ValueError):
    """Stops the quick parse; the careful one then collects everything."""


def read_json(data: bytes) -> Any:
    """The JSON value of a request body: decimals as decimal.Decimal, integers of more than 18 digits too.

    A byte order mark is tolerated. Raises FhirError with all that is wrong, as far as it can be known.
    """
    if len(data) > MAX_BYTES:
        raise FhirError(Category.TOO_LARGE, [Issue("The body is larger than 10 MB: split it.", code="too-long")])
    data = data.removeprefix(BOM)
    if not data.strip(b" \t\r\n"):
        raise _malformed(Issue("The body is empty: send one JSON object.", code="required"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(Issue(f"The body is not UTF-8 (byte {error.start}): encode it as UTF-8.")) from None
    values = _check_cost(data)
    value = _parse(text)
    if values > MAX_VALUES and not (isinstance(value, dict) and value.get("resourceType") == "Bundle"):
        raise _malformed(_TOO_MANY)
    if b"\\u" in data or b"\\b" in data or b"\\f" in data:
        _check_strings(value)
    return value


def _malformed(*issues: Issue) -> FhirError:
    return FhirError(Category.MALFORMED, issues[:MAX_ISSUES])


_TOO_MANY = Issue(
    f"The JSON has more than {MAX_VALUES} values ({MAX_BUNDLE_VALUES} in all entries of a Bundle): send it in parts.",
    code="too-costly",
)


def _check_cost(data: bytes) -> int:
    """Depth, number of values and length of strings, before anything is built; gives the number of values.

    Counting bytes bounds all three from above, which settles nearly every body; of the others the strings are cut out
    and the brackets and commas walked through.
    """
    openers = data.count(b"{") + data.count(b"[")
    values = 1 + openers + data.count(b",")
    if openers <= MAX_DEPTH and values <= MAX_VALUES and len(data) <= MAX_STRING:
        return values
    pieces = data.replace(b"\\\\", b"__").replace(b'\\"', b"__").split(b'"')
    if len(data) > MAX_STRING and max(map(len, pieces[1::2]), default=0) > MAX_STRING:
        raise _malformed(Issue("A string is longer than 1 MB: use a Binary.", code="too-long"))
    bundle = b"Bundle" in data
    return _walked(b"".join(pieces[0::2]).translate(None, _NO_MARK), MAX_BUNDLE_VALUES if bundle else MAX_VALUES)


def _walked(marks: bytes, most: int) -> int:
    """Number of values. marks: brackets and commas; what opens on the third level is taken for an entry of a Bundle."""
    depth, values, before = 0, 1, 0
    for mark in marks:
        if mark == 0x2C:
            values += 1
        elif mark in b"[{":
            values += 1
            depth += 1
            if depth == 3:
                before = values
            elif depth > MAX_DEPTH:
                text = f"The JSON is nested more than {MAX_DEPTH} levels deep: flatten it."
                raise _malformed(Issue(text, code="too-costly"))
        else:
            depth -= 1
        if values > most or values - before > MAX_VALUES:
            raise _malformed(_TOO_MANY)
    return values


def _constant(_name: str) -> Any:
    raise _Fault("NaN and Infinity are no JSON: leave the element out or give a dataAbsentReason.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Fault("A property is given twice in one object.")
    return found


_QUICK = json.JSONDecoder(parse_float=number, parse_int=number, parse_constant=_constant, object_pairs_hook=_object)


def _parse(text: str) -> Any:
    try:
        return _QUICK.decode(text)
    except (ValueError, ArithmeticError, RecursionError):
        raise _malformed(*_faults(text)) from None


def _faults(text: str) -> list[Issue]:
    """Everything that a careful second parse finds, up to the point where the text is no JSON at all."""
    found: dict[str, Issue] = {}

    def note(diagnostics: str) -> None:
        found.setdefault(diagnostics, Issue(diagnostics))

    def checked(digits: str) -> int | Decimal:
        try:
            return number(digits)
        except (BadNumber, ArithmeticError) as fault:
            note(str(fault) if isinstance(fault, BadNumber) else "A number cannot be read: look at its exponent.")
            return 0

    def constant(name: str) -> Any:
        try:
            return _constant(name)
        except _Fault as fault:
            note(str(fault))

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in given:
            if key in seen:
                what = f"The property `{key}`" if _NAME.fullmatch(key) else "A property"
                note(f"{what} is given twice in one object: keep one.")
            seen.add(key)
        return {}

    careful = json.JSONDecoder(parse_float=checked, parse_int=checked, parse_constant=constant, object_pairs_hook=pairs)
    try:
        careful.decode(text)
    except json.JSONDecodeError as error:
        note(f"This is no JSON: line {error.lineno}, column {error.colno}: {error.msg}.")
    except (ValueError, ArithmeticError, RecursionError):
        note("This cannot be read as JSON.")
    return list(found.values())


def _check_strings(value: Any) -> None:
    """Escapes may smuggle in what raw bytes cannot: U+0000, other control characters, lone surrogates."""
    root = value.get("resourceType", "") if isinstance(value, dict) else ""
    name = root if isinstance(root, str) and _NAME.fullmatch(root) else "$this"
    issues = [
        Issue(
            "Control characters (other than tab and line ends), U+0000 and lone surrogates are not allowed in text: "
            "remove them.",
            expression=path,
            code="value",
        )
        for path in _bad_strings(value, name)
    ]
    if issues:
        raise _malformed(*issues)


def _bad_strings(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, str):
        if _FORBIDDEN.search(value):
            yield path
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _bad_strings(item, f"{path}[{i}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if _FORBIDDEN.search(key):
                yield path
            yield from _bad_strings(item, f"{path}.{key}" if _NAME.fullmatch(key) else path)

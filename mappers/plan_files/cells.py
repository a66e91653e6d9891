"""One cell's text <-> one typed value, by the column's type: the table PARSERS and its reverse `cell_text`.

NPI check digit: 45 CFR 162.406, https://www.cms.gov/regulations-and-guidance/administrative-simplification/nationalprovidentstand
CIN: eight digits and a letter (facts/california.md C row 1). Messages tell shapes, never values.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from mappers.plan_files.layout import Column, Layout
from mappers.plan_files.rows import Severity, shape

Value = str | date | bool | tuple[str, ...] | None
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DATE_SHAPES = {
    "MM/DD/YYYY": (re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})", re.A), "{m:02}/{d:02}/{y:04}"),
    "YYYY-MM-DD": (re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})", re.A), "{y:04}-{m:02}-{d:02}"),
    "YYYYMMDD": (re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})", re.A), "{y:04}{m:02}{d:02}"),
    "DD-MON-YYYY": (re.compile(r"(?P<d>\d{1,2})-(?P<mon>[A-Za-z]{3})-(?P<y>\d{4})", re.A), "{d:02}-{mon}-{y:04}"),
}
_MIDNIGHT = re.compile(r"[ T](00:00(:00(\.0+)?)?|12:00(:00)? ?AM)Z?$", re.A)
_PHONE = re.compile(r"\+?[\d\s().\-]{10,20}?(?:\s*(?:x|ext\.?)\s*(\d{1,6}))?", re.A | re.I)
_EMAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,250}\.[A-Za-z]{2,24}", re.A)
_EMPTY_WORDS = frozenset({"N/A", "NA", "NULL", "NONE", "-", "--", "."})
_YES = frozenset({"Y", "YES", "TRUE", "T", "1"})
_NO = frozenset({"N", "NO", "FALSE", "F", "0"})


@dataclass(frozen=True)
class Parsed:
    """A value, and where something was off the rule, the sentence and how bad it is."""

    value: Value = None
    rule: str = ""
    message: str = ""
    severity: Severity = "error"


def parse(text: str, column: Column, layout: Layout, serial: bool = False) -> Parsed:
    """The typed value of a trimmed, non-empty cell. `serial`: the sheet held a plain number."""
    if len(text) > column.max_length:
        return Parsed(None, "too-long", f"at most {column.max_length} characters, got {len(text)}: shorten it")
    if column.type != "text" and text.upper() in _EMPTY_WORDS:
        return Parsed()
    return PARSERS[column.type](text, column, layout, serial)


def _text(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    return Parsed(" ".join(text.split()))


def _cin(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    cin = re.sub(r"[\s-]", "", text).upper()
    if re.fullmatch(r"\d{8}[A-Z]", cin, re.A):
        return Parsed(cin)
    if re.fullmatch(r"\d{8}[A-Z]\d{5}", cin, re.A):
        words = "the 14 characters of a member card were read by their first nine, the CIN: send the CIN"
        return Parsed(cin[:9], "cin-card-number", words, "warning")
    hint = ""
    if re.fullmatch(r"\d{4,7}[A-Z]", cin, re.A):
        hint = "; leading zeros were lost, format the column as text and send it again"
    return Parsed(None, "cin-format", f"8 digits and a letter expected, got {shape(cin)}{hint}")


def _npi(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    if not re.fullmatch(r"[12]\d{9}", text, re.A):
        hint = "; format the column as text" if "E+" in text.upper() else ""
        return Parsed(None, "npi-format", f"10 digits that begin with 1 or 2 expected, got {shape(text)}{hint}")
    if not luhn(f"80840{text}"):
        return Parsed(None, "npi-check-digit", "the check digit of this NPI is wrong: look it up in the NPI registry")
    return Parsed(text)


@lru_cache(maxsize=4096)
def luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1 annex B)."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(d), 10)) for d in even)) % 10 == 0


def _tin(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    digits = text.replace("-", "").replace(" ", "")
    if re.fullmatch(r"\d{9}", digits, re.A):
        return Parsed(digits)
    if re.fullmatch(r"\d{7,8}", digits, re.A):
        return _padded(digits, 9)
    return Parsed(None, "tin-format", f"9 digits expected, got {shape(digits)}: not stored, correct it", "warning")


def _zip(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{3,9}", digits, re.A) or len(digits) in (6, 7):
        words = f"5 or 9 digits expected, got {shape(text)}: not stored, correct it"
        return Parsed(None, "zip-format", words, "warning")
    if len(digits) in (3, 4, 8):
        return _padded(digits, 5 if len(digits) < 5 else 9, dashed=True)
    return Parsed(_zip_text(digits))


def _zip_text(digits: str) -> str:
    return f"{digits[:5]}-{digits[5:]}" if len(digits) == 9 else digits


def _padded(digits: str, width: int, dashed: bool = False) -> Parsed:
    words = f"{width} digits expected, got {len(digits)}: lost leading zeros were put back, format the column as text"
    padded = digits.zfill(width)
    return Parsed(_zip_text(padded) if dashed else padded, "leading-zeros", words, "warning")


def _date(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    plain = _MIDNIGHT.sub("", text)
    expected = " or ".join(layout.date_formats)
    if serial and plain.isdigit() and len(plain) == 5 and 10_000 <= int(plain) <= 70_000:
        found: date | None = date(1899, 12, 30) + timedelta(days=int(plain))
        return Parsed(found, "date-serial", "a spreadsheet serial number was read as a date: format the column as date",
                      "warning")  # fmt: skip
    found = date_of(plain, layout.date_formats)
    if found is None and _looks_like_date(plain, layout.date_formats):
        hint = " (month and day exchanged?)" if _month_beyond(plain, layout.date_formats) else ""
        return Parsed(None, "date-format", f"there is no such day{hint}, read as {expected}: correct it")
    if found is None:
        hint = "; this looks like a spreadsheet serial number" if re.fullmatch(r"\d{5}", plain, re.A) else ""
        return Parsed(None, "date-format", f"a date as {expected} expected, got {shape(text)}{hint}")
    if column.name.endswith("_end") and found.year in (2299, 9999):
        return Parsed()  # plans write the end of time for "open"; FHIR leaves the end out
    if not 1900 <= found.year <= 2100:
        return Parsed(None, "date-range", "a year from 1900 to 2100 expected: check the century")
    return Parsed(found)


def _looks_like_date(text: str, formats: tuple[str, ...]) -> bool:
    """Whether it has the form of a date, so that only its day, month or year can be wrong."""
    matches = (_DATE_SHAPES[name][0].fullmatch(text) for name in (*formats, "YYYY-MM-DD"))
    return any(m and m.groupdict().get("mon", "JAN").upper() in _MONTHS for m in matches)


def _month_beyond(text: str, formats: tuple[str, ...]) -> bool:
    """Whether the number where the month stands is none."""
    matches = (_DATE_SHAPES[name][0].fullmatch(text) for name in (*formats, "YYYY-MM-DD"))
    return any(m and int(m.groupdict().get("m") or 0) > 12 for m in matches)


@lru_cache(maxsize=65536)
def date_of(text: str, formats: tuple[str, ...]) -> date | None:
    """The date by the first format that fits; ISO 8601 always fits, as typed spreadsheet dates arrive so."""
    for name in (*formats, "YYYY-MM-DD"):
        match = _DATE_SHAPES[name][0].fullmatch(text)
        if match:
            parts = match.groupdict()
            mon = parts.get("mon", "").upper()
            month = _MONTHS.index(mon) + 1 if mon in _MONTHS else int(parts.get("m") or 0)
            try:
                return date(int(parts["y"]), month, int(parts["d"]))
            except ValueError:
                continue
    return None


def _code(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    word = " ".join(text.split()).upper()
    if word in column.codes:
        return Parsed(column.codes[word])
    return Parsed(None, "unmapped-code", _unmapped(column, layout), _severity(column))


def _codes(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    words = [" ".join(word.split()).upper() for word in re.split(r"[;,|/]", text)]
    found = tuple(sorted({column.codes[word] for word in words if word in column.codes}))
    if any(word and word not in column.codes for word in words):
        return Parsed(found, "unmapped-code", _unmapped(column, layout), _severity(column))
    return Parsed(found)


def _unmapped(column: Column, layout: Layout) -> str:
    known = list(column.words.values())
    listed = ", ".join(known[:16]) + (", ..." if len(known) > 16 else "")
    return f"the layout {layout.id} has no such word: use one of {listed}, or have the word added to the layout"


def _severity(column: Column) -> Severity:
    return "warning" if column.unmapped == "warning" else "error"


def _phone(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    match = _PHONE.fullmatch(text)
    main = text[: match.start(1)] if match and match.group(1) else text
    digits = re.sub(r"\D", "", main, flags=re.A)
    digits = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    if not match or len(digits) != 10 or digits[0] in "01":
        words = f"a 10-digit telephone number expected, got {shape(text)}: not stored, correct it"
        return Parsed(None, "phone-format", words, "warning")
    extension = f" x{match.group(1)}" if match.group(1) else ""
    return Parsed(f"{digits[:3]}-{digits[3:6]}-{digits[6:]}{extension}")


def _email(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    if _EMAIL.fullmatch(text):
        return Parsed(text)
    return Parsed(None, "email-format", f"name@domain expected, got {shape(text)}: not stored, correct it", "warning")


def _boolean(text: str, column: Column, layout: Layout, serial: bool) -> Parsed:
    word = text.upper()
    if word in _YES or word in _NO:
        return Parsed(word in _YES)
    return Parsed(None, "boolean", f"Y or N expected, got {shape(text)}: not stored, correct it", "warning")


PARSERS: dict[str, Callable[[str, Column, Layout, bool], Parsed]] = {
    "text": _text, "cin": _cin, "npi": _npi, "tin": _tin, "date": _date, "code": _code, "codes": _codes,
    "phone": _phone, "email": _email, "boolean": _boolean, "zip": _zip,
}  # fmt: skip


def cell_text(value: Value, column: Column, layout: Layout) -> str:
    """The reverse of `parse`: the text that this layout's files hold for a value; KeyError for a code it lacks."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, date):
        parts = {"y": value.year, "m": value.month, "d": value.day, "mon": _MONTHS[value.month - 1]}
        return _DATE_SHAPES[layout.date_formats[0]][1].format(**parts)
    if isinstance(value, tuple):
        return ";".join(column.words[code] for code in value)
    return column.words[value] if column.words else value

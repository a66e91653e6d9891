"""The rows of a delimited text file (RFC 4180 with the plan's delimiter), and the guard for cells that start a formula.

Source: https://www.rfc-editor.org/rfc/rfc4180; formula injection: facts/security.md A20.
"""

import csv
import io
from collections.abc import Iterable, Iterator

from mappers.plan_files.rows import FileProblem

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def guarded(text: str) -> str:
    """A cell that a spreadsheet program shows as text: an apostrophe goes before what would start a formula."""
    return f"'{text}" if text.lstrip(" \n").startswith(_STARTS_FORMULA) else text


def unguarded(text: str) -> str:
    """The reverse of `guarded`."""
    return text[1:] if text.startswith("'") and text[1:].lstrip(" \n").startswith(_STARTS_FORMULA) else text


def decode(data: bytes) -> tuple[str, list[FileProblem]]:
    """The text and what was noticed: UTF-8 (with or without BOM), UTF-16 by its BOM, else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        words = "The file is UTF-16 text and was read as such: save it as CSV UTF-8 to be sure of names."
        return data.decode("utf-16", errors="replace"), [FileProblem("encoding", words, "warning")]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        words = "The file is not UTF-8 and was read as Windows-1252: check names with accents, save as CSV UTF-8."
        return data.decode("cp1252", errors="replace"), [FileProblem("encoding", words, "warning")]


def records(text: str, delimiter: str) -> Iterator[list[str]]:
    """Each record once, blank lines as []; csv.Error where a quoted cell never ends within 128 KB."""
    yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def written(rows: Iterable[Iterable[str]], delimiter: str = ",") -> bytes:
    """Rows as UTF-8 with CRLF, each cell guarded. A BOM is left out: plan systems read bytes, not Excel."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows([guarded(c) for c in row] for row in rows)
    return out.getvalue().encode("utf-8")

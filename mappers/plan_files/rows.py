"""Plain data of a plan file: rows, what is wrong with a row, what is wrong with the file.

Rules checked: facts/california.md C.7. Messages name the shape of a value, never the value (it may be PHI).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class RowIssue:
    """One finding in one row. `row` is 1-based as in the sheet; `column` the header as in the file ("" = the row)."""

    row: int
    column: str
    rule: str
    message: str
    severity: Severity = "error"


@dataclass(frozen=True)
class FileProblem:
    """One finding about the whole file: `rule` is a short code, `message` a sentence with the remedy."""

    rule: str
    message: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Row:
    """One data row. `cells`: field -> trimmed text ("" = empty); `headers`: field -> header as in the file.

    `cells` is empty for a row that does not fit the header: its issue says so. `serials` holds the fields whose cell
    was a plain spreadsheet number, so that a date may be repaired from it.
    """

    number: int
    cells: Mapping[str, str]
    headers: Mapping[str, str]
    issues: tuple[RowIssue, ...] = ()
    serials: frozenset[str] = field(default_factory=frozenset)

    def header(self, name: str) -> str:
        return self.headers.get(name, name)


def shape(text: str) -> str:
    """Describes a value without telling it: "9 digits", "7 digits and a letter", "12 characters"."""
    if not text:
        return "nothing"
    digits, letters = sum(c.isdigit() for c in text), sum(c.isalpha() for c in text)
    if digits == len(text):
        return f"{digits} digit{'s' * (digits != 1)}"
    if letters == len(text):
        return f"{letters} letter{'s' * (letters != 1)}"
    if letters == 1 and digits == len(text) - 1 and text[-1].isalpha():
        return f"{digits} digit{'s' * (digits != 1)} and a letter"
    signs = re.search(r"[^\w]", text)
    kinds = [word for word, hit in (("digits", digits), ("letters", letters), ("signs", signs)) if hit]
    return f"{len(text)} characters of {' and '.join(kinds) or 'another kind'}"

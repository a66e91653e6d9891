"""Member Information File (plan -> ECM provider): a row -> MemberRow, a file -> outcomes, and members -> a file again.

Source: facts/california.md B.4.1, B.4.3 (columns), C.7 (checks). The layout pack says what a column is called.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from mappers.plan_files.cells import Value, cell_text, parse
from mappers.plan_files.checks import broken_rules, duplicate_cin
from mappers.plan_files.delimited import written
from mappers.plan_files.layout import Column, Layout
from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.rows import Row, RowIssue


@dataclass(frozen=True)
class Outcome:
    """What became of one data row: `member` is None exactly when an issue is an error."""

    row: int
    member: MemberRow | None
    issues: tuple[RowIssue, ...]


def to_member(row: Row, layout: Layout, today: date) -> tuple[MemberRow | None, list[RowIssue]]:
    """The member of a row and all its issues at once; None when one of them is an error. `today`: Pacific date."""
    issues = list(row.issues)
    if not row.cells:
        return None, issues  # shifted cells would only add misleading findings
    values: dict[str, Any] = {}
    for column in layout.columns:
        text = row.cells.get(column.name, "")
        value = _value(row, column, text, layout, issues) if text else None
        if value is None and _needed(row, column):
            if not any(i.severity == "error" and i.column == row.header(column.name) for i in issues):
                issues.append(RowIssue(row.number, row.header(column.name), "required", _required(column, layout)))
        elif value is not None:
            values[column.name] = value
    if any(issue.severity == "error" for issue in issues):
        return None, issues
    flags = [name for name in values if name.startswith("pof_")]
    flagged = {name.removeprefix("pof_") for name in flags if values.pop(name)}
    values["pofs"] = tuple(sorted(flagged | set(values.get("pofs", ()))))
    member = MemberRow(row=row.number, **values)
    issues += broken_rules(member, row.header, today)
    return (None if any(issue.severity == "error" for issue in issues) else member), issues


def members(rows: Iterable[Row], layout: Layout, today: date) -> Iterator[Outcome]:
    """The outcome of each row in order; a second row with the CIN of an earlier one is an error that names it."""
    first: dict[str, int] = {}
    for row in rows:
        member, issues = to_member(row, layout, today)
        cin = re.sub(r"[\s-]", "", row.cells.get("cin", "")).upper()[:9]
        if cin and first.setdefault(cin, row.number) != row.number:
            issues.append(duplicate_cin(row.number, first[cin], row.header("cin")))
            member = None
        yield Outcome(row.number, member, tuple(issues))


def format_rows(people: Iterable[MemberRow], layout: Layout) -> bytes:
    """Members as this layout's delimited file (header row, UTF-8, CRLF): `read_rows` and `members` give them back.

    KeyError when the layout has no word for a code; what the layout has no column for is left out.
    """
    head = [column.headers[0] for column in layout.columns]
    body = ([cell_text(_of(person, c), c, layout) for c in layout.columns] for person in people)
    return written([head, *body], layout.delimiter)


def _of(person: MemberRow, column: Column) -> Value:
    if column.name.startswith("pof_"):
        return column.name.removeprefix("pof_") in person.pofs
    value: Value = getattr(person, column.name)
    return value


def _value(row: Row, column: Column, text: str, layout: Layout, issues: list[RowIssue]) -> Value:
    parsed = parse(text, column, layout, column.name in row.serials)
    if parsed.rule:
        issues.append(RowIssue(row.number, row.header(column.name), parsed.rule, parsed.message, parsed.severity))
    return parsed.value


def _needed(row: Row, column: Column) -> bool:
    return column.required or bool(column.required_if and row.cells.get(column.required_if))


def _required(column: Column, layout: Layout) -> str:
    reason = f" because {layout.by_name[column.required_if].headers[0]!r} is given" if column.required_if else ""
    return f"a value is required{reason}: fill it in"

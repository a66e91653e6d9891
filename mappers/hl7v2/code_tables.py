"""Reads the code tables in tables/*.csv once: every table is data, first column its key (HL7 v2.5.1 appendix A)."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from mappers.hl7v2.findings import Finding, Severity

Row = dict[str, str]


@cache
def table(name: str) -> dict[str, Row]:
    """Rows of tables/<name>.csv by the value of their first column."""
    text = files("mappers.hl7v2").joinpath("tables", f"{name}.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    key = next(iter(rows[0]))
    return {row[key]: row for row in rows}


def column(name: str, wanted: str) -> dict[str, str]:
    """One column of a table, by key."""
    return {key: row[wanted] for key, row in table(name).items()}


def look_up(name: str, code: str, location: str, findings: list[Finding], severity: Severity = "warning") -> Row:
    """The row of a code; a code without one is reported at its location and gets an empty row. "" is no code."""
    if not code:
        return {}
    row = table(name).get(code) or table(name).get(code.upper())
    if row is None:
        text = f"The code is not in table {name}; add a line there or map it for this source."
        findings.append(Finding("unmapped-code", location, severity, text))
        return {}
    return row

"""Reads the code tables in tables/*.csv once: every table is data, first column its key (HL7 v2.5.1 appendix A)."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Any

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


def concept_map(name: str) -> dict[str, Any]:
    """A code table as a FHIR ConceptMap: https://hl7.org/fhir/R4/conceptmap.html

    Tables without a target in FHIR (placeholder names, field names) have none: KeyError.
    """
    how = table("concept_maps")[name]
    groups: dict[str, list[dict[str, Any]]] = {}
    for code, row in table(name).items():
        target = row[how["target_column"]]
        system = how["target"]
        if how["system_column"] and target:
            system = f"http://terminology.hl7.org/CodeSystem/{row[how['system_column']]}"
        # A code that we know and that FHIR has nothing for is said to be so, which differs from an unknown code.
        said: dict[str, Any] = {"code": target, "equivalence": "equivalent"} if target else {"equivalence": "unmatched"}
        if target and row.get("display"):
            said["display"] = row["display"]
        groups.setdefault(system if target else "", []).append({"code": code, "target": [said]})
    shown = name.replace("_", " ")
    return {
        "resourceType": "ConceptMap",
        "id": f"hl7v2-{name.replace('_', '-')}",
        "url": f"https://enlace.example.org/fhir/ConceptMap/hl7v2-{name.replace('_', '-')}",
        "name": "Hl7v2" + shown.title().replace(" ", ""),
        "title": f"HL7 v2 {shown} to FHIR",
        "status": "active",
        "group": [
            {key: value for key, value in (("source", how["source"]), ("target", system)) if value}
            | {"element": elements}
            for system, elements in groups.items()
        ],
    }


def concept_maps() -> tuple[str, ...]:
    """The tables that `concept_map` can render."""
    return tuple(table("concept_maps"))

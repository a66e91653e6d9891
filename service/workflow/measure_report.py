"""An evaluated measure as MeasureReport and as CSV: pure, and the same bytes for the same numbers.

https://hl7.org/fhir/R4/measurereport.html. `date` is the instant as of which was counted, not that of the asking.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import fhir_profiles
from fhir_profiles import Resource
from service.clock import instant
from service.workflow.measure_evaluation import ORGANIZATIONS, Evaluated, Guarded
from service.workflow.measure_small_cells import Shown
from service.workflow.measure_traits import SEVERAL
from service.workflow.referral_facts import ECM, SDOH_CODES, SERVICES

POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
OMB = "urn:oid:2.16.840.1.113883.6.238"
SYSTEMS = {"need": SDOH_CODES, "service": SERVICES, "race": OMB, "ethnicity": OMB, "language": "urn:ietf:bcp:47"}
UNITS = "http://unitsofmeasure.org"
WORDS = {
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
    "2131-1": "Other Race",
    "2135-2": "Hispanic or Latino",
    "2186-5": "Not Hispanic or Latino",
    SEVERAL: "More than one",
    ECM: "Enhanced Care Management",
    "": "Unknown",
}
_CODES = Path(fhir_profiles.__file__).parent / "code_systems" / "cs-service.json"
COLUMNS = (
    *("measure", "version", "as_of", "period_start", "period_end", "group", "stratifier", "value", "name"),
    *("initial_population", "denominator", "numerator", "measure_population", "score", "unit"),
)


@lru_cache(maxsize=1)
def _services() -> dict[str, str]:
    return {one["code"]: one["display"] for one in json.loads(_CODES.read_text("utf-8"))["concept"]}


def _words(dim: str, value: str, names: dict[str, str]) -> str:
    if dim in ORGANIZATIONS:
        return names.get(value) or (value or "None yet")
    return _services().get(value) or WORDS.get(value, value)


def report(found: Evaluated, reporter: str) -> Resource:
    """reporter: reference of the organization that asked, or "". It has no id: nothing is stored."""
    question, period = found.question, found.question.period
    made: Resource = {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": f"{question.measure['url']}|{question.measure['version']}",
        "date": instant(period.at_us),
    }
    if reporter:
        made["reporter"] = {"reference": reporter}
    made["period"] = {"start": instant(period.start_us), "end": instant(period.end_us - 1)}
    made["group"] = [_group(code, cells, found.names) for code, cells in found.groups.items()]
    return made


def _group(code: str, cells: Guarded, names: dict[str, str]) -> Resource:
    made: Resource = {"code": {"text": code}, **_figures(cells["", ""])}
    by_dim: dict[str, list[tuple[str, Shown]]] = {}
    for (dim, value), shown in sorted(cells.items()):
        by_dim.setdefault(dim, []).append((value, shown))
    strata = [
        {"code": [{"text": dim}], "stratum": [{"value": _value(dim, v, names), **_figures(one)} for v, one in found]}
        for dim, found in by_dim.items()
        if dim
    ]
    return made | ({"stratifier": strata} if strata else {})


def _value(dim: str, value: str, names: dict[str, str]) -> Resource:
    words = _words(dim, value, names)
    coded = {"system": SYSTEMS[dim], "code": value} if dim in SYSTEMS and value not in WORDS else {"code": value}
    if dim in SYSTEMS and value in WORDS and value not in ("", SEVERAL, ECM):
        coded["system"] = SYSTEMS[dim]
    return {"coding": [{**coded, "display": words}], "text": words} if value else {"text": words}


def _figures(one: Shown) -> Resource:
    """Counts that are not shown are said to be masked."""
    population = []
    for place, (code, count) in enumerate(one.cell.counts):
        said: Resource = {"code": {"coding": [{"system": POPULATION, "code": code}]}}
        if place < one.shown:
            said["count"] = count
        else:
            said["_count"] = {"extension": [{"url": ABSENT, "valueCode": "masked"}]}
        population.append(said)
    made: Resource = {"population": population}
    if one.whole and one.cell.score is not None:
        unit = "%" if one.cell.unit == "%" else "d"
        made["measureScore"] = {"value": _number(one.cell.score), "unit": unit, "system": UNITS, "code": unit}
    return made


def _number(score: int) -> Any:
    """Hundredths as a JSON number: whole where it is."""
    return score // 100 if score % 100 == 0 else score / 100


def table(found: Evaluated) -> Iterator[dict[str, str]]:
    """A row for each cell, by COLUMNS."""
    question, period = found.question, found.question.period
    start, end = instant(period.start_us), instant(period.end_us - 1)
    fixed = (question.measure["id"], question.measure["version"], instant(period.at_us), start, end)
    for code, cells in found.groups.items():
        for (dim, value), one in sorted(cells.items()):
            row = dict.fromkeys(COLUMNS, "")
            row |= zip(
                COLUMNS, (*fixed, code, dim, value, _words(dim, value, found.names) if dim else ""), strict=False
            )
            for place, (name, count) in enumerate(one.cell.counts):
                row[name.replace("-", "_")] = str(count) if place < one.shown else f"under {question.small}, or near it"
            if one.whole and one.cell.score is not None:
                row |= {"score": f"{one.cell.score // 100}.{one.cell.score % 100:02d}", "unit": one.cell.unit}
            yield row


def csv_text(tables: Iterable[Evaluated]) -> str:
    """With a heading; a name that a spreadsheet would take for a formula is written as text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for found in tables:
        writer.writerows({name: _plain(value) for name, value in row.items()} for row in table(found))
    return out.getvalue()


def _plain(value: str) -> str:
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

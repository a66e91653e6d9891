"""Made-up plan files for the tests of mappers/plan_files: a good row as header -> text, and files made of such rows."""

import csv
import io
import os
from datetime import date
from pathlib import Path

import openpyxl

from mappers.plan_files import layout
from mappers.plan_files.member_information import Outcome, members
from mappers.plan_files.rows import RowIssue
from mappers.plan_files.table import Table, read_rows

EXAMPLES = 3000 if os.environ.get("ENLACE_TEST_DEEP") else 60
TODAY = date(2026, 11, 22)
BASE = layout.load("member-information")
GOLDEN = Path(__file__).parents[2] / "golden" / "plan_files" / "member-information"
GOOD = {
    "Member CIN": "90000001A", "Last Name": "Quintanilla", "First Name": "Sonja", "Date of Birth": "02/28/1958",
    "Gender": "F", "Homelessness Indicator": "N", "Residential Zip": "93701", "Phone Number": "(559) 555-0101",
    "Email": "sonja@example.org", "Preferred Language (Spoken)": "Spanish",
    "Medi-Cal Coverage Start Date": "01/01/2025", "Medi-Cal Coverage End Date": "",
    "Member ECM Status": "Enrolled", "ECM Enrollment Start Date": "01/15/2026", "ECM Enrollment End Date": "",
    "Authorization Number": "AUTH-1", "Authorization Start Date": "01/10/2026", "Authorization End Date": "01/09/2027",
    "Population of Focus": "5", "ECM Provider NPI": "1234567893", "ECM Provider Name": "Rio Verde Clinic",
    "ECM Provider TIN": "012345678", "Lead Care Manager Name": "Pilar Okonkwo", "Lead Care Manager NPI": "1987654328",
    "Discontinuation Date": "", "Discontinuation Reason Code": "",
}  # fmt: skip


def csv_of(*rows: dict[str, str], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def xlsx_of(rows: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def read(data: bytes, filename: str = "mif.csv") -> tuple[Table, list[Outcome]]:
    table = read_rows(data, filename, BASE)
    return table, list(members(table, BASE, TODAY))


def issues_of(**changes: str) -> list[RowIssue]:
    """The issues of the good row with some cells changed; keyword names are fields of the layout."""
    row = dict(GOOD)
    for name, text in changes.items():
        row[BASE.by_name[name].headers[0]] = text
    _, outcomes = read(csv_of(row))
    return list(outcomes[0].issues)

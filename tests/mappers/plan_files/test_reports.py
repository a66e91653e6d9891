"""reports.py and the formula guard of delimited.py."""

import csv
import io

import pytest

from mappers.plan_files.delimited import guarded, unguarded, written
from mappers.plan_files.reports import Counts, issues_csv, report
from mappers.plan_files.rows import FileProblem, RowIssue

PAYLOADS = [
    '=HYPERLINK("https://evil.example.org","x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0",
    " =1+1", "'=1", "\n=1",
]  # fmt: skip


def test_the_report_counts_each_rule() -> None:
    issues = [
        RowIssue(3, "CIN", "cin-format", "8 digits and a letter expected"),
        RowIssue(4, "CIN", "cin-format", "8 digits and a letter expected"),
        RowIssue(4, "Email", "email-format", "name@domain expected", "warning"),
    ]
    found = report(issues, Counts(rows=5, accepted=3, rejected=2), [FileProblem("encoding", "Not UTF-8.", "warning")])
    assert found["counts"]["rejected"] == 2 and found["file"][0]["rule"] == "encoding"
    assert found["rules"][0] == {"rule": "cin-format", "severity": "error", "rows": 2}
    assert found["issues"][2] == {
        "row": 4, "column": "Email", "rule": "email-format", "message": "name@domain expected", "severity": "warning",
    }  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_of_the_row_errors_starts_a_formula(payload: str) -> None:
    text = issues_csv([RowIssue(2, payload, "required", "fill it in")]).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["Row", "Column", "Severity", "Rule", "Message"]
    assert rows[1][1] == f"'{payload}" and unguarded(rows[1][1]) == payload


@pytest.mark.parametrize("text", ["O'Dell", "Vang", "", "'Tis", "5;8"])
def test_plain_cells_come_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


def test_written_uses_the_delimiter() -> None:
    assert written([["a", "b|c"]], "|") == b'a|"b|c"\r\n'

"""table.py: what real files look like when they arrive, and hostile bytes."""

import csv
import io
import struct
import zipfile
from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.plan_files import archive
from tests.mappers.plan_files.made_up import EXAMPLES, GOOD, csv_of, read, xlsx_of

SHEET = "xl/worksheets/sheet1.xml"


def rules(data: bytes, filename: str = "mif.csv") -> set[str]:
    table, _ = read(data, filename)
    return {problem.rule for problem in table.problems}


def test_a_bom_a_title_line_blank_rows_and_quoted_newlines() -> None:
    lines = csv_of(GOOD | {"Last Name": "Quin\r\ntanilla"}, GOOD | {"Member CIN": "90000002B"}).decode()
    data = "\ufeffMember file of November\r\n\r\n" + lines + "\r\n,,,\r\n"
    table, outcomes = read(data.encode())
    # Row numbers are those of the sheet: the quoted line break does not count.
    assert [o.row for o in outcomes] == [4, 5]
    assert outcomes[0].member and outcomes[0].member.last_name == "Quin tanilla"
    assert (table.blank_rows, table.data_rows, table.problems) == (2, 2, [])


def test_windows_1252_is_read_with_a_warning() -> None:
    data = csv_of(GOOD | {"First Name": "Félix"}).decode().encode("cp1252")
    table, outcomes = read(data)
    assert [(p.rule, p.severity) for p in table.problems] == [("encoding", "warning")]
    assert outcomes[0].member and outcomes[0].member.first_name == "Félix"


def test_utf_16_is_read_with_a_warning() -> None:
    table, outcomes = read(csv_of(GOOD).decode().encode("utf-16"))
    assert [p.rule for p in table.problems] == ["encoding"] and outcomes[0].member


def test_another_delimiter_is_read_with_a_warning() -> None:
    table, outcomes = read(csv_of(GOOD, delimiter="|"))
    assert [(p.rule, p.severity) for p in table.problems] == [("read-differently", "warning")]
    assert "pipe" in table.problems[0].message and outcomes[0].member


def test_unknown_columns_are_reported_once_and_missing_required_ones_stop_the_file() -> None:
    table, outcomes = read(csv_of(GOOD | {"Shoe Size": "41", "Hat": "7"}, GOOD | {"Shoe Size": "", "Hat": ""}))
    assert [p.rule for p in table.problems] == ["unknown-column"] and "Shoe Size, Hat" in table.problems[0].message
    assert outcomes[0].member
    less = {k: v for k, v in GOOD.items() if k not in ("Member CIN", "ECM Provider NPI")}
    table, outcomes = read(csv_of(less))
    assert [(p.rule, p.severity) for p in table.problems] == [("missing-column", "error")]
    assert "Member CIN, ECM Provider NPI" in table.problems[0].message and not outcomes and not table.readable


def test_two_columns_for_one_field_stop_the_file() -> None:
    assert "column-twice" in rules(csv_of(GOOD | {"CIN": "90000001A"}))


def test_ragged_rows_are_rejected_and_the_rest_is_read() -> None:
    good = csv_of(GOOD, GOOD | {"Member CIN": "90000002B"}).splitlines(keepends=True)
    data = good[0] + good[1].replace(b"Sonja", b"Son,ja") + b"90000003C,Short\r\n" + good[2]
    _, outcomes = read(data)
    assert [[i.rule for i in o.issues] for o in outcomes] == [["ragged-row"], ["ragged-row"], []]
    assert [o.member is None for o in outcomes] == [True, True, False]


def test_nul_bytes_are_taken_out_and_reported() -> None:
    _, outcomes = read(csv_of(GOOD | {"First Name": "Son\x00ja"}))
    assert outcomes[0].member and outcomes[0].member.first_name == "Sonja"
    assert [(i.rule, i.column) for i in outcomes[0].issues] == [("bad-character", "First Name")]


def test_a_cell_that_is_too_long_rejects_its_row() -> None:
    _, outcomes = read(csv_of(GOOD | {"Last Name": "x" * 10_001}))
    assert outcomes[0].member is None and "cell-too-long" in {i.rule for i in outcomes[0].issues}


def test_a_quote_that_never_ends_is_a_file_problem_after_the_rows_before_it() -> None:
    data = csv_of(GOOD) + b'"' + b"x" * 200_000
    table, outcomes = read(data)
    assert outcomes[0].member and [p.rule for p in table.problems] == ["unreadable"]


def test_more_rows_than_the_cap_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mappers.plan_files.table.MAX_ROWS", 2)
    table, outcomes = read(csv_of(GOOD, GOOD, GOOD))
    assert len(outcomes) == 2 and [p.rule for p in table.problems] == ["too-many-rows"]


def test_a_workbook_with_typed_dates_serials_numbers_and_lost_zeros() -> None:
    row: dict[str, object] = dict(GOOD) | {
        "Date of Birth": date(1958, 2, 28), "Medi-Cal Coverage Start Date": 45658,
        "ECM Enrollment Start Date": datetime(2026, 1, 15), "ECM Provider NPI": 1234567893,
        "ECM Provider TIN": 12345678, "Residential Zip": 2134, "Phone Number": 5595550101, "Population of Focus": 5,
    }  # fmt: skip
    data = xlsx_of([["November file"], [], list(row), list(row.values()), [], [1234567] + [None] * 5])
    table, outcomes = read(data, "mif.xlsx")
    member = outcomes[0].member
    assert member and outcomes[0].row == 4 and table.blank_rows == 1 and table.problems == []
    assert (member.birth_date, member.coverage_start) == (date(1958, 2, 28), date(2025, 1, 1))
    assert (member.ecm_start, member.provider_npi) == (date(2026, 1, 15), "1234567893")
    assert (member.residential_zip, member.phone, member.pofs) == ("02134", "559-555-0101", ("5",))
    assert member.provider_tin == "012345678"
    assert {(i.rule, i.column, i.severity) for i in outcomes[0].issues} == {
        ("date-serial", "Medi-Cal Coverage Start Date", "warning"),
        ("leading-zeros", "ECM Provider TIN", "warning"),
        ("leading-zeros", "Residential Zip", "warning"),
    }
    assert "7 digits" in next(i.message for i in outcomes[1].issues if i.rule == "cin-format")


@pytest.mark.parametrize("cut", [4, 100, 2000, -30])
def test_a_truncated_workbook_is_one_sentence(cut: int) -> None:
    assert rules(xlsx_of([list(GOOD), list(GOOD.values())])[:cut], "mif.xlsx") == {"not-a-workbook"}


def _repacked(changes: dict[str, bytes]) -> bytes:
    """A good workbook with some of its parts replaced."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(xlsx_of([list(GOOD), list(GOOD.values())]))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        parts = {part.filename: old.read(part) for part in old.infolist()}
        for name, content in (parts | changes).items():
            new.writestr(name, content)
    return out.getvalue()


def test_a_zip_bomb_is_refused_even_when_its_headers_lie() -> None:
    bomb = _repacked({SHEET: b" " * 210_000_000})
    assert rules(bomb, "mif.xlsx") == {"too-large-unpacked"}
    lying = bomb.replace(struct.pack("<I", 210_000_000), struct.pack("<I", 10))
    assert lying != bomb and rules(lying, "mif.xlsx") == {"too-large-unpacked"}


def test_a_far_off_cell_is_refused_before_a_rectangle_is_allocated() -> None:
    rows = b'<row r="1"><c r="A1"/></row><row r="9"><c r="XFD1048576"/></row>'
    cell = b"<worksheet><sheetData>" + rows + b"</sheetData></worksheet>"
    assert rules(_repacked({SHEET: cell}), "mif.xlsx") == {"sheet-too-large"}


def test_rows_and_cells_without_references_are_counted() -> None:
    inside = b"<row/>" * 1_000_000 + b"<row>" + b"<c><v>1</v></c>" * 16_000 + b"</row>"
    sheet = b"<worksheet><sheetData>" + inside + b"</sheetData></worksheet>"
    assert rules(_repacked({SHEET: sheet}), "mif.xlsx") == {"sheet-too-large"}


def test_long_texts_that_millions_of_cells_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TEXT", 100_000)
    strings = b"<sst><si><t>" + b"x" * 9_000 + b"</t></si><si><t>y</t></si></sst>"
    sheet = b"<worksheet><sheetData><row>" + b'<c t="s"><v>0</v></c>' * 50 + b"</row></sheetData></worksheet>"
    assert rules(_repacked({"xl/sharedStrings.xml": strings, SHEET: sheet}), "mif.xlsx") == {"text-too-large"}


def test_an_encrypted_or_other_archive_is_not_a_workbook() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        new.writestr("content.xml", "<x/>")
    assert rules(out.getvalue()) == {"not-a-workbook"}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(["a.csv", "a.xlsx", ""]))
def test_no_bytes_make_it_raise(data: bytes, filename: str) -> None:
    table, outcomes = read(data, filename)
    assert table.problems and not outcomes


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=12), st.sampled_from(["csv", "xlsx"]))
def test_no_damage_to_a_good_file_makes_it_raise(at: int, noise: bytes, kind: str) -> None:
    data = csv_of(GOOD, GOOD) if kind == "csv" else xlsx_of([list(GOOD), list(GOOD.values())])
    at %= len(data)
    read(data[:at] + noise + data[at + len(noise) :], f"a.{kind}")


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=30), max_size=5))
def test_no_cells_make_it_raise(rows: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, escapechar="\\").writerows(rows)
    read(csv_of(GOOD) + out.getvalue().encode("utf-8", errors="surrogatepass"))


def test_damaged_deflate_is_refused() -> None:
    data = _repacked({})
    at = data.index(b"sheet1.xml") + 10
    assert rules(data[:at] + b"\xff" * 20 + data[at + 20 :], "a.xlsx") == {"not-a-workbook"}

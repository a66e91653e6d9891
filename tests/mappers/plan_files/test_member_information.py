"""member_information.py, cells.py, checks.py: golden files, and each rule broken once."""

import csv
import dataclasses
import io
import json
import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.plan_files import layout
from mappers.plan_files.cells import luhn
from mappers.plan_files.checks import POF_AGES, RULES, age
from mappers.plan_files.member_information import format_rows, members
from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.rows import shape
from mappers.plan_files.table import read_rows
from tests.mappers.plan_files.made_up import BASE, EXAMPLES, GOLDEN, GOOD, TODAY, csv_of, issues_of, read, xlsx_of

FILES = [("base", "csv"), ("golden-poppy", "txt"), ("sierra-valley", "csv")]


def plain(member: MemberRow) -> dict[str, object]:
    told = {k: v for k, v in dataclasses.asdict(member).items() if k != "row" and v not in (None, ())}
    text: dict[str, object] = json.loads(json.dumps(told, default=date.isoformat))
    return text


@pytest.mark.parametrize(("plan", "ending"), FILES)
@pytest.mark.parametrize("as_xlsx", [False, True])
def test_golden_files(plan: str, ending: str, as_xlsx: bool) -> None:
    pack = layout.load("member-information", plan)
    data, name = (GOLDEN / f"{plan}.{ending}").read_bytes(), f"{plan}.{ending}"
    if as_xlsx:
        text = io.StringIO(data.decode(), newline="")
        data, name = xlsx_of([list(row) for row in csv.reader(text, delimiter=pack.delimiter)]), f"{plan}.xlsx"
    table = read_rows(data, name, pack)
    outcomes = list(members(table, pack, TODAY))
    assert table.problems == [] and [o.issues for o in outcomes] == [()] * 4
    people = [o.member for o in outcomes if o.member]
    assert [plain(p) for p in people] == json.loads((GOLDEN / f"{plan}.members.json").read_text())
    again = format_rows(people, pack)
    assert as_xlsx or again == data


def test_the_good_row_has_no_issue() -> None:
    assert issues_of() == []


BROKEN = [
    ("cin-format", "error", "Member CIN", {"cin": "123456789"}, "8 digits and a letter expected, got 9 digits"),
    ("cin-format", "error", "Member CIN", {"cin": "1234567A"}, "got 7 digits and a letter; leading zeros"),
    ("cin-card-number", "warning", "Member CIN", {"cin": "90000001A12345"}, "first nine"),
    ("required", "error", "Member CIN", {"cin": ""}, "required"),
    ("required", "error", "Last Name", {"last_name": " "}, "required"),
    ("required", "error", "Authorization Start Date", {"authorization_start": ""}, "'Authorization Number' is given"),
    ("too-long", "error", "First Name", {"first_name": "x" * 61}, "at most 60 characters, got 61"),
    ("npi-format", "error", "ECM Provider NPI", {"provider_npi": "1.23457E+09"}, "format the column as text"),
    ("npi-check-digit", "error", "ECM Provider NPI", {"provider_npi": "1234567894"}, "check digit"),
    ("npi-check-digit", "error", "Lead Care Manager NPI", {"lcm_npi": "1987654321"}, "check digit"),
    ("tin-format", "warning", "ECM Provider TIN", {"provider_tin": "12-34"}, "9 digits expected"),
    ("leading-zeros", "warning", "Residential Zip", {"residential_zip": "2134"}, "put back"),
    ("zip-format", "warning", "Residential Zip", {"residential_zip": "9370A"}, "5 or 9 digits"),
    ("phone-format", "warning", "Phone Number", {"phone": "555-0101"}, "10-digit"),
    ("email-format", "warning", "Email", {"email": "sonja at example"}, "name@domain"),
    ("boolean", "warning", "Homelessness Indicator", {"homeless": "perhaps"}, "Y or N"),
    ("unmapped-code", "error", "Member ECM Status", {"ecm_status": "Vanished"}, "use one of Referred"),
    ("unmapped-code", "error", "Population of Focus", {"pofs": "5;12"}, "use one of 1a"),
    ("unmapped-code", "warning", "Preferred Language (Spoken)", {"language_spoken": "Elvish"}, "layout"),
    ("date-format", "error", "Date of Birth", {"birth_date": "28.02.1958"}, "MM/DD/YYYY or"),
    ("date-format", "error", "Date of Birth", {"birth_date": "28/XYZ/1958"}, "expected, got"),
    ("date-format", "error", "Date of Birth", {"birth_date": "02/30/1958"}, "there is no such day, read as MM/DD"),
    ("date-format", "error", "Date of Birth", {"birth_date": "1958-13-01"}, "(month and day exchanged?), read"),
    ("date-format", "error", "Date of Birth", {"birth_date": "21244"}, "spreadsheet serial number"),
    ("date-range", "error", "Date of Birth", {"birth_date": "02/28/0058"}, "century"),
    ("birth-date", "error", "Date of Birth", {"birth_date": "11/23/2026", "ecm_start": "11/24/2026"}, "future"),
    ("date-order", "error", "Medi-Cal Coverage End Date", {"coverage_end": "12/31/2024"}, "ends before"),
    ("date-order", "error", "ECM Enrollment End Date", {"ecm_end": "01/14/2026"}, "ends before"),
    ("date-order", "error", "Authorization End Date", {"authorization_end": "01/09/2026"}, "ends before"),
    ("date-order", "error", "ECM Enrollment Start Date", {"birth_date": "01/16/2026"}, "before the member was born"),
    ("date-order", "error", "Discontinuation Date",
     {"discontinuation_date": "01/14/2026", "discontinuation_reason": "1"}, "before the start"),
    ("discontinuation-reason", "error", "Discontinuation Reason Code",
     {"discontinuation_date": "12/01/2026"}, "needs a reason"),
    ("discontinuation-date", "error", "Discontinuation Date", {"discontinuation_reason": "1"}, "needs its date"),
    ("discontinuation-date", "error", "Discontinuation Date", {"ecm_status": "Discontinued"}, "needs its date"),
    ("enrolled-without-start", "error", "ECM Enrollment Start Date", {"ecm_start": ""}, "needs the ECM start"),
    ("enrolled-without-lcm", "warning", "Lead Care Manager Name", {"lcm_name": "", "lcm_npi": ""}, "lead care manager"),
    ("pof-missing", "warning", "Population of Focus", {"pofs": ""}, "at least one"),
    ("pof-age", "warning", "Population of Focus", {"pofs": "2b"}, "21 and older"),
    ("homeless-conflict", "warning", "Homelessness Indicator", {"pofs": "1a"}, "indicator says not"),
    ("status-conflict", "warning", "Member ECM Status",
     {"discontinuation_date": "11/22/2026", "discontinuation_reason": "1"}, "has passed"),
    ("coverage-ended", "warning", "Medi-Cal Coverage End Date", {"coverage_end": "11/21/2026"}, "has ended"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "severity", "column", "changes", "words"), BROKEN)
def test_each_rule_broken_once(rule: str, severity: str, column: str, changes: dict[str, str], words: str) -> None:
    found = issues_of(**changes)
    mine = [issue for issue in found if (issue.rule, issue.column) == (rule, column)]
    assert len(mine) == 1 and mine[0].severity == severity and words in mine[0].message and mine[0].row == 2
    # Never the value itself: it may be about a person.
    assert not any(len(value) > 4 and value in issue.message for value in changes.values() for issue in found)
    row = GOOD | {BASE.by_name[name].headers[0]: text for name, text in changes.items()}
    _, outcomes = read(csv_of(row))
    assert (outcomes[0].member is None) == any(issue.severity == "error" for issue in found)


def test_every_rule_of_the_table_is_broken_above() -> None:
    assert {rule.code for rule in RULES} <= {rule for rule, *_ in BROKEN}


def test_all_problems_of_a_row_come_at_once() -> None:
    found = issues_of(cin="1", provider_npi="2", birth_date="x")
    assert [i.rule for i in found] == ["cin-format", "date-format", "npi-format"]


def test_a_second_row_with_the_same_cin_names_the_first() -> None:
    _, outcomes = read(csv_of(GOOD, GOOD | {"Member CIN": "90000002B"}, GOOD | {"Member CIN": " 90000001a"}))
    assert [o.member is not None for o in outcomes] == [True, True, False]
    assert [(i.rule, i.row, i.column) for i in outcomes[2].issues] == [("duplicate-cin", 4, "Member CIN")]
    assert "row 2 " in outcomes[2].issues[0].message


def test_the_end_of_time_is_an_open_end_and_empty_words_are_empty() -> None:
    row = GOOD | {"Medi-Cal Coverage End Date": "12/31/9999", "Phone Number": "N/A", "Last Name": "Null"}
    _, outcomes = read(csv_of(row))
    member = outcomes[0].member
    assert member and (member.coverage_end, member.phone, member.last_name) == (None, None, "Null")


@pytest.mark.parametrize(("code", "bounds"), POF_AGES.items())
def test_population_ages_at_their_bounds(code: str, bounds: tuple[int | None, int | None]) -> None:
    def warned(years: int) -> bool:
        birth = f"01/15/{2026 - years}"
        return "pof-age" in {i.rule for i in issues_of(pofs=code, birth_date=birth, homeless="")}

    low, high = bounds
    if low is not None:
        assert (warned(low - 1), warned(low)) == (True, False)
    if high is not None:
        assert (warned(high), warned(high + 1)) == (False, True)


def test_age_luhn_and_shape() -> None:
    assert (age(date(2004, 2, 29), date(2025, 2, 28)), age(date(2004, 2, 29), date(2025, 3, 1))) == (20, 21)
    assert luhn("808401234567893") and not luhn("808401234567894")
    assert [shape(t) for t in ("1", "12345678A", "ab", "a-1", "")] == [
        "1 digit", "8 digits and a letter", "2 letters", "3 characters of digits and letters and signs", "nothing",
    ]  # fmt: skip


NAME = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
    lambda t: not t.startswith("'")
)
DAY = st.dates(date(1990, 1, 1), date(2026, 1, 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(last=NAME, first=NAME, birth=DAY, start=DAY, plan=st.sampled_from([p for p, _ in FILES]))
def test_parse_undoes_format(last: str, first: str, birth: date, start: date, plan: str) -> None:
    pack = layout.load("member-information", plan)
    people = json.loads((GOLDEN / "base.members.json").read_text())
    member = MemberRow(
        cin="90000009Z", last_name=last, first_name=first, birth_date=birth, coverage_start=start, pofs=("1a", "9"),
        ecm_status="referred", provider_npi=people[0]["provider_npi"], provider_name=last, plan_member_id="M1",
        homeless=True, phone="559-555-0103 x12", discontinuation_reason=None,
    )  # fmt: skip
    outcomes = list(members(read_rows(format_rows([member], pack), "x.csv", pack), pack, TODAY))
    assert [o.member for o in outcomes] == [member]


def test_ten_thousand_rows_take_seconds() -> None:
    rows = [GOOD | {"Member CIN": f"{n:08}A", "Authorization Number": f"A{n}"} for n in range(10_000)]
    data = csv_of(*rows)
    started = time.process_time()
    _, outcomes = read(data)
    seconds = time.process_time() - started
    print(f"10,000 rows in {seconds:.2f} s of CPU")
    assert sum(o.member is not None for o in outcomes) == 10_000 and seconds < 10

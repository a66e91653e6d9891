"""What is wrong with a record is said with member, rule and remedy, all at once and without the value."""

import io
import zipfile
from typing import Any

import pytest

from mappers.hsds import archive
from mappers.hsds.checks import problems
from mappers.hsds.package import read_json
from mappers.hsds.tabular import read_tables
from mappers.plan_files.rows import FileProblem
from tests.mappers.hsds.made_up import SERVICE


@pytest.mark.parametrize(
    ("member", "value", "column", "rule"),
    [
        ("name", None, "service.name", "missing"),
        ("status", "open", "service.status", "form"),
        ("email", "nobody", "service.email", "form"),
        ("url", "javascript:alert(1)", "service.url", "form"),
        ("minimum_age", "18", "service.minimum_age", "number"),
        ("maximum_age", 200, "service.maximum_age", "form"),
        ("minimum_age", 121, "service.maximum_age", "order"),
        ("assured_date", "11/02/2026", "service.assured_date", "form"),
        ("phones", "555", "service.phones", "structure"),
        ("phones", [{"id": "p"}], "service.phones[0].number", "missing"),
        ("phones", ["x"], "service.phones[0]", "structure"),
        ("schedules", [{"id": "s", "byday": "Monday"}], "service.schedules[0].byday", "form"),
        ("schedules", [{"id": "s", "opens_at": "9am"}], "service.schedules[0].opens_at", "form"),
        ("languages", [{"id": "l", "code": "Spanish!"}], "service.languages[0].code", "form"),
        ("cost_options", [{"id": "o", "amount": -1}], "service.cost_options[0].amount", "form"),
        ("program", [], "service.program", "structure"),
        ("description", "x" * 20_001, "service.description", "too-long"),
        ("name", {"en": "x"}, "service.name", "structure"),
        ("alert", {"en": "x"}, "", ""),
    ],
)
def test_each_problem(member: str, value: Any, column: str, rule: str) -> None:
    found = [(one.column, one.rule) for one in problems("service", SERVICE | {member: value}, 7)]
    assert found == ([(column, rule)] if column else [])


def test_all_at_once_and_no_value() -> None:
    bad = SERVICE | {"name": "", "email": "secret at example", "latitude": "x", "status": "secret"}
    found = problems("service", bad, 7)
    assert {one.rule for one in found} == {"missing", "form"} and len(found) == 3
    assert all("secret" not in one.message and one.row == 7 for one in found)


@pytest.mark.parametrize(("latitude", "longitude"), [(100, 0), (0, 181), ("37", -121)])
def test_what_is_no_place_on_earth(latitude: Any, longitude: Any) -> None:
    record = {"id": "l", "location_type": "physical", "latitude": latitude, "longitude": longitude}
    assert len(problems("location", record, 1)) == 1


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 5000, b"NaN", b"3", b"{}", b'{"contents":[]}'])
def test_a_file_that_holds_nothing(data: bytes) -> None:
    package = read_json(data)
    assert package.problems and not any(package.entries.values())


def test_items_without_id_are_left_out_alone() -> None:
    package = read_json(b'[{"status":"active"},7,{"id":"o","name":"x"}]')
    assert package.broken == 2 and len(package.issues) == 2 and list(package.entries["organization"]) == ["o"]


def test_the_same_id_twice() -> None:
    package = read_json(b'[{"id":"o","name":"x"},{"id":"o","name":"x"},{"id":"o","name":"y"}]')
    assert [one.rule for one in package.issues] == ["differs"]


def test_rows_of_tables_that_do_not_fit() -> None:
    files = {
        "services.csv": b"id,organization_id,name,status\ns,o,Food,active\nx,y\n",
        "organizations.csv": b"id,name\no,Org\n",
        "phones.csv": b"id,number,service_id\np,5550100,gone\n",
        "notes.csv": b"id\n1\n",
    }
    package = read_tables(files)
    assert [one.rule for one in package.issues] == ["ragged-row", "unknown-owner"]
    assert [one.rule for one in package.problems] == ["unknown-table"] and package.broken == 1


def test_archives() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/services.csv", "id\n1\n")
        file.writestr("readme.txt", "x")
    assert archive.tables(out.getvalue()) == {"a/services.csv": b"id\n1\n"}
    assert isinstance(archive.tables(out.getvalue()[:-30]), FileProblem)
    assert isinstance(archive.tables(b"PK\x03\x04"), FileProblem)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("services.csv", "x" * 100_000)
    monkeypatch.setattr(archive, "MAX_UNPACKED", 50_000)
    found = archive.tables(out.getvalue())
    assert isinstance(found, FileProblem) and found.rule == "too-large"

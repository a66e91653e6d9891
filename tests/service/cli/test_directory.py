"""`enlace directory`: import with a report, export, stale, find; wrong files are one sentence."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fhir_profiles.json_text import write_json
from mappers.hsds.package import document
from service.cli import app
from tests.mappers.hsds.made_up import plain, records

Enlace = Callable[..., Awaitable[Any]]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The command line is the same over both engines."""
    return sqlite_url


@pytest.fixture
def enlace(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enlace:
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENLACE_SECRET_KEY_FILE", str(tmp_path / "secret.key"))

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["directory", *words])

    return run


async def test_in_out_and_found(enlace: Enlace, tmp_path: Path) -> None:
    source, out, tables = tmp_path / "in.json", tmp_path / "out.json", tmp_path / "out.zip"
    source.write_bytes(write_json(document(records())))
    told = await enlace("import", str(source), "--dry-run")
    assert told.exit_code == 0 and "nothing was stored" in told.output
    told = await enlace("import", str(source), "--json")
    assert json.loads(told.output)["counts"]["created"] == 3
    assert (await enlace("export", str(out))).exit_code == 0
    assert json.loads(out.read_bytes()) == json.loads(source.read_bytes())
    assert "1 services" in (await enlace("export", str(tables))).output
    again = await enlace("import", str(tables), "--json")
    assert json.loads(again.output)["counts"]["unchanged"] == 3
    assert "No service was found." in (await enlace("find", "--language", "es")).output, "it is closed for a time"
    source.write_bytes(write_json([plain(1), plain(2)]))
    assert (await enlace("import", str(source))).exit_code == 0
    found = await enlace("find", "--near", "37.002|-121.002|500|km", "--limit", "1", "--json")
    (one,) = json.loads(found.output)
    assert one["name"] == "Service 2" and one["organization"].startswith("Organization/hsds-")
    assert "Service 1" in (await enlace("find")).output


@pytest.mark.parametrize(
    ("option", "value", "begins"),
    [
        ("--near", "here", "--near takes latitude|longitude"),
        ("--near", "37|-121|10|yards", "--near takes latitude|longitude"),
        ("--open-at", "late", "--open-at takes a dateTime"),
    ],
)
async def test_refused_in_the_words_that_were_typed(enlace: Enlace, option: str, value: str, begins: str) -> None:
    told = await enlace("find", option, value)
    assert told.exit_code == 1 and told.output.startswith(begins)
    assert "Parameter" not in told.output and "_sort" not in told.output


async def test_a_standing_that_there_is_not(enlace: Enlace) -> None:
    told = await enlace("find", "--capacity", "capacity,plenty")
    assert told.exit_code == 2 and "waitlist" in told.output


async def test_stale(enlace: Enlace, tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    source.write_bytes(write_json([plain(1), {**plain(2), "phones": [{"id": "p", "number": "+1 209-555-0140"}]}]))
    await enlace("import", str(source))
    rows = json.loads((await enlace("stale", "--days", "30", "--json")).output)
    assert [one["asked"] for one in rows] == ["no", "no"]
    assert sorted(one["phone"] for one in rows) == ["", "+1 209-555-0140"], "whom nobody reaches by a Task is called"
    assert "yes" in (await enlace("stale", "--ask")).output


async def test_findings_go_to_a_file(enlace: Enlace, tmp_path: Path) -> None:
    source, findings = tmp_path / "in.json", tmp_path / "findings.csv"
    source.write_bytes(write_json([plain(1), {**plain(2), "status": "open"}]))
    told = await enlace("import", str(source), "--errors", str(findings))
    assert told.exit_code == 0 and "1 of 6 rejected" in told.output
    assert b"service.status" in findings.read_bytes()


@pytest.mark.parametrize("data", [b"{", b"[]", b"PK\x03\x04broken"])
async def test_files_that_hold_nothing(enlace: Enlace, tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "in.json"
    source.write_bytes(data)
    told = await enlace("import", str(source))
    assert told.exit_code == 1 and told.output.strip()


async def test_wrong_paths(enlace: Enlace, tmp_path: Path) -> None:
    told = await enlace("import", str(tmp_path / "nowhere.json"))
    assert told.exit_code == 1 and "cannot be read" in told.output
    assert (await enlace("export", str(tmp_path / "out.txt"))).exit_code == 2

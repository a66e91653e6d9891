"""`enlace measures`: lists definitions, computes tables, JSON and CSV; wrong use in a sentence."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.cli.measures import OPTIONS
from service.workflow.measure_definitions import CALCULATIONS

RUNNER = CliRunner()


@pytest.fixture
def county(sqlite_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small made-up world: two referrals."""
    from tests.conftest import copy_database

    path = tmp_path / "enlace.db"
    copy_database(sqlite_world, path)
    monkeypatch.setenv("ENLACE_DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.setenv("ENLACE_SECRET_KEY_FILE", str(tmp_path / "secret.key"))


SPAN = ("--start", "2026-01-01", "--end", "2026-12-31")


def test_tables_json_and_csv(county: None, tmp_path: Path):
    listed = RUNNER.invoke(app, ["measures", "list", "--json"])
    assert [row["id"] for row in json.loads(listed.output)] == list(CALCULATIONS)
    shown = RUNNER.invoke(app, ["measures", "run", "referrals-made", *SPAN, "--by", "requester"])
    assert shown.exit_code == 0, shown.output
    lines = [line.split() for line in shown.output.splitlines()]
    assert ["referrals", "all", "2", "-"] in lines and ["referrals", "requester", "1", "-", "ecm-1"] in lines
    report = json.loads(RUNNER.invoke(app, ["measures", "run", "days-to-close", *SPAN, "--totals", "--json"]).output)
    assert "stratifier" not in report[0]["group"][0]
    out = tmp_path / "m.csv"
    written = RUNNER.invoke(app, ["measures", "run", *SPAN, "--small", "11", "--csv", "--out", str(out)])
    assert written.exit_code == 0, written.output
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert {row["measure"] for row in rows} == set(CALCULATIONS)
    made = [row["initial_population"] for row in rows if row["measure"] == "referrals-made"]
    assert made and set(made) == {"under 11, or near it"}


def test_wrong_use_is_told_in_a_sentence(county: None):
    for words, said in (
        (["nothing"], "not computed here"),
        (["referrals-made", "--start", "soon"], "--start takes a date"),
        (["referrals-made", "--start", "2026-05-01", "--end", "2026-01-01"], "--end lies before --start: give"),
        (["referrals-made", "--at", "2999"], "--at lies in the future"),
        (["referrals-made", "--by", "shoes"], "--by takes need, "),
    ):
        answer = RUNNER.invoke(app, ["measures", "run", *words])
        assert answer.exit_code == 1 and said in answer.output, (words, answer.output)
        assert not any(name in answer.output for name in OPTIONS if name != "months")

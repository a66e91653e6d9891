"""`enlace files import` as a person types it: exit codes, sentences, --json, --errors, and a kill in the middle."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.files import app
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.workflow.member_plan import DIRECTORY, PLAN, csv_of, member, put, stored

POSTGRESQL_IN_DEEP = True

KILLS = 8 if os.environ.get("ENLACE_TEST_DEEP") else 1
MANY = 400


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENLACE_ENV", "sandbox")
    with_store(database_url, lambda store: put(store, *DIRECTORY))


def with_store(url: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        store = await open_store(url, FrozenClock())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["import", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def members(tmp_path: Path) -> Path:
    path = tmp_path / "members.csv"
    path.write_bytes(csv_of(member(1), member(2), member(3, provider_npi="1000000004")))
    return path


def imported(path: Path, *more: str) -> tuple[int, str, str]:
    return run("member-information", str(path), "--plan", PLAN, *more)


def test_a_file_is_imported_and_then_known(members: Path, tmp_path: Path) -> None:
    code, text, problem = imported(members, "--errors", str(tmp_path / "findings.csv"))
    assert (code, problem) == (0, "")
    assert "2 members created, 0 updated, 0 unchanged; 1 of 3 rows rejected." in text
    assert "Row 4, ECM Provider NPI: error provider-unknown" in text
    findings = (tmp_path / "findings.csv").read_text()
    assert findings.splitlines()[1].startswith("4,ECM Provider NPI,error,provider-unknown,")
    code, text, _ = imported(members)
    assert code == 0 and "already imported" in text and "--again" in text
    assert imported(members, "--again")[1].endswith("2 unchanged; 1 of 3 rows rejected.")


def test_a_pack_of_ones_own_and_one_member(members: Path, tmp_path: Path) -> None:
    pack, file = tmp_path / "pack.json", tmp_path / "own.csv"
    pack.write_text('{"columns": [{"field": "cin", "headers": ["MEDICAL_NO"]}]}')
    file.write_bytes(csv_of(member(1), member(2, cin="12")).replace(b"Member CIN", b"MEDICAL_NO"))
    assert imported(file)[0] == 1, "without the pack a required column is missing"
    code, text, _ = imported(file, "--layout", str(pack), "--again")
    assert code == 0 and "1 member created, 0 updated, 0 unchanged; 1 of 2 rows rejected." in text
    assert "Row 3, MEDICAL_NO (Member CIN): error cin-format" in text
    pack.write_text("[]")
    code, text, problem = imported(file, "--layout", str(pack))
    assert (code, text) == (1, "") and problem.startswith("The layout pack is no JSON object")


def test_json_is_the_report(members: Path) -> None:
    code, text, _ = imported(members, "--json")
    report = json.loads(text)
    assert (code, report["state"], report["counts"]["created"], report["counts"]["rejected"]) == (0, "done", 2, 1)
    assert [(i["row"], i["column"], i["rule"]) for i in report["issues"]] == [
        (4, "ECM Provider NPI", "provider-unknown")
    ]
    assert json.loads(imported(members, "--json")[1]) == report | {"state": "already-imported"}


def test_a_dry_run_stores_nothing(members: Path, database_url: str) -> None:
    code, text, _ = imported(members, "--dry-run")
    assert code == 0 and text.splitlines()[-1].startswith("Nothing was stored.")
    assert with_store(database_url, lambda store: stored(store, "Patient")) == []


@pytest.mark.parametrize("plan", ["plan-1", "Organization/plan-1"])
def test_a_plan_may_be_named_by_its_organization(members: Path, plan: str) -> None:
    assert run("member-information", str(members), "--plan", plan)[0] == 0


@pytest.mark.parametrize(("plan", "words"), [("nobody", "No such plan"), ("ecm-1", "not a plan")])
def test_an_unknown_plan_is_one_sentence_and_exit_1(members: Path, plan: str, words: str) -> None:
    code, text, problem = run("member-information", str(members), "--plan", plan)
    assert (code, text) == (1, "") and words in problem and "\n" not in problem


def test_a_file_that_cannot_be_read_is_exit_1(tmp_path: Path) -> None:
    path = tmp_path / "picture.csv"
    path.write_bytes(bytes(range(256)) * 20)
    code, text, _ = imported(path)
    assert code == 1 and "No header row was found" in text and "was not imported" in text


def test_wrong_use_is_exit_2(members: Path, tmp_path: Path) -> None:
    assert run("member-gossip", str(members), "--plan", PLAN)[0] == 2
    assert run("member-information", str(tmp_path / "absent.csv"), "--plan", PLAN)[0] == 2
    assert run("member-information", str(members))[0] == 2


def test_help_shows_an_example() -> None:
    assert "enlace files import member-information" in run("--help")[1]


def test_a_database_that_is_not_there_is_a_sentence(
    members: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENLACE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    code, _, problem = imported(members)
    assert code == 1 and "enlace migrate" in problem


def test_a_killed_import_goes_on_with_the_same_command(tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "many.csv"
    path.write_bytes(csv_of(*(member(n) for n in range(1, MANY + 1))))
    command = [sys.executable, "-c", "from service.cli.files import app; app()", "import", "member-information"]
    found = 0
    for _ in range(KILLS):
        process = subprocess.Popen([*command, str(path), "--plan", PLAN], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            now = len(with_store(database_url, lambda store: stored(store, "Patient")))
            if now > found:
                found = now
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert found > 0
    code, text, _ = imported(path, "--json")
    counts = json.loads(text)["counts"]
    assert (code, counts["created"] + counts["unchanged"], counts["updated"]) == (0, MANY, 0)
    for rtype in ("Patient", "Coverage", "EpisodeOfCare", "CareTeam"):
        assert len(with_store(database_url, lambda store, t=rtype: stored(store, t))) == MANY  # type: ignore[misc]

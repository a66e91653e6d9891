"""`enlace audit`, what doctor says of seals, and the audit rows of what a person does by the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.change import AuditRow, Change
from service.store.engine import Store
from service.workflow.sealing import Sealer
from tests.service.cli.installation import Patient
from tests.service.world import PLAN1, build_world

POSTGRESQL_IN_DEEP = True

ROW = AuditRow("R", "read", 0, "me", "Organization/o", "Patient/p", ("Patient/p",))
Enlace = Callable[..., Any]


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Patient:
    return Patient(database_url, tmp_path, env={"ENLACE_AUDIT_RECEIPTS": str(tmp_path / "receipts.jsonl")})


@pytest.fixture
def enlace(site: Patient) -> Enlace:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments), env=site.env)

    return run


def sealed(site: Patient, *rows: AuditRow) -> None:
    key = Path(site.env["ENLACE_AUDIT_KEY_FILE"])
    if not key.exists():
        key.write_bytes(b"k" * 40)

    async def work(store: Store) -> None:
        await store.commit(Change(audit=list(rows or (ROW,) * 5)))
        await Sealer(store, key.read_bytes(), Path(site.env["ENLACE_AUDIT_RECEIPTS"])).seal()

    site.do(work)


def test_verify_says_whole_and_names_what_is_broken(site: Patient, enlace: Enlace, tmp_path: Path) -> None:
    sealed(site)
    done = enlace("audit", "verify")
    assert done.exit_code == 0 and done.output.startswith("The audit is whole: 5 rows, 1 seals, 1 receipts of ")
    site.do(lambda store: store.db.execute("DELETE FROM audit WHERE seq > 3"))
    done = enlace("audit", "verify", "--json")
    facts = json.loads(done.output)
    assert done.exit_code == 1 and {b["kind"] for b in facts["broken"]} == {"row"}
    assert facts["broken"][0]["place"].endswith("row 5")
    assert "Broken: row, slot" in enlace("audit", "verify").output
    assert enlace("audit", "verify", "--receipts", str(tmp_path / "nothing")).exit_code == 1


def test_a_new_key_goes_with_the_former_one(site: Patient, enlace: Enlace, tmp_path: Path) -> None:
    sealed(site)
    former = tmp_path / "former.key"
    former.write_bytes(b"k" * 40)
    Path(site.env["ENLACE_AUDIT_KEY_FILE"]).write_bytes(b"n" * 40)
    sealed(site)
    assert enlace("audit", "verify").exit_code == 1
    assert enlace("audit", "verify", "--former-key", str(former)).exit_code == 0


def test_disclosures(site: Patient, enlace: Enlace) -> None:
    async def work(store: Store) -> None:
        await build_world(store)
        detail = f'{{"d":[[0,"Patient",1,{store.keys.resource(PLAN1)}]]}}'
        row = AuditRow("R", "read", 0, "c", "Organization/ecm-1", "Patient/a", ("Patient/a",), detail=detail)
        await store.commit(Change(audit=[row]))

    site.do(work)
    assert "1 Patient" in enlace("audit", "disclosures", "Patient/a").output
    assert enlace("audit", "disclosures", "Patient/a", "--csv").output.startswith("date,recipient,")
    assert json.loads(enlace("audit", "disclosures", "Patient/a", "--json").output)[0]["from"] == PLAN1
    assert enlace("audit", "disclosures", "Patient/zz").exit_code == 1
    assert kinds(site) == ["disclosures"] * 3


def kinds(site: Patient) -> list[str]:
    found: list[str] = []

    async def work(store: Store) -> None:
        found.extend(
            row[0] for row in await store.fetch("SELECT kind FROM audit WHERE actor = 'operator' ORDER BY seq")
        )

    site.do(work)
    return found


def test_what_a_person_does_by_the_command_leaves_a_row(site: Patient, enlace: Enlace, tmp_path: Path) -> None:
    assert enlace("adt", "inbox", "--mrn", "12345").exit_code == 0
    assert enlace("backup", str(tmp_path / "a.backup")).exit_code == 0
    assert kinds(site) == ["message-search", "backup"]

    async def look(store: Store) -> None:
        ((detail,),) = await store.fetch("SELECT detail FROM audit WHERE kind = 'message-search'")
        assert "mrn" in detail and "12345" not in detail, "by what was looked, never what for"

    site.do(look)


def test_a_restore_is_no_tampering(site: Patient, enlace: Enlace, tmp_path: Path) -> None:
    sealed(site)
    assert enlace("backup", str(tmp_path / "a.backup"), "--no-verify").exit_code == 0
    sealed(site)
    sealed(site)
    site.env["ENLACE_DATABASE_URL"] = f"sqlite:///{tmp_path / 'new.db'}"
    done = enlace("restore", str(tmp_path / "a.backup"))
    assert done.exit_code == 0, done.output
    done = enlace("audit", "verify")
    assert done.exit_code == 0 and "A restore gave up 2 seals" in done.output
    site.url = site.env["ENLACE_DATABASE_URL"]
    sealed(site)
    assert enlace("audit", "verify").exit_code == 0


def test_doctor_and_seals(site: Patient) -> None:
    assert site.well("seals")
    sealed(site)
    assert site.well("seals")
    Path(site.env["ENLACE_AUDIT_RECEIPTS"]).chmod(0o644)
    assert "receipts" in site.ill("seals").sentence
    Path(site.env["ENLACE_AUDIT_RECEIPTS"]).chmod(0o600)
    site.do(lambda store: store.commit(Change(audit=[ROW])))
    site.do(lambda store: store.db.execute("UPDATE audit SET at_us = at_us - 3600000000 WHERE seq = 6"))
    assert "not been sealed for" in site.ill("seals").sentence

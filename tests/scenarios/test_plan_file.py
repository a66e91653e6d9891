"""A plan's member file comes in beside the running service, and a hospital's message reaches whom it named: point 9."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mappers.plan_files.member_resources import NPI_SYSTEM
from service.store.engine import Store
from service.workflow.member_directory import PLAN_SYSTEM
from tests.mappers.plan_files.made_up import GOOD, csv_of, xlsx_of
from tests.scenarios.harness import CIN_SYSTEM, ROOT, Service, adt, look, put, rows, wait_for
from tests.service.world import access_token, make

POSTGRESQL_IN_DEEP = True

NPI, OTHER_NPI, LEAD_NPI, UNKNOWN_NPI = "1234567893", "1555555550", "1987654328", "1000000004"
PLAN = "made-up-plan"
ALERTS = "Communication?_count=100&category=enlace-alert"
PEOPLE: dict[str, tuple[str, str, str | None]] = {
    "clinic": ("ecm-provider", "Organization/clinic", None),
    "other": ("ecm-provider", "Organization/clinic-2", None),
    "poppy": ("mcp", "Organization/poppy", None),
    "rival": ("mcp", "Organization/plan", None),
    "cbo": ("cbo", "Organization/cbo", None),
    "pilar": ("lcm", "Organization/clinic", "Practitioner/pilar"),
    "quinn": ("lcm", "Organization/clinic", "Practitioner/quinn"),
}


@dataclass
class County:
    service: Service
    tokens: dict[str, str]

    def cins(self, who: str) -> set[str]:
        """CINs of the members that this client sees now."""
        found = self.service.found(self.tokens[who], "Patient?_count=200")
        return {i["value"] for p in found for i in p["identifier"] if i["system"] == CIN_SYSTEM}

    def patient(self, cin: str) -> dict[str, Any]:
        [found] = self.service.found(self.tokens["poppy"], f"Patient?identifier={CIN_SYSTEM}|{cin}")
        return found


async def _county(store: Store) -> dict[str, str]:
    def organization(name: str, system: str, value: str) -> dict[str, Any]:
        return make(f"Organization/{name}", name=name, active=True, identifier=[{"system": system, "value": value}])

    await put(
        store,
        organization("clinic", NPI_SYSTEM, NPI),
        organization("clinic-2", NPI_SYSTEM, OTHER_NPI),
        organization("poppy", PLAN_SYSTEM, PLAN),
        make(
            "Practitioner/pilar",
            name=[{"family": "Okonkwo", "given": ["Pilar"]}],
            identifier=[{"system": NPI_SYSTEM, "value": LEAD_NPI}],
        ),
        make("Practitioner/quinn", name=[{"family": "Quinn"}]),
    )
    return {name: await access_token(store, *facts) for name, facts in PEOPLE.items()}


@pytest.fixture(scope="module")
def county(service: Service) -> County:
    return County(service, look(service.url, _county))


def row(cin: str, **changes: str) -> dict[str, str]:
    names = {"npi": "ECM Provider NPI", "born": "Date of Birth", "family": "Last Name", "given": "First Name"}
    facts = {"Member CIN": cin, "Last Name": f"Canary{cin[5:8]}", "ECM Provider NPI": NPI}
    return GOOD | facts | {names[name]: value for name, value in changes.items()}


def as_xlsx(*lines: dict[str, str]) -> bytes:
    cells = [list[object](lines[0])] + [list[object](line.values()) for line in lines]
    return xlsx_of(cells)


def import_file(service: Service, path: Path, *more: str, code: int = 0) -> str:
    """`enlace files import` as a process of its own; its output."""
    command = [sys.executable, "-m", "service.cli", "files", "import", "member-information", str(path)]
    done = subprocess.run(
        [*command, "--plan", PLAN, *more], env=service._env, cwd=ROOT, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def versions(service: Service) -> tuple[Any, ...]:
    return rows(service.url, "SELECT count(*), max(vid) FROM version")[0]


@pytest.mark.parametrize(
    ("write", "name", "start"), [(csv_of, "members.csv", "9110"), (as_xlsx, "members.xlsx", "9120")]
)
def test_members_appear_to_their_provider_and_plan_at_once(
    county: County, tmp_path: Path, write: Callable[..., bytes], name: str, start: str
) -> None:
    ours, theirs = f"{start}0001A", f"{start}0003A"
    path = tmp_path / name
    bad = row(f"{start}0004A", npi=UNKNOWN_NPI), row(f"{start}0005A", born="02/30/1958")
    path.write_bytes(write(row(ours), row(theirs, npi=OTHER_NPI), *bad))
    text = import_file(county.service, path)
    assert "2 members created, 0 updated, 0 unchanged; 2 of 4 rows rejected." in text
    assert "Row 4, ECM Provider NPI: error provider-unknown" in text
    assert "Row 5, Date of Birth: error" in text

    def mine(who: str) -> set[str]:
        return {cin for cin in county.cins(who) if cin.startswith(start)}

    assert mine("clinic") == {ours}
    assert mine("other") == {theirs}
    assert mine("poppy") == {ours, theirs}
    assert mine("rival") == set()
    assert mine("pilar") == {ours}, "the file names her for both; here she acts for the clinic"
    assert mine("quinn") == set()
    with county.service.client(county.tokens["cbo"]) as client:
        assert client.get("/Patient").json().get("entry", []) == []
    reference = f"Patient/{county.patient(ours)['id']}"
    for rtype, query in (("Coverage", "beneficiary"), ("EpisodeOfCare", "patient"), ("CareTeam", "patient")):
        assert len(county.service.found(county.tokens["clinic"], f"{rtype}?{query}={reference}")) == 1, rtype
    with county.service.client(county.tokens["other"]) as client:
        assert client.get(f"/{reference}").status_code == 404

    before = versions(county.service)
    report = json.loads(import_file(county.service, path, "--json"))
    assert report["state"] == "already-imported"
    found = [(i["row"], i["column"], i["severity"]) for i in report["issues"] if i["severity"] == "error"]
    assert found == [(4, "ECM Provider NPI", "error"), (5, "Date of Birth", "error")]
    assert {i["rule"] for i in report["issues"]} >= {"provider-unknown"}
    assert "2 unchanged; 2 of 4 rows rejected" in import_file(county.service, path, "--again")
    assert versions(county.service) == before, "the same file twice made versions"


def test_a_member_who_moves_leaves_the_first_providers_panel(county: County, tmp_path: Path) -> None:
    cin, stays = "91300001A", "91300002A"
    first, second = tmp_path / "october.csv", tmp_path / "november.csv"
    first.write_bytes(csv_of(row(cin), row(stays)))
    import_file(county.service, first)
    reference = f"Patient/{county.patient(cin)['id']}"
    assert {cin, stays} <= county.cins("clinic")
    second.write_bytes(csv_of(row(cin, npi=OTHER_NPI), row(stays)))
    assert "1 updated, 1 unchanged" in import_file(county.service, second)
    assert cin in county.cins("other") and stays not in county.cins("other")
    assert cin not in county.cins("clinic") and stays in county.cins("clinic")
    with county.service.client(county.tokens["clinic"]) as client:
        assert client.get(f"/{reference}").status_code == 404
        assert client.get(f"/{reference}/_history").status_code == 404
    assert county.patient(cin)["id"] == reference.removeprefix("Patient/"), "one member record per CIN"


def test_a_dry_run_and_an_unknown_plan_store_nothing(county: County, tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_bytes(csv_of(row("91500001A")))
    before = versions(county.service)
    assert "Nothing was stored" in import_file(county.service, path, "--dry-run")
    import_file(county.service, path, "--plan", "nobody", code=1)
    assert versions(county.service) == before
    assert "91500001A" not in county.cins("poppy")


def test_an_admission_alerts_the_lead_care_manager_of_the_file(county: County, tmp_path: Path) -> None:
    service, cin = county.service, "91400001A"
    person = {
        "cin": cin,
        "mrn": "MF-1",
        "family": "Canaryson",
        "given": "Imelda",
        "birth_date": "1958-02-28",
        "sex": "F",
    }
    assert service.send(adt("A01", person, visit="PF-1")) == ["AA"]
    wait_for(lambda: service.inbox() and service.inbox()[-1]["state"] == "unmatched")
    before = {c["id"] for c in service.found(county.tokens["pilar"], ALERTS)}

    path = tmp_path / "members.csv"
    path.write_bytes(csv_of(row(cin, family=person["family"], given=person["given"])))
    import_file(service, path)
    assert service.send(adt("A01", person, visit="PF-2", ago=5)) == ["AA"]

    def new() -> list[dict[str, Any]]:
        return [c for c in service.found(county.tokens["pilar"], ALERTS) if c["id"] not in before]

    alert = wait_for(new)[0]
    assert alert["recipient"] == [{"reference": "Practitioner/pilar"}]
    assert alert["subject"]["reference"] == f"Patient/{county.patient(cin)['id']}"
    assert "Mercy Made-up" in alert["payload"][0]["contentString"]
    tasks = service.found(county.tokens["pilar"], "Task?owner=Practitioner/pilar&status=requested")
    assert f"Communication/{alert['id']}" in {t["focus"]["reference"] for t in tasks}
    for stranger in ("quinn", "other", "cbo", "rival"):
        assert service.found(county.tokens[stranger], ALERTS) == []

"""A referral over two servers: a county's Enlace refers to that of a food bank; they know each other by HTTP alone.

The county pushes its Task, the food bank's service fetches the request and the member with a client of its own, its
people work there, and the county sees what became of it. Both are killed on the way.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scenarios.harness import ROSA, Service, rows, running, wait_for, write_world

POSTGRESQL_IN_DEEP = True

Resource = dict[str, Any]
NORTH, CBO = "Organization/north", "Organization/cbo"


@dataclass
class Side:
    service: Service
    tokens: dict[str, str]

    def http(self, who: str) -> httpx.Client:
        return self.service.client(self.tokens[who])

    def found(self, who: str, query: str) -> list[Resource]:
        return self.service.found(self.tokens[who], query)


@dataclass
class Pair:
    county: Side
    bank: Side

    def nudge(self) -> None:
        """What comes by the clock otherwise: each looks at the other now."""
        self.county.service.cli("partners", "retry", "food-bank")
        self.bank.service.cli("partners", "retry", "county")


def database(template: Path, folder: Path) -> str:
    folder.mkdir()
    for part in template.parent.glob("template.db*"):
        shutil.copy(part, folder / part.name.replace("template", "enlace"))
    return f"sqlite:///{folder / 'enlace.db'}"


def port(service: Service) -> str:
    return service.base.removeprefix("http://")


def meet(here: Side, there: Side, name: str, folder: Path, *facts: str, role: str, organization: str) -> None:
    """`there` registers a client for `here` by the keys that `here` publishes; `here` describes the server."""
    keys = folder / f"{name}.json"
    keys.write_text(httpx.get(f"{here.service.base}/auth/jwks").text)
    scope = "system/Task.cruds system/ServiceRequest.rs system/Patient.rs system/Procedure.rs system/Consent.rs"
    scope += " system/Subscription.cruds"
    client = there.service.cli(
        "client", "add", name, "--organization", organization, "--role", role, "--jwks", str(keys),
        "--scope", scope, "--purpose", "TREAT", "--json",
    )  # fmt: skip
    base = there.service.base
    here.service.cli(
        "partners", "add", name, "--base-url", f"{base}/fhir", "--token-url", f"{base}/auth/token",
        "--client-id", json.loads(client)["id"], "--scope", scope, *facts,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    urls = [database(sqlite_template, folder / name) for name in ("county", "bank")]
    tokens = [write_world(url) for url in urls]
    (folder / "county-home").mkdir()
    (folder / "bank-home").mkdir()
    with (
        running(urls[1], folder / "bank-home", three=False) as bank,
        running(urls[0], folder / "county-home", three=False, ENLACE_EGRESS_ALLOW=port(bank)) as county,
    ):
        bank.use(ENLACE_EGRESS_ALLOW=port(county))
        bank.terminate()
        bank.start()
        made = Pair(Side(county, tokens[0]), Side(bank, tokens[1]))
        meet(made.county, made.bank, "food-bank", folder, "--organization", CBO, "--owner-there", CBO,
             role="ecm-provider", organization=NORTH)  # fmt: skip
        meet(made.bank, made.county, "county", folder, "--organization", NORTH, "--direction", "pull",
             role="cbo", organization=CBO)  # fmt: skip
        yield made


def opened(county: Side, note: str) -> str:
    with county.http("north") as http:
        request = {
            "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": note},
            "subject": {"reference": ROSA.reference}, "requester": {"reference": NORTH},
        }  # fmt: skip
        made = http.post("/ServiceRequest", json=request)
        assert made.status_code == 201, made.text
        task = {
            "resourceType": "Task", "status": "requested", "intent": "order",
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
            "focus": {"reference": f"ServiceRequest/{made.json()['id']}"}, "for": {"reference": ROSA.reference},
            "requester": {"reference": NORTH}, "owner": {"reference": CBO}, "authoredOn": "2026-03-01T10:00:00-08:00",
        }  # fmt: skip
        sent = http.post("/Task", json=task)
        assert sent.status_code == 201, sent.text
        return str(sent.json()["id"])


def there(pair: Pair, task: str) -> list[Resource]:
    """The copies of a Task at the food bank, as its people see them once they can work on them."""
    url = f"{pair.county.service.base}/fhir/Task/{task}"
    found = pair.bank.found("cbo", f"Task?owner={CBO}&identifier=urn:ietf:rfc:3986|{url}")
    return [one for one in found if one["focus"]["reference"].startswith("ServiceRequest/")]


def step(side: Side, who: str, task: Resource, **more: Any) -> Resource:
    with side.http(who) as http:
        stands = http.get(f"/Task/{task['id']}")
        body = stands.json() | more
        answer = http.put(f"/Task/{task['id']}", json=body, headers={"If-Match": stands.headers["ETag"]})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def status(pair: Pair, task: str) -> str:
    with pair.county.http("north") as http:
        return str(http.get(f"/Task/{task}").json()["status"])


def arrived(pair: Pair, task: str, expected: str) -> None:
    def nudged() -> bool:
        pair.nudge()
        return status(pair, task) == expected

    wait_for(nudged, 30, 0.5)


def told(pair: Pair) -> dict[str, str]:
    """How the food bank's server tells the county of changes."""
    (one,) = json.loads(pair.county.service.cli("partners", "list", "--json"))
    return dict(one["notices"])


def test_a_step_there_is_told_and_seen_without_waiting_for_the_next_look(pair: Pair) -> None:
    task = opened(pair.county, "Blanket")
    (theirs,) = wait_for(lambda: there(pair, task), 30, 0.2)
    wait_for(lambda: told(pair)["status"] == "active", 30, 0.5)
    step(pair.bank, "cbo", theirs, status="accepted")
    wait_for(lambda: status(pair, task) == "accepted", 15, 0.1)  # its interval is an hour
    assert told(pair)["last"]
    shown = pair.county.service.cli("partners", "show", "food-bank")
    assert "Notices: it tells us of changes since" in shown, shown


def test_the_loop_closes_over_two_servers(pair: Pair) -> None:
    task = opened(pair.county, "Food box")
    (theirs,) = wait_for(lambda: there(pair, task), 30, 0.2)
    with pair.bank.http("cbo") as http:
        request = http.get(f"/{theirs['focus']['reference']}").json()
        assert request["code"]["text"] == "Food box" and request["requester"] == {"reference": NORTH}
        person = http.get(f"/{theirs['for']['reference']}").json()
        assert person["name"][0]["family"] == ROSA.family and person["id"] != ROSA.key
    theirs = step(pair.bank, "cbo", theirs, status="accepted")
    arrived(pair, task, "accepted")
    theirs = step(pair.bank, "cbo", theirs, status="on-hold", statusReason={"text": "No eggs this week."})
    arrived(pair, task, "on-hold")
    with pair.bank.http("cbo") as http:
        procedure = http.post("/Procedure", json={
            "resourceType": "Procedure", "status": "completed", "code": {"text": "Two boxes"},
            "subject": theirs["for"], "basedOn": [theirs["focus"]], "performedDateTime": "2026-03-05",
        })  # fmt: skip
        assert procedure.status_code == 201, procedure.text
    output = [{"type": {"text": "resulting-activity"},
               "valueReference": {"reference": f"Procedure/{procedure.json()['id']}"}}]  # fmt: skip
    theirs.pop("statusReason")
    step(pair.bank, "cbo", theirs, status="completed", output=output)
    arrived(pair, task, "completed")
    with pair.county.http("north") as http:
        closed = http.get(f"/Task/{task}").json()
        assert closed["output"][1]["valueCodeableConcept"] == {"text": "Two boxes"}
        history = http.get(f"/Task/{task}/_history").json()["entry"]
    seen = [entry["resource"]["status"] for entry in reversed(history)]
    assert [one for n, one in enumerate(seen) if n == 0 or seen[n - 1] != one] == [
        "requested", "accepted", "on-hold", "completed",
    ]  # fmt: skip


def test_what_the_county_cancels_the_food_bank_sees(pair: Pair) -> None:
    task = opened(pair.county, "Ride")
    (theirs,) = wait_for(lambda: there(pair, task), 30, 0.2)
    with pair.county.http("north") as http:
        mine = http.get(f"/Task/{task}").json()
    step(pair.county, "north", mine, status="cancelled", statusReason={"text": "The member moved away."})

    def cancelled() -> bool:
        return there(pair, task)[0]["status"] == "cancelled"

    wait_for(cancelled, 30, 0.2)
    assert there(pair, task)[0]["statusReason"]["text"] == "The member moved away."
    assert theirs["id"] == there(pair, task)[0]["id"]


@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="Half a minute of waiting for leases of the killed.")
def test_both_are_killed_and_nothing_is_lost_or_doubled(pair: Pair) -> None:
    pair.bank.service.kill()
    tasks = [opened(pair.county, f"Meal {number}") for number in range(3)]
    wait_for(lambda: "connect" in pair.county.service.cli("partners", "list"), 30, 0.2)
    pair.county.service.kill()
    pair.bank.service.start()
    pair.county.service.start()
    pair.nudge()
    tasks += [opened(pair.county, f"Meal {number}") for number in range(3, 6)]
    pair.county.service.kill()  # between sending and recording, or wherever it is
    pair.county.service.start()

    def all_there() -> bool:
        pair.nudge()
        return all(there(pair, one) for one in tasks)

    wait_for(all_there, 60, 0.5)
    assert [len(there(pair, one)) for one in tasks] == [1] * 6
    doubled = rows(
        pair.bank.service.url,
        "SELECT remote, count(*) FROM partner_referral WHERE way = 'in' GROUP BY remote HAVING count(*) > 1",
    )
    assert doubled == []
    for one in tasks:
        step(pair.bank, "cbo", there(pair, one)[0], status="rejected", statusReason={"text": "No capacity."})
    arrived(pair, tasks[-1], "rejected")
    wait_for(lambda: all(status(pair, one) == "rejected" for one in tasks), 30, 0.5)
    listed = pair.county.service.cli("partners", "show", "food-bank", "--state", "failed")
    assert "No referrals." in listed

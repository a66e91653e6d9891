"""$disclosures: what left its author, to whom, and who may ask; the same as CSV and by the command."""

import csv
import io
from typing import Any

import pytest

from fhir_profiles.models import explain
from fhir_profiles.validate import validate
from service.store.change import AuditRow, Change
from service.store.engine import Store
from service.workflow.disclosures import YEAR_US, account, to_csv
from tests.frozen_clock import FrozenClock
from tests.service.access.consent.consents import consent, rule
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, LCM1, PLAN1, episode, put

POSTGRESQL_IN_DEEP = True

ADDRESS = {"line": ["1 Made-up Way"], "city": "Fresno", "state": "CA", "postalCode": "93701"}


async def told(client: Any, query: str = "", patient: str = "a") -> list[dict[str, Any]]:
    answer = await client.get(f"/Patient/{patient}/$disclosures{query}")
    assert answer.status_code == 200, answer.text
    return [e["resource"] for e in answer.json().get("entry", []) if e["search"]["mode"] == "match"]


async def test_what_another_wrote_counts_and_what_one_wrote_oneself_does_not(
    world: Store, app_client: AppClient
) -> None:
    ecm, plan = await app_client(), await app_client("mcp", PLAN1)
    assert await told(ecm) == []
    await ecm.get("/Observation/a")  # its own
    await ecm.get("/Patient/b")  # foreign: 404, nothing was shown
    assert await told(ecm) == []
    await ecm.get("/Patient/a")
    await plan.get("/ServiceRequest?patient=Patient/a")
    newest, first = await told(ecm)
    assert [e["meta"]["profile"][0].rpartition(".")[2] for e in (newest, first)] == ["Source", "Source"]
    who = [[a["who"].get("reference") for a in e["agent"]] for e in (newest, first)]
    assert PLAN1 in who[0] and ECM1 in who[0], "to the plan, from the provider"
    assert who[1][-1] == PLAN1 and ECM1 in who[1]
    assert {e["what"].get("type") for e in newest["entity"]} >= {"ServiceRequest"}
    for event in (newest, first):
        assert not validate(event, "AuditEvent") and not explain(event, "AuditEvent")
    read = await ecm.get("/AuditEvent?patient=Patient/a&subtype=disclosures")
    assert read.json()["entry"], "asking for it is audited"


@pytest.mark.parametrize(
    ("role", "organization", "scopes", "status"),
    [
        ("ecm-provider", ECM1, "system/*.cruds", 200),
        ("mcp", PLAN1, "system/*.cruds", 200),
        ("ecm-provider", ECM2, "system/*.cruds", 404),
        ("ecm-provider", ECM1, "system/Patient.rs", 403),
        ("cbo", "Organization/cbo-1", "system/*.cruds", 403),
        ("hospital", ECM1, "system/*.cruds", 403),
    ],
)
async def test_who_may_ask(
    world: Store, app_client: AppClient, role: str, organization: str, scopes: str, status: int
) -> None:
    client = await app_client(role, organization, scopes=scopes)
    assert (await client.get("/Patient/a/$disclosures")).status_code == status
    posted = {"resourceType": "Parameters", "parameter": [{"name": "required", "valueBoolean": True}]}
    assert (await client.post("/Patient/a/$disclosures", json=posted)).status_code == status


async def test_parameters(world: Store, app_client: AppClient, clock: FrozenClock) -> None:
    client = await app_client()
    await client.get("/Patient/a")
    clock.advance(3_600_000_000)
    await client.get("/Coverage/a")
    between = "2026-03-08T08:00:00Z"
    assert len(await told(client, f"?start={between}")) == 1 and len(await told(client, f"?end={between}")) == 1
    assert await told(client, "?required=true") == [], "treatment is not accounted for by law"
    answer = await client.get("/Patient/a/$disclosures?start=x&required=maybe&nonsense=1")
    assert answer.status_code == 400 and len(answer.json()["issue"]) == 3


def given(author: int, *, purpose: str = "TREAT", detail: str = "", organization: str = ECM2) -> AuditRow:
    text = f'{{"d":[[0,"Patient",1,{author}]]{detail}}}'
    return AuditRow("R", "read", 0, LCM1, organization, "Patient/a", ("Patient/a",), "", "", purpose, text)


async def test_six_years_and_three_by_consent(world: Store, clock: FrozenClock) -> None:
    author = world.keys.resource(PLAN1)
    consented = given(author, detail=',"consents":["Consent/1"]')
    start = clock.now_us()
    await world.commit(Change(audit=[given(author, purpose="PUBHLTH"), consented, given(author)]))
    found = await account(world, "Patient/a", start)
    assert [(d.required, d.consents) for d in found.disclosures] == [(False, ()), (True, ("Consent/1",)), (True, ())]
    assert {d.authors for d in found.disclosures} == {(PLAN1,)} and found.disclosures[0].recipient_name == "ecm-2"
    later = await account(world, "Patient/a", start + 4 * YEAR_US)
    assert [d.consents for d in later.disclosures] == [(), ()]
    assert (await account(world, "Patient/a", start + 7 * YEAR_US)).disclosures == ()
    assert (await account(world, "Patient/a", start, most=2)).cut
    assert (await account(world, "Patient/b", start)).disclosures == ()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "=cmd|' /C calc'!A0"])
async def test_a20_no_cell_is_a_formula(world: Store, name: str) -> None:
    from tests.service.world import make

    await put(world, make("Organization/bad", name=name, active=True, address=[ADDRESS]), source="Organization/op")
    await world.commit(Change(audit=[given(world.keys.resource(PLAN1), organization="Organization/bad")]))
    text = to_csv((await account(world, "Patient/a", world.clock.now_us())).disclosures)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["recipient"] == f"'{name}" and row["address"] == "1 Made-up Way, Fresno, CA 93701"
    assert row["what"] == "1 Patient" and row["basis"] == "treatment, payment or operations"


async def test_what_a_label_hides_is_not_told_by_the_accounting(world: Store, app_client: AppClient) -> None:
    """ECM 1 wrote it, the third may have it; ECM 2 has the member, and no Consent opens it."""
    third = "Organization/cbo-2"
    await put(world, episode("EpisodeOfCare/a2", "Patient/a", ECM2), episode("EpisodeOfCare/a3", "Patient/a", third))
    body = consent("Consent/c", rule("permit", to=(third,), label=("SUD",)))
    author, other = await app_client(), await app_client("ecm-provider", ECM2)
    assert (await author.post("/Consent", json={k: v for k, v in body.items() if k != "id"})).status_code == 201
    reader = await app_client("ecm-provider", third)
    before = await told(other)
    assert (await reader.get("/Condition/sud-a")).status_code == 200
    assert await told(other) == before
    assert len((await reader.get("/Condition?patient=Patient/a")).json()["entry"]) >= 2
    seen = (await told(other))[0]
    assert {e["what"].get("display") for e in seen["entity"]} >= {"1 Condition"}, "without the labelled one"
    for entitled in (author, reader):
        assert [e["what"].get("display") for e in (await told(entitled))[0]["entity"]].count("2 Condition") == 1
    whole = await account(world, "Patient/a", world.clock.now_us())
    assert [dict(one.kinds).get("Condition") for one in whole.disclosures] == [2, 1]

"""Provenance: who wrote each version, rendered on read; seen where its target is seen; found by target."""

from hashlib import sha256
from typing import Any

import pytest

from fhir_profiles.models import explain
from fhir_profiles.validate import validate
from service.store.engine import Store
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ECM2, LCM1, PLAN1, observation, ref

POSTGRESQL_IN_DEEP = True


async def found(client: Any, query: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/Provenance?{query}")
    assert answer.status_code == 200, answer.text
    return [e["resource"] for e in answer.json().get("entry", [])]


@pytest.fixture
async def weighed(world: Store, app_client: AppClient) -> tuple[Any, str]:
    """An Observation that ECM 1's care manager made and then changed."""
    client = await app_client("ecm-provider", ECM1, LCM1)
    made = (await client.post("/Observation", json=observation("Observation/x", "Patient/a"))).json()
    reference = f"Observation/{made['id']}"
    answer = await client.put(f"/{reference}", json={**made, "status": "amended"})
    assert answer.status_code == 200, answer.text
    return client, reference


async def test_each_version_says_who_wrote_it(weighed: tuple[Any, str]) -> None:
    client, reference = weighed
    newest, first = await found(client, f"target={reference}")
    assert [p["activity"]["coding"][0]["code"] for p in (newest, first)] == ["UPDATE", "CREATE"]
    assert [p["target"][0]["reference"][-10:] for p in (newest, first)] == ["_history/2", "_history/1"]
    for one in (newest, first):
        assert one["agent"] == [
            {
                "type": one["agent"][0]["type"],
                "who": ref(LCM1),
                "onBehalfOf": ref(ECM1),
            }
        ]
        assert not validate(one, "Provenance") and not explain(one, "Provenance")
        assert (await client.get(f"/Provenance/{one['id']}")).json() == one
    version = (await client.get(f"/{reference}")).json()
    assert newest["recorded"] == version["meta"]["lastUpdated"]
    await client.delete(f"/{reference}")
    activities = [p["activity"]["coding"][0]["code"] for p in await found(client, f"target={reference}")]
    assert activities == ["DELETE", "UPDATE", "CREATE"], "as its history shows them"


async def test_foreign_is_absent(weighed: tuple[Any, str], app_client: AppClient) -> None:
    client, reference = weighed
    one = (await found(client, f"target={reference}"))[0]
    for other in (await app_client("ecm-provider", ECM2), await app_client("cbo", CBO1)):
        assert await found(other, f"target={reference}") == await found(other, "target=Observation/nothing") == []
        absent = await other.get("/Provenance/v1")
        foreign = await other.get(f"/Provenance/{one['id']}")
        assert foreign.status_code == absent.status_code == 404
        assert foreign.text.replace(one["id"], "v1") == absent.text
    narrow = await app_client(scopes="system/Provenance.rs")
    assert await found(narrow, f"target={reference}") == []
    assert (await narrow.get(f"/Provenance/{one['id']}")).status_code == 404
    none = await app_client(scopes="system/Observation.rs")
    assert (await none.get(f"/Provenance/{one['id']}")).status_code == 403


@pytest.mark.parametrize(("role", "organization"), [("ecm-provider", ECM1), ("mcp", PLAN1), ("cbo", CBO1)])
async def test_who_sees_the_version_sees_it(world: Store, app_client: AppClient, role: str, organization: str) -> None:
    """Also of the directory, which is in nobody's panel; the Patient's, where it is a minimum view, is not there."""
    client = await app_client(role, organization)
    for reference in (ECM2, "Task/a", "Patient/a"):
        assert len(await found(client, f"target={reference}")) == (
            0 if (role, reference) == ("cbo", "Patient/a") else 1
        )


async def test_it_is_audited_as_what_it_tells_of(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    (one,) = await found(client, "target=Condition/a")
    assert (await client.get(f"/Provenance/{one['id']}")).status_code == 200
    rows = await world.fetch(
        "SELECT a.kind FROM audit_patient p JOIN audit a ON a.slot = p.slot AND a.seq = p.seq "
        "WHERE p.patient = ? ORDER BY a.at_us, a.seq",
        (world.keys.resource("Patient/a"),),
    )
    assert [row[0] for row in rows] == ["search-type", "read"]


@pytest.mark.parametrize("fhir_id", ["v0", "v9223372036854775807", "v9999999999999999999", "v", "v1x"])
async def test_what_is_no_version_is_absent(world: Store, app_client: AppClient, fhir_id: str) -> None:
    assert (await (await app_client()).get(f"/Provenance/{fhir_id}")).status_code == 404


async def test_a_clients_own_stands_beside(weighed: tuple[Any, str]) -> None:
    client, reference = weighed
    own = {
        "resourceType": "Provenance",
        "target": [ref(reference)],
        "recorded": "2026-03-01T10:00:00Z",
        "agent": [{"who": ref(ECM1)}],
    }
    answer = await client.post("/Provenance", json=own)
    assert answer.status_code == 201, answer.text
    together = await found(client, f"target={reference}")
    assert len(together) == 3 and together[0]["id"] == answer.json()["id"]
    assert len(await found(client, f"target={reference}&recorded=lt2026-03-02")) == 1
    assert len(await found(client, f"target={reference}&agent={LCM1}")) == 2
    assert len(await found(client, f"agent={LCM1}")) == 0, "without a target, stored ones alone"


async def test_pages(weighed: tuple[Any, str]) -> None:
    client, reference = weighed
    seen, url = [], f"/Provenance?target={reference}&_count=1&_total=accurate"
    while url:
        bundle = (await client.get(url)).json()
        assert bundle["total"] == 2
        seen += [e["resource"]["id"] for e in bundle["entry"]]
        url = {link["relation"]: link["url"] for link in bundle["link"]}.get("next", "").partition("/fhir")[2]
    assert len(seen) == len(set(seen)) == 2


async def test_what_was_written_before_and_by_systems(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    (old,) = await found(client, "patient=a")
    assert (
        old["agent"][0]["who"] == ref("Organization/plan-1") and old["target"][0]["reference"] == "Patient/a/_history/1"
    )
    made = (await client.post("/Observation", json=observation("Observation/x", "Patient/a"))).json()
    (one,) = await found(client, f"target=Observation/{made['id']}")
    assert one["agent"][0]["who"]["reference"] == ECM1 and one["agent"][0]["who"]["display"].startswith("client ")


async def test_a_transaction_names_each_of_its_writes(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1, LCM1)
    entries = [
        {"resource": observation("Observation/x", "Patient/a"), "request": {"method": "POST", "url": "Observation"}}
        for _ in range(2)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = (await client.post("", json=bundle)).json()
    for entry in answer["entry"]:
        reference = "/".join(entry["response"]["location"].partition("/_history")[0].split("/")[-2:])
        (one,) = await found(client, f"target={reference}")
        assert one["agent"][0]["who"] == ref(LCM1)


async def test_a_label_hides_it_with_its_version(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    assert await found(plan, "target=Condition/sud-a") == []


async def test_what_followed_from_a_message_names_it(store: Store, app_client: AppClient) -> None:
    await adt_world(store)
    send = Sender(store)
    assert await send(send.adt("A01")) == [("applied", "matched")]
    client = await app_client("admin", "Organization/op")
    for rtype in ("Encounter", "Communication", "Task"):
        ((reference, _),) = (await resources(store, rtype)).items()
        (one,) = await found(client, f"target={rtype}/{reference.rpartition('/')[2]}")
        assert one["agent"][0]["type"]["coding"][0]["code"] == "assembler"
        (entity,) = one["entity"]
        rows = await store.fetch("SELECT control_id, raw FROM inbox")
        assert entity["role"] == "source" and entity["what"]["identifier"]["value"] == rows[0][0]
        assert sha256(bytes(rows[0][1])).hexdigest() in entity["what"]["display"]
        assert not validate(one, "Provenance") and not explain(one, "Provenance")

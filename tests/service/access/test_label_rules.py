"""Labels by code, source and reference, set at the commit; raised by a sender, never lowered; stamps taken off."""

from typing import Any

import pytest

from service.access.labels import (
    ACT,
    BITS,
    BY_RULE,
    RESTRICTED,
    bits_of,
    carried,
    group_names,
    labels,
    stamped,
    unstamped,
)
from service.store import label_rules
from service.store.change import Change
from service.store.engine import Store
from service.store.label_rules import Rule
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ECM2, SUD, condition, episode, make, put, ref

POSTGRESQL_IN_DEEP = True

PART2 = BITS["part2"]
OPIOIDS = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}]}


async def rule(store: Store, kind: str, value: str, *groups: str) -> None:
    await store.commit(Change(statements=[label_rules.put(store.keys, Rule(kind, value, bits_of(groups), ""))]))


async def bits(store: Store, reference: str) -> tuple[int, int]:
    """Of the head and of its newest version."""
    sql = "SELECT r.labels, v.labels FROM resource r JOIN version v ON v.vid = r.vid WHERE r.key = ?"
    rows = await store.fetch(sql, (store.keys.resource(reference),))
    return rows[0][0], rows[0][1]


async def test_what_a_program_writes_is_part_2(world: Store) -> None:
    await rule(world, "source", ECM2, "part2")
    await put(world, condition("Condition/x", "Patient/b"), source=ECM2)
    await put(world, condition("Condition/y", "Patient/b"), source=ECM1)
    assert await bits(world, "Condition/x") == (PART2, PART2)
    assert await bits(world, "Condition/y") == (0, 0)


async def test_l23_what_refers_to_a_facility_bears_its_label(world: Store) -> None:
    await put(world, make("Location/detox", name="House"), source=ECM2)
    await rule(world, "reference", "Location/detox", "sud")
    visit = make("Encounter/x", status="finished", subject=ref("Patient/a"), **{"class": {"code": "AMB"}})
    base = "http://127.0.0.1:8000/fhir"
    visit["location"] = [{"location": ref(f"{base}/Location/detox/_history/1")}]
    await put(world, visit, source=ECM1)
    assert await bits(world, "Encounter/x") == (BITS["sud"], BITS["sud"])


async def test_l23_an_encounter_at_such_a_facility_is_hidden_from_others(world: Store, app_client: AppClient) -> None:
    await rule(world, "reference", ECM2, "sud")
    visit = make("Encounter/x", status="finished", subject=ref("Patient/a"), serviceProvider=ref(ECM2))
    await put(world, visit | {"class": {"code": "AMB"}}, source=ECM2)
    client = await app_client()
    assert (await client.get("/Encounter/x")).status_code == 404
    assert "entry" not in (await client.get("/Encounter")).json()


async def test_a_code_hides_as_a_label_does(world: Store, app_client: AppClient) -> None:
    await put(world, condition("Condition/x", "Patient/a") | {"code": OPIOIDS}, source=ECM2)
    assert await bits(world, "Condition/x") == (BITS["sud"], BITS["sud"])
    assert (await (await app_client()).get("/Condition/x")).status_code == 404


async def test_an_author_does_not_take_a_label_off(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    plain = condition("Condition/sud-a", "Patient/a", note=[{"text": "n"}])
    answer = await client.put("/Condition/sud-a", json=plain)
    assert answer.status_code == 200 and answer.json()["meta"]["security"] == SUD["security"]
    patched = await client.patch(
        "/Condition/sud-a",
        json=[{"op": "remove", "path": "/meta/security"}],
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert patched.status_code == 200 and patched.json()["meta"]["security"] == SUD["security"]
    assert (await bits(world, "Condition/sud-a"))[0] == BITS["sud"]


async def test_the_operator_takes_a_label_off(world: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    answer = await client.put("/Condition/sud-a", json=condition("Condition/sud-a", "Patient/a"))
    assert answer.status_code == 200 and "security" not in answer.json()["meta"]
    assert (await bits(world, "Condition/sud-a"))[0] == 0


async def test_a_program_that_writes_into_a_shared_resource_labels_it(world: Store, app_client: AppClient) -> None:
    await put(world, episode("EpisodeOfCare/a2", "Patient/a", ECM2))
    goal = make("Goal/g", lifecycleStatus="active", description={"text": "d"}, subject=ref("Patient/a"))
    await put(world, goal, source=ECM1)
    await rule(world, "source", ECM2, "part2")
    other = await app_client("ecm-provider", ECM2)
    answer = await other.put("/Goal/g", json=goal | {"note": [{"text": "group on Mondays"}]})
    assert answer.status_code == 200, answer.text
    assert [one["code"] for one in answer.json()["meta"]["security"] if "extension" not in one] == ["42CFRPart2"]
    mine = await (await app_client()).put("/Goal/g", json=goal)
    assert mine.status_code == 200 and (await bits(world, "Goal/g"))[0] & PART2


async def test_nobody_labels_what_another_wrote(world: Store, app_client: AppClient) -> None:
    """It would take the record away from those who share it."""
    await put(world, episode("EpisodeOfCare/a2", "Patient/a", ECM2))
    goal = make("Goal/g", lifecycleStatus="active", description={"text": "d"}, subject=ref("Patient/a"))
    await put(world, goal, source=ECM1)
    answer = await (await app_client("ecm-provider", ECM2)).put("/Goal/g", json=goal | {"meta": SUD})
    assert answer.status_code == 422 and "author" in answer.text


async def test_our_own_stamps_do_not_come_back(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await put(world, condition("Condition/x", "Patient/a") | {"code": OPIOIDS}, source=ECM1)
    read = await client.get("/Condition/x")
    stamp = read.json()["meta"]["security"]
    assert [one["code"] for one in stamp] == ["SUD", "R"] and all(one["extension"] for one in stamp)
    again = await client.put("/Condition/x", json=read.json())
    assert again.status_code == 200 and again.headers["etag"] == read.headers["etag"]
    stored = (await world.fetch("SELECT body FROM version WHERE fhir_id = 'x'"))[0][0]
    assert BY_RULE.encode() not in bytes(stored)


@pytest.mark.parametrize("code", ["SUD", "MH", "SEX", "SDV", "HIV", "42CFRPart2", "PSYTHPN"])
def test_what_is_stamped_says_the_same_bits(code: str) -> None:
    bare: dict[str, Any] = {"resourceType": "Condition", "id": "x"}
    wanted = labels(bare | {"meta": {"security": [{"system": ACT, "code": code}]}})
    out = stamped(bare, wanted)
    assert labels(out) & ~RESTRICTED == wanted and unstamped(out) == bare
    assert bits_of(group_names(wanted)) == wanted


def test_carrying_keeps_one_confidentiality() -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
    old, new = ({"meta": {"security": [{"system": system, "code": code}]}} for code in "NR")
    assert carried(old, new) == new
    assert [one["code"] for one in carried(new, old)["meta"]["security"]] == ["N", "R"]


async def test_a_deletion_stays_as_hidden(world: Store, app_client: AppClient) -> None:
    await rule(world, "source", CBO1, "part2")
    await put(world, make("Procedure/x", status="completed", subject=ref("Patient/a")), source=CBO1)
    assert (await (await app_client("cbo", CBO1)).delete("/Procedure/x")).status_code == 204
    assert await bits(world, "Procedure/x") == (PART2, PART2)
    assert (await (await app_client()).get("/Procedure/x")).status_code == 404

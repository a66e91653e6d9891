"""Chains, _has, _filter, _list through HTTP: what they find, and that nothing foreign shows through them."""

from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, LCM1, PLAN1, change_of, make, observation, patient, put, ref


async def found(client: httpx.AsyncClient, url: str) -> list[str]:
    answer = await client.get(url, headers={"Prefer": "handling=strict"})
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return sorted(e["resource"]["id"] for e in entries if e["search"]["mode"] == "match")


@pytest.fixture
async def people(world: Store) -> Store:
    """Names that differ: ours and the foreign patient's."""
    for letter, family, plan in (("a", "Ours", PLAN1), ("b", "Foreign", "Organization/plan-2")):
        named: dict[str, Any] = patient(f"Patient/{letter}")
        named |= {"name": [{"family": family}], "birthDate": "1980-01-01", "generalPractitioner": [ref(LCM1)]}
        await world.commit(change_of(world, named, plan, expect=1))
    return world


FOUND = [
    ("/Task?patient.family=ours", ["a"]),
    ("/Task?patient.family:exact=Ours", ["a"]),
    ("/Task?patient.family:exact=ours", []),
    ("/Task?subject:Patient.family=ours", ["a"]),
    ("/Task?patient._id=a", ["a"]),
    ("/Task?patient._lastUpdated=ge2020", ["a"]),
    ("/Task?patient._lastUpdated=lt2020", []),
    ("/Task?patient.general-practitioner:Practitioner.family=one", ["a"]),
    ("/Task?patient.general-practitioner.name=one", ["a"]),
    ("/Task?focus:ServiceRequest.requester:Organization.name=ecm-1", ["a"]),
    ("/Task?owner:Organization.name=cbo-1&patient.family=ours", ["a"]),
    ("/Task?owner:Organization.name=cbo-2", []),
    ("/Patient?_has:Task:patient:status=requested", ["a"]),
    ("/Patient?_has:Task:patient:status=completed", []),
    ("/Patient?_has:Task:patient:owner:Organization.name=cbo-1", ["a"]),
    ("/Patient?_has:ServiceRequest:subject:_has:Task:focus:status=requested", ["a"]),
    ("/Practitioner?_has:EpisodeOfCare:care-manager:status=active", ["lcm-1"]),
    ("/Task?patient._has:Coverage:beneficiary:payor:Organization.name=plan-1", ["a"]),
    ('/Task?_filter=patient.family eq "ours" and status eq requested', ["a"]),
    ('/Task?_filter=patient.family eq "ours" and not (status eq requested)', []),
    ('/Task?_filter=patient.family co "urs" or status eq draft', ["a"]),
    ("/Patient?_filter=_has:Task:patient:status eq requested", ["a"]),
    ("/Patient?_filter=not (_has:Task:patient:status eq requested)", []),
]


async def test_what_is_found(people: Store, app_client: AppClient) -> None:
    client = await app_client()
    for url, wanted in FOUND:
        assert await found(client, url) == wanted, url


async def test_nothing_foreign_is_seen_through_a_chain(people: Store, app_client: AppClient) -> None:
    """Resources of ours that lead to a foreign patient, and foreign ones that lead to ours, tell nothing of these."""
    await put(
        people,
        observation("Observation/mine", "Patient/b", performer=[ref("Organization/ecm-2")]),
        make("List/l", status="current", mode="working", entry=[{"item": ref("Task/a")}, {"item": ref("Task/b")}]),
        source=ECM1,
    )
    await put(people, observation("Observation/spy", "Patient/a", method={"text": "spy"}), source=ECM2)
    await put(people, make("List/spy", status="current", mode="working", entry=[{"item": ref("Task/a")}]), source=ECM2)
    ours, theirs = await app_client(), await app_client("ecm-provider", ECM2)
    assert await found(ours, "/Observation?_id=mine") == ["mine"]
    for asked in (
        "/Observation?_id=mine&patient.family=foreign",
        "/Observation?_id=mine&patient._id=b",
        "/Observation?_id=mine&subject:Patient.gender=female",
        "/Observation?_id=mine&patient._has:Task:patient:status=requested",
        "/Observation?_id=mine&_filter=patient.gender eq female",
        "/Organization?_id=ecm-2&_has:EpisodeOfCare:organization:status=active",
        "/Organization?_id=ecm-2&_has:Observation:performer:patient.gender=female",
        "/Practitioner?_id=lcm-2&_has:EpisodeOfCare:care-manager:patient.gender=female",
    ):
        one = (await ours.get(asked + "&_total=accurate&_sort=_id")).json()
        assert one["total"] == 0 and "entry" not in one, asked
    assert await found(ours, "/Organization?_id=ecm-2&_has:Observation:performer:_id=mine") == ["ecm-2"]
    # What is not there to be seen counts as not there: a chain's negation holds for a foreign and an absent one alike.
    assert await found(ours, "/Observation?_id=mine&_filter=not (patient.gender eq female)") == ["mine"]
    assert await found(theirs, "/Patient?_has:Task:patient:_id=a") == []
    assert await found(theirs, "/Task?_list=spy") == []
    assert await found(theirs, "/Organization?_has:Task:owner:_id=a") == []


async def test_lists_hold_what_may_be_seen(people: Store, app_client: AppClient) -> None:
    listed = [{"item": ref("Task/a")}, {"item": ref("Task/b")}]
    await put(
        people, make("List/l", status="current", mode="working", subject=ref("Patient/a"), entry=listed), source=ECM1
    )
    ours, theirs = await app_client(), await app_client("ecm-provider", ECM2)
    assert await found(ours, "/Task?_list=l") == ["a"]
    assert await found(theirs, "/Task?_list=l") == []


async def test_a_sort_does_not_tell_foreign_values(people: Store, app_client: AppClient) -> None:
    """What is sorted over a reference to a foreign patient stands where one to an absent patient does."""
    client = await app_client()
    for letter in ("b", "c"):
        await put(people, observation(f"Observation/s{letter}", f"Patient/{letter}"), source=ECM1)
    orders = []
    for sort in ("patient,_id", "-patient,_id"):
        answer = (await client.get(f"/Observation?_sort={sort}&_elements=id")).json()
        orders.append([e["resource"]["id"] for e in answer["entry"]])
    assert orders == [["a", "sb", "sc"], ["a", "sb", "sc"]]


SCOPES = [
    ("system/Task.rs", "/Task?patient.family=ours", 403),
    ("system/Task.rs", "/Task?subject:Patient.family=ours", 403),
    ("system/Task.rs", "/Task?_filter=patient.family eq ours", 403),
    ("system/Task.rs system/Patient.r", "/Task?patient.family=ours", 403),
    ("system/Task.rs system/Patient.rs", "/Task?patient.family=ours", 200),
    ("system/Patient.rs", "/Patient?_has:Task:patient:status=requested", 403),
    ("system/Task.rs", "/Task?_list=l", 403),
    ("system/Task.rs", "/Task?requester.name=x", 200),
]


async def test_scopes_of_what_a_chain_leads_through(people: Store, app_client: AppClient) -> None:
    for scopes, url, status in SCOPES:
        answer = await (await app_client(scopes=scopes)).get(url)
        assert answer.status_code == status, (scopes, url, answer.text)
        if status == 403:
            assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
        if url.endswith("requester.name=x"):
            assert "has no scope" in answer.json()["entry"][0]["resource"]["issue"][0]["diagnostics"]


async def test_labels_are_searched_by_operators_alone(people: Store, app_client: AppClient) -> None:
    ours, operator = await app_client(), await app_client("admin", "Organization/op")
    for url in (
        "/Condition?_security=SUD",
        "/Condition?_security:missing=true",
        "/Patient?_has:Condition:patient:_security=SUD",
        "/Condition?_filter=_security eq SUD",
        "/Condition?_sort=_security",
    ):
        assert (await ours.get(url)).status_code == 403, url
        assert (await operator.get(url)).status_code == 200, url
    assert await found(operator, "/Condition?_security=SUD") == ["sud-a", "sud-b"]
    assert await found(operator, "/Patient?_has:Condition:patient:_security=SUD") == ["a", "b"]


async def test_refusals_say_everything_at_once(people: Store, app_client: AppClient) -> None:
    url = "/Task?patient.shoe=1&_has:Nothing:x:y=1&_filter=status co x&_sort=shoe&_elements=shoe&_summary=all"
    answer = await (await app_client()).get(url)
    issues = answer.json()["issue"]
    assert answer.status_code == 400 and len(issues) == 6
    for issue, name in zip(
        issues, ("patient.shoe", "_has:Nothing:x:y", "_filter", "_sort", "_elements", "_summary"), strict=True
    ):
        assert f"'{name}'" in issue["diagnostics"]

"""PyPI `fhirpy`: application/json both ways, merge patch by fields, conditional writes. Run by the test."""

import asyncio
from typing import Any

from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound
from steps import FACTS, SYSTEM, bundle, order, posted, step, task

client = SyncFHIRClient(FACTS["base"], authorization=f"Bearer {FACTS['token']}")
kept: dict[str, Any] = {}


def made(**body: Any) -> Any:
    return client.resource(body.pop("resourceType"), **body)


def mine(value: int | str) -> Any:
    return client.resources("ServiceRequest").search(identifier=f"{SYSTEM}|{value}")


def create() -> None:
    kept["order"] = made(**order(1)).save()
    assert kept["order"].id and kept["order"]["meta"]["versionId"] == "1", dict(kept["order"])


def read() -> None:
    found = client.reference("ServiceRequest", kept["order"].id).to_resource()
    assert found["identifier"][0]["value"] == "1"
    assert client.get("ServiceRequest", found.id)["id"] == found.id


def refresh() -> None:
    """If-None-Match: 1, without W/ and quotes."""
    before = dict(kept["order"])
    _, status = client._do_request(
        "get", f"ServiceRequest/{kept['order'].id}", extra_headers={"If-None-Match": "1"}, returning_status=True
    )
    assert status == 304, status
    assert dict(kept["order"].refresh()) == before


def conditional_create() -> None:
    """POST ServiceRequest?identifier=..., without If-None-Exist."""
    first, created = mine(2).get_or_create(made(**order(2)))
    second, again = mine(2).get_or_create(made(**order(2)))
    assert (created, again, first.id) == (True, False, second.id)
    made(**order(2)).save()
    try:
        mine(2).get_or_create(made(**order(2)))
    except MultipleResourcesFound:
        return
    raise AssertionError("two matches, and no 412")


def update() -> None:
    kept["order"]["priority"] = "urgent"
    kept["order"].update()
    assert kept["order"]["meta"]["versionId"] == "2"


def conditional_update() -> None:
    changed, created = mine(1).update(made(**order(1, priority="stat")))
    assert (changed["priority"], created, changed.id) == ("stat", False, kept["order"].id)


def patch() -> None:
    """An object as application/json is a merge patch; null removes."""
    client.patch("ServiceRequest", kept["order"].id, priority="asap", note=[{"text": "Call first."}])
    after = client.patch("ServiceRequest", kept["order"].id, note=None)
    assert after["priority"] == "asap" and "note" not in after, after
    own = client.reference("ServiceRequest", kept["order"].id).to_resource()
    own.patch(priority="routine")
    assert own["priority"] == "routine"


def conditional_patch() -> None:
    assert mine(1).patch(priority="urgent")["priority"] == "urgent"


def search() -> None:
    found = client.resources("ServiceRequest").search(identifier=f"{SYSTEM}|1", status="active")
    assert [one.id for one in found.fetch()] == [kept["order"].id]
    assert found.get().id == found.first().id == kept["order"].id
    assert found.count() == 1
    assert client.resources("ServiceRequest").search(patient__identifier="nobody|0").fetch() == []
    slim = found.elements("status").fetch()[0]
    assert slim["status"] == "active" and "code" not in slim, dict(slim)


def batch() -> None:
    entries = [posted(order(f"batch-{n}")) for n in range(3)]
    answer = made(**bundle("batch", *entries)).save()
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["201"] * 3


def paging() -> None:
    """The absolute next link begins with the client's own base."""
    for n in range(5):
        made(**order(f"page-{n}")).save()
    asked = client.resources("ServiceRequest").search(
        identifier=",".join(f"{SYSTEM}|page-{n}" for n in range(5))
    ).sort("-_lastUpdated").limit(2)  # fmt: skip
    found = [one["identifier"][0]["value"] for one in asked.fetch_all()]
    assert sorted(found) == [f"page-{n}" for n in range(5)], found


def paging_async() -> None:
    other = AsyncFHIRClient(FACTS["base"], authorization=f"Bearer {FACTS['token']}")
    asked = other.resources("ServiceRequest").search(identifier=f"{SYSTEM}|").limit(3)

    async def work() -> None:
        found = [one.id async for one in asked]
        assert len(found) == len(set(found)) == await asked.count(), found

    asyncio.run(work())


def include() -> None:
    raw = mine(1).include("ServiceRequest", "patient").fetch_raw()
    assert [(e["search"]["mode"], e["resource"]["resourceType"]) for e in raw["entry"]] == [
        ("match", "ServiceRequest"), ("include", "Patient")]  # fmt: skip
    people = client.resources("Patient").search(_id=FACTS["patient"].split("/")[1])
    raw = people.revinclude("ServiceRequest", "patient").fetch_raw()
    assert kept["order"].id in [e["resource"]["id"] for e in raw["entry"]]
    assert people.has("ServiceRequest", "patient", identifier=f"{SYSTEM}|1").count() == 1


def transaction() -> None:
    """To {base}/? with an empty query."""
    entries = (
        posted(order("both"), "urn:uuid:0d5f0a52-6b0e-4a2a-8d21-3c6a7b1e9c01"),
        posted(task("urn:uuid:0d5f0a52-6b0e-4a2a-8d21-3c6a7b1e9c01")),
    )
    answer = made(**bundle("transaction", *entries)).save()
    assert answer["type"] == "transaction-response"
    places = [entry["response"]["location"] for entry in answer["entry"]]
    sent = client.get("Task", places[1].split("Task/")[1].split("/")[0])
    assert sent["focus"]["reference"] == f"ServiceRequest/{mine('both').get().id}"


def history() -> None:
    answer = client.execute(f"ServiceRequest/{kept['order'].id}/_history", method="get")
    versions = [int(entry["resource"]["meta"]["versionId"]) for entry in answer["entry"]]
    assert answer["type"] == "history" and versions == sorted(versions, reverse=True) and versions[-1] == 1, versions
    of_type = client.execute("ServiceRequest/_history", method="get", params={"_count": 3})
    assert len(of_type["entry"]) == 3


def validate() -> None:
    assert made(**order("draft")).is_valid()
    assert not made(**order("draft", status="open")).is_valid()


def refusal() -> None:
    try:
        made(**order("bad", status="open")).save()
    except OperationOutcome as error:
        assert "status" in str(error.resource), error.resource
        return
    raise AssertionError("stored")


def delete() -> None:
    kept["order"].delete()
    try:
        client.get("ServiceRequest", kept["order"].id)
    except ResourceNotFound:
        assert mine(1).fetch() == []
        return
    raise AssertionError("still there")


def conditional_delete() -> None:
    _, status = mine("page-0").delete()
    assert status in (200, 204) and mine("page-0").fetch() == []


for work in (create, read, refresh, conditional_create, update, conditional_update, patch, conditional_patch, search,
             batch, paging, paging_async, include, transaction, history, validate, refusal, delete,
             conditional_delete):  # fmt: skip
    step(work.__name__, work)

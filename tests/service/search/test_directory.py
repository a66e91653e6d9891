"""The directory is searched by distance, language, hours, capacity and the day of its last check, over HTTP."""

from typing import Any

import httpx
import pytest

from mappers.hsds.elements import ACCESSIBLE_URL, CAPACITY_URL, CODES, VERIFIED_URL
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, CBO2, make, put, ref

STOCKTON = "37.9577|-121.29078"
PLACES = {
    "stockton": (37.9577, -121.29078),
    "lodi": (38.1302, -121.2724),  # 19.3 km from Stockton
    "tracy": (37.7397, -121.4252),  # 27 km
    "fresno": (36.7378, -119.7871),
}


def place(name: str, owner: str = CBO1, **more: Any) -> dict[str, Any]:
    latitude, longitude = PLACES[name]
    position = {"latitude": latitude, "longitude": longitude}
    return make(f"Location/{name}", status="active", position=position, managingOrganization=ref(owner), **more)


def service(name: str, *places: str, owner: str = CBO1, verified: str = "", standing: str = "", **more: Any) -> dict:
    extensions: list[dict[str, Any]] = [{"url": VERIFIED_URL, "valueDateTime": verified}] if verified else []
    if standing:
        concept = {"coding": [{"system": CODES, "code": standing}]}
        extensions.append(
            {"url": CAPACITY_URL, "extension": [{"url": "capacityStatus", "valueCodeableConcept": concept}]}
        )
    told: dict[str, Any] = {"extension": extensions} if extensions else {}
    at = {"location": [ref(f"Location/{one}") for one in places]} if places else {}
    return make(f"HealthcareService/{name}", active=True, name=name, providedBy=ref(owner), **told, **at, **more)


def speaks(code: str) -> dict[str, Any]:
    return {"communication": [{"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}]}


def opens(day: str, start: str, end: str) -> dict[str, Any]:
    return {"availableTime": [{"daysOfWeek": [day], "availableStartTime": start, "availableEndTime": end}]}


@pytest.fixture
async def directory(world: Store) -> Store:
    await put(world, *(place(name) for name in PLACES))
    await put(
        world,
        service("food", "lodi", "fresno", verified="2026-02-01", standing="capacity", **speaks("es")),
        service("beds", "stockton", standing="no-capacity", **speaks("en")),
        service("rides", "tracy", verified="2025-01-01", standing="waitlist", **opens("mon", "08:00:00", "17:00:00")),
        service("phone", verified="2026-03-01", **opens("sun", "00:00:00", "23:00:00"), **speaks("es")),
    )
    return world


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ()) if entry["search"]["mode"] == "match"]


FOUND: list[tuple[str, set[str]]] = [
    (f"near={STOCKTON}|20|km", {"food", "beds"}),
    (f"near={STOCKTON}|5|km", {"beds"}),
    (f"near={STOCKTON}|12.5|mi", {"food", "beds"}),
    (f"location.near={STOCKTON}|5|km", {"beds"}),
    (f"near={STOCKTON}|30|km&communication=es", {"food"}),
    (f"near={STOCKTON}|30|km&capacity=capacity,waitlist", {"food", "rides"}),
    ("communication=urn:ietf:bcp:47|es", {"food", "phone"}),
    ("capacity=no-capacity", {"beds"}),
    ("capacity:missing=true", {"phone"}),
    ("open-at=mon|09:00", {"rides"}),
    ("open-at=2026-03-09T09:00", {"rides"}),
    ("open-at=mon|18:00,sun|10:00", {"phone"}),
    ("verified=ge2026-02-15", {"phone"}),
    ("stale=30", {"food", "beds", "rides"}),
    ("stale=180", {"beds", "rides"}),
    ("stale=180&verified:missing=false", {"rides"}),
]


async def test_services_are_found(directory: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", "Organization/ecm-1")
    for query, expected in FOUND:
        assert set(names(await client.get(f"/HealthcareService?{query}"))) == expected, query


async def test_places_and_organizations_come_with_the_services(directory: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", "Organization/ecm-1")
    both = "_include=HealthcareService:location&_include=HealthcareService:organization"
    answer = await client.get(f"/HealthcareService?near={STOCKTON}|20|km&_sort=near&{both}")
    assert names(answer) == ["beds", "food"]
    included = [e["resource"] for e in answer.json()["entry"] if e["search"]["mode"] == "include"]
    found = {f"{one['resourceType']}/{one['id']}" for one in included}
    assert found == {"Location/stockton", "Location/lodi", "Location/fresno", CBO1} and len(included) == len(found)
    answer = await client.get("/Location?_id=lodi&_revinclude=HealthcareService:location")
    assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["lodi", "food"]


async def test_places_by_how_one_gets_in(directory: Store, app_client: AppClient) -> None:
    def told(concept: dict[str, Any]) -> dict[str, Any]:
        return {"extension": [{"url": ACCESSIBLE_URL, "valueCodeableConcept": concept}]}

    await put(directory, make("Location/ramp", status="active", **told({"text": "Ramp at the east door"})))
    coded = {"coding": [{"system": "urn:x", "code": "adacomp"}]}
    await put(directory, make("Location/hall", status="active", **told(coded)))
    client = await app_client("ecm-provider", "Organization/ecm-1")
    for query, expected in (("=adacomp", {"hall"}), (":text=ramp", {"ramp"}), (":missing=false", {"ramp", "hall"})):
        assert set(names(await client.get(f"/Location?accessibility{query}"))) == expected, query


async def test_sorted_by_the_distance_of_the_nearest_place(directory: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", "Organization/ecm-1")
    by_distance = f"/HealthcareService?near={STOCKTON}|500|km&_sort=near"
    assert names(await client.get(by_distance)) == ["beds", "food", "rides"]
    assert names(await client.get(by_distance.replace("_sort=", "_sort=-"))) == ["rides", "food", "beds"]
    assert names(await client.get(f"/Location?near={STOCKTON}|500|km&_sort=near")) == [*PLACES]
    assert names(await client.get(f"/HealthcareService?location.near={STOCKTON}|30|km&_sort=near,name"))[0] == "beds"


async def test_pages_in_order_of_distance(directory: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", "Organization/ecm-1")
    seen, url = [], f"/Location?near={STOCKTON}|500|km&_sort=near&_count=1"
    for _ in range(len(PLACES)):
        answer = await client.get(url)
        seen += names(answer)
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        if "next" not in links:
            break
        url = "/" + links["next"].partition("/fhir/")[2]
    assert seen == [*PLACES]


REFUSED = [
    ("_sort=near", "one 'near'"),
    (f"near={STOCKTON},38|-121&_sort=near", "one 'near'"),
    ("near=here", "latitude|longitude"),
    ("near:missing=true", "takes no modifier"),
    ("stale=old", "whole number of days"),
    ("stale=5,6", "whole number of days"),
    ("open-at=10:30", "takes a dateTime"),
]


async def test_what_cannot_be_asked(directory: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", "Organization/ecm-1")
    for query, sentence in REFUSED:
        answer = await client.get(f"/HealthcareService?{query}")
        assert answer.status_code == 400 and sentence in answer.text, (query, answer.text)


async def test_near_asks_about_places_and_so_needs_their_scope(directory: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", "Organization/ecm-1", scopes="system/HealthcareService.rs")
    answer = await client.get(f"/HealthcareService?near={STOCKTON}|5|km")
    assert answer.status_code == 403 and "Location" in answer.text


async def test_a_deleted_place_is_no_place(directory: Store, app_client: AppClient) -> None:
    owner = await app_client("cbo", CBO1)
    await put(directory, service("gone", "tracy", owner=CBO2), source=CBO2)
    assert (await owner.put("/HealthcareService/rides", json=service("rides"))).status_code == 200
    other = await app_client("cbo", CBO2)
    assert (await other.put("/HealthcareService/gone", json=service("gone", owner=CBO2))).status_code == 200
    admin = await app_client("admin", "Organization/op")
    assert (await admin.delete("/Location/tracy")).status_code in (200, 204)
    assert names(await admin.get("/HealthcareService?near=37.7397|-121.4252|5|km")) == []

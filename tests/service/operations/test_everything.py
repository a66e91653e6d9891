"""Patient/[id]/$everything: the record as searches of each type find it, each resource once, nothing foreign."""

from typing import Any

import httpx

from service.search.compartment import directory_types, record_types
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import CBO1, ECM1, ECM2, LCM1, change_of, make, observation, put, ref

POSTGRESQL_IN_DEEP = True

BASE = "http://127.0.0.1:8000/fhir"


async def gathered(
    client: httpx.AsyncClient, url: str = "/Patient/a/$everything", **params: Any
) -> tuple[list[str], list[str]]:
    """References in order over all pages: of the record, and of the directory."""
    matches, includes, first = [], [], True
    answer = await client.get(url, params=params or None)
    while True:
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert bundle["type"] == "searchset" and (first or bundle.get("entry")), "an empty page"
        for entry in bundle.get("entry", ()):
            if entry["search"]["mode"] == "outcome":
                continue
            (matches if entry["search"]["mode"] == "match" else includes).append(
                entry["fullUrl"].removeprefix(BASE + "/")
            )
        link = {one["relation"]: one["url"] for one in bundle["link"]}.get("next")
        if link is None:
            return matches, includes
        answer, first = await client.get(link.replace(BASE, "")), False


async def enrich(store: Store) -> None:
    doctor = make("Practitioner/dr", name=[{"family": "Care"}])
    other = make("Practitioner/other", name=[{"family": "Else"}])
    await put(store, doctor, other, make("Location/ward", name="Ward"), source=ECM1)
    visit = make(
        "Encounter/a", status="finished", subject=ref("Patient/a"), location=[{"location": ref("Location/ward")}]
    )
    visit |= {"class": {"code": "AMB"}, "period": {"start": "2026-01-10", "end": "2026-01-12"}}
    await put(store, visit, source=ECM1)
    for n in range(5):
        seen = observation(f"Observation/a{n}", "Patient/a", effectiveDateTime=f"2026-02-0{n + 1}")
        await put(store, {**seen, "performer": [ref("Practitioner/dr")]}, source=ECM1)
    hidden = observation("Observation/b1", "Patient/b", performer=[ref("Practitioner/other")])
    await put(store, hidden, source=ECM2)


async def test_everything_is_what_searches_of_the_compartment_find(world: Store, app_client: AppClient) -> None:
    await enrich(world)
    for role, organization in (("ecm-provider", ECM1), ("mcp", "Organization/plan-1"), ("admin", "Organization/op")):
        client = await app_client(role, organization)
        matches, includes = await gathered(client, _count=4)
        found = {"Patient/a"}
        for rtype in record_types():
            for code in ("patient", "subject", "beneficiary"):
                answer = await client.get(f"/{rtype}", params={code: "Patient/a", "_count": 200}, headers=STRICT)
                if answer.status_code == 200:
                    entries = [e for e in answer.json().get("entry", ()) if e["search"]["mode"] == "match"]
                    found |= {e["fullUrl"].removeprefix(BASE + "/") for e in entries}
        # Rendered ones are found by target alone: they are about the record, not of it.
        found = {one for one in found if not one.startswith("Provenance/v")}
        assert matches[0] == "Patient/a" and set(matches) == found
        compartment = (await client.get("/Patient/a/*?_count=200")).json()["entry"]
        compartment = [e for e in compartment if e["search"]["mode"] == "match"]
        assert {e["fullUrl"].removeprefix(BASE + "/") for e in compartment} == found - {"Patient/a"}
        assert len(matches) == len(set(matches)) and matches[1:] == sorted(matches[1:])
        assert len(includes) == len(set(includes)) and includes == sorted(includes)
        assert {one.partition("/")[0] for one in includes} <= set(directory_types())
        assert {"Organization/ecm-1", LCM1} <= set(includes)
        assert "Practitioner/other" not in includes and "Organization/ecm-2" not in includes
        assert ("Practitioner/dr" in includes) == ("Observation/a1" in matches)


STRICT = {"Prefer": "handling=strict"}


async def test_every_size_of_page_gives_the_same(world: Store, app_client: AppClient) -> None:
    await enrich(world)
    client = await app_client()
    whole = await gathered(client)
    for count in (1, 3, 7, len(whole[0]), len(whole[0]) + len(whole[1]), 200):
        assert await gathered(client, _count=count) == whole


async def test_a_write_between_pages_neither_doubles_nor_hides(world: Store, app_client: AppClient) -> None:
    await enrich(world)
    client = await app_client()
    whole = await gathered(client)
    first = (await client.get("/Patient/a/$everything?_count=12")).json()
    await world.commit(change_of(world, observation("Observation/a", "Patient/a", status="amended"), ECM1, expect=1))
    seen = [e["fullUrl"].removeprefix(BASE + "/") for e in first["entry"]]
    link = next(one["url"] for one in first["link"] if one["relation"] == "next")
    rest = await gathered(client, link.replace(BASE, ""))
    assert seen + rest[0] + rest[1] == whole[0] + whole[1]


async def test_types_since_and_dates(world: Store, app_client: AppClient, clock: FrozenClock) -> None:
    await enrich(world)
    client = await app_client()
    assert await gathered(client, _type="Encounter,Location") == (["Encounter/a"], ["Location/ward"])
    assert await gathered(client, _type="Patient") == (["Patient/a"], [])
    clock.advance(3_600_000_000)
    await put(world, observation("Observation/new", "Patient/a"), source=ECM1)
    assert await gathered(client, _since="2026-03-08T08:00:00Z") == (["Observation/new"], [])
    dated, _ = await gathered(client, start="2026-02-02", end="2026-02-03", _type="Observation,Encounter,Patient")
    assert dated == ["Patient/a", "Observation/a", "Observation/a1", "Observation/a2", "Observation/new"]
    assert "Encounter/a" in (await gathered(client, start="2026-01-12", end="2026-01"))[0]
    assert "Encounter/a" not in (await gathered(client, start="2026-01-13"))[0]


async def test_post_takes_parameters(world: Store, app_client: AppClient) -> None:
    await enrich(world)
    client = await app_client()
    parameters = [{"name": "_type", "valueCode": "Observation"}, {"name": "_count", "valueInteger": 2}]
    body = {"resourceType": "Parameters", "parameter": parameters}
    answer = await client.post("/Patient/a/$everything", json=body)
    links = {one["relation"]: one["url"] for one in answer.json()["link"]}
    assert len(answer.json()["entry"]) == 2 and "_type" not in links["next"]
    rest = await gathered(client, links["next"].replace(BASE, ""))
    assert len(rest[0]) == 4 and rest[1] == []
    other = await app_client()
    assert (await other.get(links["next"].replace(BASE, ""))).status_code == 400
    assert (await client.get(links["next"].replace(BASE, "").replace("/a/", "/x/"))).status_code == 400
    assert (await client.post("/Patient/a/$everything")).status_code == 200
    assert (await client.post("/Patient/a/$everything", json={"resourceType": "Patient"})).status_code == 400


async def test_a_foreign_patient_is_absent(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for query in ("", "?_type=Organization", "?_count=1"):
        assert (await same_answers(client, "GET", "/Patient/{id}/$everything" + query, "b")).status_code == 404
    cbo = await app_client("cbo", CBO1)
    assert (await same_answers(cbo, "GET", "/Patient/{id}/$everything", "a")).status_code in (403, 404)


async def test_scopes_narrow_the_types(world: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="system/Patient.r system/Observation.r system/Practitioner.s")
    assert await gathered(client) == (["Patient/a", "Observation/a"], [])
    assert (await (await app_client(scopes="system/Observation.r")).get("/Patient/a/$everything")).status_code == 403


async def test_a_foreign_resource_that_names_the_patient_stays_hidden(world: Store, app_client: AppClient) -> None:
    """It is in the compartment of both, and belongs to the foreign one."""
    words = make("Communication/x", status="completed", subject=ref("Patient/b"), recipient=[ref("Patient/a")])
    await put(world, words, source=ECM2)
    everyone, _ = await gathered(await app_client("admin", "Organization/op"))
    assert "Communication/x" in everyone
    assert "Communication/x" not in (await gathered(await app_client()))[0]


REFUSED = (
    *("_type=Shoe", "_type=Task,", "_count=0", "_since=2026", "start=x", "end=2026-13", "start=2026&end=2025"),
    *("shoe=1", "_count=1&_count=2", "_page=AAAA"),
)


async def test_what_everything_does_not_take_is_refused(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for query in REFUSED:
        answer = await client.get(f"/Patient/a/$everything?{query}")
        assert answer.status_code == 400, query
    several = (await client.get("/Patient/a/$everything?_count=x&shoe=1&start=y")).json()["issue"]
    assert len(several) == 3 and all("Parameter '" in issue["diagnostics"] for issue in several)


async def test_the_audit_row_names_the_patient(world: Store, app_client: AppClient) -> None:
    await (await app_client()).get("/Patient/a/$everything?_type=Organization")
    rows = await world.fetch("SELECT kind, target, patients FROM audit ORDER BY seq DESC LIMIT 1")
    assert tuple(rows[0]) == ("everything", "Patient/a", "Patient/a")

"""_sort, _total, _summary, _elements, includes and pages both ways, through HTTP."""

from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.test_search_chains import found
from tests.service.world import CBO1, ECM1, observation, patient, put, ref, task

POSTGRESQL_IN_DEEP = True

VALUE = '"valueQuantity":{"value":72.50,"unit":"kg"}'


@pytest.fixture
async def measured(world: Store) -> Store:
    """Nine observations of ours with a value of two decimals, and foreign ones between them."""
    for n in range(9):
        for letter, source in (("a", ECM1), ("b", "Organization/ecm-2")):
            more: dict[str, Any] = {
                "effectiveDateTime": f"2026-01-{(n * 4) % 9 + 1:02d}",
                "status": ("final", "amended")[n % 2],
                "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
                "component": [{"code": {"text": "c"}, "interpretation": [{"text": "i"}]}],
                "note": [{"text": "n"}],
            }
            await put(world, observation(f"Observation/n{n}{letter}", f"Patient/{letter}", **more), source=source)
    return world


def links_of(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"].partition("/fhir")[2] for link in bundle["link"]}


async def pages(client: httpx.AsyncClient, url: str, relation: str = "next") -> list[list[str]]:
    out = []
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        out.append([e["resource"]["id"] for e in bundle.get("entry", [])])
        url = links_of(bundle).get(relation, "")
        last = bundle
    pages.last = last  # type: ignore[attr-defined]
    return out


@pytest.mark.parametrize(
    "sort", ["date", "-date", "status,-date", "-status,_id", "patient,_id", "_lastUpdated", "code"]
)
async def test_pages_lead_both_ways(measured: Store, app_client: AppClient, sort: str) -> None:
    client = await app_client()
    url = f"/Observation?date=ge2026&_sort={sort}&_count=4"
    forth = await pages(client, url)
    assert [len(page) for page in forth] == [4, 4, 1]
    flat = [one for page in forth for one in page]
    assert len(set(flat)) == 9 and all(one.endswith("a") for one in flat)
    if sort == "date":
        assert flat == sorted(flat, key=lambda i: (int(i[1]) * 4) % 9)
    back = await pages(client, links_of(pages.last)["previous"], "previous")  # type: ignore[attr-defined]
    assert back[::-1] == forth[:-1]
    assert await pages(client, links_of(pages.last)["first"]) == forth  # type: ignore[attr-defined]


async def test_a_foreign_page_link_is_refused(measured: Store, app_client: AppClient) -> None:
    client, other = await app_client(), await app_client()
    first = (await client.get("/Observation?date=ge2026&_sort=date&_count=2")).json()
    second = (await client.get(links_of(first)["next"])).json()
    for url in links_of(second).values():
        if "_page=" not in url:
            continue
        assert (await other.get(url)).status_code == 400
        assert (await client.get(url.replace("/Observation", "/Condition"))).status_code == 400
        assert (await client.get(url.replace("_sort=date", "_sort=-date"))).status_code == 400
        assert (await client.get(url[:-4] + "AAAA")).status_code == 400


async def test_a_long_search_has_short_links(measured: Store, app_client: AppClient) -> None:
    client = await app_client()
    ids = ",".join([f"n{n}a" for n in range(9)] + [f"{n:032d}" for n in range(120)])
    forth = await pages(client, f"/Observation?_id={ids}&_count=4&_sort=_id")
    assert [one for page in forth for one in page] == [f"n{n}a" for n in range(9)]
    first = (await client.get(f"/Observation?_id={ids}&_count=4&_sort=_id")).json()
    assert len(next(link["url"] for link in first["link"] if link["relation"] == "next")) < 2_048
    posted = (await client.post("/Observation/_search", data={"_id": ids, "_count": "4", "_sort": "_id"})).json()
    assert [len(page) for page in await pages(client, links_of(posted)["next"])] == [4, 1]
    assert "_id" not in links_of(posted)["next"] and links_of(posted)["self"] == "/Observation"


async def test_totals_count_what_may_be_seen(measured: Store, app_client: AppClient) -> None:
    client = await app_client()
    for total in ("accurate", "estimate"):
        assert (await client.get(f"/Observation?date=ge2026&_total={total}&_count=2")).json()["total"] == 9
    assert "total" not in (await client.get("/Observation?_total=none")).json()
    for url in ("/Observation?date=ge2026&_count=0", "/Observation?date=ge2026&_summary=count"):
        counted = (await client.get(f"{url}&_totalMethod=count")).json()
        assert counted["total"] == 9
        assert [e["search"]["mode"] for e in counted["entry"]] == ["outcome"]


# ---- subsets


async def one(client: httpx.AsyncClient, query: str) -> dict[str, Any]:
    answer = await client.get(f"/Observation?_id=n0a&{query}")
    assert answer.status_code == 200, answer.text
    resource: dict[str, Any] = answer.json()["entry"][0]["resource"]
    return resource


HEAD = {"resourceType", "id", "meta"}


SUBSETS = [
    ("_elements=note", {"status", "code", "note"}),
    ("_elements=effective,subject", {"status", "code", "effectiveDateTime", "subject"}),
    ("_elements=effective[x]", {"status", "code", "effectiveDateTime"}),
    ("_elements=effectiveDateTime", {"status", "code", "effectiveDateTime"}),
    ("_elements=effectivePeriod", {"status", "code"}),
    ("_elements=id", {"status", "code"}),
    ("_summary=text", {"status", "code", "text"}),
    ("_summary=data", {"status", "code", "subject", "effectiveDateTime", "component", "note"}),
    ("_summary=true", {"status", "code", "subject", "effectiveDateTime", "component"}),
]


async def test_subsets(measured: Store, app_client: AppClient) -> None:
    client = await app_client()
    for query, wanted in SUBSETS:
        got = await one(client, query)
        assert set(got) == HEAD | wanted, query
        assert [tag["code"] for tag in got["meta"]["tag"]] == ["SUBSETTED"]
        assert got["meta"]["versionId"] == "1"
        if query == "_summary=true":
            assert got["component"] == [{"code": {"text": "c"}}]


async def test_what_is_whole_is_not_marked(measured: Store, app_client: AppClient) -> None:
    client = await app_client()
    whole = await one(client, "_summary=false")
    assert whole == (await client.get("/Observation/n0a")).json() and "tag" not in whole["meta"]


async def test_decimals_keep_their_digits(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"w"},"subject":{"reference":"Patient/a"},'
        f"{VALUE}}}"
    )
    made = await client.post("/Observation", content=body, headers={"Content-Type": "application/fhir+json"})
    assert made.status_code == 201, made.text
    for query in ("_elements=value", "_summary=true", "_summary=data"):
        answer = await client.get(f"/Observation?_id={made.json()['id']}&{query}")
        assert '"value":72.50' in answer.text


async def test_included_resources_are_cut_by_summary_and_not_by_elements(
    measured: Store, app_client: AppClient
) -> None:
    client = await app_client()
    url = "/Observation?_id=n0a&_include=Observation:patient"
    entries = {e["search"]["mode"]: e["resource"] for e in (await client.get(f"{url}&_elements=note")).json()["entry"]}
    assert "tag" in entries["match"]["meta"] and "tag" not in entries["include"]["meta"]
    entries = {e["search"]["mode"]: e["resource"] for e in (await client.get(f"{url}&_summary=true")).json()["entry"]}
    assert "tag" in entries["match"]["meta"] and "tag" in entries["include"]["meta"]


async def test_what_does_not_stand_together(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for query in ("_summary=true&_elements=code", "_summary=text&_include=Observation:patient"):
        answer = await client.get(f"/Observation?{query}")
        assert answer.status_code == 400 and "stand" in answer.text
    assert (await client.get("/Observation?_summary=count&_elements=code")).status_code == 200


# ---- includes


async def included(client: httpx.AsyncClient, url: str) -> set[str]:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return {
        f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries if e["search"]["mode"] == "include"
    }


async def test_wildcards_and_iteration(world: Store, app_client: AppClient) -> None:
    await put(world, patient("Patient/c", generalPractitioner=[ref("Practitioner/lcm-1")]), source=ECM1)
    await put(world, task("Task/c", "Patient/c", "ServiceRequest/a", ECM1, CBO1), source=ECM1)
    client = await app_client()
    every = {"Patient/c", "ServiceRequest/a", CBO1, ECM1}
    for url in ("/Task?_id=c&_include=*", "/Task?_id=c&_include=Task:*"):
        assert await included(client, url) == every
    assert await included(client, "/Task?_id=c&_include=Task:patient") == {"Patient/c"}
    for modifier in ("iterate", "recurse"):
        url = f"/Task?_id=c&_include=Task:patient&_include:{modifier}=Patient:general-practitioner"
        assert await included(client, url) == {"Patient/c", "Practitioner/lcm-1"}
    assert await included(client, "/Patient?_id=c&_revinclude=*") == {"Task/c"}
    assert await included(client, "/Patient?_id=a&_revinclude=Task:*") == {"Task/a"}
    no_tasks = await app_client(scopes="system/Patient.rs system/Coverage.r")
    assert await included(no_tasks, "/Patient?_id=a&_revinclude=*") == {"Coverage/a"}
    assert (await no_tasks.get("/Patient?_id=a&_revinclude=Task:*")).status_code == 403
    # Nothing foreign comes with it.
    operator = await app_client("admin", "Organization/op")
    assert "Task/b" in await included(operator, "/Organization?_id=ecm-2&_revinclude=Task:requester")
    assert await included(client, "/Organization?_id=ecm-2&_revinclude=*") == set()


async def test_sorting_by_several_keys(measured: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = (await client.get("/Observation?date=ge2026&_sort=-status,date&_elements=status,effective")).json()
    keys = [(e["resource"]["status"], e["resource"]["effectiveDateTime"]) for e in answer["entry"]]
    by_status = [status for status, _ in keys]
    assert by_status in (sorted(by_status), sorted(by_status, reverse=True))
    for status in ("final", "amended"):
        dates = [date for s, date in keys if s == status]
        assert dates == sorted(dates)
    assert await found(client, "/Observation?date=ge2026-01-05&_sort=date") != []

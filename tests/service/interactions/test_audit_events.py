"""AuditEvent: rendered from the audit rows; each organization sees its own accesses, the operator all."""

import asyncio
from typing import Any

import pytest

from service.interactions import audit_events
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import ECM1

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def audited(world: Store, app_client: AppClient, clock: Any) -> list[Any]:
    """Three clients, and some accesses of each."""
    ours, theirs = await app_client(), await app_client("ecm-provider", "Organization/ecm-2")
    for client, letter in ((ours, "a"), (theirs, "b")):
        for path in (f"/Patient/{letter}", f"/Observation/{letter}", "/Patient/nope", "/Observation?status=final"):
            await client.get(path)
            clock.advance(1_000_000)
    return [ours, theirs, await app_client("admin", "Organization/op")]


async def found(client: Any, query: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [e["resource"] for e in answer.json().get("entry", []) if e["search"]["mode"] == "match"]


def whats(events: list[dict[str, Any]]) -> set[str]:
    return {entity["what"].get("reference", "") for e in events for entity in e.get("entity", []) if "what" in entity}


async def test_who_sees_what(audited: list[Any]) -> None:
    ours, theirs, admin = audited
    assert len(await found(admin, "patient=a,b")) == 6
    organizations = {a["who"].get("reference") for e in await found(ours, "") for a in e["agent"]}
    assert organizations == {ECM1, None}
    assert await found(theirs, "patient=Patient/a") == []
    one = (await found(ours, "patient=a"))[0]
    assert (await ours.get(f"/AuditEvent/{one['id']}")).json() == one
    assert (await theirs.get(f"/AuditEvent/{one['id']}")).status_code == 404
    assert (await admin.get("/AuditEvent/0000000000000000-0")).status_code == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("action=R&outcome=0", 2),
        ("outcome=4", 1),
        ("outcome:not=0&date=ge2026", 1),
        ("subtype=http://hl7.org/fhir/restful-interaction|search-type", 1),
        ("entity=Observation/a", 1),
        ("patient=Patient/a", 3),
        ("agent=Organization/ecm-1&action=R", 2),
        ("date=lt2026", 0),
        ("date=ge2026-03-07&date=lt2026-03-08&action=R", 2),
        ("_lastUpdated=ge2026&action=R", 2),
        ("_tag=x", 0),
        ("action:missing=true", 0),
    ],
)
async def test_each_parameter_is_executed(audited: list[Any], query: str, count: int) -> None:
    answer = await audited[0].get(f"/AuditEvent?{query}&_total=accurate", headers={"Prefer": "handling=strict"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == count == len(answer.json().get("entry", []))


async def test_by_id(audited: list[Any]) -> None:
    events = await found(audited[0], "action=R")
    wanted = [e["id"] for e in events]
    assert [e["id"] for e in await found(audited[0], f"_id={','.join(wanted)},0-0-0,x")] == wanted
    assert await found(audited[1], f"_id={wanted[0]}") == []


async def test_pages_hold_each_event_once_while_others_write(
    audited: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_events, "BATCH", 3)
    ours, theirs, _ = audited
    seen, url = [], "/AuditEvent?date=ge2026&_count=2&_total=accurate"
    before = {e["id"] for e in await found(ours, "_count=200")}
    while url:
        bundle = (await ours.get(url)).json()
        await asyncio.gather(theirs.get("/Patient/b"), ours.get("/Patient/a"))
        seen += [e["resource"]["id"] for e in bundle["entry"]]
        url = {link["relation"]: link["url"] for link in bundle["link"]}.get("next", "").partition("/fhir")[2]
    assert len(seen) == len(set(seen)) and before <= set(seen)


async def test_too_many_rows_are_refused_and_not_cut_short(audited: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_events, "BATCH", 2)
    monkeypatch.setattr(audit_events, "MAX_SCANNED", 4)
    answer = await audited[2].get("/AuditEvent?_tag=x")
    assert answer.status_code == 400 and answer.json()["issue"][0]["code"] == "too-costly"


async def test_includes_only_what_may_be_seen(audited: list[Any]) -> None:
    ours, _, admin = audited
    for client, wanted in ((ours, {"Patient/a"}), (admin, {"Patient/a", "Patient/b"})):
        entries = (await client.get("/AuditEvent?_include=AuditEvent:patient&_count=200")).json()["entry"]
        included = {e["fullUrl"].partition("/fhir/")[2] for e in entries if e["search"]["mode"] == "include"}
        assert included == wanted


async def test_what_cannot_be_read_is_refused(audited: list[Any]) -> None:
    for query in ["patient=a%20b", "patient=%00", "date=x", "_sort=_id", "_id=%00", "patient="]:
        assert (await audited[0].get(f"/AuditEvent?{query}")).status_code == 400, query


FILTERS = [
    ("action eq R and outcome eq 0", 2),
    ("action eq R and not (outcome eq 0)", 0),
    ("outcome eq 4 or action eq R", 3),
    ("outcome ne 0 and date ge 2026", 1),
    ("entity pr false", 0),
]


async def test_filters(audited: list[Any]) -> None:
    for text, count in FILTERS:
        answer = await audited[0].get(f"/AuditEvent?_filter={text}&_total=accurate")
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == count, text


async def test_subsets(audited: list[Any]) -> None:
    event = (await found(audited[0], "action=R&_count=1&_elements=outcome"))[0]
    assert set(event) == {"resourceType", "id", "meta", "type", "recorded", "outcome", "agent", "source"}
    assert event["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_what_is_served_for_stored_types_only_is_refused_with_a_sentence(audited: list[Any]) -> None:
    for query, said in (
        ("patient.family=x", "by its own parameters only"),
        ("_has:Provenance:target:_id=x", "by its own parameters only"),
        ("_sort=date&_include:iterate=Patient:link", "sorted by -_lastUpdated only"),
        ("_include:iterate=Patient:link", "without :iterate"),
        ("_revinclude:iterate=Provenance:target", "no _revinclude"),
    ):
        answer = await audited[0].get(f"/AuditEvent?{query}")
        assert answer.status_code == 400 and said in answer.text, answer.text
    assert (
        len((await audited[0].get("/AuditEvent?_sort=date&_revinclude:iterate=Provenance:target")).json()["issue"]) == 2
    )
    # Not even with a scope that a page link could carry on: its pages lead forward and to the first.
    second = (await audited[0].get("/AuditEvent?_count=1")).json()
    url = {link["relation"]: link["url"] for link in second["link"]}["next"].partition("/fhir")[2]
    relations = {link["relation"] for link in (await audited[0].get(url)).json()["link"]}
    assert relations == {"self", "first", "next"}


async def test_no_list_holds_them(audited: list[Any]) -> None:
    answer = await audited[0].get("/AuditEvent?_list=l")
    assert answer.status_code == 400 and "no List" in answer.json()["issue"][0]["diagnostics"]

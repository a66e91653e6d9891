"""An HSDS package into the store and out again: the same file twice, corrections, bad records alone, many records."""

import json
import os
from datetime import date
from typing import Any

import pytest

from fhir_profiles.json_text import write_json
from mappers.hsds.package import document, read_json
from mappers.hsds.tabular import read_tables, write_tables
from service.access.context import Context
from service.caller import system_caller
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.engine import Store
from service.workflow.directory_export import export_records
from service.workflow.directory_import import Imported, import_package
from tests.mappers.hsds.made_up import plain, records
from tests.service.conftest import AppClient
from tests.service.search.test_directory import place, service
from tests.service.world import put

POSTGRESQL_IN_DEEP = True
MANY = 10_000 if os.environ.get("ENLACE_TEST_DEEP") else 120


def ctx(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


async def take(store: Store, data: bytes | dict[str, bytes], **more: Any) -> Imported:
    package = read_tables(data) if isinstance(data, dict) else read_json(data)
    return await import_package(ctx(store), package, today=date(2026, 3, 7), **more)


def counts(imported: Imported) -> tuple[int, int, int, int]:
    told = imported.report["counts"]
    return told["created"], told["updated"], told["unchanged"], told["rejected"]


WHOLE = write_json(document(records()))


async def test_in_and_out_and_in_again(store: Store) -> None:
    first = await take(store, WHOLE)
    assert (first.state, counts(first)) == ("done", (3, 0, 0, 0)) and first.issues == []
    exported = await export_records(ctx(store))
    assert exported == records()
    assert counts(await take(store, write_json(document(exported)))) == (0, 0, 3, 0)
    assert counts(await take(store, write_tables(exported))) == (0, 0, 3, 0)


async def test_a_dry_run_stores_nothing(store: Store) -> None:
    dry = await take(store, WHOLE, dry=True)
    assert (dry.state, counts(dry)) == ("dry-run", (3, 0, 0, 0))
    assert await export_records(ctx(store)) == {"organization": {}, "location": {}, "service": {}}


async def test_bad_records_are_left_out_alone(store: Store) -> None:
    good = [plain(number) for number in range(4)]
    bad = [
        {**plain(4), "status": "open"},
        {"id": "svc-5", "name": "x", "status": "active", "organization_id": "nowhere"},
        {"name": "no id", "status": "active"},
    ]
    imported = await take(store, write_json([*good, *bad]))
    assert imported.state == "done"
    assert [(one.row, one.column, one.rule) for one in imported.issues if one.severity == "error"] == [
        (5, "service.status", "form"),
        (6, "service.organization_id", "unknown-organization"),
        (7, "service.id", "missing"),
    ]
    assert set((await export_records(ctx(store)))["service"]) == {f"svc-{number}" for number in range(4)}


async def test_a_correction_is_not_written_over(store: Store, app_client: AppClient) -> None:
    await take(store, write_json([plain(1)]))
    service = next(one for one in await _all(store, "HealthcareService"))
    owner = await app_client("cbo", service["providedBy"]["reference"])
    corrected = service | {"comment": "Ring twice"}
    assert (await owner.put(f"/HealthcareService/{service['id']}", json=corrected)).status_code == 200
    assert counts(await take(store, write_json([plain(1)])))[1:] == (0, 3, 0), "the file says nothing new"
    news = write_json([plain(1) | {"name": "Renamed", "description": "In the file"}])
    kept = await take(store, news)
    assert [one.rule for one in kept.issues] == ["corrected"] and counts(kept)[1] == 0
    assert (await _all(store, "HealthcareService"))[0]["comment"] == "Ring twice"
    assert counts(await take(store, news, overwrite=True))[1] == 1
    assert (await _all(store, "HealthcareService"))[0]["comment"] == "In the file"


async def test_an_entry_that_bears_the_identifier_is_the_record(store: Store, app_client: AppClient) -> None:
    admin = await app_client("admin", "Organization/op")
    body = {"resourceType": "Organization", "active": True, "name": "Here first"}
    body["identifier"] = [{"system": "https://example.org/211", "value": "org-1"}]
    assert (await admin.put("/Organization/ours", json=body | {"id": "ours"})).status_code == 201
    imported = await take(store, write_json([plain(1)]), system="https://example.org/211")
    assert counts(imported) == (2, 1, 0, 0)
    ours = await read.head(store, "Organization", "ours", EVERYTHING)
    assert ours is not None and json.loads(ours.body or b"")["name"] == "Organization 1"


async def test_what_was_made_here_goes_out_and_comes_in_again(store: Store) -> None:
    """No second entry is made of it, and what HSDS has no word for stays."""
    method = {"referralMethod": [{"coding": [{"system": "urn:x", "code": "elec"}]}]}
    shop = {"resourceType": "Organization", "id": "shop", "active": True, "name": "Made-up Shop"}
    await put(store, shop, place("lodi", "Organization/shop"), source="Organization/op")
    await put(store, service("rides", "lodi", owner="Organization/shop", **method), source="Organization/op")
    before = await ctx(store).resource("HealthcareService/rides")
    exported = await export_records(ctx(store))
    assert counts(await take(store, write_json(document(exported)))) == (0, 0, 3, 0)
    assert counts(await take(store, write_tables(exported))) == (0, 0, 3, 0)
    exported["service"]["rides"]["description"] = "Rides to the doctor"
    told = await take(store, write_json(document(exported)))
    assert counts(told) == (0, 0, 3, 0) and [(one.rule, one.severity) for one in told.issues] == [
        ("corrected", "warning")
    ]
    assert await ctx(store).resource("HealthcareService/rides") == before
    assert counts(await take(store, write_json(document(exported)), overwrite=True)) == (0, 1, 2, 0)
    after = await ctx(store).resource("HealthcareService/rides")
    assert after is not None and after[0]["comment"] == "Rides to the doctor"
    assert after[0]["referralMethod"] == method["referralMethod"], "HSDS has words for it only"
    others = await take(store, write_json(document(exported)), system="https://directory.example.org/id")
    assert counts(others) == (3, 0, 0, 0), "ids of another system are of other entries"


async def test_what_comes_back_after_its_deletion(store: Store, app_client: AppClient) -> None:
    await take(store, write_json([plain(1)]))
    service = (await _all(store, "HealthcareService"))[0]
    admin = await app_client("admin", "Organization/op")
    assert (await admin.delete(f"/HealthcareService/{service['id']}")).status_code in (200, 204)
    assert counts(await take(store, write_json([plain(1)]))) == (1, 0, 2, 0)


async def test_warnings(store: Store) -> None:
    service = plain(1) | {"schedules": [{"id": "s", "byday": "MO", "valid_to": "2026-03-06"}]}
    service["service_at_locations"].append({"id": "at", "location_id": "nowhere"})
    imported = await take(store, write_json([service]))
    assert [(one.rule, one.severity) for one in imported.issues] == [
        ("ended", "warning"),
        ("unknown-location", "warning"),
    ]
    assert counts(imported) == (3, 0, 0, 0)


async def test_many(store: Store) -> None:
    data = write_json([plain(number) for number in range(MANY)])
    first = await take(store, data)
    assert first.issues == [] and first.report["counts"]["created"] == len(read_json(data).entries["service"]) + sum(
        len(read_json(data).entries[kind]) for kind in ("organization", "location")
    )
    exported = await export_records(ctx(store))
    assert len(exported["service"]) == MANY
    again = await take(store, write_json(document(exported)))
    assert again.report["counts"]["created"] == again.report["counts"]["updated"] == 0


@pytest.mark.parametrize("data", [b"{", b"[]", b'[{"name":"x"}]'])
async def test_nothing_to_take(store: Store, data: bytes) -> None:
    assert (await take(store, data)).state == "failed"


async def _all(store: Store, rtype: str) -> list[dict[str, Any]]:
    from service.store.directory import page

    return [json.loads(one.body or b"") for one in (await page(store, rtype, -(2**63), 100))[0]]

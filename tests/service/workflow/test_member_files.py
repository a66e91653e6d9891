"""A plan's file comes in: who is stored, who sees them, what twice, late, at once and half-way do. Issue 2, point 9."""

import asyncio
import csv
import io
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date

import pytest

from fhir_profiles.validate import validate
from service.access.new_version import deletion, new_version
from service.caller import Role
from service.store.change import Change, ClaimTaken, Stale
from service.store.engine import Store, open_store
from service.workflow import member_files
from service.workflow.member_directory import Directory, find_plan
from service.workflow.member_rows import RowWork, decide
from tests.frozen_clock import FrozenClock
from tests.mappers.plan_files.made_up import xlsx_of
from tests.service.workflow.member_plan import (
    BASE,
    CLINIC,
    DIRECTORY,
    MANAGER_NPI,
    OTHER_CLINIC,
    OTHER_NPI,
    OTHER_PLAN,
    TODAY,
    caller,
    context,
    counts,
    csv_of,
    imported,
    last_vid,
    member,
    patient_of,
    put,
    stored,
)

POSTGRESQL_IN_DEEP = True

TYPES = ("Patient", "Coverage", "EpisodeOfCare", "CareTeam")
ROWS = 10_000 if os.environ.get("ENLACE_TEST_DEEP") else 500
LCM = "Practitioner/lcm-1"


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await put(opened, *DIRECTORY)
    yield opened
    await opened.close()


async def test_a_row_becomes_four_valid_resources_with_their_references(store: Store) -> None:
    result = await imported(store, csv_of(member()))
    assert (result.state, counts(result), result.issues) == ("done", (1, 0, 0, 0), [])
    (patient,), (coverage,), (episode,), (team,) = [await stored(store, t) for t in TYPES]
    assert coverage["beneficiary"] == {"reference": f"Patient/{patient['id']}"}
    assert coverage["payor"] == [{"reference": "Organization/plan-1"}]
    assert episode["managingOrganization"] == {"reference": CLINIC}
    assert episode["careManager"] == {"reference": LCM}
    assert episode["team"] == [{"reference": f"CareTeam/{team['id']}"}]
    assert team["participant"][0]["member"] == {"reference": LCM}
    for resource in (patient, coverage, episode, team):
        assert [p for p in validate(resource, resource["resourceType"]) if p.severity == "error"] == []


async def test_the_provider_the_manager_and_the_plan_see_the_member_and_nobody_else(store: Store) -> None:
    await imported(store, csv_of(member()))
    clients = {
        "provider": caller(CLINIC, Role.ECM_PROVIDER),
        "manager": caller(CLINIC, Role.LCM, LCM),
        "plan": caller("Organization/plan-1", Role.MCP),
        "other plan": caller("Organization/plan-2", Role.MCP),
        "other provider": caller(OTHER_CLINIC, Role.ECM_PROVIDER),
    }
    seen = {name: [len(await stored(store, t, who)) for t in TYPES] for name, who in clients.items()}
    assert seen == {
        "provider": [1, 1, 1, 1],
        "manager": [1, 1, 1, 1],
        "plan": [1, 1, 1, 1],
        "other plan": [0, 0, 0, 0],
        "other provider": [0, 0, 0, 0],
    }


async def test_the_same_file_twice_changes_nothing(store: Store) -> None:
    data = csv_of(member(1), member(2))
    first = await imported(store, data)
    before = await last_vid(store)
    second = await imported(store, data)
    assert (second.state, second.file_id, second.report) == ("already-imported", first.file_id, first.report)
    third = await imported(store, data, again=True)
    assert (third.state, counts(third)) == ("done", (0, 0, 2, 0))
    assert await last_vid(store) == before
    assert (await imported(store, data)).report == first.report


async def test_a_changed_file_changes_the_changed_row_alone(store: Store) -> None:
    await imported(store, csv_of(member(1), member(2)))
    result = await imported(store, csv_of(member(1), member(2, phone="559-555-0177")))
    assert counts(result) == (0, 1, 1, 0)
    rows = await store.fetch("SELECT rtype, count(*) FROM resource WHERE version = 2 GROUP BY rtype")
    assert [tuple(row) for row in rows] == [("Patient", 1)]
    assert (await patient_of(store, 2))["telecom"][0]["value"] == "559-555-0177"


async def test_rejected_rows_are_named_by_row_column_and_rule_and_the_others_stored(store: Store) -> None:
    bad = csv_of(member(1), member(2), member(3, provider_npi="1000000004"), member(1)).replace(
        b"90000002A", b"9000002A"
    )
    result = await imported(store, bad)
    assert (result.state, counts(result)) == ("done", (1, 0, 0, 3))
    assert [(i.row, i.column, i.rule) for i in result.issues] == [
        (3, "Member CIN", "cin-format"),
        (4, "ECM Provider NPI", "provider-unknown"),
        (5, "Member CIN", "duplicate-cin"),
    ]
    assert len(await stored(store, "Patient")) == 1


async def test_a_provider_registered_later_is_found_with_again(store: Store) -> None:
    data = csv_of(member(1, provider_npi="1000000004"))
    result = await imported(store, data)
    assert (result.state, counts(result)) == ("failed", (0, 0, 0, 1))
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1000000004"}
    await put(store, {"resourceType": "Organization", "id": "ecm-9", "identifier": [npi]})
    assert counts(await imported(store, data, again=True)) == (1, 0, 0, 0)


async def test_two_organizations_of_one_npi_are_an_error_not_a_choice(store: Store) -> None:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": OTHER_NPI}
    await put(store, {"resourceType": "Organization", "id": "cuckoo", "identifier": [npi]})
    result = await imported(store, csv_of(member(1), member(2, provider_npi=OTHER_NPI)))
    assert [(i.row, i.rule) for i in result.issues] == [(3, "provider-ambiguous")]


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"lcm_email": "nobody@clinic.example.org"}, "lead-care-manager-unknown"),
        ({"lcm_email": None}, "lead-care-manager-unknown"),
        ({"lcm_email": None, "lcm_name": None}, "enrolled-without-lcm"),
    ],
)
async def test_an_unknown_lead_care_manager_is_a_warning(store: Store, told: dict[str, None], rule: str) -> None:
    result = await imported(store, csv_of(member(1, **told)))
    assert counts(result) == (1, 0, 0, 0)
    assert [(i.rule, i.severity) for i in result.issues] == [(rule, "warning")]
    (episode,) = await stored(store, "EpisodeOfCare")
    assert "reference" not in episode.get("careManager", {})


async def test_a_lead_care_manager_with_npi_and_name_is_entered_once(store: Store) -> None:
    told = {"lcm_npi": MANAGER_NPI, "lcm_name": "Ada Fennimore", "lcm_email": None}
    result = await imported(store, csv_of(*(member(n, **told) for n in range(1, 30))))
    assert (counts(result), result.issues) == ((29, 0, 0, 0), [])
    (made,) = [p for p in await stored(store, "Practitioner") if p["id"] != "lcm-1"]
    (role,) = await stored(store, "PractitionerRole")
    assert made["name"] == [{"use": "official", "text": "Ada Fennimore", "family": "Fennimore", "given": ["Ada"]}]
    assert (role["practitioner"]["reference"], role["organization"]["reference"]) == (
        f"Practitioner/{made['id']}",
        CLINIC,
    )
    managers = {e["careManager"]["reference"] for e in await stored(store, "EpisodeOfCare")}
    assert managers == {f"Practitioner/{made['id']}"}
    assert counts(await imported(store, csv_of(member(40, **told)))) == (1, 0, 0, 0)
    assert len(await stored(store, "Practitioner")) == 2


async def test_a_member_who_moved_leaves_the_panel_of_the_former_provider(store: Store) -> None:
    await imported(store, csv_of(member(1)))
    moved = member(1, provider_npi=OTHER_NPI, provider_name="Delta Clinic", lcm_name=None, lcm_email=None)
    result = await imported(store, csv_of(replace(moved, ecm_start=date(2026, 3, 1))))
    assert counts(result) == (0, 1, 0, 0)
    old, new = sorted(await stored(store, "EpisodeOfCare"), key=lambda e: e["status"], reverse=True)
    assert (old["status"], old["period"]) == ("finished", {"start": "2026-01-15", "end": "2026-03-01"})
    assert (new["status"], new["managingOrganization"]) == ("active", {"reference": OTHER_CLINIC})
    teams = {t["status"]: t["managingOrganization"][0]["reference"] for t in await stored(store, "CareTeam")}
    assert teams == {"inactive": CLINIC, "active": OTHER_CLINIC}
    assert await stored(store, "Patient", caller(CLINIC, Role.ECM_PROVIDER)) == []
    assert await stored(store, "Patient", caller(CLINIC, Role.LCM, LCM)) == []
    assert len(await stored(store, "Patient", caller(OTHER_CLINIC, Role.ECM_PROVIDER))) == 1
    before = await last_vid(store)
    assert counts(await imported(store, csv_of(replace(moved, ecm_start=date(2026, 3, 1))), again=True)) == (0, 0, 1, 0)
    assert await last_vid(store) == before


async def test_a_member_who_comes_back_begins_a_new_episode(store: Store) -> None:
    gone = {"ecm_status": "graduated", "ecm_end": date(2026, 2, 1)}
    await imported(store, csv_of(member(1, **gone)))
    await imported(store, csv_of(member(1, ecm_start=date(2026, 3, 1))))
    episodes = await stored(store, "EpisodeOfCare")
    assert sorted((e["status"], e["period"]["start"]) for e in episodes) == [
        ("active", "2026-03-01"),
        ("finished", "2026-01-15"),
    ]


async def test_another_plan_adds_its_coverage_to_the_same_patient(store: Store) -> None:
    await imported(store, csv_of(member(1)))
    result = await imported(store, csv_of(member(1)), OTHER_PLAN)
    assert (result.state, counts(result)) == ("done", (0, 1, 0, 0))
    assert len(await stored(store, "Patient")) == 1
    payors = [c["payor"][0]["reference"] for c in await stored(store, "Coverage")]
    assert payors == ["Organization/plan-1", "Organization/plan-2"]
    moved = member(1, provider_npi=OTHER_NPI)
    await imported(store, csv_of(moved), OTHER_PLAN)
    active = {
        e["managingOrganization"]["reference"] for e in await stored(store, "EpisodeOfCare") if e["status"] == "active"
    }
    assert active == {CLINIC, OTHER_CLINIC}, "what one plan says does not end what the other pays for"


async def test_what_the_provider_wrote_of_the_member_stays(store: Store) -> None:
    await imported(store, csv_of(member(1, lcm_name=None, lcm_email=None)))
    (episode,) = await stored(store, "EpisodeOfCare")
    keys = store.keys
    named = {**episode, "careManager": {"reference": LCM}}
    org = keys.resource("Organization/plan-1")
    await store.commit(Change(writes=[new_version(named, 1, keys, source_org=org, now_us=store.clock.now_us())]))
    again = await imported(store, csv_of(member(1, lcm_name="Pilar Okonkwo", lcm_email=None)))
    assert counts(again)[:2] == (0, 1)  # the team now names her
    (episode,) = await stored(store, "EpisodeOfCare")
    assert episode["careManager"] == {"reference": LCM}


async def test_a_deleted_member_record_is_brought_back_not_doubled(store: Store) -> None:
    await imported(store, csv_of(member(1)))
    (patient,) = await stored(store, "Patient")
    key = store.keys.resource(f"Patient/{patient['id']}")
    await store.commit(Change(writes=[deletion("Patient", patient["id"], 1, patient=key, source_org=0)]))
    assert counts(await imported(store, csv_of(member(1)), again=True)) == (1, 0, 0, 0)
    assert [p["id"] for p in await stored(store, "Patient")] == [patient["id"]]


async def test_two_imports_of_one_file_at_once_make_nobody_twice(store: Store, database_url: str) -> None:
    data = csv_of(*(member(n) for n in range(1, 101)))
    other = await open_store(database_url, store.clock)
    try:
        results = await asyncio.gather(imported(store, data), imported(other, data), imported(store, data))
    finally:
        await other.close()
    assert sum(counts(r)[0] for r in results) == 100
    assert [len(await stored(store, t)) for t in TYPES] == [100, 100, 100, 100]
    files = await store.fetch("SELECT state FROM plan_file")
    assert [row[0] for row in files] == ["done"]


async def test_two_plans_at_once_make_one_patient_and_one_coverage_each(store: Store) -> None:
    data = csv_of(*(member(n) for n in range(1, 51)))
    await asyncio.gather(imported(store, data), imported(store, data, OTHER_PLAN), imported(store, data, OTHER_PLAN))
    assert [len(await stored(store, t)) for t in TYPES] == [50, 100, 100, 100]


@pytest.mark.parametrize(("known", "refusal"), [(False, ClaimTaken), (True, Stale)])
async def test_of_two_decisions_about_one_member_one_is_made_again(
    store: Store, known: bool, refusal: type[Exception]
) -> None:
    if known:
        await imported(store, csv_of(member(1)))
    ctx = await context(store, OTHER_PLAN)
    plan = await find_plan(ctx, OTHER_PLAN)
    work = RowWork(ctx, plan, BASE, Directory(ctx), TODAY)
    first, second = [(await decide(work, member(1), CLINIC, LCM, []))[0] for _ in range(2)]
    await store.commit(first)
    with pytest.raises(refusal):
        await store.commit(second)
    assert (await decide(work, member(1), CLINIC, LCM, []))[1] == "unchanged"


async def test_an_existing_patient_gets_one_coverage_from_two_imports_at_once(store: Store) -> None:
    await imported(store, csv_of(*(member(n) for n in range(1, 51))))
    data = csv_of(*(member(n) for n in range(1, 51)))
    await asyncio.gather(imported(store, data, OTHER_PLAN), imported(store, data, OTHER_PLAN))
    assert [len(await stored(store, t)) for t in TYPES] == [50, 100, 100, 100]


async def test_an_import_that_broke_off_goes_on_and_repeats_nothing(store: Store) -> None:
    data = csv_of(*(member(n) for n in range(1, 201)))
    reached = asyncio.Event()
    task = asyncio.create_task(imported(store, data, progress=lambda done: reached.set() if done >= 40 else None))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.1)  # what was handed to the committer is committed
    there = {p["id"] for p in await stored(store, "Patient")}
    assert 40 <= len(there) < 200
    result = await imported(store, data)
    created, updated, unchanged, rejected = counts(result)
    assert (created + unchanged, updated, rejected, unchanged) == (200, 0, 0, len(there))
    assert [len(await stored(store, t)) for t in TYPES] == [200, 200, 200, 200]
    rows = await store.fetch("SELECT count(*) FROM version WHERE version > 1")
    assert rows[0][0] == 0 and there < {p["id"] for p in await stored(store, "Patient")}


async def test_a_dry_run_counts_and_stores_nothing(store: Store) -> None:
    before = await last_vid(store)
    told = {"lcm_npi": MANAGER_NPI, "lcm_email": None}
    result = await imported(store, csv_of(member(1, **told), member(2, **told)), dry_run=True)
    assert (result.state, counts(result)) == ("dry-run", (2, 0, 0, 0))
    assert await last_vid(store) == before
    assert await store.fetch("SELECT id FROM plan_file") == []


async def test_an_xlsx_file_is_read_like_its_csv(store: Store) -> None:
    rows: list[list[object]] = [list(row) for row in csv.reader(io.StringIO(csv_of(member(1)).decode("utf-8-sig")))]
    result = await imported(store, xlsx_of(rows), filename="members.xlsx")
    assert (result.state, counts(result)) == ("done", (1, 0, 0, 0))
    assert counts(await imported(store, csv_of(member(1)))) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.csv", b""),
        ("picture.csv", bytes(range(256)) * 200),
        ("zip.xlsx", b"PK\x03\x04" + b"\0" * 500),
        ("quote.csv", b'"' + csv_of(member(1))),
        ("other.csv", b"a,b,c\r\n1,2,3\r\n"),
    ],
)
async def test_a_hostile_file_is_refused_whole_and_kept(store: Store, name: str, data: bytes) -> None:
    result = await imported(store, data, filename=name)
    assert result.state == "failed"
    assert any(problem["severity"] == "error" for problem in result.report["file"])
    assert [tuple(row) for row in await store.fetch("SELECT state FROM plan_file")] == [("failed",)]
    assert await stored(store, "Patient") == []


async def test_each_row_and_the_file_are_audited_for_the_plan(store: Store) -> None:
    result = await imported(store, csv_of(member(1), member(2)))
    rows = await store.fetch("SELECT kind, organization, patients, request_id FROM audit ORDER BY slot, seq")
    assert [row[0] for row in rows] == ["file-received", "file-row", "file-row", "file-import"]
    assert {row[1] for row in rows} == {"Organization/plan-1"}
    patients = {f"Patient/{p['id']}" for p in await stored(store, "Patient")}
    assert {row[2] for row in rows if row[0] == "file-row"} == patients
    assert result.file_id


async def test_many_rows(store: Store) -> None:
    data = csv_of(*(member(n) for n in range(1, ROWS + 1)))
    started = time.perf_counter()
    result = await imported(store, data)
    took = time.perf_counter() - started
    print(f"{ROWS} rows in {took:.1f} s on {store.db.name}")
    assert counts(result) == (ROWS, 0, 0, 0)
    again = await imported(store, data, again=True)
    assert counts(again) == (0, 0, ROWS, 0)


def test_rows_in_flight_are_enough_for_a_group_commit() -> None:
    assert 16 <= member_files.IN_FLIGHT <= 256

"""$check-eligibility: met, not met, to be asked, by what the caller sees and by nothing else; it never refuses."""

from typing import Any

import pytest

from service.store import service_use
from service.store.change import Change
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.workflow.calaim_world import coded, opened
from tests.service.world import CBO1, ECM1, ECM2, PLAN1, PLAN2, SUD, condition, coverage, make, put, ref, request

POSTGRESQL_IN_DEEP = True
PROGRAM = "https://enlace.example.org/fhir/CodeSystem/overlap-program"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def parts(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [one for one in body.get("parameter", body.get("part", ())) if one["name"] == name]


def value(body: dict[str, Any], name: str) -> Any:
    (one,) = parts(body, name)
    return next(v for key, v in one.items() if key.startswith("value"))


def leaves(one: dict[str, Any]) -> list[dict[str, Any]]:
    inner = parts(one, "criterion")
    return [leaf for part in inner for leaf in leaves(part)] if inner else [one]


def results(body: dict[str, Any]) -> dict[str, str]:
    return {value(one, "id"): value(one, "result") for one in leaves(parts(body, "criterion")[0])}


async def test_what_data_says_and_what_is_left_to_ask(world: Store, app_client: AppClient) -> None:
    code = {"coding": [{"system": ICD, "code": "J45.40"}]}
    await put(world, condition("Condition/asthma", "Patient/a") | {"code": code}, source=ECM1)
    period = {"start": "2026-01-02T10:00:00Z"}
    visit = make("Encounter/e", status="finished", subject=ref("Patient/a"), period=period) | {
        "class": {"code": "EMER"}
    }
    await put(world, visit, source=ECM1)
    number = await opened(world, "asthma-remediation", PLAN1)
    row = service_use.authorized("t", "Patient/a", "asthma-remediation", 700_000, 0, 1)
    await world.commit(Change(statements=[row]))
    ecm = await app_client()
    answer = await ecm.post(f"/ServiceRequest/{number}/$check-eligibility")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert value(body, "service")["code"] == "asthma-remediation" and value(body, "standing") == "ask"
    told = results(body)
    assert (told["asthma"], told["ed-1-in-12"], told["home-visit"]) == ("met", "met", "ask")
    (asthma,) = [one for one in leaves(parts(body, "criterion")[0]) if value(one, "id") == "asthma"]
    assert value(asthma, "evidence") == {"reference": "Condition/asthma"}
    (visit_,) = [one for one in leaves(parts(body, "criterion")[0]) if value(one, "id") == "home-visit"]
    assert value(visit_, "question").endswith("?")
    (cap,) = parts(body, "cap")
    assert (value(cap, "limit"), value(cap, "left")) == (750_000, 50_000) and "$500.00" in value(cap, "words")
    (hcpcs,) = parts(body, "hcpcs")
    assert (value(hcpcs, "code"), value(hcpcs, "modifier")) == ("S5165", "U5")
    assert (await ecm.get(f"/ServiceRequest/{number}/$check-eligibility?at=2020-01-01")).json() == body | {
        "parameter": [one for one in body["parameter"] if one["name"] != "hcpcs"]
    }


async def test_an_age_contradicts_and_nothing_is_refused(world: Store, app_client: AppClient) -> None:
    young = {"resourceType": "Patient", "id": "y", "birthDate": "2012-01-01"}
    await put(world, young, coverage("Coverage/y", "Patient/y", PLAN1))
    body = request("ServiceRequest/y", "Patient/y", PLAN1, code=coded("sobering-centers"))
    await put(world, body, source=PLAN1)
    plan = await app_client("mcp", PLAN1)
    answer = await plan.post("/ServiceRequest/y/$check-eligibility")
    assert answer.status_code == 200 and value(answer.json(), "standing") == "not-met"
    assert results(answer.json())["age-18"] == "not-met"


async def test_a_labelled_condition_counts_only_for_who_may_see_it(world: Store, app_client: AppClient) -> None:
    code = {"coding": [{"system": ICD, "code": "F11.20"}]}
    await put(world, condition("Condition/f11", "Patient/a", meta=SUD) | {"code": code}, source=ECM2)
    number = await opened(world, "housing-deposits", PLAN1)
    plan, ecm = await app_client("mcp", PLAN1), await app_client()
    for client in (plan, ecm):
        answer = await client.post(f"/ServiceRequest/{number}/$check-eligibility")
        assert results(answer.json())["chronic-or-smi"] == "ask" and "f11" not in answer.text


async def test_programs_are_shown_with_their_rule(world: Store, app_client: AppClient) -> None:
    await put(world, coverage("Coverage/d", "Patient/a", PLAN1, type=coded("d-snp", PROGRAM)))
    number = await opened(world, "ecm", PLAN1)
    body = (await (await app_client()).post(f"/ServiceRequest/{number}/$check-eligibility")).json()
    (program,) = parts(body, "program")
    assert (value(program, "program")["code"], value(program, "rule")) == ("d-snp", "not-eligible")
    assert value(program, "evidence") == {"reference": "Coverage/d"}


async def test_a_party_without_the_record_hears_the_questions_alone(world: Store, app_client: AppClient) -> None:
    number = await opened(world, "home-modifications", CBO1)
    row = service_use.authorized("t", "Patient/a", "home-modifications", 700_000, 0, 1)
    await world.commit(Change(statements=[row]))
    cbo = await app_client("cbo", CBO1)
    body = (await cbo.post(f"/ServiceRequest/{number}/$check-eligibility")).json()
    assert set(results(body).values()) == {"ask"} and not parts(body, "cap") and "do not see" in value(body, "note")


@pytest.mark.parametrize(
    ("role", "organization"), [("ecm-provider", ECM2), ("mcp", PLAN2), ("cbo", "Organization/cbo-2")]
)
async def test_a_foreign_request_is_absent(world: Store, app_client: AppClient, role: str, organization: str) -> None:
    number = await opened(world, "ecm", PLAN1)
    client = await app_client(role, organization)
    foreign = await client.post(f"/ServiceRequest/{number}/$check-eligibility")
    absent = await client.post("/ServiceRequest/none/$check-eligibility")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.text.replace(number, "none") == absent.text


async def test_no_service_of_the_catalogue_and_bad_parameters(world: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    body = (await ecm.post("/ServiceRequest/a/$check-eligibility")).json()
    assert value(body, "standing") == "not-in-catalogue"
    for query in ("at=yesterday", "at=2026-13-01", "color=red"):
        assert (await ecm.get(f"/ServiceRequest/a/$check-eligibility?{query}")).status_code == 400
    found = await world.fetch("SELECT count(*) FROM audit WHERE kind = 'check-eligibility'")
    assert found[0][0] == 1

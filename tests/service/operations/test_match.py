"""Patient/$match: graded by the matcher of messages, never by what the caller may not see."""

from typing import Any

import httpx
import pytest

from service.operations import match
from service.operations.match import GRADE
from service.store.engine import Store
from service.workflow.match_evidence import CIN_SYSTEM
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, episode, make, put

POSTGRESQL_IN_DEEP = True

JSON = dict[str, Any]
PHONE = {"system": "phone", "value": "(916) 555-0142"}
ANA = {
    "name": [{"family": "López Reyes", "given": ["Ana", "Maria"]}],
    "birthDate": "1980-05-09",
    "gender": "female",
    "telecom": [PHONE],
}


def person(**facts: Any) -> JSON:
    return {"resourceType": "Patient", **facts}


async def member(store: Store, number: str, organization: str = ECM1, **facts: Any) -> None:
    await put(store, make(f"Patient/{number}", **facts), source=organization)
    await put(store, episode(f"EpisodeOfCare/{number}", f"Patient/{number}", organization), source=organization)


async def grades(client: httpx.AsyncClient, patient: JSON, **more: Any) -> dict[str, str]:
    kinds = {bool: "valueBoolean", int: "valueInteger"}
    parameters = [{"name": "resource", "resource": patient}]
    parameters += [{"name": name, kinds[type(value)]: value} for name, value in more.items()]
    answer = await client.post("/Patient/$match", json={"resourceType": "Parameters", "parameter": parameters})
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    scores = [e["search"]["score"] for e in entries]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    assert all(e["search"]["mode"] == "match" and e["search"]["extension"][0]["url"] == GRADE for e in entries)
    return {e["resource"]["id"]: e["search"]["extension"][0]["valueCode"] for e in entries}


async def test_grades(store: Store, app_client: AppClient) -> None:
    cin = [{"system": CIN_SYSTEM, "value": "91234567A"}]
    await member(store, "ana", **ANA, identifier=cin)
    client = await app_client()
    named = {key: ANA[key] for key in ("name", "birthDate", "gender")}
    assert await grades(client, person(**ANA)) == {"ana": "certain"}
    assert await grades(client, person(**named)) == {"ana": "probable"}
    assert await grades(client, person(**named), onlyCertainMatches=True) == {}
    assert await grades(client, person(**{**named, "birthDate": "1980-09-05"})) == {"ana": "possible"}
    assert await grades(client, person(**named | {"name": [{"family": "Lopez", "given": ["Rosa"]}]})) == {
        "ana": "possible"
    }
    assert await grades(client, person(identifier=cin, birthDate="1980-05-09")) == {"ana": "certain"}
    assert await grades(client, person(identifier=cin)) == {"ana": "probable"}
    stranger = {"name": [{"family": "Stone", "given": ["Max"]}], "birthDate": "1950-01-01", "gender": "male"}
    assert await grades(client, person(identifier=cin, **stranger)) == {"ana": "certainly-not"}
    assert await grades(client, person(**stranger)) == {}
    other_cin = [{"system": CIN_SYSTEM, "value": "97654321B"}]
    assert (await grades(client, person(**ANA, identifier=other_cin)))["ana"] != "certain"


async def test_two_that_tie_are_never_certain(store: Store, app_client: AppClient) -> None:
    await member(store, "one", **ANA)
    await member(store, "two", **ANA)
    client = await app_client()
    assert await grades(client, person(**ANA)) == {"one": "probable", "two": "probable"}
    assert await grades(client, person(**ANA), count=1) == {"one": "probable"}
    assert await grades(client, person(**ANA), onlyCertainMatches=True) == {}


async def test_a_foreign_patient_is_no_candidate_and_changes_nothing(store: Store, app_client: AppClient) -> None:
    number = [{"system": "http://example.org/mrn", "value": "77"}]
    await member(store, "ours", **ANA)
    client = await app_client()
    before = (await client.post("/Patient/$match", json=person(**ANA))).json()["entry"]
    await member(store, "theirs", ECM2, **ANA, identifier=number)
    after = (await client.post("/Patient/$match", json=person(**ANA))).json()["entry"]
    assert before == after and before[0]["search"]["extension"][0]["valueCode"] == "certain"
    assert await grades(client, person(identifier=number)) == {}
    assert set(await grades(await app_client("ecm-provider", ECM2), person(identifier=number))) == {"theirs"}


REFUSED: tuple[tuple[int, Any], ...] = (
    (422, person(name=[{"family": "Lopez"}], birthDate="1980-05-09")),
    (422, person(name=ANA["name"])),
    (422, person(name=ANA["name"], birthDate="1980-05")),
    (422, person(identifier=[{"value": "77"}])),
    (422, person(**{**ANA, "telecom": [PHONE] * 21})),
    (422, person(gender="x")),
    (400, {"resourceType": "Parameters"}),
    (400, {"resourceType": "Task"}),
    (
        400,
        {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Task"}}]},
    ),
    (400, {"resourceType": "Parameters", "parameter": [{"name": "resource"}, {"name": "shoe", "valueCode": "x"}]}),
    (400, {"resourceType": "Parameters", "parameter": "x"}),
    (400, []),
)


async def test_what_says_too_little_is_refused(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    for status, body in REFUSED:
        answer = await client.post("/Patient/$match", json=body)
        assert answer.status_code == status, answer.text
        assert "Lopez" not in answer.text


async def test_scope_and_audit(store: Store, app_client: AppClient) -> None:
    await member(store, "ana", **ANA)
    for scopes in ("system/Patient.r", "system/Patient.s", "system/Task.rs"):
        client = await app_client(scopes=scopes)
        assert (await client.post("/Patient/$match", json=person(**ANA))).status_code == 403
    await grades(await app_client(), person(**ANA))
    rows = await store.fetch("SELECT kind, target, patients FROM audit ORDER BY seq DESC LIMIT 1")
    assert tuple(rows[0]) == ("match", "Patient", "Patient/ana")
    assert (await (await app_client()).post("/Task/$match", json=person(**ANA))).status_code == 405


async def test_more_people_than_are_looked_at_are_refused(
    store: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right one might be among those left out: a short list would be a wrong answer."""
    monkeypatch.setattr(match, "PER_SEARCH", 2)
    for number in ("one", "two"):
        await member(store, number, **ANA)
    client = await app_client()
    assert len(await grades(client, person(**ANA))) == 2
    await member(store, "three", **ANA)
    answer = await client.post("/Patient/$match", json=person(**ANA))
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["code"] == "too-costly"

"""What goes with data about substance use: header, OperationOutcome, labels; on every way out, nowhere else (G10)."""

from typing import Any

import pytest

from service.access.labels import BITS, BY_RULE
from service.interactions.notices import RELATION
from service.search.dates import MAX_US, MIN_US
from service.store.change import Change, Statement
from service.store.engine import Store
from service.workflow.disclosures import account
from tests.service.conftest import AppClient
from tests.service.world import ECM1, ECM2, SUD, condition, make, put, ref

POSTGRESQL_IN_DEEP = True

TEXT = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
PART2 = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}]}
LINK = f'<http://127.0.0.1:8000/notices/part2>; rel="{RELATION}"'


async def permit(store: Store, patient: str = "Patient/a", actor: str = ECM1) -> None:
    """A rule as a Consent compiles to: the organization may have this patient's records of substance use."""
    consent = make("Consent/c", status="active", scope={"text": "s"}, category=[{"text": "c"}], patient=ref(patient))
    await put(store, consent, source=ECM2)
    patient_key, consent_key, actor_key = (store.keys.resource(one) for one in (patient, "Consent/c", actor))
    bits = BITS["sud"] | BITS["part2"]
    row = (patient_key, consent_key, 0, actor_key, 0, "", bits, "", 0, 0, 6, MIN_US, MAX_US)
    names = "patient, consent, number, actor, also, purpose, labels, rtype, data_kind, data, grade, start_us, end_us"
    sql = f"INSERT INTO clearance ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    await store.commit(Change(statements=[Statement(sql, row)]))


@pytest.fixture
async def shared(world: Store) -> Store:
    """ECM 2 wrote a Part 2 record about patient A, and a Consent lets ECM 1 have it."""
    await put(world, condition("Condition/p2", "Patient/a", meta=PART2), source=ECM2)
    await permit(world)
    return world


def outcomes(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle.get("entry", ()) if e.get("search", {}).get("mode") == "outcome"]


async def test_g10_a_read_bears_labels_and_the_notice(shared: Store, app_client: AppClient) -> None:
    client = await app_client()
    for url in ("/Condition/p2", "/Condition/p2/_history/1"):
        answer = await client.get(url)
        assert answer.status_code == 200 and answer.headers["link"] == LINK and answer.headers["etag"] == 'W/"1"'
        stamps = [one for one in answer.json()["meta"]["security"] if "extension" in one]
        assert [one["code"] for one in stamps] == ["NORDSCLCD"] and stamps[0]["extension"][0]["url"] == BY_RULE


async def test_g10_xml_says_the_same(shared: Store, app_client: AppClient) -> None:
    answer = await (await app_client()).get("/Condition/p2", headers={"Accept": "application/fhir+xml"})
    assert answer.headers["link"] == LINK and "NORDSCLCD" in answer.text


@pytest.mark.parametrize(
    "url", ["/Condition", "/Patient/a/$everything", "/Patient/a/Condition", "/Condition?_summary=true"]
)
async def test_g10_a_bundle_holds_the_statement_and_the_consent(shared: Store, app_client: AppClient, url: str) -> None:
    answer = await (await app_client()).get(url)
    assert answer.headers["link"] == LINK
    (told,) = outcomes(answer.json())
    (issue,) = told["issue"]
    assert issue["details"]["text"] == TEXT and "Consent/c" in issue["diagnostics"]


async def test_g10_a_history_says_it_beside_the_version(shared: Store, app_client: AppClient) -> None:
    client = await app_client()
    for url in ("/Condition/p2/_history", "/Condition/_history"):
        answer = await client.get(url)
        told = [e["response"].get("outcome") for e in answer.json()["entry"] if "/p2" in e["fullUrl"]]
        assert answer.headers["link"] == LINK and told[0]["issue"][0]["details"]["text"] == TEXT
        assert not any("search" in entry for entry in answer.json()["entry"])


async def test_g10_entries_of_bundles(shared: Store, app_client: AppClient) -> None:
    client = await app_client()
    for kind in ("batch", "transaction"):
        for url, place in (("Condition/p2", "response"), ("Condition?_id=p2", "resource")):
            entries = [{"request": {"method": "GET", "url": url}}]
            answer = await client.post("", json={"resourceType": "Bundle", "type": kind, "entry": entries})
            (entry,) = answer.json()["entry"]
            assert answer.headers["link"] == LINK, (kind, url)
            told = entry["response"]["outcome"] if place == "response" else outcomes(entry["resource"])[0]
            assert told["issue"][0]["details"]["text"] == TEXT


async def test_g10_what_one_wrote_oneself_and_what_is_open_bear_none(shared: Store, app_client: AppClient) -> None:
    client = await app_client()
    for url in ("/Condition/sud-a", "/Observation/a", "/Observation", "/Patient/a"):
        answer = await client.get(url)
        assert answer.status_code == 200 and "link" not in answer.headers and TEXT not in answer.text
    own = await client.get("/Condition/sud-a")
    assert own.json()["meta"]["security"] == SUD["security"]


async def test_g10_a_conditional_create_that_finds_it(shared: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = {k: v for k, v in condition("Condition/x", "Patient/a").items() if k != "id"}
    answer = await client.post("/Condition", json=body, headers={"If-None-Exist": "_id=p2"})
    assert answer.status_code == 200 and answer.headers["link"] == LINK


async def test_a_consent_of_another_recipient_opens_and_tells_nothing(shared: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM2)
    answer = await client.get("/Condition/p2")
    assert answer.status_code == 200 and "link" not in answer.headers
    from service.search.restriction import Restriction
    from service.store.disclosure_consents import permits

    patient, other = shared.keys.resource("Patient/a"), shared.keys.resource(ECM2)
    assert await permits(shared, [patient], BITS["part2"], Restriction(actors=(other,), now_us=1)) == []


async def test_the_address_of_the_notice_is_served(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await client.get("http://test/notices/part2")
    assert answer.status_code == 200 and TEXT in answer.text


@pytest.mark.parametrize("url", ["/Condition/p2", "/Condition?_id=p2", "/Condition/_history", "/Patient/a/$everything"])
async def test_what_a_consent_opened_is_accounted_for_by_it(shared: Store, app_client: AppClient, url: str) -> None:
    assert (await (await app_client()).get(url)).status_code == 200
    found = await account(shared, "Patient/a", shared.clock.now_us())
    assert found.disclosures[0].basis == "consent: Consent/c" and found.disclosures[0].required


async def test_g10_what_leaves_beside_an_audit_event_or_as_provenance(shared: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.get("/Condition/p2")
    await client.get("/Condition/a")
    answer = await client.get("/AuditEvent?entity=Condition/p2&_include=AuditEvent:entity")
    assert '"NORDSCLCD"' in answer.text and answer.headers["link"] == LINK and len(outcomes(answer.json())) == 1
    answer = await client.get("/AuditEvent?entity=Condition/a&_include=AuditEvent:entity")
    assert "link" not in answer.headers and not outcomes(answer.json())
    answer = await client.get("/Provenance?target=Condition/p2")
    assert answer.headers["link"] == LINK and len(outcomes(answer.json())) == 1
    one = await client.get(f"/Provenance/{answer.json()['entry'][0]['resource']['id']}")
    assert one.status_code == 200 and one.headers["link"] == LINK
    assert "link" not in (await client.get("/Provenance?target=Condition/a")).headers
    newest = (await account(shared, "Patient/a", shared.clock.now_us())).disclosures[0]
    assert (newest.kinds, newest.consents) == ((("Condition", 1),), ("Consent/c",))

"""read: what is ours, 304, 410, and nothing of what is foreign."""

import orjson
import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import CBO1, ECM1, LCM1, PLAN1, SUD, condition, put


async def test_a_read_gives_the_version_and_its_headers(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await client.get("/Patient/a")
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"1"' and answer.headers["last-modified"].endswith("GMT")
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.json()["meta"]["versionId"] == "1"


async def test_not_modified(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for tag in ('W/"1"', '"1"', "1", 'W/"7", W/"1"'):
        answer = await client.get("/Patient/a", headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")
    assert (await client.get("/Patient/a", headers={"If-None-Match": 'W/"2"'})).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["Patient/b", "Observation/b", "Condition/b", "Task/b", "ServiceRequest/b", "CareTeam/b", "EpisodeOfCare/b"],
)
async def test_foreign_is_absent(world: Store, app_client: AppClient, path: str) -> None:
    rtype, _, foreign = path.partition("/")
    await put(world, condition("Condition/foreign", "Patient/b"), source="Organization/ecm-2")
    client = await app_client()
    for method in ("GET", "HEAD"):
        assert (await same_answers(client, method, f"/{rtype}/{{id}}", foreign)).status_code == 404
    tag = {"If-None-Match": 'W/"1"'}
    assert (await same_answers(client, "GET", f"/{rtype}/{{id}}", foreign, headers=tag)).status_code == 404


async def test_a_foreign_deletion_is_absent_and_ours_is_gone(world: Store, app_client: AppClient) -> None:
    theirs = await app_client("ecm-provider", "Organization/ecm-2")
    assert (await theirs.delete("/Observation/b")).status_code == 204
    gone = await theirs.get("/Observation/b")
    assert gone.status_code == 410 and gone.json()["issue"][0]["code"] == "deleted"
    ours = await app_client()
    assert (await same_answers(ours, "GET", "/Observation/{id}", "b")).status_code == 404


async def test_a_labelled_resource_is_its_authors_alone_even_when_deleted(world: Store, app_client: AppClient) -> None:
    ecm, plan_writer = await app_client(), await app_client("ecm-provider", "Organization/ecm-2")
    assert (await ecm.get("/Condition/sud-a")).status_code == 200
    await put(world, condition("Condition/other", "Patient/a", meta=SUD), source="Organization/ecm-2")
    assert (await plan_writer.get("/Condition/other")).status_code == 200
    assert (await same_answers(ecm, "GET", "/Condition/{id}", "other")).status_code == 404
    assert (await plan_writer.delete("/Condition/other")).status_code == 204
    assert (await plan_writer.get("/Condition/other")).status_code == 410
    assert (await same_answers(ecm, "GET", "/Condition/{id}", "other")).status_code == 404
    for path in ("/Condition/{id}/_history", "/Condition/{id}/_history/1", "/Condition/{id}/_history/2"):
        assert (await same_answers(ecm, "GET", path, "other")).status_code == 404


SEEN = {
    "ecm-provider": {"Patient", "Task", "ServiceRequest", "Observation", "Condition", "CareTeam", "Procedure"},
    "mcp": {"Patient", "Task", "ServiceRequest", "CareTeam", "EpisodeOfCare", "Coverage"},
    "cbo": {"Patient", "Task", "ServiceRequest", "Procedure"},  # of the Patient a minimum view
    "referrer": set(),
    "hospital": set(),
}


@pytest.mark.parametrize("role", SEEN)
async def test_what_each_role_reads_of_our_member(world: Store, app_client: AppClient, role: str) -> None:
    organization = {"ecm-provider": ECM1, "mcp": PLAN1, "cbo": CBO1}.get(role, "Organization/h")
    client = await app_client(role, organization)
    every = ("Patient", "Task", "ServiceRequest", "Observation", "Condition", "CareTeam", "Procedure")
    seen = {t for t in every if (await client.get(f"/{t}/a")).status_code == 200}
    assert seen == SEEN[role] & set(every)
    foreign = {t for t in every if (await client.get(f"/{t}/b")).status_code == 200}
    assert foreign == set()


async def test_a_lead_care_manager_reads_the_assigned_member(world: Store, app_client: AppClient) -> None:
    lcm = await app_client("lcm", ECM1, LCM1)
    assert (await lcm.get("/Patient/a")).status_code == 200
    assert (await lcm.get("/Observation/a")).status_code == 200
    assert (await same_answers(lcm, "GET", "/Patient/{id}", "b")).status_code == 404


async def test_every_read_and_refusal_is_audited(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.get("/Patient/a")
    await client.get("/Patient/b")
    rows = await world.fetch("SELECT kind, outcome, target, patients, reason FROM audit ORDER BY seq DESC LIMIT 2")
    assert tuple(rows[1]) == ("read", 0, "Patient/a", "Patient/a", "")
    assert tuple(rows[0])[:2] == ("refusal", 4) and rows[0][3] == ""


async def test_decimals_and_extensions_come_back_through_http(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    text = (
        '{"resourceType":"Observation","status":"final","code":{"text":"w"},"subject":{"reference":"Patient/a"},'
        '"effectiveDateTime":"2026-03-08T02:30:00.123456-08:00","_effectiveDateTime":{"extension":[{"url":"http://x.y/z","valueCode":"c"}]},'
        '"valueQuantity":{"value":1.500,"unit":"kg"},"referenceRange":[{"low":{"value":0.00000010}}]}'
    )
    made = await client.post("/Observation", content=text, headers={"Content-Type": "application/fhir+json"})
    assert made.status_code == 201, made.text
    back = (await client.get(f"/Observation/{made.json()['id']}")).content
    for part in (
        b'"value":1.500,',
        b'"value":0.00000010}',
        b":00.123456-08:00",
        b'"_effectiveDateTime":{"extension":[{"url":"http://x.y/z","valueCode":"c"}]}',
    ):
        assert part in back
    assert made.content == back
    assert orjson.loads(back)["valueQuantity"]["value"] == 1.5


@pytest.mark.parametrize("path", ["/Condition/a", "/Condition/a/_history/1"])
async def test_a_read_gives_the_part_that_is_asked_for(world: Store, app_client: AppClient, path: str) -> None:
    client = await app_client()
    whole = (await client.get(path)).json()
    part = await client.get(f"{path}?_elements=id")
    assert set(part.json()) == {"resourceType", "id", "meta", "subject"} < set(whole)
    assert [tag["code"] for tag in part.json()["meta"]["tag"]] == ["SUBSETTED"]
    assert part.headers["etag"] == 'W/"1"'
    assert (await client.get(f"{path}?_summary=true")).json()["meta"]["tag"]
    assert (await client.get(f"{path}?_summary=false&_pretty=true")).json() == whole
    for query, said in (
        ("_elements=shoe", "code"),
        ("_summary=shoe", "true, text"),
        ("_summary=count", "true, text"),
        ("_summary=true&_elements=code", "do not stand together"),
    ):
        refused = await client.get(f"{path}?{query}")
        assert refused.status_code == 400 and said in refused.json()["issue"][0]["diagnostics"]


async def test_an_audit_event_is_cut_too(world: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    await client.get("/Patient/a")
    found = (await client.get("/AuditEvent?_count=1")).json()["entry"][0]["resource"]
    part = (await client.get(f"/AuditEvent/{found['id']}?_elements=action")).json()
    assert "action" in part and "outcome" not in part

"""A Consent is the member's act: who may write one, and what must stand behind one that serves its writer."""

from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.service.access.consent.consents import consent, rule
from tests.service.conftest import AppClient
from tests.service.world import (
    CBO2,
    ECM1,
    ECM2,
    LCM2,
    PLAN2,
    change_of,
    episode,
    make,
    patient,
    put,
    ref,
    request,
    task,
)
from tests.service.world import SUD as LABEL

POSTGRESQL_IN_DEEP = True
SUD = "Condition/sud-a"
REVIEW = "https://enlace.example.org/fhir/CodeSystem/review-task|consent-review"
ATTACHED = {"contentType": "application/pdf", "url": "https://example.org/form.pdf"}


@pytest.fixture
async def theirs(world: Store, app_client: AppClient) -> httpx.AsyncClient:
    """ECM 2, which has the member as well, and may not see what ECM 1 labelled."""
    await put(world, episode("EpisodeOfCare/a2", "Patient/a", ECM2))
    return await app_client("ecm-provider", ECM2)


def body_of(provision: Any, **more: Any) -> dict[str, Any]:
    body = consent("Consent/c", provision, **more)
    return {name: value for name, value in body.items() if name != "id" and value is not None}


async def sees(client: httpx.AsyncClient) -> bool:
    return (await client.get(f"/{SUD}")).status_code == 200


@pytest.mark.parametrize(
    "to", [(), (ECM2,), (LCM2,), ("CareTeam/theirs",), ("Organization/above",), (ECM1, ECM2), (ECM1, LCM2)]
)
async def test_nobody_opens_data_to_itself_by_its_word_alone(
    world: Store, theirs: httpx.AsyncClient, app_client: AppClient, to: tuple[str, ...]
) -> None:
    team = make("CareTeam/theirs", status="active", subject=ref("Patient/a"), participant=[{"member": ref(ECM2)}])
    await put(world, team, source=ECM2)
    await put(world, make("Organization/above", name="above"), source="Organization/op")
    whole = make("Organization/ecm-2", name="ecm-2", active=True, partOf=ref("Organization/above"))
    await world.commit(change_of(world, whole, "Organization/op", expect=1))
    permit = rule("permit", rule("deny", label=("HIV",)), to=to, label=("SUD", "HIV"))
    made = await theirs.post("/Consent", json=body_of(permit, verification=None))
    assert made.status_code == 201, made.text
    person = await app_client("lcm", ECM2, LCM2)
    await put(world, episode("EpisodeOfCare/a3", "Patient/a", ECM2, LCM2))
    assert not await sees(theirs) and not await sees(person)
    found = (await theirs.get("/Task", params={"code": REVIEW})).json()["entry"]
    assert "no signed form" in found[0]["resource"]["description"]
    assert found[0]["resource"]["focus"] == ref(f"Consent/{made.json()['id']}")
    rules = await world.fetch("SELECT grade FROM clearance WHERE patient = ?", (world.keys.resource("Patient/a"),))
    assert len(rules) == max(1, len(to)) and all(row[0] & 1 for row in rules), "what it denies stands"


@pytest.mark.parametrize(
    ("more", "opens"),
    [
        ({"verification": [{"verified": True}]}, True),
        ({"sourceAttachment": ATTACHED}, True),
        ({"sourceReference": ref("QuestionnaireResponse/form")}, True),
        ({"sourceAttachment": {"title": "a form, somewhere"}}, False),
        ({"sourceReference": {"display": "a form, somewhere"}}, False),
        ({"sourceReference": "former"}, False),
        ({"verification": [{"verified": False}]}, False),
    ],
)
async def test_a_signed_form_stands_behind_it(
    world: Store, theirs: httpx.AsyncClient, more: dict[str, Any], opens: bool
) -> None:
    form = make("QuestionnaireResponse/form", status="completed", subject=ref("Patient/a"))
    await put(world, form, source=ECM2)
    if more.get("sourceReference") == "former":
        former = await theirs.post("/Consent", json=body_of(rule("permit", label=("SUD",)), status="inactive"))
        more = {"sourceReference": ref(f"Consent/{former.json()['id']}")}
    body = body_of(rule("permit", to=(ECM2,), label=("SUD",)), **{"verification": None, **more})
    made = await theirs.post("/Consent", json=body)
    assert made.status_code == 201, made.text
    assert await sees(theirs) is opens
    if not opens:
        patch = [{"op": "add", "path": "/verification", "value": [{"verified": True}]}]
        headers = {"If-Match": made.headers["ETag"], "Content-Type": "application/json-patch+json"}
        answer = await theirs.patch(f"/Consent/{made.json()['id']}", json=patch, headers=headers)
        assert answer.status_code == 200 and await sees(theirs)
        found = (await theirs.get("/Task", params={"code": REVIEW})).json().get("entry", [])
        assert {one["resource"]["status"] for one in found} <= {"completed"}


async def test_who_gives_to_others_needs_no_form(
    world: Store, theirs: httpx.AsyncClient, app_client: AppClient
) -> None:
    body = body_of(rule("permit", to=(ECM2,), label=("SUD",)), verification=None)
    assert (await (await app_client()).post("/Consent", json=body)).status_code == 201
    assert await sees(theirs)


async def test_no_organization_places_itself_below_another(
    world: Store, theirs: httpx.AsyncClient, app_client: AppClient
) -> None:
    """A Consent that names an organization means its parts."""
    body = body_of(rule("permit", to=(PLAN2,), label=("SUD",)), verification=None)
    assert (await (await app_client()).post("/Consent", json=body)).status_code == 201
    current = (await theirs.get(f"/{ECM2}")).json()
    answer = await theirs.put(f"/{ECM2}", json={**current, "partOf": ref(PLAN2)})
    assert answer.status_code == 403 and "partOf" in answer.text
    assert not await sees(theirs)
    assert (await theirs.put(f"/{ECM2}", json={**current, "name": "Other"})).status_code == 200


async def test_who_has_not_the_member_writes_no_consent(world: Store, app_client: AppClient) -> None:
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), source=ECM1)
    await put(world, task("Task/r", "Patient/a", "ServiceRequest/r", ECM1, ECM2), source=ECM1)
    theirs = await app_client("ecm-provider", ECM2)
    answer = await theirs.post("/Consent", json=body_of(rule("permit", to=(ECM1,), label=("SUD",))))
    assert answer.status_code == 422, "a Task gives what names its party, not the record"
    await put(world, patient("Patient/c"), source=ECM2)
    own = body_of(rule("permit", to=(ECM1,), label=("SUD",)), member="Patient/c")
    assert (await theirs.post("/Consent", json=own)).status_code == 201, "it brought the member in"
    await put(world, episode("EpisodeOfCare/c", "Patient/c", ECM1))
    assert (await theirs.post("/Consent", json=own)).status_code == 403, "another has the member by now"
    for role in ("mcp", "cbo", "referrer", "hospital"):
        client = await app_client(role, ECM2)
        assert (await client.post("/Consent", json=body_of(rule("permit")))).status_code in (403, 422)


async def test_who_lost_the_member_revokes_and_does_nothing_else(world: Store, app_client: AppClient) -> None:
    given = episode("EpisodeOfCare/a2", "Patient/a", ECM2)
    await put(world, given)
    theirs = await app_client("ecm-provider", ECM2)
    made = await theirs.post("/Consent", json=body_of(rule("deny", to=(ECM1,), label=("HIV",))))
    await world.commit(change_of(world, {**given, "status": "cancelled"}, expect=1))
    place = f"/Consent/{made.json()['id']}"
    opened = {**made.json(), "provision": rule("permit", label=("SUD",))}
    match = {"If-Match": made.headers["ETag"]}
    for body in (opened, {**made.json(), "status": "rejected"}, {**made.json(), "status": "draft"}):
        assert (await theirs.put(place, json=body, headers=match)).status_code == 403
    assert (await theirs.delete(place, headers=match)).status_code == 403, "what it denied would be open"
    revoked = await theirs.put(place, json={**made.json(), "status": "inactive"}, headers=match)
    assert revoked.status_code == 200, revoked.text


async def test_only_its_author_changes_a_consent(
    world: Store, theirs: httpx.AsyncClient, app_client: AppClient
) -> None:
    ours = await app_client()
    made = await ours.post("/Consent", json=body_of(rule("deny", to=(ECM2,), label=("HIV",))))
    place, match = f"/Consent/{made.json()['id']}", {"If-Match": made.headers["ETag"]}
    assert (await theirs.get(place)).status_code == 200
    assert (await theirs.put(place, json={**made.json(), "status": "inactive"}, headers=match)).status_code == 403
    assert (await theirs.delete(place, headers=match)).status_code == 403
    patch = [{"op": "replace", "path": "/status", "value": "inactive"}]
    headers = {**match, "Content-Type": "application/json-patch+json"}
    assert (await theirs.patch(place, json=patch, headers=headers)).status_code == 403


async def test_who_shares_a_care_team_does_not_join_one_that_a_consent_names(
    world: Store, theirs: httpx.AsyncClient, app_client: AppClient
) -> None:
    async def joined() -> int:
        team = await theirs.get("/CareTeam/a")
        body = {**team.json(), "participant": [*team.json()["participant"], {"member": ref(ECM2)}]}
        return (await theirs.put("/CareTeam/a", json=body, headers={"If-Match": team.headers["ETag"]})).status_code

    ours = await app_client()
    named = body_of(rule("permit", to=("CareTeam/a",), label=("SUD",)))
    made = await ours.post("/Consent", json=named)
    assert await joined() == 403 and not await sees(theirs)
    team = await theirs.get("/CareTeam/a")
    note = {**team.json(), "note": [{"text": "as before"}]}
    assert (await theirs.put("/CareTeam/a", json=note, headers={"If-Match": team.headers["ETag"]})).status_code == 200
    over = {**made.json(), "status": "inactive"}
    place, match = f"/Consent/{made.json()['id']}", {"If-Match": made.headers["ETag"]}
    assert (await ours.put(place, json=over, headers=match)).status_code == 200
    assert await joined() == 200, "a team that opens nothing is shared"


async def test_a_review_gives_nobody_the_member_and_hides_with_its_consent(
    world: Store, theirs: httpx.AsyncClient, app_client: AppClient
) -> None:
    ours, other = await app_client(), await app_client("cbo", CBO2)
    unclear = rule("permit", code=[{"text": "x"}])
    body = body_of(unclear, organization=[ref(CBO2)], meta=LABEL)
    made = await ours.post("/Consent", json=body)
    assert made.status_code == 201, made.text
    assert len((await ours.get("/Task", params={"code": REVIEW})).json()["entry"]) == 1
    assert "entry" not in (await theirs.get("/Task", params={"code": REVIEW})).json()
    assert "entry" not in (await other.get("/Task", params={"code": REVIEW})).json()
    assert (await other.get("/Patient/a")).status_code == 404
    given = await world.fetch(
        "SELECT 1 FROM panel WHERE source IN (SELECT key FROM resource WHERE fhir_id LIKE 'cr-%')"
    )
    assert not given

"""AuditEvents by IHE BALP: profile, agents and their directions, entities, the query as sent; all valid FHIR."""

import base64
import itertools
from typing import Any

import orjson
import pytest

from fhir_profiles.models import explain
from fhir_profiles.validate import validate
from service import audit
from service.clock import instant
from service.store.audit_rows import StoredAudit, search
from service.store.change import AuditRow, Change
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import ECM1, LCM1

POSTGRESQL_IN_DEEP = True

BASE = "http://127.0.0.1:8000/fhir"
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
NET = '{"net":"10.0.0.1","tok":"0a1b2c","q":"GET /fhir/Task?status=x"}'


def row(kind: str, action: str = "R", target: str = "Task/1", **facts: Any) -> StoredAudit:
    given = {
        "actor": "client-1",
        "organization": ECM1,
        "outcome": 0,
        "patients": ("Patient/a",),
        "detail": NET,
        **facts,
    }
    names = ("actor", "organization")
    base = [0, 7, 1_700_000_000_000_000, *(given[n] for n in names), action, kind, given["outcome"], target]
    return StoredAudit(*base, given["patients"], "req-1", given.get("reason", ""), "TREAT", given["detail"], "n")


def one(stored: StoredAudit, number: int = 0) -> dict[str, Any]:
    event = audit.events(stored, BASE)[number]
    found: dict[str, Any] = orjson.loads(event.body or b"")
    assert found["id"] == event.fhir_id and found["recorded"] == instant(stored.at_us)
    return found


def agent(event: dict[str, Any], code: str) -> dict[str, Any]:
    found = [a for a in event["agent"] if a["type"]["coding"][0]["code"] == code]
    assert len(found) == 1, (code, event["agent"])
    return found[0]


def entity(event: dict[str, Any], role: str) -> dict[str, Any]:
    return next(e for e in event["entity"] if e.get("role", {}).get("code") == role)


CASES = [
    ("read", "R", "Read", "110152", "110153", "read"),
    ("vread", "R", "Read", "110152", "110153", "vread"),
    ("create", "C", "Create", "110153", "110152", "create"),
    ("update", "U", "Update", "110153", "110152", "update"),
    ("patch", "U", "Update", "110153", "110152", "patch"),
    ("delete", "D", "Delete", "110153", "110152", "delete"),
    ("search-type", "E", "Query", "110153", "110152", "search"),
    ("search-system", "E", "Query", "110153", "110152", "search"),
]


@pytest.mark.parametrize("patients", [(), ("Patient/a",)])
@pytest.mark.parametrize(("kind", "action", "profile", "client", "server", "subtype"), CASES)
def test_balp_shapes(
    kind: str, action: str, profile: str, client: str, server: str, subtype: str, patients: tuple[str, ...]
) -> None:
    event = one(row(kind, action, patients=patients))
    name = f"{BALP}{'Patient' if patients else ''}{profile}"
    assert event["meta"]["profile"] == [name, f"{BALP}OAUTHaccessTokenUse.Minimal"]
    assert event["type"]["code"] == "rest" and event["subtype"][0]["code"] == subtype and event["action"] == action
    calls, serves = agent(event, client), agent(event, server)
    assert calls["who"]["identifier"]["value"] == "client-1" and calls["requestor"] is True
    assert calls["network"] == {"address": "10.0.0.1", "type": "2"}
    assert serves["network"] == {"address": BASE, "type": "5"} and serves["requestor"] is False
    assert agent(event, "PROV")["who"]["reference"] == ECM1
    token = agent(event, "UserOauthAgent")
    assert token["policy"] == ["urn:ietf:params:oauth:jti:0a1b2c"] and token["requestor"] is True
    if profile == "Query":
        assert base64.b64decode(entity(event, "24")["query"]) == b"GET /fhir/Task?status=x"
    else:
        assert entity(event, "4")["what"] == {"reference": "Task/1"}
    assert event["entity"][-1]["what"]["identifier"]["value"] == "req-1"
    assert bool(patients) == any(e.get("role", {}).get("code") == "1" for e in event["entity"])


def test_a_person_is_the_requestor_and_the_app_is_named_beside() -> None:
    event = one(row("read", actor=LCM1, detail='{"net":"::1","app":"app-9"}'))
    person = agent(event, "IRCP")
    assert person["who"] == {"reference": LCM1} and person["requestor"] is True and "network" not in person
    assert person["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert agent(event, "110152")["requestor"] is False
    assert agent(event, "110152")["who"]["identifier"]["value"] == "app-9"
    assert agent(one(row("create", "C", actor=LCM1)), "AUT") and agent(one(row("delete", "D", actor=LCM1)), "CST")


@pytest.mark.parametrize("outcome", [4, 8])
def test_what_failed_claims_no_profile(outcome: int) -> None:
    event = one(row("read", outcome=outcome, reason="scope", detail='{"net":"::1"}'))
    assert "profile" not in event["meta"] and event["outcome"] == str(outcome) and event["outcomeDesc"] == "scope"


def test_without_an_address_or_a_resource_no_profile_is_claimed() -> None:
    assert "profile" not in one(row("read", detail=""))["meta"]
    assert "profile" not in one(row("delete", "D", "Task", detail='{"net":"::1"}'))["meta"]


def test_one_event_for_each_patient() -> None:
    found = audit.events(row("search-type", "E", "Task?status", patients=("Patient/a", "Patient/b")), BASE)
    assert [e.fhir_id for e in found] == ["n-0", "n-1"]
    assert [e.patient_reference for e in found] == ["Patient/a", "Patient/b"]


@pytest.mark.parametrize(("decision", "outcome"), [("permit", "0"), ("deny", "4")])
def test_consent_decisions(decision: str, outcome: str) -> None:
    detail = orjson.dumps({"net": "::1", "tok": "ab", "consents": {"Patient/a": ["Consent/1"]}, "decision": decision})
    found = audit.events(row("read", patients=("Patient/a", "Patient/b"), detail=detail.decode()), BASE)
    assert [e.fhir_id for e in found] == ["n-0", "n-0-c", "n-1"]
    event = orjson.loads(found[1].body or b"")
    assert event["meta"]["profile"] == [f"{BALP}AuthZconsent"] and event["outcome"] == outcome
    assert event["type"]["code"] == "110113" and event["subtype"][0]["code"] == "AuthZ-Consent"
    assert [a["type"]["coding"][0]["code"] for a in event["agent"]] == ["110150", "IRCP", "PROV", "authserver"]
    assert agent(event, "authserver")["who"] == event["source"]["observer"]
    assert [e["what"].get("reference") for e in event["entity"]] == ["Patient/a", "Consent/1", None]


KINDS = (*audit.SHAPES, "refusal", "everything", "match", "batch", "validate")
TARGETS = ("Task/1", "Task?status", "", "Task/1/_history/3", "Patient/a/_history", "client/x", "plan-file 9")
DETAILS = ("", NET, '{"consents":["Consent/1"],"net":"::1"}')


@pytest.mark.parametrize("kind", KINDS)
def test_every_shape_is_valid(kind: str) -> None:
    for number, (actor, detail, target) in enumerate(itertools.product(("client-1", LCM1), DETAILS, TARGETS)):
        for event in audit.events(row(kind, target=target, actor=actor, detail=detail), BASE):
            resource = orjson.loads(event.body or b"")
            assert not validate(resource, "AuditEvent"), resource
            assert number % 5 or not explain(resource, "AuditEvent")


def test_a_disclosure_is_valid() -> None:
    what: list[dict[str, Any]] = [{"type": "Observation", "display": "2 Observation"}]
    event = audit.disclosure(row("read"), "Patient/a", what, [{"reference": "Organization/o"}], BASE)
    resource = orjson.loads(audit.rendered(row("read"), "n-0-d", "Patient/a", event).body or b"")
    assert resource["meta"]["profile"] == [f"{BALP}PrivacyDisclosure.Source"]
    assert not validate(resource, "AuditEvent") and not explain(resource, "AuditEvent")
    assert [a["type"]["coding"][0]["code"] for a in resource["agent"]] == ["110153", "110152", "IRCP", "PROV", "CST"]


HOSTILE = ["x'; DROP TABLE audit;--", "%00%ff%fe", "<script>alert(1)</script>", "\u202e%F0%9F%92%A9", "a" * 9000]


@pytest.mark.parametrize("text", HOSTILE)
async def test_the_request_is_kept_as_it_came(world: Store, app_client: AppClient, text: str) -> None:
    client = await app_client()
    answer = await client.get(f"/Patient?family={text}", headers={"X-Request-Id": "hostile-1"})
    rows = await search(world, organization=None, patients=(), low=None, high=None, after=None, limit=1)
    (event,) = audit.events(rows[0], BASE)
    resource = orjson.loads(event.body or b"")
    assert not validate(resource, "AuditEvent")
    if answer.status_code == 200:
        sent = str(answer.request.url).partition("http://test")[2]
        assert base64.b64decode(entity(resource, "24")["query"]).decode() == f"GET {sent}"[:8192]
        assert text not in rows[0].target
    else:
        assert resource["outcome"] == "4"


async def test_a_posted_search_and_an_entry_of_a_batch_keep_theirs(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.post("/Patient/_search", data={"family": "Made", "gender": "female"})
    entry = {"request": {"method": "GET", "url": "Task?status=requested"}}
    await client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    rows = await search(world, organization=ECM1, patients=(), low=None, high=None, after=None, limit=3)
    asked = {r.more["q"] for r in rows if r.kind == "search-type"}
    assert asked == {"POST /fhir/Patient/_search\n\nfamily=Made&gender=female", "GET Task?status=requested"}
    assert all(len(r.more["tok"]) == 12 for r in rows)


async def test_detail_is_under_the_digest(store: Store) -> None:
    from service.store import chain

    await store.commit(Change(audit=[AuditRow("R", "read", 0, "c", ECM1, "Task/1", detail=NET)]))
    await store.db.execute("UPDATE audit SET detail = ?", (NET.replace("10.0.0.1", "10.0.0.2"),))
    assert not (await chain.verify(store)).whole

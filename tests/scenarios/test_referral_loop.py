"""A referral closes its loop, by two systems that know Enlace by its HTTP address alone: issue 2, point 8.

Each signs in by SMART Backend Services with a key of its own; every step and every wrong step is a request.
"""

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.clock import instant
from tests.scenarios.harness import LUIS, ROSA, Service, look, now_us, put
from tests.service.auth.smart_client import PrivateKey, claims, ec_key, header, jwt, public_jwk, rsa_key
from tests.service.world import make

POSTGRESQL_IN_DEEP = True

Resource = dict[str, Any]
NORTH, CBO, PANTRY = "Organization/north", "Organization/cbo", "Organization/pantry"
SDOHCC = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
SCOPES = "system/*.cruds"


class System:
    """One party's system: signs in with its key, then speaks FHIR. Use it with `with`."""

    def __init__(self, service: Service, client_id: str, key: PrivateKey, kid: str):
        self._token_url = f"{service.base}/auth/token"
        self._client_id, self._key, self._kid = client_id, key, kid
        self.http = service.client(self.token())

    def token(self) -> str:
        made = claims(now_us(), iss=self._client_id, sub=self._client_id, aud=self._token_url, jti=str(uuid.uuid4()))
        algorithm = "RS384" if self._kid.startswith("rsa") else "ES384"
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPES,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt(header(alg=algorithm, kid=self._kid), made, self._key),
        }
        answer = httpx.post(self._token_url, data=form, timeout=15)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "bearer"
        return str(answer.json()["access_token"])

    def post(self, resource: Resource) -> Resource:
        answer = self.http.post("/" + resource["resourceType"], json=resource)
        assert answer.status_code == 201, answer.text
        made: Resource = answer.json()
        assert answer.headers["Location"].endswith(f"/{made['resourceType']}/{made['id']}/_history/1")
        return made

    def get(self, path: str) -> httpx.Response:
        return self.http.get("/" + path)

    def read(self, reference: str) -> Resource:
        answer = self.get(reference)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def find(self, query: str) -> list[Resource]:
        answer = self.get(query)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", ())]

    def put(self, resource: Resource, **changes: Any) -> httpx.Response:
        """PUT with If-Match of the version in `resource`; a change to None takes the element out."""
        tag = f'W/"{resource["meta"]["versionId"]}"'
        return self.put_as(resource, {"If-Match": tag}, **changes)

    def put_as(self, resource: Resource, headers: dict[str, str], **changes: Any) -> httpx.Response:
        body = {name: value for name, value in (resource | changes).items() if value is not None}
        return self.http.put(f"/{resource['resourceType']}/{resource['id']}", json=body, headers=headers)

    def step(self, resource: Resource, **changes: Any) -> Resource:
        answer = self.put(resource, **changes)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def refused(answer: httpx.Response, status: int, element: str, *words: str) -> None:
    """The refusal is an OperationOutcome that names the element and says the rule; it repeats no value of the body."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    expressions = [e for issue in outcome["issue"] for e in issue.get("expression", ())]
    texts = " ".join(issue["diagnostics"] for issue in outcome["issue"])
    assert not element or element in expressions, outcome
    assert all(word in texts for word in words), outcome
    assert ROSA.family not in answer.text


@dataclass
class Parties:
    north: System
    cbo: System
    pantry: System
    plan: System


@pytest.fixture(scope="module")
def parties(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    look(service.url, lambda store: put(store, make(PANTRY, name="Pantry Made-up", active=True)))
    folder = tmp_path_factory.mktemp("keys")

    def system(name: str, organization: str, role: str, key: PrivateKey, kid: str) -> System:
        path: Path = folder / f"{name}.json"
        path.write_text(json.dumps({"keys": [public_jwk(key, kid, use="sig")]}))
        facts = ["--organization", organization, "--role", role, "--jwks", str(path), "--scope", SCOPES, "--json"]
        return System(
            service, json.loads(service.cli("client", "add", name, "--purpose", "TREAT", *facts))["id"], key, kid
        )

    made = Parties(
        system("North EHR", NORTH, "ecm-provider", rsa_key(2048, 1), "rsa-north"),
        system("CBO case system", CBO, "cbo", ec_key("P-384", 1), "ec-cbo"),
        system("Pantry system", PANTRY, "cbo", ec_key("P-384", 2), "ec-pantry"),
        system("Plan system", "Organization/plan", "mcp", rsa_key(2048, 2), "rsa-plan"),
    )
    yield made
    for one in (made.north, made.cbo, made.pantry, made.plan):
        one.http.close()


def request() -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"text": "Medically tailored meals"},
        "subject": {"reference": ROSA.reference, "display": "R. Quillfeather"},
        "requester": {"reference": NORTH},
        "authoredOn": "2026-03-01T10:00:00.250-08:00",
    }


def task(service_request: Resource, owner: str | None, **changes: Any) -> Resource:
    body = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": f"ServiceRequest/{service_request['id']}"},
        "for": {"reference": ROSA.reference},
        "requester": {"reference": NORTH},
        "owner": {"reference": owner} if owner else None,
        "authoredOn": "2026-03-01T10:00:00-08:00",
    } | changes
    return {name: value for name, value in body.items() if value is not None}


def output(procedure: Resource) -> list[Resource]:
    kind = {"coding": [{"system": SDOHCC, "code": "resulting-activity"}]}
    return [{"type": kind, "valueReference": {"reference": f"Procedure/{procedure['id']}"}}]


def procedure(service_request: Resource) -> Resource:
    return {
        "resourceType": "Procedure",
        "status": "completed",
        "code": {"text": "Meals delivered"},
        "subject": {"reference": ROSA.reference},
        "basedOn": [{"reference": f"ServiceRequest/{service_request['id']}"}],
        "performedDateTime": "2026-03-05",
    }


def opened(parties: Parties, owner: str | None = CBO) -> tuple[Resource, Resource]:
    asked = parties.north.post(request())
    return asked, parties.north.post(task(asked, owner))


def reason(text: str) -> Resource:
    return {"text": text}


def test_request_accept_deliver_complete(service: Service, parties: Parties) -> None:
    north, cbo = parties.north, parties.cbo
    before = instant(now_us() - 1_000_000)
    asked, sent = opened(parties)
    foreign = north.post(task(asked, PANTRY))

    poll = f"Task?owner={CBO}&status=requested&_lastUpdated=gt{before}"
    found = cbo.find(poll + "&_include=Task:focus")
    assert {(r["resourceType"], r["id"]) for r in found} == {("Task", sent["id"]), ("ServiceRequest", asked["id"])}
    assert next(r for r in found if r["resourceType"] == "ServiceRequest")["subject"]["display"] == "R. Quillfeather"
    assert cbo.find(f"Task?owner={CBO}&status=requested&_lastUpdated=gt{instant(now_us() + 60_000_000)}") == []
    got = cbo.read(f"Task/{sent['id']}")
    assert got == sent
    view = cbo.get(ROSA.reference).json()
    assert view["meta"]["tag"][0]["code"] == "SUBSETTED" and not {"birthDate", "identifier", "text"} & set(view)
    assert [entry["resource"] for entry in cbo.get(f"Patient?_id={ROSA.key}").json()["entry"]] == [view]
    assert cbo.get(f"{ROSA.reference}/_history").status_code == 404
    assert cbo.get(f"Patient?birthdate={ROSA.birth_date}").status_code == 400
    assert cbo.get(f"Task/{foreign['id']}").status_code == 404
    assert cbo.find(f"Task?owner={PANTRY}") == []

    accepted = cbo.step(got, status="accepted")
    working = cbo.step(accepted, status="in-progress", businessStatus={"text": "First delivery planned"})
    done = cbo.post(procedure(asked))
    completed = cbo.step(working, status="completed", output=output(done))

    mine = north.find(f"Task?requester={NORTH}&status=completed&_lastUpdated=gt{before}")
    assert [t["id"] for t in mine] == [completed["id"]]
    seen = north.read(mine[0]["output"][0]["valueReference"]["reference"])
    assert seen["basedOn"] == [{"reference": f"ServiceRequest/{asked['id']}"}]
    refused(north.put(asked, status="completed"), 422, "ServiceRequest.status", "still open")
    north.step(foreign, status="cancelled", statusReason=reason("The other organization delivers."))
    closed = north.step(asked, status="completed")
    assert (closed["status"], closed["authoredOn"]) == ("completed", "2026-03-01T10:00:00.250-08:00")

    answer = north.get(f"Task/{sent['id']}/_history").json()
    assert [e["resource"]["status"] for e in answer["entry"]] == ["completed", "in-progress", "accepted", "requested"]
    assert [e["resource"]["meta"]["versionId"] for e in answer["entry"]] == ["4", "3", "2", "1"]
    assert cbo.read(f"Task/{sent['id']}/_history/1")["status"] == "requested"
    versions = north.get(f"ServiceRequest/{asked['id']}/_history").json()["entry"]
    assert [e["resource"]["status"] for e in versions] == ["completed", "active"]


def test_every_wrong_step_is_refused_with_its_reason(service: Service, parties: Parties) -> None:
    north, cbo, pantry, plan = parties.north, parties.cbo, parties.pantry, parties.plan
    asked, sent = opened(parties)
    refused(cbo.put_as(sent, {}, status="accepted"), 428, "", "If-Match")
    refused(cbo.put_as(sent, {"If-Match": 'W/"9"'}, status="accepted"), 412, "", "read it again")
    refused(cbo.put(sent, status="completed"), 422, "Task.status", "from requested to accepted")
    refused(cbo.put(sent, status="rejected"), 422, "Task.statusReason.text", "required when status is rejected")
    refused(cbo.put(sent, status="accepted", owner={"reference": PANTRY}), 422, "Task.owner", "cannot be changed")
    refused(cbo.put(sent, status="accepted", authoredOn="2026-02-01"), 422, "Task.authoredOn", "cannot be changed")
    refused(north.put(sent, status="accepted"), 403, "Task.status", "the organization that the referral was sent to")
    refused(plan.put(sent, status="accepted"), 403, "Task.status", "sent to")
    refused(north.put(asked, status="completed"), 422, "ServiceRequest.status", "still open")
    refused(cbo.put(asked, status="revoked"), 403, "", "ServiceRequest")
    refused(pantry.get(f"Task/{sent['id']}"), 404, "")
    refused(pantry.put(sent, status="accepted"), 404, "")
    refused(pantry.get(f"ServiceRequest/{asked['id']}"), 404, "")

    accepted = cbo.step(sent, status="accepted")
    refused(cbo.put(sent, status="accepted"), 412, "", "read it again")
    working = cbo.step(accepted, status="in-progress")
    refused(cbo.put(working, status="completed"), 422, "Task.output", "what was done")
    refused(cbo.put(working, status="requested"), 422, "Task.status", "not to requested")
    refused(cbo.put(working, status="failed"), 422, "Task.statusReason.text", "failed")
    refused(cbo.put(working, status="nonsense"), 422, "Task.status")
    delivered = cbo.post(procedure(asked))
    closed = cbo.step(working, status="completed", output=output(delivered))
    refused(cbo.put(closed, status="in-progress"), 422, "Task.status", "from completed to entered-in-error, not to")
    refused(north.put(closed, status="requested"), 422, "Task.status", "not to requested")
    refused(cbo.put(closed, output=None), 422, "Task.status", "is closed")
    for version, status in enumerate(("requested", "accepted", "in-progress", "completed"), 1):
        assert north.read(f"Task/{sent['id']}/_history/{version}")["status"] == status
    assert north.get(f"Task/{sent['id']}/_history/5").status_code == 404, "a refused step left a version"


def test_what_cannot_be_opened(parties: Parties) -> None:
    north, cbo = parties.north, parties.cbo
    asked = north.post(request())
    wrong = task(asked, CBO, status="accepted", intent="plan", authoredOn=None)
    answer = north.http.post("/Task", json=wrong)
    refused(answer, 422, "Task.status", "starts with", "intent order")
    refused(answer, 422, "Task.authoredOn")
    refused(north.http.post("/Task", json=task(asked, CBO, requester={"reference": CBO})), 403, "Task.requester")
    stranger = task(asked, CBO, **{"for": {"reference": LUIS.reference}})
    refused(north.http.post("/Task", json=stranger), 422, "Task.for")
    missing = task(asked, CBO, focus={"reference": "ServiceRequest/none"})
    refused(north.http.post("/Task", json=missing), 422, "Task.focus", "does not resolve")
    draft = north.post(request() | {"status": "draft"})
    refused(north.http.post("/Task", json=task(draft, CBO)), 422, "Task.focus", "must be active")
    refused(cbo.http.post("/ServiceRequest", json=request()), 403, "", "do not write ServiceRequest")
    for_luis = request() | {"subject": {"reference": LUIS.reference}}
    refused(north.http.post("/ServiceRequest", json=for_luis), 422, "ServiceRequest.subject", "does not resolve")


def test_declined_then_referred_to_another(parties: Parties) -> None:
    north, cbo, pantry = parties.north, parties.cbo, parties.pantry
    asked, sent = opened(parties)
    cbo.step(sent, status="rejected", statusReason=reason("No capacity this month."))
    assert north.read(f"Task/{sent['id']}")["statusReason"]["text"] == "No capacity this month."
    assert north.read(f"ServiceRequest/{asked['id']}")["status"] == "active"

    second = north.post(task(asked, PANTRY))
    assert cbo.get(f"Task/{second['id']}").status_code == 404
    working = pantry.step(pantry.step(second, status="accepted"), status="in-progress")
    done = pantry.post(procedure(asked))
    pantry.step(working, status="completed", output=output(done))
    assert cbo.get(f"Procedure/{done['id']}").status_code == 404
    assert north.step(asked, status="completed")["status"] == "completed"


def test_the_requester_cancels(parties: Parties) -> None:
    north, cbo = parties.north, parties.cbo
    asked, sent = opened(parties)
    accepted = cbo.step(sent, status="accepted")
    refused(north.put(accepted, status="cancelled"), 422, "Task.statusReason.text", "cancelled")
    north.step(accepted, status="cancelled", statusReason=reason("The member moved away."))
    seen = cbo.read(f"Task/{sent['id']}")
    assert (seen["status"], seen["statusReason"]["text"]) == ("cancelled", "The member moved away.")
    refused(cbo.put(seen, status="in-progress"), 422, "Task.status", "not to in-progress")
    assert north.step(asked, status="revoked")["status"] == "revoked"
    refused(north.http.post("/Task", json=task(asked, CBO)), 422, "Task.focus", "must be active")


def test_two_answers_to_one_version_exactly_one_wins(parties: Parties) -> None:
    for _ in range(5):
        _, sent = opened(parties)

        def answer(number: int, sent: Resource = sent) -> int:
            return parties.cbo.put(sent, status="accepted", businessStatus={"text": f"desk {number}"}).status_code

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(answer, range(4))) == [200, 412, 412, 412]
        assert parties.north.read(f"Task/{sent['id']}")["meta"]["versionId"] == "2"


def test_an_open_request_is_invisible_to_whom_it_was_not_offered(parties: Parties) -> None:
    """A Task without an owner, and without candidates, is its requester's alone."""
    _, sent = opened(parties, None)
    assert parties.cbo.get(f"Task/{sent['id']}").status_code == 404
    assert parties.cbo.put(sent, status="accepted", owner={"reference": CBO}).status_code == 404


def test_an_open_request_is_claimed_by_exactly_one(parties: Parties) -> None:
    """Both see it and its request; one has it then, and the other is told so once, and sees it no more."""
    asked = parties.north.post(request() | {"subject": {"reference": ROSA.reference}})  # no name: two will read it
    offered = {"recipient": [{"reference": CBO}, {"reference": PANTRY}]}
    sent = parties.north.post(task(asked, None, restriction=offered))
    pool = "Task?owner:missing=true&status=requested&_include=Task:focus"
    for one in (parties.cbo, parties.pantry):
        assert {r["id"] for r in one.find(f"{pool}&_id={sent['id']}")} == {sent["id"], asked["id"]}

    def claim(party: tuple[System, str]) -> int:
        return party[0].put(sent, status="accepted", owner={"reference": party[1]}).status_code

    with ThreadPoolExecutor(2) as pool_:
        codes = list(pool_.map(claim, [(parties.cbo, CBO), (parties.pantry, PANTRY)]))
    assert sorted(codes) == [200, 412]
    winner, loser = (parties.cbo, parties.pantry) if codes[0] == 200 else (parties.pantry, parties.cbo)
    assert winner.read(f"Task/{sent['id']}")["status"] == "accepted"
    assert loser.get(f"Task/{sent['id']}").status_code == loser.get(f"ServiceRequest/{asked['id']}").status_code == 404
    refused(loser.put(sent, status="accepted", owner={"reference": CBO}), 412, "Task.owner", "has taken this referral")


def test_a_token_is_asked_for_with_the_registered_key_only(service: Service, parties: Parties) -> None:
    impostor = System.__new__(System)
    impostor.__dict__.update(parties.cbo.__dict__ | {"_key": ec_key("P-384", 9)})
    with pytest.raises(AssertionError, match="invalid_client"):
        impostor.token()
    assert httpx.get(f"{service.base}/fhir/Task", timeout=15).status_code == 401

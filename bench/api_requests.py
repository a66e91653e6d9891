"""What an integrator asks of the FHIR API, as raw requests: versions, updates, transactions and typical searches."""

import json
import random
from typing import Any

from bench.county import LARGE, OWNER, County, cin, family, patient, ref, task

UPDATES, VARIANTS = 400, 4
"""Patients that are updated in turn; each next text of one differs, since an update without a change writes nothing."""


def request(method: str, path: str, token: str, body: bytes = b"") -> str:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return (head.encode() + b"\r\n" + body).decode("latin-1")


def searches(county: County, rng: random.Random) -> dict[str, list[str]]:
    """Name of the row -> paths. Members of the caller's panel only, so that each search finds something."""
    members = [rng.randrange(county.members // 2) for _ in range(200)]
    of_owner = f"/fhir/Task?owner={OWNER}"
    return {
        "search: patient and status": [f"/fhir/Task?patient=Patient/m{m}&status=requested" for m in members],
        "search: identifier": [f"/fhir/Patient?identifier={cin(m)}" for m in members],
        "search: name and birth date": [
            f"/fhir/Patient?family={family(m)}&birthdate={patient(m)['birthDate']}" for m in members
        ],
        "search: chain to an identifier": [f"/fhir/Task?patient.identifier={cin(m)}" for m in members],
        "search: chain that many fit": ["/fhir/Task?patient.address-state=CA&_sort=-_lastUpdated&_count=10"],
        "search: _has": [f"/fhir/Patient?_has:Task:patient:owner={OWNER}&_count=10"],
        "search: include": [f"/fhir/Task?patient=Patient/m{m}&_include=Task:patient" for m in members],
        "search: queue by date, ten entries": [f"{of_owner}&status=requested&_sort=-authored-on&_count=10"],
    }


def requests_of_the_api(county: County) -> dict[str, tuple[list[str], str]]:
    """Name of the row -> (requests, expected status)."""
    rng, token = random.Random(2), county.large_token
    versions = [f"/fhir/CarePlan/c{rng.randrange(county.plans)}/_history/1" for _ in range(2000)]
    half = county.members // 2
    made: dict[str, tuple[list[str], str]] = {
        "vread": ([request("GET", path, token) for path in versions], "200"),
        "update": (_updates(token, min(UPDATES, half)), "200"),
        "transaction of 2": ([request("POST", "/fhir", token, _referrals(n, 1, half)) for n in range(500)], "200"),
        "transaction of 50": ([request("POST", "/fhir", token, _referrals(n, 25, half)) for n in range(40)], "200"),
    }
    for name, paths in searches(county, rng).items():
        made[name] = ([request("GET", path, token) for path in paths], "200")
    return made


def _updates(token: str, count: int) -> list[str]:
    out = []
    for variant in range(VARIANTS):
        for number in range(count):
            changed = {**patient(number), "maritalStatus": {"text": f"Made up, variant {variant}"}}
            out.append(request("PUT", f"/fhir/Patient/m{number}", token, json.dumps(changed).encode()))
    return out


def _referrals(number: int, pairs: int, half: int) -> bytes:
    """A transaction of so many ServiceRequests and the Tasks that fulfil them."""
    entries: list[dict[str, Any]] = []
    for pair in range(pairs):
        member = (number * 25 + pair) % half
        urn = f"urn:uuid:00000000-0000-4000-8000-{number * 100 + pair:012d}"
        asked = {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "410606002"}]}],
            "code": {"text": "Help with food, made up"},
            "subject": ref(f"Patient/m{member}"),
            "authoredOn": "2026-03-01T10:00:00Z",
            "requester": ref(LARGE),
            "performer": [ref(OWNER)],
        }
        todo = task(number, member, LARGE, OWNER, "requested") | {"focus": ref(urn)}
        del todo["id"]
        for url, resource in (("ServiceRequest", asked), ("Task", todo)):
            full = {"fullUrl": urn} if url == "ServiceRequest" else {}
            entries.append({**full, "resource": resource, "request": {"method": "POST", "url": url}})
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
